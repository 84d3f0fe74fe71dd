"""Bring calendars, contacts and preferences back: the operation "calendars".

Choices:
    mode: "merge" (default) adds what is missing, and nothing else; "reset" makes folders what they
        were, and loses what came since.
    folders: paths such as "Calendar/personal", or display names; none for all.
    records: names of events and contacts, or words of their titles; none for all. A reset makes
        just these what they were.
    into_user: another user's address.
    preferences: "yes" to bring the preferences back as well.
    titles: "yes" to name events in the plan by their titles; they may be nobody else's business.
"""

import json
from dataclasses import replace
from pathlib import Path

from mailrewind.errors import ChoiceNeeded, MailboxNotFound, NothingToUndo
from mailrewind.formats.sogo import (
    SogoExport,
    read_export,
    with_living_shares,
    with_user,
    write_export,
)
from mailrewind.model.operations import (
    Draft,
    Effect,
    OperationPlan,
    OperationReport,
    OperationRequest,
    Outcome,
)
from mailrewind.model.reports import Finding
from mailrewind.ports import Calendars, Report
from mailrewind.services.calendars.archives import CalendarArchives
from mailrewind.services.calendars.changes import (
    NO_SHARES,
    Wish,
    after_merge,
    chosen,
    moved_since,
    shortfall,
    taken_back,
    to_merge,
    to_reset,
)
from mailrewind.services.calendars.exports import calendars_of
from mailrewind.services.calendars.likeness import has_same_preferences
from mailrewind.services.calendars.telling import changes, counts, left_alone, remarks
from mailrewind.services.calendars.work import CalendarWork, facts
from mailrewind.services.connected import Connect
from mailrewind.services.safety import SafetyCopy

_BEFORE = "before"
_MEANT = "meant"
_ABOUT = "about.json"
_UNDOING = "undoing"


class RestoreCalendars:
    """The operation "calendars"; see the module for its choices.

    Args:
        connect: Gives systems.
        archives: Finds and reads exports.
        data_dir: Where safety copies lie.
    """

    name = "calendars"
    holds_system = False

    def __init__(self, connect: Connect, archives: CalendarArchives, *, data_dir: Path) -> None:
        self._connect = connect
        self._archives = archives
        self._data_dir = data_dir

    def draft(self, request: OperationRequest) -> Draft:
        """Find out what would be done; see ``ports.Operation``.

        Raises:
            MomentUnclear, MomentInFuture, MomentTooEarly, RestorePointNotFound: As ``at`` says.
            MailboxNotFound: The point has nothing of this user, or SOGo does not know the other.
            FolderNotFound, CalendarItemNotFound: There was none of this name.
            ChoiceNeeded: The choices do not go together.
            ExportDamaged: What the point holds cannot be read.
        """
        work = self._work(request)
        told = tuple(changes(work, with_titles=request.is_chosen("titles")))
        lost = (Effect.LOSE, Effect.REVERT)
        return Draft(
            point=work.source.name,
            moment=work.source.taken_at,
            changes=told,
            facts=facts(work),
            findings=tuple(remarks(work)),
            is_destructive=any(change.effect in lost for change in told),
        )

    def carry_out(self, plan: OperationPlan, *, report: Report | None = None) -> Outcome:
        """Do it, and look whether it is done; see ``ports.Operation``."""
        work = self._work(replace(plan.request, at=plan.draft.point))
        if not work.written.folders and work.preferences is None:
            return Outcome(counts=())
        calendars = self._calendars(plan.request)
        self._keep(plan.id, work)
        self._write(calendars, work)
        now = _living(calendars, work.user)
        failed = shortfall(work.meant, now, exactly=work.is_reset)
        if work.preferences is not None and not has_same_preferences(work.preferences, now):
            failed.append(Finding(work.user, "the preferences are not as they were meant to be"))
        return Outcome(
            counts=counts(work, now),
            failed=tuple(failed),
            undo=json.dumps({"user": work.user}),
        )

    def undo(self, done: OperationReport) -> Outcome:
        """Take back what is still as the restore left it; see ``ports.Operation``."""
        kept = SafetyCopy(self._data_dir, done.id)
        about = json.loads(kept.read(_ABOUT))
        user = str(about["user"])
        before, meant = read_export(kept.read(_BEFORE)), read_export(kept.read(_MEANT))
        calendars = self._calendars(done.plan.request)
        living = _living(calendars, user)
        was_finished = done.outcome is not None
        if kept.holds(_UNDOING):
            # An undo was broken off: what it had dropped is not what the user deleted.
            wanted = read_export(kept.read(_UNDOING))
            undone = taken_back(wanted, wanted, living, was_finished=False)
        else:
            undone = taken_back(before, meant, living, was_finished=was_finished)
        written = replace(undone, uid=user)
        has_preferences = about["preferences"] and has_same_preferences(meant, living)
        if not written.folders and not has_preferences and not kept.holds(_UNDOING):
            raise NothingToUndo(
                f"Nothing of restore {done.id} is still as it was left in the calendars of {user}."
            )
        kept.write(_UNDOING, write_export(_for_tool(written)))
        preferences = before if has_preferences else None
        failed = self._write_back(calendars, user, folders=written, preferences=preferences)
        done_to = [("folders as before", len(written.folders)), ("preferences", has_preferences)]
        return Outcome(
            counts=tuple((what, int(number)) for what, number in done_to if number),
            failed=tuple(failed),
            findings=tuple(left_alone(before, meant, living)) if was_finished else (),
        )

    def _write_back(
        self,
        calendars: Calendars,
        user: str,
        *,
        folders: SogoExport,
        preferences: SogoExport | None,
    ) -> list[Finding]:
        """Make folders and preferences what they were; return what is not so afterwards."""
        if folders.folders:
            calendars.reset(user, write_export(_for_tool(folders)))
        if preferences is not None:
            calendars.set_preferences(user, write_export(replace(preferences, folders=())))
        now = _living(calendars, user)
        failed = shortfall(folders, now, exactly=True)
        if preferences is not None and not has_same_preferences(preferences, now):
            failed.append(Finding(user, "the preferences are not as they were before"))
        return failed

    def _work(self, request: OperationRequest) -> CalendarWork:
        mode = request.chosen("mode", "merge")
        into = request.chosen("into_user") or request.target
        if mode not in ("merge", "reset"):
            raise ChoiceNeeded(
                f"Calendars are restored by merge or by reset, not by {mode!r}.",
                advice="Merge adds what is missing; reset makes folders exactly what they were.",
            )
        if request.is_chosen("preferences") and into != request.target:
            raise ChoiceNeeded(
                f"The preferences of {request.target} are not for {into}: they hold addresses, "
                "signatures and where mail is forwarded to.",
                advice="Leave the preferences out.",
            )
        source = self._archives.find(request.system, request.at)
        whole = self._archives.read(source, request.target)
        wish = Wish(request.choices.get("folders", ()), request.choices.get("records", ()))
        then = chosen(whole, wish, system=request.system)
        living = _living(self._calendars(request), into)
        if into != request.target:
            then = _for_another(then, living, into)
        is_reset = mode == "reset"
        # Who names a single thing wants it back in its place.
        is_sought = not wish.items and into == request.target
        moved = moved_since(whole, living) if is_sought and not is_reset else frozenset()
        if is_reset:
            written = to_reset(then, living, whole_folders=not wish.items)
        else:
            written = to_merge(then, living, moved=moved)
        wants_preferences = request.is_chosen("preferences")
        has_them = not wants_preferences or has_same_preferences(whole, living)
        return CalendarWork(
            source=source,
            user=into,
            then=then,
            living=living,
            written=written,
            meant=written if is_reset else after_merge(written, living),
            moved=moved,
            is_reset=is_reset,
            preferences=None if has_them else replace(whole, folders=()),
        )

    def _keep(self, plan_id: str, work: CalendarWork) -> None:
        """Keep what undoing needs, before anything is written."""
        kept = SafetyCopy(self._data_dir, plan_id)
        preferences = work.preferences
        meant = replace(work.meant, preferences=preferences.preferences if preferences else None)
        about = {"user": work.user, "preferences": preferences is not None}
        kept.write(_BEFORE, write_export(_for_tool(work.living)))
        kept.write(_MEANT, write_export(_for_tool(meant)))
        kept.write(_ABOUT, json.dumps(about).encode())

    def _write(self, calendars: Calendars, work: CalendarWork) -> None:
        if work.preferences is not None:
            calendars.set_preferences(work.user, write_export(_for_tool(work.preferences)))
        if not work.written.folders:
            return
        export = write_export(_for_tool(work.written))
        if work.is_reset:
            calendars.reset(work.user, export)
        else:
            calendars.merge(work.user, export)

    def _calendars(self, request: OperationRequest) -> Calendars:
        return calendars_of(self._connect(request.system))


def _living(calendars: Calendars, user: str) -> SogoExport:
    """Return what a user has now."""
    (exported,) = calendars.export([user])
    if exported.problem:
        raise MailboxNotFound(
            f"{user}: {exported.problem}.",
            advice="The mailbox must exist and be active before calendars are restored into it.",
        )
    return read_export(exported.content)


def _for_tool(export: SogoExport) -> SogoExport:
    """Return an export without the row that holds the password's hash, which SOGo does not need."""
    return replace(with_user(export, export.uid), others=())


def _for_another(then: SogoExport, living: SogoExport, user: str) -> SogoExport:
    """Return folders for another user: shared as that user shares them, or not at all."""
    theirs = replace(then, folders=tuple(replace(folder, acl=NO_SHARES) for folder in then.folders))
    return with_living_shares(with_user(theirs, user), living)
