"""Bring a deleted mailbox back: the operation "deleted".

Choices:
    source: "garbage" (default), what the mail system keeps of deleted mailboxes for some days, or
        "restore point", what was archived as of the moment.
    candidate: which one of the garbage, by its name; needed unless the mail itself tells that it is
        the only one of this address. Without it, the plan lists them.
    create: "yes" to create the mailbox if there is none.
    whatever_it_holds: "yes" to take the candidate although its mail tells of another owner; this
        takes the plan's id and the system's name.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, tzinfo

from mailrewind.errors import ChoiceNeeded, KeyDoesNotFit, MailboxNotFound, NothingToUndo
from mailrewind.model.mail import Delivery, Message
from mailrewind.model.operations import (
    Change,
    Draft,
    Effect,
    OperationPlan,
    OperationReport,
    OperationRequest,
    Outcome,
)
from mailrewind.model.reports import Finding
from mailrewind.model.restores import Added
from mailrewind.model.words import count, size
from mailrewind.ports import DeletedMailbox, Garbage, Report, State, Swapping
from mailrewind.services.connected import Connect, ConnectedSystem
from mailrewind.services.contents import contents
from mailrewind.services.deleted_work import Source, Work, changes, facts, shortfall, warnings
from mailrewind.services.mailbox_states import (
    bring_along,
    extract_state,
    quota_findings,
    told_along,
)
from mailrewind.services.resolving import resolve
from mailrewind.services.whose import Whose, whose

logger = logging.getLogger(__name__)

_GARBAGE = "garbage"
_POINT = "restore point"
_HEAD_BYTES = 4096


class RestoreDeleted:
    """The operation "deleted"; see the module for its choices.

    Args:
        connect: Gives systems.
        state: What knows restore points.
        garbage: What the mail system keeps of deleted mailboxes.
        swapping: What exchanges mailboxes of the system.
        zone: Where times without an offset are read.
        clock: The present moment, UTC.
    """

    name = "deleted"
    holds_system = False

    def __init__(
        self,
        connect: Connect,
        state: State,
        garbage: Garbage,
        swapping: Swapping,
        *,
        zone: tzinfo,
        clock: Callable[[], datetime],
    ) -> None:
        self._connect = connect
        self._state = state
        self._garbage = garbage
        self._swapping = swapping
        self._zone = zone
        self._clock = clock

    def draft(self, request: OperationRequest) -> Draft:
        """Find out what would be done; see ``ports.Operation``.

        Where a person has to choose, the plan lists what there is, and cannot be carried out.

        Raises:
            MailboxNotFound: Nothing could be this mailbox, or it must be created first.
            ChoiceNeeded: The chosen one is none, or another's.
            MomentUnclear, MomentInFuture, MomentTooEarly, RestorePointNotFound: As ``at`` says.
        """
        connected = self._connect(request.system)
        try:
            source = self._source(connected, request)
        except _Undecided as undecided:
            return self._list(request, undecided.found)
        work = self._work(source, connected, request)
        return Draft(
            point=source.point.name if source.point else "",
            moment=source.point.taken_at if source.point else None,
            changes=tuple(changes(work, request.target)),
            facts=facts(work),
            findings=tuple(warnings(work, request.target)),
            is_destructive=bool(work.missing) and bool(work.living or source.owner),
        )

    def carry_out(self, plan: OperationPlan, *, report: Report | None = None) -> Outcome:
        """Do it, and look whether it is done; see ``ports.Operation``.

        Raises:
            ChoiceNeeded: It is not decided which mailbox is meant.
        """
        request = replace(plan.request, at=plan.draft.point or plan.request.at)
        connected = self._connect(request.system)
        try:
            source = self._source(connected, request)
        except _Undecided as undecided:  # Prefect shows the name of what was raised
            raise ChoiceNeeded(str(undecided), advice=undecided.advice) from undecided
        work = self._work(source, connected, request)
        if not work.exists:
            total = sum(message.size_bytes for message in source.then)
            self._garbage.create(request.target, size_bytes=total)
        if not work.missing:
            return Outcome(counts=(("messages", 0),))
        if work.living:
            outcome = self._deliver(connected, work, request.target)
        else:
            outcome = self._put_in_place(connected, work, request.target, plan.id, report)
        if source.candidate:
            self._garbage.copy_settings(source.candidate, request.target)
        now = connected.mail.messages(request.target)
        return replace(
            outcome,
            failed=(*outcome.failed, *shortfall(source.then, now)),
            findings=(*outcome.findings, *quota_findings(connected, request.target, now)),
        )

    def undo(self, done: OperationReport) -> Outcome:
        """Take the mail out again; what came since stays. A mailbox that was created stays, too."""
        mailbox = done.plan.request.target
        connected = self._connect(done.plan.request.system)
        about = json.loads(done.outcome.undo) if done.outcome and done.outcome.undo else {}
        if added := about.get("added"):
            rows = [Added(folder, guid, frozenset(flags)) for folder, guid, flags in added]
            left = connected.mail.remove(mailbox, rows)
            counts = (("messages taken out", len(rows) - len(left)),)
            return Outcome(counts=counts, findings=tuple(left))
        brought_back = set(about.get("guids", ()))
        if not brought_back:
            raise NothingToUndo(f"What {done.id} has brought back is not known; see {mailbox}")
        wrong = self._swapping.put_back(mailbox, done.id)
        along = bring_along(
            connected, self._swapping, mailbox=mailbox, copy_id=done.id, known=brought_back
        )
        return Outcome(
            counts=(
                ("messages taken out", len(brought_back)),
                ("messages kept that came since", len(along)),
            ),
            failed=tuple(wrong),
            findings=tuple(told_along(along)),
        )

    def _source(self, connected: ConnectedSystem, request: OperationRequest) -> Source:
        chosen = request.chosen("source", _GARBAGE)
        if chosen == _POINT:
            return self._archived(connected, request)
        if chosen != _GARBAGE:
            raise ChoiceNeeded(
                f"Deleted mailboxes come from {_GARBAGE} or from a {_POINT}, not from {chosen!r}."
            )
        name, owner = self._chosen(connected, request)
        then = tuple(self._garbage.messages(name, request.target))
        return Source(then, candidate=name, owner=owner)

    def _archived(self, connected: ConnectedSystem, request: OperationRequest) -> Source:
        """Return what a point holds; the latest is the last one that has the mailbox at all."""
        now, zone = self._clock(), self._zone
        point = resolve(connected, self._state, request.at, now=now, zone=zone)
        points = [point]
        if request.at.strip().casefold() == "latest":
            known = [one for one in self._state.points(connected.name)]
            points = sorted(known, key=lambda one: one.taken_at, reverse=True)
            points = [one for one in points if one.taken_at <= point.taken_at]
        for one in points:
            with suppress(MailboxNotFound):
                then = connected.catalog.messages(request.target, one.taken_at)
                return Source(tuple(entry.message for entry in then), point=one)
        raise MailboxNotFound(f"no restore point of {connected.name} holds {request.target}")

    def _chosen(self, connected: ConnectedSystem, request: OperationRequest) -> tuple[str, str]:
        """Say which deleted mailbox is meant, by the operator's word or by its mail alone.

        Returns:
            Its name, and whose mail it seems to be where that is somebody else.

        Raises:
            _Undecided: Neither says.
        """
        found = [
            (one, self._whose(connected, one, request.target))
            for one in self._garbage.candidates(request.target)
        ]
        if not found:
            raise MailboxNotFound(
                f"mailcow's garbage holds nothing that could have been {request.target}",
                advice=(
                    "It is cleared after some days (MAILDIR_GC_TIME). Choose a restore point as "
                    "the source instead: --source restore-point."
                ),
            )
        wanted = request.chosen("candidate")
        if not wanted:
            certain = [one for one, owner in found if owner.address == request.target]
            doubtful = [one for one, owner in found if not owner.address]
            if len(certain) == 1 and not doubtful:
                return certain[0].name, ""
            raise _Undecided(_asked(request.target, found), found=found)
        for one, owner in found:
            if one.name != wanted:
                continue
            others = owner.address if owner.address != request.target else ""
            if others and not request.is_chosen("whatever_it_holds"):
                raise ChoiceNeeded(
                    f"{wanted} is the mailbox of {owner.address}, and not of {request.target}: "
                    f"{owner.reason}",
                    advice=f"Restore it into {owner.address}.",
                )
            return wanted, others
        raise ChoiceNeeded(
            f"{wanted!r} could not have been {request.target}. {_asked(request.target, found)}"
        )

    def _whose(self, connected: ConnectedSystem, one: DeletedMailbox, address: str) -> Whose:
        recorded = connected.catalog.recorded()
        known = [point.taken_at for point in self._state.points(connected.name)]
        return whose(
            one,
            [message.guid for message in self._garbage.messages(one.name, address)],
            address,
            garbage=self._garbage,
            catalog=connected.catalog,
            points=[moment for moment in known if recorded and moment <= recorded],
        )

    def _work(self, source: Source, connected: ConnectedSystem, request: OperationRequest) -> Work:
        exists = self._garbage.knows(request.target)
        if not exists and not request.is_chosen("create"):
            raise MailboxNotFound(
                f"there is no mailbox {request.target} to bring the mail back into",
                advice="Create it in mailcow under the same address, or choose to create it.",
            )
        if not exists and not self._garbage.can_create:
            raise MailboxNotFound(
                f"there is no mailbox {request.target}, and no key of mailcow's API to create it",
                advice="Create it in mailcow under the same address, or configure `api_key`.",
            )
        living = tuple(connected.mail.messages(request.target)) if exists else ()
        there = Counter(message.guid for message in living)
        missing = []
        for message in source.then:
            if there[message.guid]:
                there[message.guid] -= 1
            else:
                missing.append(message)
        return Work(source, exists, living, tuple(missing))

    def _list(
        self, request: OperationRequest, found: Sequence[tuple[DeletedMailbox, Whose]]
    ) -> Draft:
        namesakes = [
            one
            for one in self._garbage.living()
            if one != request.target and self._garbage.could_be(one, request.target)
        ]
        told = [Finding(one, "is a mailbox now, and has the same name") for one in namesakes]
        return Draft(
            point="",
            moment=None,
            changes=tuple(
                Change(Effect.KEEP, one.name, f"{_described(one, self._zone)}; {owner.reason}")
                for one, owner in found
            ),
            facts=json.dumps([one.name for one, _ in found]),
            findings=(Finding(request.target, _CHOOSE), *told),
        )

    def _deliver(self, connected: ConnectedSystem, work: Work, mailbox: str) -> Outcome:
        """Add what is missing to a mailbox that has mail; nothing that is there is touched."""
        findings = connected.mail.deliver(
            mailbox, self._deliveries(connected, work), over_quota=True
        )
        added = [[one.folder, one.guid, sorted(one.flags)] for one in work.missing]
        return Outcome(
            counts=(("messages", len(work.missing)),),
            findings=tuple(findings),
            undo=json.dumps({"added": added}),
        )

    def _deliveries(self, connected: ConnectedSystem, work: Work) -> Iterator[Delivery]:
        by_path = {message.path: message for message in work.missing}
        for path, content in self._contents(connected, work.source, list(by_path.values())):
            if objection := connected.mail.objection(content[:_HEAD_BYTES]):
                raise KeyDoesNotFit(f"{by_path[path].folder}: {objection}")
            yield Delivery(by_path[path], content)

    def _contents(
        self, connected: ConnectedSystem, source: Source, messages: Sequence[Message]
    ) -> Iterator[tuple[str, bytes]]:
        if source.point is not None:
            archives = connected.archives_of(source.point)
            yield from contents(archives, source.point, [message.path for message in messages])
            return
        for message in messages:
            yield message.path, self._garbage.content(source.candidate, message)

    def _put_in_place(
        self,
        connected: ConnectedSystem,
        work: Work,
        mailbox: str,
        copy_id: str,
        report: Report | None,
    ) -> Outcome:
        """Make a mailbox without mail what it was, down to UIDs and subscriptions."""
        source = work.source
        unwritten: list[Finding] = []
        if source.point is not None:
            unwritten = extract_state(
                connected,
                self._swapping,
                source.point,
                mailbox=mailbox,
                then=source.then,
                copy_id=copy_id,
                report=report,
            )
        else:
            copy = self._swapping.make_copy(mailbox, copy_id)
            self._garbage.copy_into(source.candidate, copy)
            names = self._garbage.names(source.candidate, source.then)
            self._swapping.complete(mailbox, copy_id, names)
        wrong = self._swapping.exchange(mailbox, copy_id)
        guids = sorted({message.guid for message in source.then})
        along = bring_along(
            connected, self._swapping, mailbox=mailbox, copy_id=copy_id, known=guids
        )
        return Outcome(
            counts=(("messages", len(work.missing)),),
            failed=tuple(wrong),
            findings=(*unwritten, *told_along(along)),
            undo=json.dumps({"guids": guids}),
        )


class _Undecided(ChoiceNeeded):
    """Nobody has said which deleted mailbox is meant, and their mail does not tell.

    Attributes:
        found: What could be meant.
    """

    def __init__(
        self,
        message: str,
        *,
        advice: str = "",
        found: Sequence[tuple[DeletedMailbox, Whose]] = (),
    ) -> None:
        super().__init__(message, advice=advice)
        self.found = found


_CHOOSE = "none of these is certain to be meant: plan again with the name of the one that is"


def _asked(address: str, found: Sequence[tuple[DeletedMailbox, Whose]]) -> str:
    names = ", ".join(f"{one.name} ({owner.reason})" for one, owner in found)
    return f"Which deleted mailbox is meant by {address} must be said: {names}."


def _described(one: DeletedMailbox, zone: tzinfo) -> str:
    at = one.deleted_at.astimezone(zone)
    return (
        f"deleted {at:%Y-%m-%d %H:%M:%S %Z}, {count(one.messages, 'message')} with "
        f"{size(one.size_bytes)}"
    )
