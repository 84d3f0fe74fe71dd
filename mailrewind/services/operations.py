"""Restores beyond messages: plan, confirm, carry out, tell, undo; the same for every operation."""

import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo

from mailrewind.errors import (
    ConfirmationMissing,
    MailrewindError,
    NothingToUndo,
    OperationUnknown,
    PlanOutdated,
    VerificationFailed,
)
from mailrewind.model.operations import (
    OperationPlan,
    OperationReport,
    OperationRequest,
    Outcome,
)
from mailrewind.model.reports import Finding
from mailrewind.ports import AuditLine, Notifier, Operation, Report, State
from mailrewind.services.broken_off import broken_off_text, left_broken_off
from mailrewind.services.connected import Connect
from mailrewind.services.holding import hold_mailbox, hold_system
from mailrewind.services.telling import tell

logger = logging.getLogger(__name__)


class Operations:
    """Carry out what the operations of a system offer, and nothing that was not planned.

    Whatever an operation does, its report stands from before it begins, with its end added however
    it ends. It holds its mailbox, or the whole system, from plan to report: what is destructive
    always holds the system, so that no backup meets it half done and no pruning takes what is
    needed to undo it.
    """

    def __init__(
        self,
        connect: Connect,
        state: State,
        notifier: Notifier,
        *,
        zone: tzinfo,
        clock: Callable[[], datetime],
        lease_wait: timedelta = timedelta(minutes=10),
        system_wait: timedelta = timedelta(minutes=30),
    ) -> None:
        self._connect = connect
        self._state = state
        self._notifier = notifier
        self._zone = zone
        self._clock = clock
        self._lease_wait = lease_wait
        self._system_wait = system_wait

    def plan(self, request: OperationRequest) -> OperationPlan:
        """Find out what would be done, and keep that under an id; this is the dry run.

        Raises:
            UnknownSystem: No such system is configured.
            OperationUnknown: The system's kind has no such operation.
            MailrewindError: It cannot be done, as the operation says.
        """
        draft = self._operation(request).draft(request)
        left = [
            Finding(f"restore {report.id}", broken_off_text(report))
            for report in left_broken_off(self._state, request.system)
        ]
        plan = OperationPlan(
            id=secrets.token_hex(4),
            request=request,
            made_at=self._clock(),
            draft=replace(draft, findings=(*draft.findings, *left)),
        )
        self._state.save_operation_plan(plan)
        logger.info("plan %s to %s: %s", plan.id, request.deed, plan.counted)
        return plan

    def execute(
        self,
        plan_id: str,
        *,
        initiator: str,
        reason: str = "",
        system_typed: str = "",
        report: Report | None = None,
    ) -> OperationReport:
        """Carry out a plan that was made before.

        Args:
            plan_id: Of the plan.
            initiator: Who asks.
            reason: Why; "" leaves what the plan says.
            system_typed: The system's name, which confirms a destructive plan.
            report: Told how far it has come.

        Raises:
            PlanNotFound: No plan has this id.
            ConfirmationMissing: It is destructive, and the system's name is not what was typed.
            PlanOutdated: It would do something else by now; names the plan that would.
            LeaseHeld, SystemHeld, BackupRunning: Something else works on it.
            VerificationFailed: Something is not as it was meant; the report names it.
            MailrewindError: Whatever the operation raises; the report says so, too.
        """
        planned = self._state.operation_plan(plan_id)
        _refuse_unconfirmed(planned, system_typed)
        request = replace(
            planned.request,
            at=planned.draft.point or planned.request.at,
            initiator=initiator,
            reason=reason or planned.request.reason,
        )
        holder = f"plan {plan_id} by {initiator}"
        with self._hold(request, holder, is_destructive=planned.draft.is_destructive):
            fresh = self.plan(request)
            if fresh.digest != planned.digest:
                raise PlanOutdated(
                    f"Plan {plan_id} would do something else by now: it meant {planned.counted}; "
                    f"now it would be {fresh.counted}. The new plan is {fresh.id}."
                )
            _refuse_unconfirmed(fresh, system_typed)
            return self._carry_out(fresh, report)

    def run(self, request: OperationRequest, *, report: Report | None = None) -> OperationReport:
        """Plan and carry out under one lease; only for what destroys nothing.

        Raises:
            ConfirmationMissing: It is destructive; names the plan to confirm.
            MailrewindError: Whatever ``plan`` and ``execute`` raise.
        """
        holder = f"{request.operation} by {request.initiator}"
        with self._hold(request, holder, is_destructive=False):
            plan = self.plan(request)
            _refuse_unconfirmed(plan, "")
            return self._carry_out(plan, report)

    def undo(self, report_id: str, *, initiator: str, reason: str = "") -> OperationReport:
        """Take back what an operation did.

        Raises:
            NothingToUndo: There is no such restore, it is undone, or it cannot be taken back.
            LeaseHeld, SystemHeld, BackupRunning: Something else works on it.
            VerificationFailed: Something is not as it was; it may be undone again.
            MailrewindError: Whatever the operation raises.
        """
        plan = self._undoable(report_id).plan
        request = replace(plan.request, initiator=initiator, reason=reason)
        holder = f"undo of {report_id} by {initiator}"
        with self._hold(request, holder, is_destructive=plan.draft.is_destructive):
            done = self._undoable(report_id)  # while we waited, somebody else may have undone it
            return self._take_back(done, request)

    def report(self, report_id: str) -> OperationReport:
        """Return the report of one operation.

        Raises:
            NothingToUndo: No operation has this id.
        """
        return self._state.operation_report(report_id)

    def reports(self, *, limit: int = 20) -> Sequence[OperationReport]:
        """Return the newest reports of all systems, newest first."""
        return self._state.operation_reports(limit=limit)

    def left_broken_off(self) -> Sequence[OperationReport]:
        """Return what died on the way and was neither undone nor done again, newest first."""
        return left_broken_off(self._state)

    def _operation(self, request: OperationRequest) -> Operation:
        operations = self._connect(request.system).operations
        if request.operation not in operations:
            known = ", ".join(operations) or "none beyond messages"
            raise OperationUnknown(
                f"The system {request.system} has no restore called {request.operation!r}; "
                f"it has {known}."
            )
        return operations[request.operation]

    def _hold(
        self, request: OperationRequest, holder: str, *, is_destructive: bool
    ) -> AbstractContextManager[None]:
        if is_destructive or self._operation(request).holds_system or not request.target:
            return hold_system(self._state, request.system, holder=holder, wait=self._system_wait)
        return hold_mailbox(
            self._state,
            request.system,
            mailbox=request.changed_mailbox,
            holder=holder,
            wait=self._lease_wait,
        )

    def _carry_out(self, plan: OperationPlan, report: Report | None) -> OperationReport:
        request = plan.request
        done = OperationReport(plan.id, plan, self._clock(), None, None)
        self._state.save_operation_report(done)
        untold = self._tell(request, f"{plan.id} begins to {request.deed}", _begin_text(plan))
        try:
            outcome = self._operation(request).carry_out(plan, report=report)
        except BaseException as error:  # cancelled, too: what is known by now must be told
            failure = _in_words(error)
            self._state.save_operation_report(
                replace(done, finished_at=self._clock(), failure=failure)
            )
            self._end(f"restore {request.operation}", request, plan.id, failure)
            raise
        done = replace(
            done,
            finished_at=self._clock(),
            outcome=replace(outcome, findings=(*outcome.findings, *untold)),
        )
        self._state.save_operation_report(done)
        untold = self._end(f"restore {request.operation}", request, plan.id, outcome.counted)
        if untold:
            done = replace(done, outcome=_with(done.outcome, untold))
            self._state.save_operation_report(done)
        if outcome.failed:
            raise VerificationFailed(_failed(plan.id, request, outcome))
        return done

    def _take_back(self, done: OperationReport, request: OperationRequest) -> OperationReport:
        begin = f"{done.id} begins to be undone: {request.deed}"
        self._state.save_operation_report(replace(done, undo_began_at=self._clock()))
        untold = self._tell(request, begin, _facts(request, done.id))
        try:
            outcome = self._operation(request).undo(done)
        except BaseException as error:
            self._state.save_operation_report(replace(done, undo_began_at=None))
            self._end("undo", request, done.id, _in_words(error))
            raise
        undone = replace(
            done,
            undo_began_at=None,
            finished_at=done.finished_at or self._clock(),
            undone_at=None if outcome.failed else self._clock(),
            taken_back=replace(outcome, findings=(*outcome.findings, *untold)),
        )
        self._state.save_operation_report(undone)
        untold = self._end("undo", request, done.id, outcome.counted)
        if untold:
            undone = replace(undone, taken_back=_with(undone.taken_back, untold))
            self._state.save_operation_report(undone)
        if outcome.failed:
            raise VerificationFailed(_failed(done.id, request, outcome))
        return undone

    def _undoable(self, report_id: str) -> OperationReport:
        done = self._state.operation_report(report_id)
        if done.undone_at is not None:
            at = done.undone_at.astimezone(self._zone)
            raise NothingToUndo(f"Restore {report_id} was undone at {at:%Y-%m-%d %H:%M %Z}.")
        if done.outcome is not None and not done.outcome.undo:
            raise NothingToUndo(f"Restore {report_id} cannot be taken back.")
        return done

    def _end(
        self, action: str, request: OperationRequest, report_id: str, result: str
    ) -> tuple[Finding, ...]:
        """Write the audit's line and tell everybody; return who was not told."""
        logger.info("%s of %s: %s", action, request.target or request.system, result)
        told = f"{report_id}: {result}"
        if request.reason:
            told += f"; reason: {request.reason}"
        self._state.audit(
            AuditLine(
                self._clock(), request.initiator, action, request.system, request.target, told
            )
        )
        what = f"the undo of {report_id}" if action == "undo" else report_id
        subject = f"{what} has ended ({request.deed}): {result}"
        return self._tell(request, subject, f"{result}\n\n{_facts(request, report_id)}")

    def _tell(self, request: OperationRequest, subject: str, text: str) -> tuple[Finding, ...]:
        return tell(self._notifier, subject, text=text, also=request.tell)


def _refuse_unconfirmed(plan: OperationPlan, system_typed: str) -> None:
    system = plan.request.system
    if not plan.draft.is_destructive or system_typed == system:
        return
    if system_typed:
        raise ConfirmationMissing(
            f"Plan {plan.id} is for the system {system}, and {system_typed!r} was typed.",
            advice=f"Type the system's name exactly as it is configured: {system}",
        )
    raise ConfirmationMissing(
        f"Plan {plan.id} would {plan.request.deed}: {plan.counted}.",
        advice=f"Read the plan, give its id {plan.id}, and type the system's name: {system}",
    )


def _failed(report_id: str, request: OperationRequest, outcome: Outcome) -> str:
    first = outcome.failed[0]
    return (
        f"Not everything is as it was meant to be ({request.deed}): {outcome.counted}, such as "
        f"{first.subject}: {first.text.rstrip('.')}. The report is {report_id}."
    )


def _in_words(error: BaseException) -> str:
    """Say what ended an operation; a foreign error's own text may hold what nobody should read."""
    if isinstance(error, MailrewindError):
        return str(error)
    if isinstance(error, Exception):
        return f"It was broken off by an error ({type(error).__name__})."
    return "It was cancelled."


def _with(outcome: Outcome | None, findings: Sequence[Finding]) -> Outcome | None:
    return outcome and replace(outcome, findings=(*outcome.findings, *findings))


def _begin_text(plan: OperationPlan) -> str:
    return f"Meant: {plan.counted}\n\n{_facts(plan.request, plan.id)}"


def _facts(request: OperationRequest, report_id: str) -> str:
    facts = (
        ("Restore", report_id),
        ("System", request.system),
        ("Mailbox", request.target),
        ("As it was", request.at),
        ("Reason", request.reason),
        ("By", request.initiator),
    )
    return "\n".join(f"{name}: {value}" for name, value in facts if value)
