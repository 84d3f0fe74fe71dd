"""Look at what there is: systems, restore points, mailboxes, folders, messages."""

import click

from mailrewind.cli import options, shapes, show
from mailrewind.cli.grammar import Command
from mailrewind.cli.invocation import Invocation
from mailrewind.model.points import RestorePoint
from mailrewind.model.restores import Then
from mailrewind.model.retention import KeepDecision


@click.command(cls=Command)
@click.pass_obj
def systems(invocation: Invocation) -> None:
    """List the configured mail systems."""
    config = invocation.config
    rows = [
        {
            "name": name,
            "kind": system.kind,
            "mailboxes": system.place,
            "schedule": system.schedule,
            "repository": system.repository,
            "location": config.repository(system.repository).location,
        }
        for name, system in config.systems.items()
    ]
    if invocation.as_json:
        invocation.print_json(rows)
        return
    head = ("System", "Kind", "Mailboxes", "Schedule", "Repository", "Location")
    show.table(head, [tuple(row.values()) for row in rows])


@click.command(cls=Command)
@click.argument("system")
@click.pass_obj
def points(invocation: Invocation, system: str) -> None:
    """List the restore points of SYSTEM, until when each is kept, and why."""
    decisions = invocation.services.retain.decide(system)
    if invocation.as_json:
        invocation.print_json([shapes.decision(decision) for decision in decisions])
        return
    if not decisions:
        show.line(f"{system} has no restore point yet.")
        show.line(f"Make one with: {invocation.command('backup', system, '--yes')}")
        return
    show.table(
        ("Restore point", "Taken", "Age", "Kept until", "Why"),
        [
            (
                decision.point.name,
                show.moment(decision.point.taken_at, invocation.zone),
                show.age(decision.point.taken_at, invocation.now),
                _kept_until(decision, invocation),
                _why(decision),
            )
            for decision in decisions
        ],
    )


@click.command(cls=Command)
@click.argument("system")
@options.at
@click.pass_obj
def mailboxes(invocation: Invocation, system: str, at: str) -> None:
    """List the mailboxes of SYSTEM as they were."""
    browse = invocation.services.browse
    point = browse.resolve(system, at)
    rows = browse.mailboxes(system, point.name)
    if invocation.as_json:
        keys = ("address", "messages", "size_bytes")
        invocation.print_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    _say_moment(invocation, point)
    show.table(
        ("Mailbox", "Messages", "Size"),
        [(address, f"{number:,}", show.size(size)) for address, number, size in rows],
        right=(1, 2),
    )


@click.command(cls=Command)
@click.argument("system")
@click.argument("mailbox")
@options.at
@click.pass_obj
def folders(invocation: Invocation, system: str, mailbox: str, at: str) -> None:
    """List the folders of MAILBOX as they were."""
    browse = invocation.services.browse
    point = browse.resolve(system, at)
    rows = browse.folders(system, mailbox, point.name)
    if invocation.as_json:
        keys = ("path", "messages", "unseen", "size_bytes")
        invocation.print_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    _say_moment(invocation, point)
    show.table(
        ("Folder", "Messages", "Unseen", "Size"),
        [
            (path, f"{number:,}", f"{unseen:,}", show.size(size))
            for path, number, unseen, size in rows
        ],
        right=(1, 2, 3),
    )


@click.command(cls=Command)
@click.argument("system")
@click.argument("mailbox")
@click.argument("folder")
@options.at
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many."
)
@click.option("--after", metavar="CURSOR", help="Go on below this one, as the page before says.")
@click.pass_obj
def messages(
    invocation: Invocation,
    system: str,
    mailbox: str,
    folder: str,
    *,
    at: str,
    limit: int,
    after: str | None,
) -> None:
    """List the messages of FOLDER as they were, newest first."""
    browse = invocation.services.browse
    point = browse.resolve(system, at)
    cursor = _read_cursor(after)
    page = browse.messages(system, mailbox, folder, point.name, after=cursor, limit=limit)
    if invocation.as_json:
        invocation.print_json(
            [shapes.message(then, headers, _write_cursor(where)) for then, headers, where in page]
        )
        return
    _say_moment(invocation, point)
    show.table(
        ("Number", "Received", "From", "Subject", "Size", "Vanished"),
        [
            (
                str(then.number),
                show.moment(then.message.received, invocation.zone),
                headers.sender,
                headers.subject,
                show.size(then.message.size_bytes),
                _vanished(then, invocation),
            )
            for then, headers, _ in page
        ],
        right=(0, 4),
    )
    if len(page) == limit:
        more = ("messages", system, mailbox, folder, "--at", point.name, "--limit", str(limit))
        show.line(f"More: {invocation.command(*more, '--after', _write_cursor(page[-1][2]))}")


def _kept_until(decision: KeepDecision, invocation: Invocation) -> str:
    if not decision.keep:
        return "the next retention"
    if decision.kept_until is None:
        return "no end in sight"
    return show.moment(decision.kept_until, invocation.zone)


def _why(decision: KeepDecision) -> str:
    if not decision.keep:
        return "no rule keeps it"
    now, last = ", ".join(decision.reasons), _rule(decision.final_reason)
    return now if last in map(_rule, ("", *decision.reasons)) else f"{now}, at last {last}"


def _rule(reason: str) -> str:
    """Return the rule of a reason such as "monthly[oldest] #2"."""
    return reason.partition(" ")[0].partition("[")[0]


def _vanished(then: Then, invocation: Invocation) -> str:
    if then.vanished_at is None:
        return ""
    return f"before {show.moment(then.vanished_at, invocation.zone)}"


def _say_moment(invocation: Invocation, point: RestorePoint) -> None:
    taken = show.moment(point.taken_at, invocation.zone)
    show.line(f"As of {taken}, {show.age(point.taken_at, invocation.now)} ({point.name})")


def _write_cursor(cursor: tuple[int, int]) -> str:
    return f"{cursor[0]}:{cursor[1]}"


def _read_cursor(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, second = text.partition(":")
    try:
        return int(first), int(second)
    except ValueError:
        raise click.BadParameter(
            "expected a cursor as the page before shows it", param_hint="--after"
        ) from None
