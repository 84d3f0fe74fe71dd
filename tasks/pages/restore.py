"""The page of a restore, or of its undo."""

from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

from mailrewind.model.mail import Quota
from mailrewind.model.restores import RestoreReport
from tasks.pages.markdown import Row, facts, findings, literal, page, table
from tasks.pages.plan import moved
from tasks.words import age, count, duration, moment, size


def restore_page(report: RestoreReport, *, zone: ZoneInfo, now: datetime) -> str:
    """Say what a restore did, and whether it was undone."""
    plan = report.plan
    folders = Counter(added.folder for added in report.added)
    return page(
        f"# Restore {report.id}: {literal(plan.request.mailbox)}",
        facts(
            [
                ("Mail system", literal(plan.request.system)),
                ("Mailbox", literal(plan.request.mailbox)),
                ("As it was", f"{moment(plan.moment, zone)}, {age(plan.moment, now)}"),
                ("**Added and read back**", f"**{count(len(report.added), 'message')}**"),
                ("Failed", count(len(report.failed), "message")),
                ("Present", count(plan.selection.present, "message")),
                ("Moved", moved(plan)),
                ("Quota", _quota(report.quota)),
                ("Took", duration(report.finished_at - report.started_at)),
                ("Reason", literal(plan.request.reason) or "none given"),
                *_undone(report, zone),
            ]
        ),
        table(
            [(literal(folder), f"{number:,}") for folder, number in sorted(folders.items())],
            head=("Folder", "Added"),
        ),
        findings("Failed", report.failed),
        findings("Findings", report.findings),
    )


def _quota(quota: Quota | None) -> str:
    if quota is None:
        return "no quota"
    used = f"{size(quota.used_bytes)}, {count(quota.used_messages, 'message')}"
    return used if quota.limit_bytes is None else f"{used}; the limit is {size(quota.limit_bytes)}"


def _undone(report: RestoreReport, zone: ZoneInfo) -> tuple[Row, ...]:
    if report.undone_at is not None:
        return (("**Undone**", moment(report.undone_at, zone)),)
    return (("To undo", f"run *undo* with the restore {report.id}"),) if report.added else ()
