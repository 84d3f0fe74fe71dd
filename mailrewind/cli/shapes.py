"""The shapes of what --json prints; docs/json.md describes them, and they only ever grow."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mailrewind.model.exports import ExportReport, KeptExport
from mailrewind.model.mail import Headers, Quota
from mailrewind.model.points import RestorePoint
from mailrewind.model.reports import (
    AdoptReport,
    BackupReport,
    Finding,
    IndexChanges,
    RetainReport,
)
from mailrewind.model.restores import Addition, RestorePlan, RestoreReport, Then
from mailrewind.model.retention import KeepDecision
from mailrewind.ports import Process

if TYPE_CHECKING:
    from mailrewind.services.calendars.listing import CalendarFolder, CalendarItem
    from mailrewind.services.watch import Alarm, Overview, SystemOverview

Shape = dict[str, Any]


def moment(at: datetime | None) -> str | None:
    """Write a moment as ISO 8601 in UTC, such as "2026-11-20T12:14:00Z"."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def point(of: RestorePoint) -> Shape:
    """Describe a restore point."""
    return {
        "name": of.name,
        "system": of.system,
        "taken_at": moment(of.taken_at),
        "status": of.status.value,
        "repository": of.repository,
        "archives": list(of.archives),
    }


def decision(of: KeepDecision) -> Shape:
    """Describe a restore point and its fate."""
    fate = {
        "keep": of.keep,
        "reasons": list(of.reasons),
        "kept_until": moment(of.kept_until),
        "final_reason": of.final_reason,
    }
    return point(of.point) | fate


def message(then: Then, headers: Headers, cursor: str) -> Shape:
    """Describe a message in a folder's list."""
    return {
        "number": then.number,
        "folder": then.message.folder,
        "subject": headers.subject,
        "sender": headers.sender,
        "recipients": headers.recipients,
        "message_id": headers.message_id,
        "sent": moment(headers.sent),
        "received": moment(then.message.received),
        "size_bytes": then.message.size_bytes,
        "flags": sorted(then.message.flags),
        "attachments": list(headers.attachments),
        "vanished_at": moment(then.vanished_at),
        "cursor": cursor,
    }


def backup_report(of: BackupReport) -> Shape:
    """Describe what a backup did."""
    return {
        "point": of.point,
        "system": of.system,
        "taken_at": moment(of.taken_at),
        "finished_at": moment(of.finished_at),
        "added_bytes": of.added_bytes,
        "archives": [
            {
                "archive": archive.archive,
                "files": archive.files,
                "original_bytes": archive.original_bytes,
                "added_bytes": archive.added_bytes,
                "duration_seconds": archive.duration.total_seconds(),
            }
            for archive in of.archives
        ],
        "index": None if of.index is None else _index(of.index),
        "late": of.late,
        "findings": [finding(each) for each in of.findings],
    }


def plan(of: RestorePlan) -> Shape:
    """Describe what a restore would do."""
    request = of.request
    return {
        "id": of.id,
        "system": request.system,
        "mailbox": request.mailbox,
        "at": request.at,
        "folders": list(request.folders),
        "messages": list(request.messages),
        "into": request.into,
        "also_moved": request.also_moved,
        "over_quota": request.over_quota,
        "reason": request.reason,
        "point": of.point,
        "moment": moment(of.moment),
        "made_at": moment(of.made_at),
        "to_add": [_addition(addition) for addition in of.selection.additions],
        "added_bytes": of.added_bytes,
        "present": of.selection.present,
        "moved": [{"folder": folder, "messages": n} for folder, n in of.selection.moved],
        "unreadable": [finding(each) for each in of.unreadable],
        "quota": _quota(of.quota),
        "is_over_quota": of.is_over_quota,
        "free_bytes": of.free_bytes,
        "findings": [finding(each) for each in of.findings],
    }


def restore_report(of: RestoreReport) -> Shape:
    """Describe what a restore, or its undoing, did."""
    return {
        "id": of.id,
        "system": of.plan.request.system,
        "mailbox": of.plan.request.mailbox,
        "point": of.plan.point,
        "started_at": moment(of.started_at),
        "finished_at": moment(of.finished_at),
        "added": [
            {"folder": each.folder, "guid": each.guid, "flags": sorted(each.flags)}
            for each in of.added
        ],
        "present": of.plan.selection.present,
        "moved": sum(number for _, number in of.plan.selection.moved),
        "failed": [finding(each) for each in of.failed],
        "quota": _quota(of.quota),
        "findings": [finding(each) for each in of.findings],
        "undone_at": moment(of.undone_at),
    }


def adopt_report(of: AdoptReport) -> Shape:
    """Describe what a repository held that was not known."""
    return {
        "system": of.system,
        "adopted": list(of.adopted),
        "known": of.known,
        "findings": [finding(each) for each in of.findings],
    }


def retain_report(of: RetainReport) -> Shape:
    """Describe what retention removed."""
    return {
        "system": of.system,
        "at": moment(of.at),
        "removed": list(of.removed),
        "kept": of.kept,
    }


def overview(of: "Overview") -> Shape:
    """Describe how everything stands."""
    return {
        "at": moment(of.at),
        "systems": [_system_overview(system) for system in of.systems],
        "restores": [restore_report(report) for report in of.restores],
        "leases": [
            {
                "system": lease.system,
                "mailbox": lease.mailbox,
                "holder": lease.holder,
                "since": moment(lease.since),
                "process": _process(lease.process),
            }
            for lease in of.leases
        ],
        "alarms": [alarm(each) for each in of.alarms],
    }


def alarm(of: "Alarm") -> Shape:
    """Describe something that operators must know."""
    return {"key": of.key, "text": of.text, "since": moment(of.since)}


def calendar_folder(of: "CalendarFolder") -> Shape:
    """Describe a calendar or an address book."""
    return {
        "path": of.path,
        "display_name": of.display_name,
        "counts": dict(of.counts),
        "shared_with": list(of.shared_with),
    }


def calendar_item(of: "CalendarItem") -> Shape:
    """Describe an event, a task or a contact."""
    return {"name": of.name, "kind": of.kind, "title": of.title, "start": of.start}


def kept_export(of: KeptExport) -> Shape:
    """Describe an export that is kept beside the restore points."""
    return {
        "name": of.name,
        "taken_at": moment(of.taken_at),
        "keep": bool(of.reasons),
        "reasons": list(of.reasons),
    }


def export_report(of: ExportReport) -> Shape:
    """Describe what one run of the exports did."""
    return {
        "system": of.system,
        "name": of.name,
        "taken_at": moment(of.taken_at),
        "users": list(of.users),
        "renewed": list(of.renewed),
        "added_bytes": of.added_bytes,
        "removed": list(of.removed),
        "findings": [finding(each) for each in of.findings],
    }


def finding(of: Finding) -> Shape:
    """Describe something noteworthy."""
    return {"subject": of.subject, "text": of.text}


def _system_overview(of: "SystemOverview") -> Shape:
    return {
        "name": of.name,
        "repository": of.repository,
        "newest": None if of.newest is None else point(of.newest),
        "age_seconds": None if of.age is None else int(of.age.total_seconds()),
        "points": of.points,
        "next_run": moment(of.next_run),
        "is_overdue": of.is_overdue,
        "running": None if of.running is None else _process(of.running),
        "last_report": None if of.last_report is None else backup_report(of.last_report),
        "last_failure": None if of.last_failure is None else point(of.last_failure),
    }


def _process(of: Process) -> Shape:
    return {"host": of.host, "pid": of.pid}


def _index(of: IndexChanges) -> Shape:
    return {
        "messages": of.messages,
        "mailboxes": of.mailboxes,
        "appeared": of.appeared,
        "vanished": of.vanished,
        "moved": of.moved,
        "flagged": of.flagged,
    }


def _addition(of: Addition) -> Shape:
    return {
        "number": of.number,
        "folder": of.message.folder,
        "target": of.target,
        "received": moment(of.message.received),
        "size_bytes": of.message.size_bytes,
        "vanished_at": moment(of.vanished_at),
    }


def _quota(of: Quota | None) -> Shape | None:
    if of is None:
        return None
    return {
        "used_bytes": of.used_bytes,
        "limit_bytes": of.limit_bytes,
        "used_messages": of.used_messages,
        "limit_messages": of.limit_messages,
    }
