"""Thin out old restore points."""

import click

from mailrewind.cli import options, shapes, show
from mailrewind.cli.bar import bar
from mailrewind.cli.grammar import Command
from mailrewind.cli.invocation import Invocation
from mailrewind.model.reports import RetainReport


@click.command(cls=Command)
@click.argument("system", required=False)
@click.option("--all", "is_all", is_flag=True, help="All systems.")
@options.yes
@click.pass_obj
def retain(invocation: Invocation, system: str | None, *, is_all: bool, yes: bool) -> None:
    """Remove the restore points of SYSTEM that its retention does not keep."""
    if (system is None) != is_all:
        raise click.UsageError("Name a SYSTEM, or give --all.")
    names = [system] if system is not None else list(invocation.config.systems)
    if not yes:
        _plan(invocation, names)
        return
    reports = []
    for name in names:
        with bar() as report:
            reports.append(
                invocation.services.retain.carry_out(
                    name, initiator=invocation.initiator, report=report
                )
            )
    _show(invocation, reports)


def _plan(invocation: Invocation, names: list[str]) -> None:
    fates = {name: invocation.services.retain.decide(name) for name in names}
    command = invocation.command("retain", *(names if len(names) == 1 else ["--all"]), "--yes")
    if invocation.as_json:
        invocation.print_json(
            [shapes.decision(decision) for decisions in fates.values() for decision in decisions]
        )
        return
    going = [decision for fate in fates.values() for decision in fate if not decision.keep]
    rows = [
        (
            decision.point.system,
            decision.point.name,
            show.moment(decision.point.taken_at, invocation.zone),
            show.age(decision.point.taken_at, invocation.now),
        )
        for decision in going
    ]
    for name, decisions in fates.items():
        kept = sum(decision.keep for decision in decisions)
        show.line(f"{name}: {kept} of {show.count(len(decisions), 'restore point')} stay.")
    if not going:
        show.line("Nothing would be removed.")
        return
    show.table(("System", "Would be removed", "Taken", "Age"), rows)
    show.line(f"Nothing has been changed. Do it with: {command}")


def _show(invocation: Invocation, reports: list[RetainReport]) -> None:
    if invocation.as_json:
        invocation.print_json([shapes.retain_report(report) for report in reports])
        return
    for report in reports:
        removed = show.count(len(report.removed), "restore point")
        show.line(f"{report.system}: {removed} removed, {report.kept} kept.")
        for name in report.removed:
            show.line(f"  {name}")
