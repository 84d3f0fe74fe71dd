"""Bring messages back: plan, execute, verify, undo."""

import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo

from mailrewind.errors import (
    FolderNotFound,
    MailSystemError,
    MessageNotFound,
    NoSpace,
    NothingToUndo,
    OverQuota,
    PlanOutdated,
    RestorePointNotFound,
    VerificationFailed,
)
from mailrewind.model.mail import Message, Quota, is_in_folders
from mailrewind.model.points import RestorePoint
from mailrewind.model.reports import Finding
from mailrewind.model.restores import (
    Added,
    RestorePlan,
    RestoreReport,
    RestoreRequest,
    Selection,
    Then,
    select,
)
from mailrewind.model.words import count, size
from mailrewind.ports import AuditLine, Notifier, Report, State
from mailrewind.services.addition_stream import AdditionStream, key_does_not_fit
from mailrewind.services.connected import Connect, ConnectedSystem
from mailrewind.services.contents import contents
from mailrewind.services.holding import hold_mailbox
from mailrewind.services.resolving import resolve
from mailrewind.services.restore_words import facts, failure_in_words, quota_in_words, summary
from mailrewind.services.telling import tell
from mailrewind.services.verify import read_back

logger = logging.getLogger(__name__)

_READ_BEFOREHAND = 500
_SAMPLE = 20
_KEEP_FREE_BYTES = 64 * 1024 * 1024
_UNREADABLE = "the archive does not give its content"


class Restore:
    """Add what is missing, and nothing else; nothing live is overwritten.

    A restore holds the lease on its mailbox from plan to verification. The lease may be waited for
    as long as ``lease_wait`` says.
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
    ) -> None:
        self._connect = connect
        self._state = state
        self._notifier = notifier
        self._zone = zone
        self._clock = clock
        self._lease_wait = lease_wait

    def plan(self, request: RestoreRequest) -> RestorePlan:
        """Work out what a restore would do, and keep that under an id; this is the dry run.

        Raises:
            UnknownSystem: No such system is configured.
            MailboxNotFound: The mailbox did not exist then, or does not exist now.
            FolderNotFound, MessageNotFound: It did not exist at that moment.
            MomentUnclear, MomentInFuture, MomentTooEarly, RestorePointNotFound: As they say.
            KeyDoesNotFit: The living mail system could not read what would be added.
        """
        return self._kept(self._plan(request, sample=_SAMPLE))

    def execute(
        self, plan_id: str, *, initiator: str, reason: str = "", report: Report | None = None
    ) -> RestoreReport:
        """Carry out a plan that was made before.

        Raises:
            PlanNotFound: No plan has this id.
            PlanOutdated: It would do something else by now; names the plan that would.
            LeaseHeld, SystemHeld: Another restore works on the mailbox, or on the whole system.
            OverQuota, NoSpace: It does not fit.
            KeyDoesNotFit: The living mail system could not read any of it; nothing was added.
            VerificationFailed: Some messages are not back; the report names them.
        """
        planned = self._state.plan(plan_id)
        request = replace(
            planned.request,
            at=planned.point,
            initiator=initiator,
            reason=reason or planned.request.reason,
        )
        with self._lease(request, f"plan {plan_id} by {initiator}"):
            fresh = self._plan(request)
            self._state.save_plan(fresh)
            if fresh.selection.additions and fresh.digest != planned.digest:
                raise PlanOutdated(
                    f"Plan {plan_id} would do something else by now: it meant to add "
                    f"{count(len(planned.selection.additions), 'message')}, now it would be "
                    f"{len(fresh.selection.additions):,}. The new plan is {fresh.id}."
                )
            return self._execute(fresh, report)

    def run(self, request: RestoreRequest, *, report: Report | None = None) -> RestoreReport:
        """Plan and carry out under one lease.

        Raises:
            MailrewindError: Whatever ``plan`` and ``execute`` raise.
        """
        with self._lease(request, f"a restore by {request.initiator}"):
            return self._execute(self._kept(self._plan(request)), report)

    def undo(self, report_id: str, *, initiator: str, reason: str = "") -> RestoreReport:
        """Take out what a restore added, as far as it is still as it was delivered.

        Raises:
            NothingToUndo: No such restore, or it is undone already, or it added nothing.
            LeaseHeld, SystemHeld: Another restore works on the mailbox, or on the whole system.
        """
        done = self._undoable(report_id)
        request = replace(done.plan.request, initiator=initiator, reason=reason)
        connected = self._connect(request.system)
        with self._lease(request, f"undo of {report_id} by {initiator}"):
            done = self._undoable(report_id)  # while we waited, somebody else may have undone it
            findings = connected.mail.remove(request.mailbox, done.added)
            quota, unasked = _quota_afterwards(connected, request.mailbox)
            undone = replace(
                done,
                undone_at=self._clock(),
                findings=(*done.findings, *findings, *unasked),
                quota=quota,
            )
            self._state.save_restore_report(undone)
        taken_out = len(done.added) - len(findings)
        result = f"{report_id}: {taken_out} of {len(done.added)} taken out"
        self._audit("undo", request, result)
        untold = self._tell(request, f"the undo of restore {result}", facts(undone.plan))
        return self._with(undone, untold)

    def _undoable(self, report_id: str) -> RestoreReport:
        done = self._state.restore_report(report_id)
        if done.undone_at is not None:
            at = done.undone_at.astimezone(self._zone)
            raise NothingToUndo(f"Restore {report_id} was undone at {at:%Y-%m-%d %H:%M %Z}.")
        if not done.added:
            raise NothingToUndo(f"Restore {report_id} added nothing.")
        return done

    def _lease(self, request: RestoreRequest, holder: str) -> AbstractContextManager[None]:
        return hold_mailbox(
            self._state,
            request.system,
            mailbox=request.mailbox,
            holder=holder,
            wait=self._lease_wait,
        )

    def _kept(self, plan: RestorePlan) -> RestorePlan:
        self._state.save_plan(plan)
        logger.info(
            "plan %s for %s as of %s: %s to add, %s present, %s moved",
            plan.id,
            plan.request.mailbox,
            plan.point,
            len(plan.selection.additions),
            plan.selection.present,
            sum(count for _, count in plan.selection.moved),
        )
        return plan

    def _plan(self, request: RestoreRequest, *, sample: int = 0) -> RestorePlan:
        """Plan; of very many messages, ``sample`` are read beforehand.

        Where the plan is carried out at once, none need be: each is looked at once more before
        the first is delivered.
        """
        connected = self._connect(request.system)
        now = self._clock()
        point = resolve(connected, self._state, request.at, now=now, zone=self._zone)
        then = connected.catalog.messages(request.mailbox, point.taken_at)
        _refuse_unknown(request, point, then, connected)
        top = f"Restored/{point.taken_at.astimezone(self._zone):%Y-%m-%d}"
        selection = select(
            then,
            connected.mail.messages(request.mailbox),
            request,
            top="" if request.into == "same" else top,
        )
        unreadable, findings = _try_reading(connected, point, selection, sample=sample)
        return RestorePlan(
            id=secrets.token_hex(4),
            request=request,
            point=point.name,
            moment=point.taken_at,
            made_at=now,
            selection=selection,
            unreadable=unreadable,
            quota=connected.mail.quota(request.mailbox),
            free_bytes=connected.mail.free_bytes(request.mailbox),
            findings=findings,
        )

    def _execute(self, plan: RestorePlan, report: Report | None) -> RestoreReport:
        _refuse_what_does_not_fit(plan)
        connected = self._connect(plan.request.system)
        started_at = self._clock()
        untold: tuple[Finding, ...] = ()
        if plan.selection.additions:
            untold = self._tell(plan.request, f"restore {plan.id} begins", facts(plan))
        before = connected.mail.messages(plan.request.mailbox)
        stream = AdditionStream(connected, self._point_of(plan), plan.selection.additions, report)
        failure: BaseException | None = None
        findings: Sequence[Finding] = ()
        if plan.selection.additions:
            try:
                findings = connected.mail.deliver(
                    plan.request.mailbox, stream, over_quota=plan.request.over_quota
                )
            except BaseException as error:  # cancelled, too: what is in by now must be told
                failure = error
            else:
                failure = stream.useless()
        added, failed, unread = _look(connected, plan, before, stream, failure)
        quota, unasked = _quota_afterwards(connected, plan.request.mailbox)
        done = RestoreReport(
            id=plan.id,
            plan=plan,
            started_at=started_at,
            finished_at=self._clock(),
            added=added,
            failed=failed,
            quota=quota,
            findings=(*plan.findings, *findings, *unasked, *untold),
        )
        self._state.save_restore_report(done)
        self._audit("restore", plan.request, summary(done))
        untold = self._tell(plan.request, f"restore {summary(done)}", facts(plan))
        done = self._with(done, untold)
        if failure := failure or unread:
            raise failure
        if failed:
            raise VerificationFailed(failure_in_words(done))
        return done

    def _point_of(self, plan: RestorePlan) -> RestorePoint:
        for point in self._state.points(plan.request.system):
            if point.name == plan.point:
                return point
        raise RestorePointNotFound(f"The restore point {plan.point} has been removed meanwhile.")

    def _tell(self, request: RestoreRequest, subject: str, text: str) -> tuple[Finding, ...]:
        return tell(self._notifier, subject, text=text, also=request.tell)

    def _with(self, done: RestoreReport, findings: Sequence[Finding]) -> RestoreReport:
        if findings:
            done = replace(done, findings=(*done.findings, *findings))
            self._state.save_restore_report(done)
        return done

    def _audit(self, action: str, request: RestoreRequest, text: str) -> None:
        told = f"{text}; reason: {request.reason}" if request.reason else text
        logger.info("%s %s: %s", action, request.mailbox, text)
        self._state.audit(
            AuditLine(
                self._clock(), request.initiator, action, request.system, request.mailbox, told
            )
        )


def _look(
    connected: ConnectedSystem,
    plan: RestorePlan,
    before: Sequence[Message],
    stream: AdditionStream,
    failure: BaseException | None,
) -> tuple[tuple[Added, ...], tuple[Finding, ...], MailSystemError | None]:
    """Look what is back, and what is not; also what has been in the way of looking."""
    additions = plan.selection.additions
    unread = _UNREADABLE if failure is None else "it was not reached"
    try:
        added, failed = read_back(
            connected.mail,
            plan.request.mailbox,
            before,
            additions,
            stream.delivered,
            unread=unread,
            refused=stream.refused,
            again=stream.again,
        )
    except MailSystemError as error:
        text = f"it cannot be looked for: {error}"
        return (), tuple(Finding(addition.subject, text) for addition in additions), error
    return added, failed, None


def _quota_afterwards(
    connected: ConnectedSystem, mailbox: str
) -> tuple[Quota | None, Sequence[Finding]]:
    """Ask for the quota; by now everything is done, and what was done must be told."""
    try:
        return connected.mail.quota(mailbox), ()
    except MailSystemError as error:
        return None, (Finding(mailbox, f"its quota could not be asked for: {error}"),)


def _refuse_unknown(
    request: RestoreRequest, point: RestorePoint, then: Sequence[Then], connected: ConnectedSystem
) -> None:
    folders = [row[0] for row in connected.catalog.folders(request.mailbox, point.taken_at)]
    for wanted in request.folders:
        if not any(is_in_folders(folder, [wanted]) for folder in folders):
            raise FolderNotFound(
                f"The mailbox {request.mailbox} had no folder {wanted!r} at {point.name}."
            )
    unknown = set(request.messages) - {entry.number for entry in then}
    if unknown:
        raise MessageNotFound(
            f"The mailbox {request.mailbox} had no message {min(unknown)} at {point.name}."
        )


def _try_reading(
    connected: ConnectedSystem, point: RestorePoint, selection: Selection, *, sample: int
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Return what the archive does not give, and what the plan's reader should know."""
    where = {addition.message.path: addition for addition in selection.additions}
    moved = tuple(
        Finding(folder, f"{count} of the wanted messages lie here now and stay here")
        for folder, count in selection.moved
    )
    is_many = len(where) > _READ_BEFOREHAND
    asked = list(where)[:sample] if is_many else list(where)
    archives = connected.archives_of(point)
    objections = {
        path: connected.mail.objection(content)
        for path, content in contents(archives, point, asked)
    }
    _refuse_if_useless(list(objections.values()), point)
    unreadable = tuple(
        Finding(where[path].subject, reason)
        for path in asked
        if (reason := objections.get(path, _UNREADABLE))
    )
    if is_many:
        text = f"{len(where):,} messages are too many to be read beforehand; {len(asked)} were"
        return unreadable, (*moved, Finding(point.name, text))
    return unreadable, moved


def _refuse_if_useless(objections: Sequence[str], point: RestorePoint) -> None:
    """Stop before anything is delivered that nobody could read.

    Raises:
        KeyDoesNotFit: The mail system objects to each message that was looked at.
    """
    if objections and all(objections):
        raise key_does_not_fit(point, objections[0])


def _refuse_what_does_not_fit(plan: RestorePlan) -> None:
    if plan.is_over_quota and not plan.request.over_quota:
        raise OverQuota(
            f"{count(len(plan.selection.additions), 'message')} with {size(plan.added_bytes)} do "
            f"not fit into the quota of {plan.request.mailbox}: {quota_in_words(plan.quota)}."
        )
    if plan.selection.additions and plan.added_bytes + _KEEP_FREE_BYTES > plan.free_bytes:
        raise NoSpace(
            f"{size(plan.added_bytes)} do not fit: {size(plan.free_bytes)} are free where "
            f"{plan.request.mailbox} lies, and {size(_KEEP_FREE_BYTES)} of them stay free."
        )
