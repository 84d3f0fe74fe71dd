"""Plans and reports of restores beyond messages as JSON documents, and back."""

from datetime import datetime

from mailrewind.model.operations import (
    Change,
    Draft,
    Effect,
    OperationPlan,
    OperationReport,
    OperationRequest,
    Outcome,
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


def write_operation_plan(plan: OperationPlan) -> str:
    """Return a plan's document."""
    return write_document("operation plan", _plan(plan))


def read_operation_plan(text: str) -> OperationPlan:
    """Return the plan of a document.

    Raises:
        RecordsOutdated: A newer version wrote it.
        RecordsUnreadable: It is not such a document.
    """
    return read_document("operation plan", text, _to_plan)


def write_operation_report(report: OperationReport) -> str:
    """Return a report's document."""
    return write_document("operation report", _report(report))


def read_operation_report(text: str) -> OperationReport:
    """Return the report of a document.

    Raises:
        RecordsOutdated: A newer version wrote it.
        RecordsUnreadable: It is not such a document.
    """
    return read_document("operation report", text, _to_report)


def _plan(plan: OperationPlan) -> Fields:
    return {
        "id": plan.id,
        "request": _request(plan.request),
        "made_at": plan.made_at.isoformat(),
        "draft": _draft(plan.draft),
    }


def _to_plan(fields: Fields) -> OperationPlan:
    return OperationPlan(
        id=fields["id"],
        request=_to_request(fields["request"]),
        made_at=to_moment(fields["made_at"]),
        draft=_to_draft(fields["draft"]),
    )


def _request(request: OperationRequest) -> Fields:
    return {
        "operation": request.operation,
        "system": request.system,
        "target": request.target,
        "at": request.at,
        "choices": {name: list(values) for name, values in request.choices.items()},
        "reason": request.reason,
        "initiator": request.initiator,
        "tell": request.tell,
    }


def _to_request(fields: Fields) -> OperationRequest:
    return OperationRequest(
        operation=fields["operation"],
        system=fields["system"],
        target=fields["target"],
        at=fields["at"],
        choices={name: tuple(values) for name, values in fields["choices"].items()},
        reason=fields["reason"],
        initiator=fields["initiator"],
        tell=fields["tell"],
    )


def _draft(draft: Draft) -> Fields:
    return {
        "point": draft.point,
        "moment": or_none(datetime.isoformat, draft.moment),
        "changes": list(map(_change, draft.changes)),
        "facts": draft.facts,
        "findings": list(map(finding, draft.findings)),
        "is_destructive": draft.is_destructive,
    }


def _to_draft(fields: Fields) -> Draft:
    return Draft(
        point=fields["point"],
        moment=or_none(to_moment, fields["moment"]),
        changes=tuple(map(_to_change, fields["changes"])),
        facts=fields["facts"],
        findings=tuple(map(to_finding, fields["findings"])),
        is_destructive=fields["is_destructive"],
    )


def _change(change: Change) -> Fields:
    return {
        "effect": change.effect.value,
        "subject": change.subject,
        "text": change.text,
        "count": change.count,
    }


def _to_change(fields: Fields) -> Change:
    return Change(Effect(fields["effect"]), fields["subject"], fields["text"], fields["count"])


def _report(report: OperationReport) -> Fields:
    return {
        "id": report.id,
        "plan": _plan(report.plan),
        "started_at": report.started_at.isoformat(),
        "finished_at": or_none(datetime.isoformat, report.finished_at),
        "outcome": or_none(_outcome, report.outcome),
        "undone_at": or_none(datetime.isoformat, report.undone_at),
        "failure": report.failure,
        "taken_back": or_none(_outcome, report.taken_back),
        "undo_began_at": or_none(datetime.isoformat, report.undo_began_at),
    }


def _to_report(fields: Fields) -> OperationReport:
    return OperationReport(
        id=fields["id"],
        plan=_to_plan(fields["plan"]),
        started_at=to_moment(fields["started_at"]),
        finished_at=or_none(to_moment, fields["finished_at"]),
        outcome=or_none(_to_outcome, fields["outcome"]),
        undone_at=or_none(to_moment, fields["undone_at"]),
        failure=fields["failure"],
        taken_back=or_none(_to_outcome, fields["taken_back"]),
        undo_began_at=or_none(to_moment, fields["undo_began_at"]),
    )


def _outcome(outcome: Outcome) -> Fields:
    return {
        "counts": [list(pair) for pair in outcome.counts],
        "failed": list(map(finding, outcome.failed)),
        "findings": list(map(finding, outcome.findings)),
        "undo": outcome.undo,
    }


def _to_outcome(fields: Fields) -> Outcome:
    return Outcome(
        counts=tuple((what, number) for what, number in fields["counts"]),
        failed=tuple(map(to_finding, fields["failed"])),
        findings=tuple(map(to_finding, fields["findings"])),
        undo=fields["undo"],
    )
