"""Restores that ended without a word: their process died."""

from collections.abc import Iterable, Sequence

from mailrewind.model.operations import OperationReport
from mailrewind.ports import WHOLE_SYSTEM, Lease, State

_LOOKED_THROUGH = 50


def is_broken_off(report: OperationReport, leases: Iterable[Lease]) -> bool:
    """Whether an operation, or its undo, has no end although nobody works on it any more.

    Either holds its lease from before its report says that it begins until after that says that it
    has ended, and a lease has one holder: so one that is held since then is the operation's own.

    Args:
        report: The report.
        leases: Those that are held now.
    """
    since = report.unended_since
    if since is None:
        return False
    request = report.plan.request
    return not any(
        lease.system == request.system
        and lease.mailbox in (WHOLE_SYSTEM, request.target)
        and lease.since <= since
        for lease in leases
    )


def left_broken_off(state: State, system: str | None = None) -> Sequence[OperationReport]:
    """Return what was broken off and neither undone nor done again since, newest first.

    Args:
        state: What survives.
        system: Only of this system; None for all.
    """
    reports, leases = state.operation_reports(limit=_LOOKED_THROUGH), state.leases()
    left: list[OperationReport] = []
    done_since: set[tuple[str, str, str]] = set()
    for report in reports:
        request = report.plan.request
        what = (request.operation, request.system, request.target)
        if report.undone_at is not None:
            continue
        if report.outcome is not None and report.undo_began_at is None:
            done_since.add(what)
        elif what not in done_since and is_broken_off(report, leases):
            left.append(report)
    # One may have ended between the look at its report and the look at the leases.
    return [
        report
        for report in left
        if system in (None, report.plan.request.system)
        and state.operation_report(report.id).unended_since is not None
    ]


def broken_off_text(report: OperationReport) -> str:
    """Say that an operation, or its undo, died on the way, and what to do."""
    if report.finished_at is not None:
        return (
            f"the undo of restore {report.id} was broken off, which was to "
            f"{report.plan.request.deed}: run `mailrewind undo {report.id} --yes` again"
        )
    return (
        f"restore {report.id} was broken off, which began to {report.plan.request.deed}: undo it "
        f"with `mailrewind undo {report.id} --yes`, or run it again"
    )
