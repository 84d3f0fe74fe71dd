"""The page of a system's restore points: kept until when, and why."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from mailrewind.model.retention import KeepDecision
from tasks.pages.markdown import Row, literal, page, table
from tasks.words import age, count, moment


def points_page(
    system: str, decisions: Sequence[KeepDecision], *, removed: int, zone: ZoneInfo, now: datetime
) -> str:
    """Say until when each restore point of a system is kept, and why.

    Args:
        system: Name of the system.
        decisions: For the points that stand now.
        removed: How many this run has removed.
        zone: The operator's.
        now: Aware.
    """
    kept = sum(decision.keep for decision in decisions)
    going = len(decisions) - kept
    return page(
        f"# Restore points of {literal(system)}",
        f"{count(kept, 'point')} kept, {removed:,} removed, {going:,} more may go.",
        table(
            [_point(decision, zone, now) for decision in decisions],
            head=("Restore point", "Age", "Kept until", "Why"),
        ),
    )


def _point(decision: KeepDecision, zone: ZoneInfo, now: datetime) -> Row:
    until = "no end in sight" if decision.keep else "may go"
    if decision.kept_until is not None:
        until = moment(decision.kept_until, zone)
    return (
        literal(decision.point.name),
        age(decision.point.taken_at, now),
        until,
        literal(", ".join(decision.reasons)) or "nothing keeps it",
    )
