"""The shapes of what --json prints of restores beyond messages; docs/json.md describes them."""

from collections.abc import Sequence

from mailrewind.cli.shapes import Shape, finding, moment
from mailrewind.model.operations import OperationPlan, OperationReport, Outcome
from mailrewind.model.restores import RestoreReport
from mailrewind.ports import Lease
from mailrewind.services.broken_off import is_broken_off


def operation_plan(of: OperationPlan) -> Shape:
    """Describe what a restore beyond messages would do."""
    request = of.request
    return {
        "id": of.id,
        "operation": request.operation,
        "system": request.system,
        "target": request.target,
        "at": request.at,
        "choices": {name: list(values) for name, values in request.choices.items()},
        "reason": request.reason,
        "point": of.draft.point,
        "moment": moment(of.draft.moment),
        "made_at": moment(of.made_at),
        "is_destructive": of.draft.is_destructive,
        "changes": [
            {
                "effect": change.effect.value,
                "subject": change.subject,
                "text": change.text,
                "count": change.count,
            }
            for change in of.draft.changes
        ],
        "findings": [finding(each) for each in of.draft.findings],
    }


def operation_report(of: OperationReport) -> Shape:
    """Describe what a restore beyond messages, or its undoing, did."""
    request = of.plan.request
    return {
        "id": of.id,
        "operation": request.operation,
        "system": request.system,
        "target": request.target,
        "point": of.plan.draft.point,
        "started_at": moment(of.started_at),
        "finished_at": moment(of.finished_at),
        "outcome": None if of.outcome is None else _outcome(of.outcome),
        "failure": of.failure,
        "undone_at": moment(of.undone_at),
        "taken_back": None if of.taken_back is None else _outcome(of.taken_back),
    }


def restored(of: RestoreReport | OperationReport, leases: Sequence[Lease]) -> Shape:
    """Describe one line of the list of all that was restored."""
    request = of.plan.request
    if isinstance(of, RestoreReport):
        operation, target, status = "mailbox", of.plan.request.mailbox, "done"
        result = f"{len(of.added):,} added, {len(of.failed):,} failed"
    else:
        operation, target = of.plan.request.operation, of.plan.request.target
        status, result = _fate(of, leases), of.outcome.counted if of.outcome else of.failure
    return {
        "id": of.id,
        "operation": operation,
        "system": request.system,
        "target": target,
        "result": result,
        "status": "undone" if of.undone_at else status,
        "started_at": moment(of.started_at),
        "finished_at": moment(of.finished_at),
        "initiator": request.initiator,
        "reason": request.reason,
    }


def _fate(of: OperationReport, leases: Sequence[Lease]) -> str:
    if of.unended_since is not None:
        return "broken off" if is_broken_off(of, leases) else "running"
    return "failed" if of.outcome is None else "done"


def _outcome(of: Outcome) -> Shape:
    return {
        "counts": [{"what": what, "number": number} for what, number in of.counts],
        "failed": [finding(each) for each in of.failed],
        "findings": [finding(each) for each in of.findings],
    }
