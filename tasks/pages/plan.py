"""The page of a plan."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from mailrewind.model.restores import Addition, RestorePlan
from tasks.pages.markdown import facts, findings, literal, page, table
from tasks.words import age, count, moment, size


def plan_page(plan: RestorePlan, *, zone: ZoneInfo, now: datetime, form: str) -> str:
    """Say what a restore would do.

    Args:
        plan: The plan.
        zone: The operator's.
        now: Aware.
        form: Address of the form filled in for the restore, or "".
    """
    additions = plan.selection.additions
    return page(
        f"# Plan {plan.id}: {literal(plan.request.mailbox)}",
        "Nothing has been changed.",
        facts(
            [
                ("Mail system", literal(plan.request.system)),
                ("Mailbox", literal(plan.request.mailbox)),
                ("As it was", f"{moment(plan.moment, zone)}, {age(plan.moment, now)}"),
                ("Restore point", literal(plan.point)),
                ("**To add**", f"**{count(len(additions), 'message')}**, {size(plan.added_bytes)}"),
                ("Present", count(plan.selection.present, "message")),
                ("Moved", moved(plan)),
                ("Unreadable", count(len(plan.unreadable), "message")),
                ("Space", f"{size(plan.added_bytes)} needed, {size(plan.free_bytes)} free"),
                ("Quota afterwards", _quota_afterwards(plan)),
                ("Planned", moment(plan.made_at, zone)),
            ]
        ),
        _way_on(plan, form),
        page("## To add", _by_folder(additions, zone)) if additions else "",
        findings("Unreadable", plan.unreadable),
        findings("Findings", plan.findings),
    )


def moved(plan: RestorePlan) -> str:
    """Say where messages lie now that users have moved."""
    if not plan.selection.moved:
        return count(0, "message")
    number = sum(times for _, times in plan.selection.moved)
    places = ", ".join(f"{times:,} in {literal(folder)}" for folder, times in plan.selection.moved)
    return f"{count(number, 'message')}: now {places}"


def _quota_afterwards(plan: RestorePlan) -> str:
    quota = plan.quota
    if quota is None:
        return "no quota"
    used_bytes = quota.used_bytes + plan.added_bytes
    used_messages = quota.used_messages + len(plan.selection.additions)
    text = (
        size(used_bytes)
        if quota.limit_bytes is None
        else (f"{size(used_bytes)} of {size(quota.limit_bytes)}")
    )
    text += (
        f", {used_messages:,}"
        if quota.limit_messages is None
        else (f", {used_messages:,} of {quota.limit_messages:,}")
    )
    return f"{text} messages{' — **over quota**' if plan.is_over_quota else ''}"


def _way_on(plan: RestorePlan, form: str) -> str:
    number = len(plan.selection.additions)
    if not number:
        return "Nothing is missing: there is nothing to restore."
    if plan.is_over_quota and not plan.request.over_quota:
        return (
            "**It does not fit into the quota.** To go over it, plan again with *Go over quota* on."
        )
    if not form:
        return f"To restore, choose *restore* in the form and give it the plan {plan.id}."
    return (
        f"**[Restore {count(number, 'message')}]({form})** opens the form, filled in for this plan."
    )


def _by_folder(additions: Sequence[Addition], zone: ZoneInfo) -> str:
    numbers = Counter((addition.target, addition.vanished_at) for addition in additions)
    sizes: dict[tuple[str, datetime | None], int] = defaultdict(int)
    for addition in additions:
        sizes[addition.target, addition.vanished_at] += addition.message.size_bytes
    rows = [
        (literal(folder), f"{number:,}", size(sizes[folder, at]), _vanished(at, zone))
        for (folder, at), number in sorted(numbers.items(), key=_by_folder_and_moment)
    ]
    return table(rows, head=("Folder", "Messages", "Size", "Vanished"))


def _by_folder_and_moment(group: tuple[tuple[str, datetime | None], int]) -> tuple[str, bool, str]:
    (folder, at), _ = group
    return folder, at is None, "" if at is None else at.isoformat()


def _vanished(at: datetime | None, zone: ZoneInfo) -> str:
    return "since the newest restore point" if at is None else f"by {moment(at, zone)}"
