"""Back a system up now."""

from datetime import tzinfo

import click

from mailrewind.cli import options, shapes, show
from mailrewind.cli.bar import bar
from mailrewind.cli.grammar import Command
from mailrewind.cli.invocation import Invocation
from mailrewind.model.points import newest
from mailrewind.model.reports import BackupReport, IndexChanges


@click.command(cls=Command)
@click.argument("system")
@options.yes
@click.pass_obj
def backup(invocation: Invocation, system: str, *, yes: bool) -> None:
    """Make a restore point of SYSTEM now."""
    if not yes:
        _plan(invocation, system)
        return
    with bar() as report:
        done = invocation.services.back_up.run(
            system, initiator=invocation.initiator, report=report
        )
    if invocation.as_json:
        invocation.print_json(shapes.backup_report(done))
        return
    say(done, invocation.zone)


def say(done: BackupReport, zone: tzinfo) -> None:
    """Print what a backup did."""
    show.facts(
        [
            ("Restore point", done.point),
            ("Taken", show.moment(done.taken_at, zone)),
            ("Took", show.length(done.finished_at - done.taken_at)),
            ("Archives", ", ".join(_parts(done))),
            ("New in the repository", show.size(done.added_bytes)),
            *_contents(done.index),
            ("Caught by the second pass", show.count(done.late, "message")),
        ]
    )
    for finding in done.findings:
        show.line(f"Finding: {finding.subject}: {finding.text}")


def _plan(invocation: Invocation, system: str) -> None:
    configured = invocation.config.system(system)
    repository = invocation.config.repository(configured.repository)
    latest = newest(invocation.services.state.points(system))
    command = invocation.command("backup", system, "--yes")
    if invocation.as_json:
        invocation.print_json(
            {
                "system": system,
                "mailboxes": configured.place,
                "repository": configured.repository,
                "location": repository.location,
                "newest": None if latest is None else shapes.point(latest),
                "command": command,
            }
        )
        return
    show.facts(
        [
            ("Would back up", f"{system}: {configured.place}"),
            ("Into", f"{configured.repository}: {repository.location}"),
            (
                "Newest restore point",
                f"{latest.name}, {show.age(latest.taken_at, invocation.now)}" if latest else "none",
            ),
        ]
    )
    show.line(f"Nothing has been changed. Do it with: {command}")


def _parts(done: BackupReport) -> list[str]:
    return [archive.archive.removeprefix(f"{done.point}-") for archive in done.archives]


def _contents(index: IndexChanges | None) -> list[tuple[str, str]]:
    if index is None:
        return []
    holds = (
        f"{show.count(index.messages, 'message')} in "
        f"{show.count(index.mailboxes, 'mailbox', 'mailboxes')}"
    )
    changes = (
        f"{index.appeared:,} appeared, {index.vanished:,} vanished, {index.moved:,} moved, "
        f"{index.flagged:,} changed flags"
    )
    return [("Holds", holds), ("Since the point before", changes)]
