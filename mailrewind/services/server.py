"""Bring a whole server back onto an empty installation: the operation "server".

A run that died is gone on with by planning and running again with the same restore point.
"""

import logging
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from mailrewind.errors import (
    MailboxNotFound,
    NotEmpty,
    NothingToUndo,
    RestorePointNotFound,
)
from mailrewind.model.databases import Returning
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
from mailrewind.model.points import MAIL, RestorePoint
from mailrewind.model.reports import Finding
from mailrewind.ports import Archives, Database, Progress, Rebuilding, Report
from mailrewind.services.archived_places import (
    SERVER,
    SETTINGS,
    ArchivedPlaces,
    find_places,
    settings_in,
)
from mailrewind.services.connected import Connect, ConnectedSystem
from mailrewind.services.contents import contents, files_of
from mailrewind.services.databases.dumps import PART as SQL
from mailrewind.services.databases.dumps import Dumps, refuse_newer_schema
from mailrewind.services.making import without_left_places
from mailrewind.services.rebuilt import Progressed

logger = logging.getLogger(__name__)

_MAIL_VOLUME = "vmail-vol-1"
_AS_THEN = Returning(keeps_credentials=False, disables_returning=False)
_TOLD = 20


_Seen = tuple[str, str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class _Archived:
    """The mail of a restore point.

    Attributes:
        messages: All of them.
        superseded: Paths of files that stand for messages which lie under other names by now.
    """

    messages: tuple[Message, ...]
    superseded: tuple[str, ...]


class RestoreServer:
    """The operation "server".

    Args:
        connect: Gives systems.
        dumps: Where dumps of the database are.
        database: The system's.
        server: The installation that is to be filled.
        data_dir: Our data directory.
    """

    name = "server"
    holds_system = True

    def __init__(
        self,
        connect: Connect,
        dumps: Dumps,
        database: Database,
        server: Rebuilding,
        *,
        data_dir: Path,
    ) -> None:
        self._connect = connect
        self._dumps = dumps
        self._database = database
        self._server = server
        self._data_dir = data_dir

    def draft(self, request: OperationRequest) -> Draft:
        """Find out what would be done; see ``ports.Operation``.

        Raises:
            NotEmpty: The installation is not empty, or not one that this point fits.
            SchemaTooNew: The dump of the database is of a newer mailcow.
            RestorePointNotFound: There is none, or it lacks a part.
        """
        point = self._point(request)
        if not self._server.is_laid_out():
            return _first_draft(point, self._server.directory)
        progressed = self._progressed(request)
        self._refuse_unfit(point, progressed)
        changes = [
            Change(Effect.REPLACE, name, f"from {point.name}")
            for name in (SETTINGS, "database", *self._server.volumes())
        ]
        changes.append(Change(Effect.STOP, "all services but the database"))
        going_on = Finding(point.name, f"goes on after {', '.join(sorted(progressed.done))}")
        return Draft(
            point=point.name,
            moment=point.taken_at,
            changes=tuple(changes),
            facts=str(self._server.directory),
            findings=(going_on,) if progressed.done else (),
            is_destructive=True,
        )

    def carry_out(self, plan: OperationPlan, *, report: Report | None = None) -> Outcome:
        """Do it, and look whether it is done; see ``ports.Operation``."""
        began = monotonic()
        request = plan.request
        point = self._dumps.point(request.system, plan.draft.point)
        if not self._server.is_laid_out():
            return self._lay_out(point)
        progressed = self._progressed(request)
        progressed.begin(point.name)
        connected = self._connect(request.system)
        archived = self._archived(connected, point)
        with self._server.alone(holder=f"restore {plan.id}"):
            for step, work in self._steps(connected, point, archived, report):
                if step in progressed.done:
                    logger.info("%s: done already", step)
                    continue
                logger.info("%s", step)
                if report is not None:
                    report(Progress(0, None, "bytes", step))
                progressed.note(step, work())
        findings = [*progressed.findings, *self._database.settle()]
        counts, failed, unmatched = self._compare(connected, archived)
        if not failed:
            progressed.end()
        seconds = int(monotonic() - began)
        return Outcome(
            counts=(*counts, ("seconds", seconds)),
            failed=tuple(failed),
            findings=(*findings, *unmatched),
        )

    def undo(self, done: OperationReport) -> Outcome:
        """Refuse: there was nothing before.

        Raises:
            NothingToUndo: Always.
        """
        raise NothingToUndo(
            f"Restore {done.id} filled an empty installation; there is no state before it."
        )

    def _point(self, request: OperationRequest) -> RestorePoint:
        point = self._dumps.point(request.system, request.at)
        if lacking := {MAIL, SERVER, SQL} - {*point.parts}:
            raise RestorePointNotFound(
                f"{point.name} lacks the archive {', '.join(sorted(lacking))}",
                advice="Take another restore point: see `mailrewind points`.",
            )
        return point

    def _progressed(self, request: OperationRequest) -> Progressed:
        return Progressed(self._data_dir / "rebuilding" / f"{request.system}.json")

    def _refuse_unfit(self, point: RestorePoint, progressed: Progressed) -> None:
        if progressed.point not in ("", point.name):
            raise NotEmpty(
                f"{progressed.point} has been restored in part, and {point.name} cannot be put on "
                "top of it",
                advice=f"Go on with --at {progressed.point}, or begin with a new installation.",
            )
        if not progressed.point and (found := self._server.obstacles()):
            raise NotEmpty(f"{self._server.directory} is not empty: it has {' and '.join(found)}")
        archives = self._connect(point.system).archives_of(point)
        archive = f"{point.name}-{SERVER}"
        directory = settings_in((file.path for file in archives.files(archive)), archive)
        settings = dict(archives.read(archive, [f"{directory}/{SETTINGS}"]))
        if objection := self._server.objection(settings[f"{directory}/{SETTINGS}"]):
            raise NotEmpty(objection, advice="Then plan again.")
        with self._dumps.open(point) as pieces:
            refuse_newer_schema(point.system, self._database.examine(pieces, _AS_THEN))

    def _archived(self, connected: ConnectedSystem, point: RestorePoint) -> _Archived:
        """Read what mail the point holds; the catalogue would want all older points first."""
        archives, mail = connected.archives_of(point), connected.mail
        listing = files_of(archives, point)
        found = [*mail.interpret(listing.values(), lambda paths: contents(archives, point, paths))]
        gone = frozenset(self._dumps.state.backup_report(point.name).gone)
        messages = tuple(without_left_places(found, gone, key_of=mail.key_of))
        right = {message.path for message in messages}
        superseded = tuple(
            path
            for path, file in listing.items()
            if file.kind == "-" and path not in right and mail.key_of(path) is not None
        )
        return _Archived(messages, superseded)

    def _lay_out(self, point: RestorePoint) -> Outcome:
        """Write the settings for a mailcow that has never been started."""
        archives = self._connect(point.system).archives_of(point)
        archive = f"{point.name}-{SERVER}"
        root = settings_in((file.path for file in archives.files(archive)), archive)
        findings = [*self._put_settings(archives, point, root)]
        again = "start mailcow, then restore the server once more: volumes and database follow"
        return Outcome(
            counts=(("settings", 1),),
            findings=(*findings, Finding(str(self._server.directory), again)),
        )

    def _steps(
        self,
        connected: ConnectedSystem,
        point: RestorePoint,
        archived: _Archived,
        report: Report | None,
    ) -> Iterator[tuple[str, Callable[[], Iterable[Finding]]]]:
        """Yield what is to be done in this order, each by a name that stays the same."""
        archives, volumes = connected.archives_of(point), self._server.volumes()
        places = find_places(archives, point, volumes)
        for volume, target in volumes.items():

            def fill(volume: str = volume, target: Path = target) -> Iterable[Finding]:
                return self._fill(archives, places, volume, target, report)

            yield f"volume {volume}", fill
        yield "superseded names", lambda: self._clear_superseded(places, archived)
        yield "settings", lambda: self._put_settings(archives, point, places.settings)
        yield "database", lambda: self._load(point)

    def _fill(
        self,
        archives: Archives,
        places: ArchivedPlaces,
        volume: str,
        target: Path,
        report: Report | None,
    ) -> Iterable[Finding]:
        """Write a volume as it was; where two archives have a file, the later one is right."""
        if self._server.is_cleared_first(volume):
            _clear(target)
        found = [*places.of(volume)]
        findings: list[Finding] = []
        for archive, root in found:
            depth = root.count("/") + 1
            findings += archives.extract(archive, target, paths=[root], strip=depth, report=report)
        self._server.give_owners(volume, target)
        self._server.label(target)
        if not found:
            findings.append(Finding(volume, "is not in the restore point"))
        return findings

    def _clear_superseded(self, places: ArchivedPlaces, archived: _Archived) -> Iterable[Finding]:
        """Remove names under which an earlier archive has what a later one has under others."""
        target = self._server.volumes()[_MAIL_VOLUME]
        roots = {root for _, root in places.of(_MAIL_VOLUME)}
        for path in archived.superseded:
            for root in roots:
                if path.startswith(f"{root}/"):
                    (target / path.removeprefix(f"{root}/")).unlink(missing_ok=True)
        return ()

    def _put_settings(
        self, archives: Archives, point: RestorePoint, root: str
    ) -> Iterable[Finding]:
        archive = f"{point.name}-{SERVER}"
        place = f"{root}/{SETTINGS}"
        findings = [*self._server.put_settings(dict(archives.read(archive, [place]))[place])]
        directory = self._server.directory
        kept = [name for name in self._server.kept_files() if (directory / name).exists()]
        names = {
            file.path.removeprefix(f"{root}/").partition("/")[0]
            for file in archives.files(archive)
            if file.path.startswith(f"{root}/")
        }
        paths = [f"{root}/{name}" for name in sorted(names) if name not in kept]
        if paths:
            depth = root.count("/") + 1
            findings += archives.extract(archive, directory, paths=paths, strip=depth)
        self._server.label(directory)
        return findings

    def _load(self, point: RestorePoint) -> Iterable[Finding]:
        name = "rebuilding"
        with self._dumps.open(point) as pieces:
            self._database.load(name, pieces)
        self._database.exchange(name, _AS_THEN)
        return ()

    def _compare(
        self, connected: ConnectedSystem, archived: _Archived
    ) -> tuple[tuple[tuple[str, int], ...], list[Finding], list[Finding]]:
        """Compare every mailbox with what was archived, and mailboxes with Maildirs."""
        then: dict[str, Counter[_Seen]] = defaultdict(Counter)
        for message in archived.messages:
            then[message.mailbox][message.folder, message.guid, message.flags] += 1
        messages, failed = 0, []
        for mailbox, wanted in sorted(then.items()):
            now: Counter[_Seen] = Counter()
            with suppress(MailboxNotFound):
                now.update(
                    (one.folder, one.guid, one.flags) for one in connected.mail.messages(mailbox)
                )
            messages += (wanted & now).total()
            if lacking := (wanted - now).total():
                failed.append(Finding(mailbox, f"{lacking} messages are not there as they were"))
        known, there = {*self._database.mailboxes()}, {*connected.mail.mailboxes()}
        unmatched = [
            *(Finding(one, "is in the database and has no mail") for one in sorted(known - there)),
            *(Finding(one, "has mail and is not in the database") for one in sorted(there - known)),
        ]
        counts = (("mailboxes", len(known)), ("messages", messages))
        return counts, failed[:_TOLD], unmatched[:_TOLD]


def _first_draft(point: RestorePoint, directory: Path) -> Draft:
    text = "mailcow has not been started here: its settings come first, the rest in a second run"
    return Draft(
        point=point.name,
        moment=point.taken_at,
        changes=(Change(Effect.ADD, str(directory), "settings, certificates, overrides"),),
        facts=str(directory),
        findings=(Finding(str(directory), text),),
        is_destructive=True,
    )


def _clear(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
