"""Bring a whole server back onto an empty installation: the operation "server".

A run that died is gone on with by planning and running again with the same restore point.
"""

import logging
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from mailrewind.errors import (
    ArchivePathMissing,
    MailboxNotFound,
    NotEmpty,
    NothingToUndo,
    RestorePointNotFound,
)
from mailrewind.model.databases import Returning
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
from mailrewind.services.connected import Connect, ConnectedSystem
from mailrewind.services.dumps import PART as SQL
from mailrewind.services.dumps import Dumps, refuse_newer_schema
from mailrewind.services.rebuilt import Progressed

logger = logging.getLogger(__name__)

_SERVER = "server"
_SETTINGS = "mailcow.conf"
_MAIL_VOLUME = "vmail-vol-1"
_AS_THEN = Returning(keeps_credentials=False, disables_returning=False)
_TOLD = 20


@dataclass(frozen=True, slots=True)
class _Root:
    """Where an archive has a directory, and where it goes.

    Attributes:
        archived: Its path in the archive.
        target: The directory here.
    """

    archived: str
    target: Path


class RestoreServer:
    """The operation "server".

    Args:
        connect: Gives systems.
        dumps: Where dumps of the database are.
        database: The system's.
        server: The installation that is to be filled.
        index: Brings the catalogue up to a restore point by its name.
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
        index: Callable[[str], None],
        data_dir: Path,
    ) -> None:
        self._connect = connect
        self._dumps = dumps
        self._database = database
        self._server = server
        self._index = index
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
            for name in (_SETTINGS, "database", *self._server.volumes())
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
        self._refuse_unfit(point, progressed)
        progressed.begin(point.name)
        connected = self._connect(request.system)
        self._bring_catalog_up(connected, point)
        findings: list[Finding] = []
        with self._server.alone(holder=f"restore {plan.id}"):
            for step, work in self._steps(connected, point, report):
                if step in progressed.done:
                    logger.info("%s: done already", step)
                    continue
                logger.info("%s", step)
                if report is not None:
                    report(Progress(0, None, "bytes", step))
                findings += work()
                progressed.note(step)
        findings += self._database.settle()
        counts, failed, unmatched = self._compare(connected, point)
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
        if lacking := {MAIL, _SERVER, SQL} - {*point.parts}:
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
        directory = _settings_root(archives, point)
        settings = dict(archives.read(f"{point.name}-{_SERVER}", [f"{directory}/{_SETTINGS}"]))
        if objection := self._server.objection(settings[f"{directory}/{_SETTINGS}"]):
            raise NotEmpty(objection, advice="Then plan again.")
        with self._dumps.open(point) as pieces:
            refuse_newer_schema(point.system, self._database.examine(pieces, _AS_THEN))

    def _bring_catalog_up(self, connected: ConnectedSystem, point: RestorePoint) -> None:
        recorded = connected.catalog.recorded()
        if recorded is None or recorded < point.taken_at:
            self._index(point.name)

    def _lay_out(self, point: RestorePoint) -> Outcome:
        """Write the settings for a mailcow that has never been started."""
        archives = self._connect(point.system).archives_of(point)
        findings = [*self._put_settings(archives, point)]
        again = "start mailcow, then restore the server once more: volumes and database follow"
        return Outcome(
            counts=(("settings", 1),),
            findings=(*findings, Finding(str(self._server.directory), again)),
        )

    def _steps(
        self, connected: ConnectedSystem, point: RestorePoint, report: Report | None
    ) -> Iterator[tuple[str, Callable[[], Iterable[Finding]]]]:
        """Yield what is to be done in this order, each by a name that stays the same."""
        archives = connected.archives_of(point)
        for volume, target in self._server.volumes().items():

            def fill(volume: str = volume, target: Path = target) -> Iterable[Finding]:
                return self._fill(archives, point, volume, target, report)

            yield f"volume {volume}", fill
        yield "superseded names", lambda: self._clear_superseded(connected, point)
        yield "settings", lambda: self._put_settings(archives, point)
        yield "database", lambda: self._load(point)

    def _fill(
        self,
        archives: Archives,
        point: RestorePoint,
        volume: str,
        target: Path,
        report: Report | None,
    ) -> Iterable[Finding]:
        """Write a volume as it was; where two archives have a file, the later one is right."""
        if self._server.is_cleared_first(volume):
            _clear(target)
        found = False
        findings: list[Finding] = []
        for archive in (f"{point.name}-{_SERVER}", *point.mail_archives):
            if root := _root_of(volume, target, archives, archive):
                found = True
                depth = root.count("/") + 1
                findings += archives.extract(
                    archive, target, paths=[root], strip=depth, report=report
                )
        self._server.label(target)
        if not found:
            findings.append(Finding(volume, "is not in the restore point"))
        return findings

    def _clear_superseded(
        self, connected: ConnectedSystem, point: RestorePoint
    ) -> Iterable[Finding]:
        """Remove names under which an earlier archive has what a later one has under others."""
        catalog, mail = connected.catalog, connected.mail
        right = {
            entry.message.path
            for mailbox, _, _ in catalog.mailboxes(point.taken_at)
            for entry in catalog.messages(mailbox, point.taken_at)
        }
        target = self._server.volumes()[_MAIL_VOLUME]
        archives = connected.archives_of(point)
        for archive in point.mail_archives:
            root = _root_of(_MAIL_VOLUME, target, archives, archive)
            for file in archives.files(archive) if root else ():
                is_message = file.kind == "-" and mail.key_of(file.path) is not None
                if is_message and file.path not in right:
                    (target / file.path.removeprefix(f"{root}/")).unlink(missing_ok=True)
        return ()

    def _put_settings(self, archives: Archives, point: RestorePoint) -> Iterable[Finding]:
        archive = f"{point.name}-{_SERVER}"
        root = _settings_root(archives, point)
        place = f"{root}/{_SETTINGS}"
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
        self, connected: ConnectedSystem, point: RestorePoint
    ) -> tuple[tuple[tuple[str, int], ...], list[Finding], list[Finding]]:
        """Compare every mailbox with the catalogue, and mailboxes with Maildirs."""
        archived = [name for name, _, _ in connected.catalog.mailboxes(point.taken_at)]
        messages, failed = 0, []
        for mailbox in archived:
            then = Counter(
                (entry.message.folder, entry.message.guid, entry.message.flags)
                for entry in connected.catalog.messages(mailbox, point.taken_at)
            )
            now: Counter[tuple[str, str, frozenset[str]]] = Counter()
            with suppress(MailboxNotFound):
                now.update(
                    (one.folder, one.guid, one.flags) for one in connected.mail.messages(mailbox)
                )
            messages += (then & now).total()
            if lacking := (then - now).total():
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


def _settings_root(archives: Archives, point: RestorePoint) -> str:
    """Return where the archive has mailcow's directory.

    Raises:
        ArchivePathMissing: It does not hold it.
    """
    archive = f"{point.name}-{_SERVER}"
    found = [
        file.path.removesuffix(f"/{_SETTINGS}")
        for file in archives.files(archive)
        if file.path.endswith(f"/{_SETTINGS}")
    ]
    if not found:
        raise ArchivePathMissing(f"{archive} holds no {_SETTINGS}")
    return min(found, key=len)


def _root_of(volume: str, target: Path, archives: Archives, archive: str) -> str:
    """Return where an archive has a volume, "" where it has not.

    Docker's directory and the project may have had other names then; where the volume was mounted
    from elsewhere, it has to be the same place as now.
    """
    named = re.compile(rf"((?:[^/]+/)*(?:[^/]*_)?{re.escape(volume)}/_data)(?:/.*)?", re.DOTALL)
    same = str(target).lstrip("/")
    for file in archives.files(archive):
        if match := named.fullmatch(file.path):
            return match[1]
        if file.path == same or file.path.startswith(f"{same}/"):
            return same
    return ""


def _clear(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
