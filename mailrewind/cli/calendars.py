"""Look at calendars and contacts as they were; make and list exports of them."""

from datetime import datetime

import click

from mailrewind.cli import options, shapes, show
from mailrewind.cli.grammar import Command
from mailrewind.cli.invocation import Invocation
from mailrewind.model.exports import ExportReport
from mailrewind.model.words import count

_COLUMNS = ("events", "tasks", "contacts")


@click.command(cls=Command)
@click.argument("system")
@click.argument("user")
@click.argument("folder", required=False)
@options.at
@click.pass_obj
def calendars(
    invocation: Invocation, system: str, user: str, folder: str | None, *, at: str
) -> None:
    """List the calendars and address books of USER as they were, or what FOLDER held.

    FOLDER is a path such as Calendar/personal, or the name that its owner gave it. TIME may be the
    name of a kept export, too.
    """
    if folder is None:
        _list_folders(invocation, system, user, at)
    else:
        _list_items(invocation, system, user, folder=folder, at=at)


@click.command(cls=Command)
@click.argument("system")
@click.argument("users", nargs=-1, metavar="[USER]...")
@options.yes
@click.pass_obj
def exports(invocation: Invocation, system: str, users: tuple[str, ...], yes: bool) -> None:
    """List the exports of calendars and contacts that are kept of SYSTEM; with --yes make one.

    Each holds all users. Named ones are exported anew; without names, everybody is.
    """
    if yes:
        _make_export(invocation, system, users)
    else:
        _list_exports(invocation, system, users)


def _list_folders(invocation: Invocation, system: str, user: str, at: str) -> None:
    seen, found = invocation.services.browse_calendars.folders(system, user, at)
    if invocation.as_json:
        invocation.print_json([shapes.calendar_folder(folder) for folder in found])
        return
    _say_moment(invocation, seen.name, seen.taken_at)
    show.table(
        ("Folder", "Name", "Events", "Tasks", "Contacts", "Others", "Shared with"),
        [
            (
                folder.path,
                folder.display_name,
                *(f"{folder.counts.get(kind, 0):,}" for kind in _COLUMNS),
                f"{sum(n for kind, n in folder.counts.items() if kind not in _COLUMNS):,}",
                ", ".join(folder.shared_with),
            )
            for folder in found
        ],
        right=(2, 3, 4, 5),
    )


def _list_items(invocation: Invocation, system: str, user: str, *, folder: str, at: str) -> None:
    seen, found = invocation.services.browse_calendars.items(system, user, folder, at)
    if invocation.as_json:
        invocation.print_json([shapes.calendar_item(item) for item in found])
        return
    _say_moment(invocation, seen.name, seen.taken_at)
    show.table(
        ("Name", "Kind", "Start", "Title"),
        [(item.name, item.kind or "other", item.start, item.title) for item in found],
    )


def _make_export(invocation: Invocation, system: str, users: tuple[str, ...]) -> None:
    done = invocation.services.exports.run(system, users, initiator=invocation.initiator)
    if invocation.as_json:
        invocation.print_json(shapes.export_report(done))
        return
    show.line(_summary(done))
    for finding in done.findings:
        show.line(f"{finding.subject}: {finding.text}")


def _list_exports(invocation: Invocation, system: str, users: tuple[str, ...]) -> None:
    kept = invocation.services.exports.kept(system)
    if invocation.as_json:
        invocation.print_json([shapes.kept_export(each) for each in kept])
        return
    if not kept:
        show.line(f"No export of {system} is kept yet, besides those of the restore points.")
    else:
        show.table(
            ("Export", "Taken", "Age", "Why it is kept"),
            [
                (
                    each.name,
                    show.moment(each.taken_at, invocation.zone),
                    show.age(each.taken_at, invocation.now),
                    ", ".join(each.reasons) or "no rule keeps it",
                )
                for each in kept
            ],
        )
    make = invocation.command("exports", system, *users, "--yes")
    show.line(f"Make one of {', '.join(users) or 'all users'} with: {make}")


def _summary(done: ExportReport) -> str:
    said = f"{done.name}: {count(len(done.users), 'user')}, {len(done.renewed):,} exported anew"
    if done.removed:
        said += f"; {count(len(done.removed), 'old export')} removed"
    return f"{said}; {show.size(done.added_bytes)} new in the repository."


def _say_moment(invocation: Invocation, name: str, taken_at: datetime) -> None:
    taken = show.moment(taken_at, invocation.zone)
    show.line(f"As of {taken}, {show.age(taken_at, invocation.now)} ({name})")
