"""How things stand, and who is told when they stand badly."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailrewind.cli import operation_shapes, shapes, show
from mailrewind.cli.grammar import Command, tell
from mailrewind.cli.invocation import Invocation
from mailrewind.cli.prefect_side import PrefectSide
from mailrewind.errors import MailrewindError
from mailrewind.model.operations import OperationReport
from mailrewind.model.restores import RestoreReport
from mailrewind.ports import WHOLE_SYSTEM
from mailrewind.services.broken_off import broken_off_text

if TYPE_CHECKING:
    from mailrewind.services.watch import Alarm, Overview, SystemOverview


@click.command(cls=Command)
@click.pass_obj
def status(invocation: Invocation) -> None:
    """Show on one screen how everything stands."""
    overview = invocation.services.watch.overview()
    side = PrefectSide(invocation.config.prefect.port)
    if invocation.as_json:
        prefect = {"address": side.address, "answers": side.answers()}
        beyond = {
            "operations": [operation_shapes.operation_report(each) for each in overview.operations],
            "broken_off": [report.id for report in overview.broken_off],
        }
        invocation.print_json(shapes.overview(overview) | beyond | {"prefect": prefect})
        return
    _show_systems(overview, invocation)
    _show_restores(overview, invocation)
    _show_prefect(side)
    _show_wrong(overview, invocation)


@click.command(cls=Command)
@click.option(
    "--loop",
    "loop_seconds",
    type=click.IntRange(1, 86_400),
    metavar="SECONDS",
    help="Go on, and look again after so many seconds.",
)
@click.option("--try", "is_try", is_flag=True, help="Only send a message to see that it arrives.")
@click.pass_obj
def watch(invocation: Invocation, *, loop_seconds: int | None, is_try: bool) -> None:
    """Tell the operators what is wrong; works while Prefect is dead."""
    if is_try:
        invocation.services.notifier.tell(
            "mailrewind: a trial", "This is what an alarm looks like."
        )
        show.line("A message was sent to everybody who is configured.")
        return
    if loop_seconds is None:
        _show_alarms(invocation.services.watch.check(), invocation)
        return
    while True:
        # What is broken now may work at the next look: a watch that ends is the worst alarm.
        try:
            _show_alarms(invocation.services.watch.check(), invocation)
        except MailrewindError as error:
            tell(error, invocation)
        time.sleep(loop_seconds)


def _show_systems(overview: "Overview", invocation: Invocation) -> None:
    show.table(
        ("System", "Newest restore point", "Age", "Points", "Size", "Repository", "Free", "State"),
        [
            (
                system.name,
                show.moment(system.newest.taken_at, invocation.zone) if system.newest else "none",
                show.age(system.newest.taken_at, overview.at) if system.newest else "",
                f"{system.points:,}",
                _size(system),
                system.repository,
                _free(system, invocation),
                _state(system, overview, invocation),
            )
            for system in overview.systems
        ],
        right=(3, 4, 6),
    )


def _size(system: "SystemOverview") -> str:
    if system.last_report is None:
        return ""
    return show.size(sum(archive.original_bytes for archive in system.last_report.archives))


def _free(system: "SystemOverview", invocation: Invocation) -> str:
    """Say how much space is left where the repository lies, if that is on this machine."""
    location = Path(invocation.config.repository(system.repository).location)
    return show.size(shutil.disk_usage(location).free) if location.is_dir() else ""


def _state(system: "SystemOverview", overview: "Overview", invocation: Invocation) -> str:
    if system.running is not None:
        return f"backing up now (pid {system.running.pid} on {system.running.host})"
    next_run = show.moment(system.next_run, invocation.zone)
    if system.last_failure is not None:
        age = show.age(system.last_failure.taken_at, overview.at)
        return f"FAILED {age}; next {next_run}"
    return f"OVERDUE; next {next_run}" if system.is_overdue else f"ok; next {next_run}"


def _show_restores(overview: "Overview", invocation: Invocation) -> None:
    if overview.leases:
        show.line()
        show.table(
            ("Restore running", "System", "By", "Since"),
            [
                (
                    "the whole system" if lease.mailbox == WHOLE_SYSTEM else lease.mailbox,
                    lease.system,
                    lease.holder,
                    show.age(lease.since, overview.at),
                )
                for lease in overview.leases
            ],
        )
    if overview.restores:
        show.line()
        show.table(
            ("Restores", "Mailbox", "Added", "Failed", "When", "By", ""),
            [_restore_row(report, overview, invocation) for report in overview.restores],
            right=(2, 3),
        )
    if overview.operations:
        show.line()
        show.table(
            ("Other restores", "What", "Result", "When", "By", ""),
            [_operation_row(report, overview, invocation) for report in overview.operations],
        )


def _restore_row(
    report: RestoreReport, overview: "Overview", invocation: Invocation
) -> tuple[str, ...]:
    when = show.moment(report.finished_at, invocation.zone)
    return (
        report.id,
        report.plan.request.mailbox,
        f"{len(report.added):,}",
        f"{len(report.failed):,}",
        f"{when}, {show.age(report.finished_at, overview.at)}",
        report.plan.request.initiator,
        "undone" if report.undone_at else "",
    )


def _operation_row(
    report: OperationReport, overview: "Overview", invocation: Invocation
) -> tuple[str, ...]:
    row = operation_shapes.restored(report, overview.leases)
    when = show.moment(report.started_at, invocation.zone)
    return (
        report.id,
        report.plan.request.deed,
        row["result"],
        f"{when}, {show.age(report.started_at, overview.at)}",
        row["initiator"],
        "" if row["status"] == "done" else row["status"],
    )


def _show_prefect(side: PrefectSide) -> None:
    show.line()
    if side.answers():
        show.line(f"Prefect runs: {side.address}")
        return
    show.line(
        f"Prefect does not answer at {side.address}: nothing runs by itself. "
        "Start it with `mailrewind up`."
    )


def _show_wrong(overview: "Overview", invocation: Invocation) -> None:
    show.line()
    for report in overview.broken_off:
        show.line(f"BROKEN OFF: {broken_off_text(report)}.")
    if overview.alarms:
        _show_alarms(overview.alarms, invocation)
        return
    wrong = [each.name for each in overview.systems if each.is_overdue or each.last_failure]
    if wrong:
        show.line(f"Look at {', '.join(wrong)}: `mailrewind watch` has told nobody yet.")
        return
    show.line("Nothing is wrong with the backups.")


def _show_alarms(alarms: "Sequence[Alarm]", invocation: Invocation) -> None:
    if invocation.as_json:
        invocation.print_json([shapes.alarm(alarm) for alarm in alarms])
        return
    if not alarms:
        show.line("Nothing is wrong.")
    for alarm in alarms:
        show.line(f"ALARM since {show.moment(alarm.since, invocation.zone)}: {alarm.text}")
