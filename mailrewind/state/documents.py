"""Plans and reports as JSON documents, and back.

Every field is written and read by name, so that a change of a model is a decision here: add the
field with its old meaning as default to the reader, or give the document a new version.
"""

from datetime import datetime, timedelta

from mailrewind.model.mail import Message, Quota
from mailrewind.model.reports import ArchiveStatistics, BackupReport, IndexChanges
from mailrewind.model.restores import (
    Added,
    Addition,
    RestorePlan,
    RestoreReport,
    RestoreRequest,
    Selection,
)
from mailrewind.state.envelopes import (
    Fields,
    finding,
    or_none,
    read_document,
    to_finding,
    to_moment,
    write_document,
)

_MICROSECOND = timedelta(microseconds=1)


def write_plan(plan: RestorePlan) -> str:
    """Return a plan's document."""
    return write_document("plan", _plan(plan))


def read_plan(text: str) -> RestorePlan:
    """Return the plan of a document.

    Raises:
        RecordsOutdated: A newer version wrote it.
        RecordsUnreadable: It is not such a document.
    """
    return read_document("plan", text, _to_plan)


def write_restore_report(report: RestoreReport) -> str:
    """Return a restore report's document."""
    return write_document("restore report", _restore_report(report))


def read_restore_report(text: str) -> RestoreReport:
    """Return the restore report of a document.

    Raises:
        RecordsOutdated: A newer version wrote it.
        RecordsUnreadable: It is not such a document.
    """
    return read_document("restore report", text, _to_restore_report)


def write_backup_report(report: BackupReport) -> str:
    """Return a backup report's document."""
    return write_document("backup report", _backup_report(report))


def read_backup_report(text: str) -> BackupReport:
    """Return the backup report of a document.

    Raises:
        RecordsOutdated: A newer version wrote it.
        RecordsUnreadable: It is not such a document.
    """
    return read_document("backup report", text, _to_backup_report)


def _plan(plan: RestorePlan) -> Fields:
    return {
        "id": plan.id,
        "request": _request(plan.request),
        "point": plan.point,
        "moment": plan.moment.isoformat(),
        "made_at": plan.made_at.isoformat(),
        "selection": _selection(plan.selection),
        "unreadable": list(map(finding, plan.unreadable)),
        "quota": or_none(_quota, plan.quota),
        "free_bytes": plan.free_bytes,
        "findings": list(map(finding, plan.findings)),
    }


def _to_plan(fields: Fields) -> RestorePlan:
    return RestorePlan(
        id=fields["id"],
        request=_to_request(fields["request"]),
        point=fields["point"],
        moment=to_moment(fields["moment"]),
        made_at=to_moment(fields["made_at"]),
        selection=_to_selection(fields["selection"]),
        unreadable=tuple(map(to_finding, fields["unreadable"])),
        quota=or_none(_to_quota, fields["quota"]),
        free_bytes=fields["free_bytes"],
        findings=tuple(map(to_finding, fields["findings"])),
    )


def _request(request: RestoreRequest) -> Fields:
    return {
        "system": request.system,
        "mailbox": request.mailbox,
        "at": request.at,
        "folders": list(request.folders),
        "messages": list(request.messages),
        "into": request.into,
        "also_moved": request.also_moved,
        "over_quota": request.over_quota,
        "reason": request.reason,
        "initiator": request.initiator,
        "tell": request.tell,
    }


def _to_request(fields: Fields) -> RestoreRequest:
    return RestoreRequest(
        system=fields["system"],
        mailbox=fields["mailbox"],
        at=fields["at"],
        folders=tuple(fields["folders"]),
        messages=tuple(fields["messages"]),
        into=fields["into"],
        also_moved=fields["also_moved"],
        over_quota=fields["over_quota"],
        reason=fields["reason"],
        initiator=fields["initiator"],
        tell=fields.get("tell", ""),  # not in the first plans
    )


def _selection(selection: Selection) -> Fields:
    return {
        "additions": list(map(_addition, selection.additions)),
        "present": selection.present,
        "moved": [list(pair) for pair in selection.moved],
    }


def _to_selection(fields: Fields) -> Selection:
    return Selection(
        additions=tuple(map(_to_addition, fields["additions"])),
        present=fields["present"],
        moved=tuple((folder, count) for folder, count in fields["moved"]),
    )


def _addition(addition: Addition) -> Fields:
    return {
        "number": addition.number,
        "message": _message(addition.message),
        "target": addition.target,
        "vanished_at": or_none(datetime.isoformat, addition.vanished_at),
    }


def _to_addition(fields: Fields) -> Addition:
    return Addition(
        number=fields["number"],
        message=_to_message(fields["message"]),
        target=fields["target"],
        vanished_at=or_none(to_moment, fields["vanished_at"]),
    )


def _message(message: Message) -> Fields:
    return {
        "mailbox": message.mailbox,
        "folder": message.folder,
        "guid": message.guid,
        "flags": sorted(message.flags),
        "received": message.received.isoformat(),
        "size": message.size_bytes,
        "path": message.path,
    }


def _to_message(fields: Fields) -> Message:
    return Message(
        mailbox=fields["mailbox"],
        folder=fields["folder"],
        guid=fields["guid"],
        flags=frozenset(fields["flags"]),
        received=to_moment(fields["received"]),
        size_bytes=fields["size"],
        path=fields["path"],
    )


def _restore_report(report: RestoreReport) -> Fields:
    return {
        "id": report.id,
        "plan": _plan(report.plan),
        "started_at": report.started_at.isoformat(),
        "finished_at": report.finished_at.isoformat(),
        "added": list(map(_added, report.added)),
        "failed": list(map(finding, report.failed)),
        "quota": or_none(_quota, report.quota),
        "findings": list(map(finding, report.findings)),
        "undone_at": or_none(datetime.isoformat, report.undone_at),
    }


def _to_restore_report(fields: Fields) -> RestoreReport:
    return RestoreReport(
        id=fields["id"],
        plan=_to_plan(fields["plan"]),
        started_at=to_moment(fields["started_at"]),
        finished_at=to_moment(fields["finished_at"]),
        added=tuple(map(_to_added, fields["added"])),
        failed=tuple(map(to_finding, fields["failed"])),
        quota=or_none(_to_quota, fields["quota"]),
        findings=tuple(map(to_finding, fields["findings"])),
        undone_at=or_none(to_moment, fields["undone_at"]),
    )


def _added(added: Added) -> Fields:
    return {"folder": added.folder, "guid": added.guid, "flags": sorted(added.flags)}


def _to_added(fields: Fields) -> Added:
    return Added(fields["folder"], fields["guid"], frozenset(fields["flags"]))


def _backup_report(report: BackupReport) -> Fields:
    return {
        "point": report.point,
        "system": report.system,
        "taken_at": report.taken_at.isoformat(),
        "finished_at": report.finished_at.isoformat(),
        "archives": list(map(_archive, report.archives)),
        "index": or_none(_index, report.index),
        "late": report.late,
        "findings": list(map(finding, report.findings)),
        "gone": list(report.gone),
    }


def _to_backup_report(fields: Fields) -> BackupReport:
    return BackupReport(
        point=fields["point"],
        system=fields["system"],
        taken_at=to_moment(fields["taken_at"]),
        finished_at=to_moment(fields["finished_at"]),
        archives=tuple(map(_to_archive, fields["archives"])),
        index=or_none(_to_index, fields["index"]),
        late=fields["late"],
        findings=tuple(map(to_finding, fields["findings"])),
        gone=tuple(fields.get("gone", ())),  # not in the first reports
    )


def _archive(archive: ArchiveStatistics) -> Fields:
    return {
        "archive": archive.archive,
        "files": archive.files,
        "original_bytes": archive.original_bytes,
        "added_bytes": archive.added_bytes,
        "duration_microseconds": archive.duration // _MICROSECOND,
    }


def _to_archive(fields: Fields) -> ArchiveStatistics:
    return ArchiveStatistics(
        archive=fields["archive"],
        files=fields["files"],
        original_bytes=fields["original_bytes"],
        added_bytes=fields["added_bytes"],
        duration=fields["duration_microseconds"] * _MICROSECOND,
    )


def _index(index: IndexChanges) -> Fields:
    return {
        "messages": index.messages,
        "mailboxes": index.mailboxes,
        "appeared": index.appeared,
        "vanished": index.vanished,
        "moved": index.moved,
        "flagged": index.flagged,
    }


def _to_index(fields: Fields) -> IndexChanges:
    return IndexChanges(
        messages=fields["messages"],
        mailboxes=fields["mailboxes"],
        appeared=fields["appeared"],
        vanished=fields["vanished"],
        moved=fields["moved"],
        flagged=fields["flagged"],
    )


def _quota(quota: Quota) -> Fields:
    return {
        "used_bytes": quota.used_bytes,
        "limit_bytes": quota.limit_bytes,
        "used_messages": quota.used_messages,
        "limit_messages": quota.limit_messages,
    }


def _to_quota(fields: Fields) -> Quota:
    return Quota(
        used_bytes=fields["used_bytes"],
        limit_bytes=fields["limit_bytes"],
        used_messages=fields["used_messages"],
        limit_messages=fields["limit_messages"],
    )
