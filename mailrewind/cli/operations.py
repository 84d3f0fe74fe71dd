"""Bring back what is more than messages: calendars, mailboxes, accounts, a database, a server."""

import click

from mailrewind.cli import operation_shapes, options, show
from mailrewind.cli.grammar import Command, Group
from mailrewind.cli.invocation import Invocation
from mailrewind.cli.operation import How, confirmed, go
from mailrewind.model.operations import OperationReport, OperationRequest, choices
from mailrewind.model.restores import RestoreReport

_ACCOUNT = ("mailbox", "aliases", "filters", "quota", "sogo profile")

_keep_newer = click.option(
    "--keep-newer-credentials/--revert-credentials",
    default=True,
    show_default=True,
    help="Whether passwords, second factors and disabled states that were changed since stay.",
)
_from_another = click.option(
    "--from-another", is_flag=True, help="Take the dump although another installation made it."
)


@click.command(cls=Command)
@click.argument("system")
@click.argument("user")
@options.at
@click.option(
    "--mode",
    type=click.Choice(["merge", "reset"]),
    default="merge",
    show_default=True,
    help="Add what is missing, or make the folders what they were.",
)
@click.option(
    "--folder",
    "folders",
    multiple=True,
    metavar="FOLDER",
    help="Only this folder, such as Calendar/personal; may be repeated. Default: all.",
)
@click.option(
    "--record",
    "records",
    multiple=True,
    metavar="RECORD",
    help="Only this event or contact, by its name or words of its title; may be repeated.",
)
@click.option("--into-user", default="", metavar="USER", help="Who gets it instead of USER.")
@click.option("--preferences", is_flag=True, help="Signatures, filters and settings, too.")
@click.option("--titles", is_flag=True, help="Name events in the plan by their titles.")
@confirmed
@click.pass_obj
def calendars(
    invocation: Invocation,
    system: str,
    user: str,
    *,
    at: str,
    mode: str,
    folders: tuple[str, ...],
    records: tuple[str, ...],
    into_user: str,
    preferences: bool,
    titles: bool,
    how: How,
) -> None:
    """Bring calendars and contacts of USER back: all, some folders, or single ones."""
    request = OperationRequest(
        operation="calendars",
        system=system,
        target=user,
        at=at,
        choices=choices(
            mode=mode,
            folders=folders,
            records=records,
            into_user=into_user,
            preferences=preferences,
            titles=titles,
        ),
    )
    go(invocation, request, ("restore", "calendars", system, user), how)


@click.command(cls=Command)
@click.argument("system")
@click.argument("mailbox")
@options.at
@click.option(
    "--source",
    type=click.Choice(["garbage", "restore-point"]),
    default="garbage",
    show_default=True,
    help="What the mail server keeps of deleted mailboxes, or a restore point.",
)
@click.option(
    "--candidate",
    default="",
    metavar="NAME",
    help="Which one of the garbage, as the plan names it. Default: whose mail tells it.",
)
@click.option(
    "--whatever-it-holds", is_flag=True, help="Take it although its mail tells of another owner."
)
@click.option(
    "--create", is_flag=True, help="Create the mailbox if it does not exist; needs an API key."
)
@confirmed
@click.pass_obj
def deleted(
    invocation: Invocation,
    system: str,
    mailbox: str,
    *,
    at: str,
    source: str,
    candidate: str,
    whatever_it_holds: bool,
    create: bool,
    how: How,
) -> None:
    """Bring MAILBOX back, which was deleted; the plan lists what could be meant."""
    request = OperationRequest(
        operation="deleted",
        system=system,
        target=mailbox,
        at=at,
        choices=choices(
            source=source.replace("-", " "),
            candidate=candidate,
            whatever_it_holds=whatever_it_holds,
            create=create,
        ),
    )
    go(invocation, request, ("restore", "deleted", system, mailbox), how)


@click.command(cls=Command)
@click.argument("system")
@options.at
@_keep_newer
@click.option(
    "--returning",
    type=click.Choice(["disabled", "as-then"]),
    default="disabled",
    show_default=True,
    help="How accounts come back that were deleted since.",
)
@_from_another
@confirmed
@click.pass_obj
def database(
    invocation: Invocation,
    system: str,
    *,
    at: str,
    keep_newer_credentials: bool,
    returning: str,
    from_another: bool,
    how: How,
) -> None:
    """Make the whole database of SYSTEM what it was; the plan names each account it changes."""
    request = OperationRequest(
        operation="database",
        system=system,
        at=at,
        choices=choices(
            keep_newer_credentials=keep_newer_credentials,
            returning=returning.replace("-", " "),
            from_another=from_another,
        ),
    )
    go(invocation, request, ("restore", "database", system), how)


@click.command(cls=Command)
@click.argument("system")
@click.argument("mailbox")
@options.at
@click.option(
    "--what",
    type=click.Choice(_ACCOUNT),
    multiple=True,
    default=_ACCOUNT,
    help="Only this of its settings; may be repeated. Default: all.",
)
@_keep_newer
@_from_another
@confirmed
@click.pass_obj
def account(
    invocation: Invocation,
    system: str,
    mailbox: str,
    *,
    at: str,
    what: tuple[str, ...],
    keep_newer_credentials: bool,
    from_another: bool,
    how: How,
) -> None:
    """Bring the settings of the account MAILBOX back; everybody else's stay."""
    request = OperationRequest(
        operation="account",
        system=system,
        target=mailbox,
        at=at,
        choices=choices(
            what=what, keep_newer_credentials=keep_newer_credentials, from_another=from_another
        ),
    )
    go(invocation, request, ("restore", "account", system, mailbox), how)


@click.command(cls=Command)
@click.argument("system")
@options.at
@confirmed
@click.pass_obj
def server(
    invocation: Invocation,
    system: str,
    *,
    at: str,
    how: How,
) -> None:
    """Bring the whole server SYSTEM back onto an empty installation."""
    request = OperationRequest(
        operation="server",
        system=system,
        at=at,
    )
    go(invocation, request, ("restore", "server", system), how)


@click.group(cls=Group)
def replace() -> None:
    """Make something what it was; what it is now goes into a safety copy."""


@replace.command("mailbox")
@click.argument("system")
@click.argument("mailbox")
@options.at
@click.option(
    "--newer",
    type=click.Choice(["lose", "keep"]),
    default="lose",
    show_default=True,
    help="What becomes of what came since the newest restore point, and is in no archive.",
)
@confirmed
@click.pass_obj
def replace_mailbox(
    invocation: Invocation,
    system: str,
    mailbox: str,
    *,
    at: str,
    newer: str,
    how: How,
) -> None:
    """Make MAILBOX what it was, all of it; to bring back what is missing, use restore mailbox."""
    request = OperationRequest(
        operation="replace",
        system=system,
        target=mailbox,
        at=at,
        choices=choices(newer=newer),
    )
    go(invocation, request, ("replace", "mailbox", system, mailbox), how)


@click.command(cls=Command)
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    metavar="NUMBER",
    help="How many.",
)
@click.pass_obj
def restores(invocation: Invocation, *, limit: int) -> None:
    """List what was restored, newest first: messages and everything else."""
    state = invocation.services.state
    reports: list[RestoreReport | OperationReport] = [
        *state.restore_reports(limit=limit),
        *state.operation_reports(limit=limit),
    ]
    reports.sort(key=lambda report: report.started_at, reverse=True)
    leases = state.leases()
    if invocation.as_json:
        invocation.print_json([operation_shapes.restored(each, leases) for each in reports[:limit]])
        return
    if not reports:
        show.line("Nothing has been restored yet.")
        return
    show.table(
        ("Restore", "System", "Mailbox", "What", "Result", "Began", "By", ""),
        [
            (
                each["id"],
                each["system"],
                each["target"],
                each["operation"],
                each["result"],
                show.moment(report.started_at, invocation.zone),
                each["initiator"],
                "" if each["status"] == "done" else each["status"],
            )
            for report in reports[:limit]
            for each in [operation_shapes.restored(report, leases)]
        ],
    )
