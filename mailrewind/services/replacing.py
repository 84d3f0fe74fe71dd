"""Bring a whole mailbox back to what it was, and lose what came since: the operation "replace".

Choices:
    newer: "lose" (default), or "keep" what the newest restore point does not hold yet, because no
        archive has it.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from mailrewind.errors import ChoiceNeeded, HalfDone, MailboxNotFound, NoSpace
from mailrewind.model.mail import Message
from mailrewind.model.operations import (
    Change,
    Draft,
    Effect,
    OperationPlan,
    OperationReport,
    OperationRequest,
    Outcome,
)
from mailrewind.model.points import RestorePoint
from mailrewind.model.reports import Finding
from mailrewind.model.words import size
from mailrewind.ports import Report, State, Swapping
from mailrewind.services.broken_off import is_broken_off
from mailrewind.services.connected import Connect, ConnectedSystem
from mailrewind.services.mailbox_states import (
    bring_along,
    extract_state,
    quota_findings,
    shortfall,
    told_along,
)
from mailrewind.services.resolving import resolve

logger = logging.getLogger(__name__)

_KEEP_FREE_BYTES = 64 * 1024 * 1024
_LOOKED_THROUGH = 200

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be done, found out anew for plan and execution alike.

    Attributes:
        point: The restore point.
        then: The mailbox at that point.
        living: The mailbox now.
        kept: What of the living mailbox stays although the point does not hold it.
    """

    point: RestorePoint
    then: tuple[Message, ...]
    living: tuple[Message, ...]
    kept: tuple[Message, ...]

    @property
    def lost(self) -> list[Message]:
        """What no folder holds afterwards."""
        staying = {message.guid for message in (*self.then, *self.kept)}
        return [message for message in self.living if message.guid not in staying]


class ReplaceMailbox:
    """The operation "replace"; see the module for its choices.

    Args:
        connect: Gives systems.
        state: What knows restore points.
        swapping: Gives what exchanges the mailboxes of a system.
        zone: Where times without an offset are read.
        clock: The present moment, UTC.
    """

    name = "replace"
    holds_system = False

    def __init__(
        self,
        connect: Connect,
        state: State,
        swapping: Swapping,
        *,
        zone: tzinfo,
        clock: Callable[[], datetime],
    ) -> None:
        self._connect = connect
        self._state = state
        self._swapping = swapping
        self._zone = zone
        self._clock = clock

    def draft(self, request: OperationRequest) -> Draft:
        """Find out what would be done; see ``ports.Operation``.

        Raises:
            MomentUnclear, MomentInFuture, MomentTooEarly, RestorePointNotFound: As ``at`` says.
            MailboxNotFound: It did not exist then, or does not exist now.
            HalfDone: One of before died after its exchange: what was to stay lies in its copy only.
            NoSpace: The state of then does not fit beside the living one.
            ChoiceNeeded: ``newer`` is neither of the two.
        """
        connected = self._connect(request.system)
        self._refuse_half_done(request)
        work = self._work(connected, request)
        needed = sum(message.size_bytes for message in work.then)
        free = connected.mail.free_bytes(request.target)
        if needed + _KEEP_FREE_BYTES > free:
            raise NoSpace(
                f"{size(needed)} do not fit beside {request.target}: {size(free)} are free there, "
                f"and {size(_KEEP_FREE_BYTES)} of them stay free"
            )
        changes = tuple(_changes(work))
        return Draft(
            point=work.point.name,
            moment=work.point.taken_at,
            changes=changes,
            facts=_facts(work),
            findings=(Finding(request.target, _WARNING),) if changes else (),
            is_destructive=bool(changes),
        )

    def carry_out(self, plan: OperationPlan, *, report: Report | None = None) -> Outcome:
        """Do it, and look whether it is done; see ``ports.Operation``."""
        mailbox = plan.request.target
        connected = self._connect(plan.request.system)
        work = self._work(connected, replace(plan.request, at=plan.draft.point))
        if not _changes(work):
            return Outcome(counts=())
        unwritten = extract_state(
            connected,
            self._swapping,
            work.point,
            mailbox=mailbox,
            then=work.then,
            copy_id=plan.id,
            report=report,
        )
        wrong = self._swapping.exchange(mailbox, plan.id)
        known = {message.guid for message in (*work.then, *work.living)}
        known -= {message.guid for message in work.kept}
        brought = bring_along(
            connected, self._swapping, mailbox=mailbox, copy_id=plan.id, known=known
        )
        now = connected.mail.messages(mailbox)
        meant = [*work.then, *brought]
        return Outcome(
            counts=(
                ("messages as they were", len(work.then)),
                ("messages lost", len(work.lost)),
                ("messages kept that came since", len(brought)),
            ),
            failed=(*wrong, *shortfall(meant, now)),
            findings=(
                *unwritten,
                *told_along(brought),
                *quota_findings(connected, mailbox, now),
            ),
            undo=plan.id,
        )

    def undo(self, done: OperationReport) -> Outcome:
        """Put back what was before, with what came after the replacement; see ``ports.Operation``.

        Flags that were changed since the replacement are lost.
        """
        mailbox = done.plan.request.target
        connected = self._connect(done.plan.request.system)
        # An undo that died after its exchange has left in the copy what is to be brought along.
        is_back = self._swapping.is_back(mailbox, done.id)
        before = [
            *(
                connected.mail.messages(mailbox)
                if is_back
                else self._swapping.copied(mailbox, done.id)
            )
        ]
        known = self._known(connected, done, before)
        wrong = self._swapping.put_back(mailbox, done.id)
        brought = bring_along(
            connected, self._swapping, mailbox=mailbox, copy_id=done.id, known=known
        )
        now = connected.mail.messages(mailbox)
        return Outcome(
            counts=(
                ("messages as before", len(before)),
                ("messages kept that came since", len(brought)),
            ),
            failed=(*wrong, *shortfall([*before, *brought], now)),
            findings=(*told_along(brought), *quota_findings(connected, mailbox, now)),
        )

    def _work(self, connected: ConnectedSystem, request: OperationRequest) -> _Work:
        newer = request.chosen("newer", "lose")
        if newer not in ("lose", "keep"):
            raise ChoiceNeeded(
                f"What came since the newest restore point is to be lost or kept, not {newer!r}.",
                advice="Choose lose or keep.",
            )
        point = resolve(connected, self._state, request.at, now=self._clock(), zone=self._zone)
        then = tuple(
            entry.message for entry in connected.catalog.messages(request.target, point.taken_at)
        )
        living = tuple(connected.mail.messages(request.target))
        kept = self._newer(connected, request.target, then, living) if newer == "keep" else ()
        return _Work(point, then, living, tuple(kept))

    def _newer(
        self,
        connected: ConnectedSystem,
        mailbox: str,
        then: Sequence[Message],
        living: Sequence[Message],
    ) -> Iterator[Message]:
        """Yield what is in no archive, as far as the newest restore point can tell."""
        recorded = connected.catalog.recorded()
        if recorded is None:
            return
        newest = [entry.message for entry in connected.catalog.messages(mailbox, recorded)]
        archived = {message.guid for message in (*newest, *then)}
        yield from (message for message in living if message.guid not in archived)

    def _refuse_half_done(self, request: OperationRequest) -> None:
        """Refuse to go on from a state that a dead replacement left: it would be taken for whole.

        Raises:
            HalfDone: There is one, and it has not been undone.
        """
        what = (self.name, request.system, request.target)
        leases = self._state.leases()
        for report in self._state.operation_reports(limit=_LOOKED_THROUGH):
            asked = report.plan.request
            if (asked.operation, asked.system, asked.target) != what or report.undone_at:
                continue
            if report.outcome is not None:
                if report.outcome.undo:  # whole, and later than all that follow
                    return
                continue
            if report.finished_at is None and not is_broken_off(report, leases):
                continue
            if self._swapping.is_exchanged(request.target, report.id):
                raise HalfDone(
                    f"restore {report.id} of {request.target} ended half-way: what was to be kept "
                    "of the mailbox is not in it again",
                    advice=f"Undo it with `mailrewind undo {report.id}`, then plan again.",
                )

    def _known(
        self, connected: ConnectedSystem, done: OperationReport, before: Iterable[Message]
    ) -> set[str]:
        """Return what the replacement decided on; what came later is in neither state."""
        known = {message.guid for message in before}
        moment = done.plan.draft.moment
        # The point may be gone by now: then what it had brought stays as well.
        with suppress(MailboxNotFound):
            if moment is not None:
                then = connected.catalog.messages(done.plan.request.target, moment)
                known |= {entry.message.guid for entry in then}
        return known


_WARNING = (
    "its users are logged out for a moment; what is lost stays beside the mailbox for 30 days, and "
    "`mailrewind undo` brings it back"
)


def _changes(work: _Work) -> list[Change]:
    then = Counter(_place(message) for message in work.then)
    living = Counter(_place(message) for message in work.living)
    guids_now = {message.guid for message in work.living}
    guids_then = {message.guid for message in work.then}
    kept = {_place(message) for message in work.kept}
    rows: Counter[tuple[Effect, str, str]] = Counter()
    for (folder, guid), number in (then - living).items():
        if guid in guids_now:
            rows[Effect.REVERT, folder, "lie in another folder now, come back"] += number
        else:
            rows[Effect.ADD, folder, "missing now"] += number
    for place, number in (living - then).items():
        folder, guid = place
        if place in kept:
            rows[Effect.KEEP, folder, "in no restore point yet"] += number
        elif guid not in guids_then:
            rows[Effect.LOSE, folder, "came later"] += number
        elif (place not in then) and guid in guids_then:
            continue  # told where it goes back to
        else:
            rows[Effect.LOSE, folder, "further copies"] += number
    for folder, number in Counter(_other_flags(work)).items():
        rows[Effect.REVERT, folder, "have other flags now"] += number
    order = [*Effect]
    told = sorted(rows.items(), key=lambda row: (order.index(row[0][0]), row[0][1:]))
    changes = [Change(effect, folder, text, number) for (effect, folder, text), number in told]
    if all(change.effect is Effect.KEEP for change in changes):
        return []
    return changes


def _other_flags(work: _Work) -> Iterator[str]:
    """Yield the folder of each message whose flags would change."""
    now = {_place(message): message.flags for message in work.living}
    for message in work.then:
        if _place(message) in now and now[_place(message)] != message.flags:
            yield message.folder


def _facts(work: _Work) -> str:
    """Say what must still be so: what is put there, and exactly what is lost for it."""
    return json.dumps(
        {
            "then": _digest(work.then),
            "lost": _digest(work.lost),
        }
    )


def _digest(messages: Iterable[Message]) -> str:
    lines = sorted(f"{message.folder}\0{message.guid}" for message in messages)
    return hashlib.blake2b("\n".join(lines).encode(errors="replace"), digest_size=16).hexdigest()


def _place(message: Message) -> Place:
    return message.folder, message.guid
