"""Bring messages back: the plan first, the deed with --yes, and its undoing."""

from collections import Counter

import click

from mailrewind.cli import options, shapes, show
from mailrewind.cli.bar import bar
from mailrewind.cli.grammar import Command, Group
from mailrewind.cli.invocation import Invocation
from mailrewind.cli.operation import show_report, show_undo_plan
from mailrewind.cli.operations import account, calendars, database, deleted, server
from mailrewind.model.mail import Quota
from mailrewind.model.operations import OperationReport
from mailrewind.model.restores import Into, RestorePlan, RestoreReport, RestoreRequest


@click.group(cls=Group)
def restore() -> None:
    """Bring back what was there: a plan first, and nothing lost without a confirmation."""


@restore.command()
@click.argument("system")
@click.argument("mailbox")
@options.at
@click.option(
    "--folder",
    "folders",
    multiple=True,
    metavar="FOLDER",
    help="Only this folder and those below it; may be repeated. Default: all but trash and junk.",
)
@click.option(
    "--message",
    "messages",
    type=int,
    multiple=True,
    metavar="NUMBER",
    help="Only this message, by the number that `messages` shows; may be repeated.",
)
@click.option(
    "--into",
    type=click.Choice(["same", "restored"]),
    default="same",
    show_default=True,
    help="The same folders, or below Restored/DATE.",
)
@click.option(
    "--also-moved", is_flag=True, help="Put back into its old folder what was moved elsewhere, too."
)
@click.option("--over-quota", is_flag=True, help="Go on when the quota would be exceeded.")
@options.plan_id
@options.reason
@options.tell
@options.yes
@click.pass_obj
def mailbox(
    invocation: Invocation,
    system: str,
    mailbox: str,
    *,
    at: str,
    folders: tuple[str, ...],
    messages: tuple[int, ...],
    into: Into,
    also_moved: bool,
    over_quota: bool,
    plan_id: str | None,
    reason: str,
    tell: str,
    yes: bool,
) -> None:
    """Bring the messages that MAILBOX has lost back."""
    request = RestoreRequest(
        system=system,
        mailbox=mailbox,
        at=at,
        folders=folders,
        messages=messages,
        into=into,
        also_moved=also_moved,
        over_quota=over_quota,
        reason=reason,
        initiator=invocation.initiator,
        tell=tell,
    )
    if not yes:
        _show_plan(invocation, _planned(invocation, request, plan_id))
        return
    _say_who_is_waited_for(invocation, request)
    with bar() as report:
        if plan_id is None:
            done = invocation.services.restore.run(request, report=report)
        else:
            _planned(invocation, request, plan_id)
            done = invocation.services.restore.execute(
                plan_id, initiator=invocation.initiator, reason=reason, report=report
            )
    _show_report(invocation, done)


for each in (calendars, deleted, account, database, server):
    restore.add_command(each)


@click.command(cls=Command)
@click.argument("report")
@options.reason
@options.yes
@click.pass_obj
def undo(invocation: Invocation, report: str, *, reason: str, yes: bool) -> None:
    """Take back what the restore REPORT did: messages, as far as nobody has touched them since."""
    if not yes:
        done = invocation.services.undo.report(report)
        if isinstance(done, OperationReport):
            show_undo_plan(invocation, done)
        else:
            _show_undo_plan(invocation, done)
        return
    undone = invocation.services.undo.undo(report, initiator=invocation.initiator, reason=reason)
    if isinstance(undone, OperationReport):
        show_report(invocation, undone)
        return
    if invocation.as_json:
        invocation.print_json(shapes.restore_report(undone))
        return
    show.line(f"Restore {undone.id} of {undone.plan.request.mailbox} is undone.")
    _show_findings(undone)


def _say_who_is_waited_for(invocation: Invocation, request: RestoreRequest) -> None:
    for lease in invocation.services.state.leases():
        if (lease.system, lease.mailbox) == (request.system, request.mailbox):
            since = show.age(lease.since, invocation.now)
            click.echo(f"Waiting for {lease.holder}, which began {since}.", err=True)


def _planned(invocation: Invocation, request: RestoreRequest, plan_id: str | None) -> RestorePlan:
    """Return the plan with this id, or a new one for the request."""
    if plan_id is None:
        return invocation.services.restore.plan(request)
    plan = invocation.services.state.plan(plan_id)
    if (plan.request.system, plan.request.mailbox) != (request.system, request.mailbox):
        raise click.UsageError(
            f"Plan {plan_id} is for {plan.request.mailbox} of {plan.request.system}."
        )
    given = (request.folders, request.messages, request.also_moved, request.over_quota)
    if any(given) or request.at != "latest" or request.into != "same":
        raise click.UsageError("A plan is carried out as it is: give --plan without other wishes.")
    return plan


def _show_plan(invocation: Invocation, plan: RestorePlan) -> None:
    words = ("restore", "mailbox", plan.request.system, plan.request.mailbox)
    command = invocation.command(*words, "--plan", plan.id, "--yes")
    if invocation.as_json:
        invocation.print_json(shapes.plan(plan) | {"command": command})
        return
    additions = plan.selection.additions
    as_it_was = show.moment(plan.moment, invocation.zone)
    show.facts(
        [
            ("Plan", plan.id),
            ("System", plan.request.system),
            ("Mailbox", plan.request.mailbox),
            ("As it was", f"{as_it_was}, {show.age(plan.moment, invocation.now)} ({plan.point})"),
            ("To add", f"{show.count(len(additions), 'message')}, {show.size(plan.added_bytes)}"),
            ("Present", show.count(plan.selection.present, "message")),
            ("Moved", _moved(plan)),
            ("Unreadable", show.count(len(plan.unreadable), "message")),
            ("Space", f"{show.size(plan.added_bytes)} of {show.size(plan.free_bytes)} free"),
            ("Quota afterwards", _quota_afterwards(plan)),
        ]
    )
    if additions:
        show.line()
        show.table(("Folder", "To add", "Vanished"), _by_folder(plan, invocation), right=(1,))
    _show_findings(plan)
    show.line()
    if not additions:
        show.line("Nothing is missing; there is nothing to do.")
        return
    if plan.is_over_quota and not plan.request.over_quota:
        show.line("It does not fit into the quota. To go over it, plan again with --over-quota.")
        return
    show.line(f"Nothing has been changed. Do it with: {command}")


def _by_folder(plan: RestorePlan, invocation: Invocation) -> list[tuple[str, str, str]]:
    """Count the additions by folder and by when they had vanished."""
    counted = Counter(
        (addition.target, addition.vanished_at) for addition in plan.selection.additions
    )
    rows = []
    for (folder, vanished_at), number in sorted(counted.items(), key=lambda item: item[0][0]):
        vanished = (
            f"before {show.moment(vanished_at, invocation.zone)}"
            if vanished_at
            else "since the newest restore point"
        )
        rows.append((folder, f"{number:,}", vanished))
    return rows


def _moved(plan: RestorePlan) -> str:
    moved = sum(number for _, number in plan.selection.moved)
    if not moved:
        return "0 messages"
    where = ", ".join(f"{folder} ({number})" for folder, number in plan.selection.moved)
    fate = "copied back too" if plan.request.also_moved else "left where they are"
    return f"{show.count(moved, 'message')}, {fate}: {where}"


def _quota_afterwards(plan: RestorePlan) -> str:
    if plan.quota is None:
        return "no quota is known"
    text = _quota(
        plan.quota,
        added_bytes=plan.added_bytes,
        added_messages=len(plan.selection.additions),
    )
    if not plan.is_over_quota:
        return text
    return f"{text}: too much, " + (
        "which is allowed" if plan.request.over_quota else "refused without --over-quota"
    )


def _quota(quota: Quota, *, added_bytes: int = 0, added_messages: int = 0) -> str:
    parts = []
    if quota.limit_bytes is not None:
        used = show.size(quota.used_bytes + added_bytes)
        parts.append(f"{used} of {show.size(quota.limit_bytes)}")
    if quota.limit_messages is not None:
        used = f"{quota.used_messages + added_messages:,}"
        parts.append(f"{used} of {show.count(quota.limit_messages, 'message')}")
    return ", ".join(parts) or "no limit"


def _show_report(invocation: Invocation, done: RestoreReport) -> None:
    command = invocation.command("undo", done.id, "--yes")
    if invocation.as_json:
        invocation.print_json(shapes.restore_report(done) | {"undo": command})
        return
    show.facts(
        [
            ("Report", done.id),
            ("Mailbox", f"{done.plan.request.mailbox} of {done.plan.request.system}"),
            ("From", done.plan.point),
            ("Added", f"{show.count(len(done.added), 'message')}, read back and compared"),
            ("Present already", show.count(done.plan.selection.present, "message")),
            ("Moved", _moved(done.plan)),
            ("Quota now", _quota(done.quota) if done.quota else "no quota is known"),
            ("Took", show.length(done.finished_at - done.started_at)),
        ]
    )
    _show_findings(done)
    if done.added:
        show.line(f"Take it back with: {command}")


def _show_undo_plan(invocation: Invocation, done: RestoreReport) -> None:
    command = invocation.command("undo", done.id, "--yes")
    if invocation.as_json:
        invocation.print_json(shapes.restore_report(done) | {"command": command})
        return
    request = done.plan.request
    show.facts(
        [
            ("Restore", f"{done.id} into {request.mailbox} of {request.system}"),
            ("Done", show.moment(done.finished_at, invocation.zone)),
            ("Would take out", f"at most {show.count(len(done.added), 'message')}"),
        ]
    )
    counted = Counter(added.folder for added in done.added)
    rows = [(folder, f"{number:,}") for folder, number in sorted(counted.items())]
    show.table(("Folder", "Added"), rows, right=(1,))
    if done.undone_at is not None:
        show.line(f"It was undone at {show.moment(done.undone_at, invocation.zone)} already.")
        return
    show.line(f"What users have moved or flagged since stays. Do it with: {command}")


def _show_findings(of: RestorePlan | RestoreReport) -> None:
    trouble = of.unreadable if isinstance(of, RestorePlan) else of.failed
    for finding in (*trouble, *of.findings):
        show.line(f"Finding: {finding.subject}: {finding.text}")
