"""Calendars, address books and preferences of a mailcow's users, through SOGo's own tool."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mailrewind.errors import ContainerMissing, ExportDamaged, ExportIncomplete
from mailrewind.formats.sogo import read_export
from mailrewind.model.reports import Finding
from mailrewind.ports import Exported, HeldExports
from mailrewind.systems.mailcow.export_directory import ExportDirectory
from mailrewind.systems.mailcow.installation import MEMCACHED, Installation
from mailrewind.systems.mailcow.sogo_tables import NOTHING, UserData, is_known, read_user_data
from mailrewind.systems.mailcow.sogo_tool import How, SogoTool
from mailrewind.transports.mariadb import connect

logger = logging.getLogger(__name__)

_BATCH = 20
_TRIES = 5


class SogoCalendars:
    """``ports.Calendars`` for a mailcow.

    Args:
        installation: The mailcow.
        directory: Where the newest export of each user is kept.
        clock: Gives the present moment.
    """

    def __init__(
        self, installation: Installation, directory: Path, *, clock: Callable[[], datetime]
    ) -> None:
        self._installation = installation
        self._kept = ExportDirectory(directory)
        self._clock = clock
        self._tool = SogoTool(lambda: installation.project)

    def users(self) -> Mapping[str, str]:
        """Map each user who has data to a fingerprint of those; see ``ports.Calendars``."""
        return {user: data.fingerprint for user, data in self._data(None).items()}

    def export(self, users: Iterable[str]) -> Iterator[Exported]:
        """Export users as they are now; see ``ports.Calendars``."""
        wanted = []
        for user in sorted(set(users)):
            if _can_be_named(user):
                wanted.append(user)
            else:
                yield Exported(user, b"", "", "sogo-tool cannot be told such a name")
        for start in range(0, len(wanted), _BATCH):
            yield from self._export(wanted[start : start + _BATCH])

    @contextmanager
    def held(
        self, *, renew: Collection[str] = (), all_users: bool = False
    ) -> Iterator[HeldExports]:
        """Bring the kept exports up to date and keep them still; see ``ports.Calendars``."""
        with self._kept.locked():
            living = self.users()
            now = self._clock().astimezone(self._zone)
            is_night = self._kept.whole_at.astimezone(self._zone).date() < now.date()
            due = self._kept.outdated(living) | (set(renew) & living.keys())
            if all_users or is_night:
                due = set(living)
            if self._installation.settings.get("SKIP_SOGO", "n").lower() in {"y", "yes"}:
                due = set()  # mailcow starts no SOGo then; what it left in the tables stays
            self._kept.keep_only(living)
            try:
                renewed, findings = self._renew(due, living)
                if all_users or is_night:
                    self._kept.whole_at = now
            finally:
                self._kept.write_index()
            findings += [
                Finding(user, "has no calendars, contacts or preferences in SOGo")
                for user in sorted(set(renew) - living.keys())
            ]
            yield HeldExports(
                paths=self._kept.paths(),
                users=self._kept.users(),
                renewed=tuple(renewed),
                findings=tuple(findings),
            )

    def merge(self, user: str, export: bytes) -> None:
        """Add what is missing; see ``ports.Calendars``."""
        self._tool.restore(How.MERGE, user, export)

    def reset(self, user: str, export: bytes) -> None:
        """Make folders what they were; see ``ports.Calendars``.

        Each folder is dropped and made anew under another number, and memcached remembers the old
        one: until it is restarted, everything in the folder is answered with 404.
        """
        self._with_new_cache(How.RESET, user, export)

    def set_preferences(self, user: str, export: bytes) -> None:
        """Replace the preferences; see ``ports.Calendars``."""
        self._with_new_cache(How.PREFERENCES, user, export)

    def _with_new_cache(self, how: How, user: str, export: bytes) -> None:
        try:
            self._tool.restore(how, user, export)
        finally:  # a reset that broke off has made some folders anew
            with suppress(ContainerMissing):
                self._installation.project.restart(MEMCACHED, grace_seconds=5)

    def _export(self, users: Sequence[str]) -> Iterator[Exported]:
        """Export again whom the export does not show as they were before and after it."""
        pending, objections = list(users), dict[str, str]()
        for _ in range(_TRIES):
            before = self._data(pending)
            made = self._tool.backup(pending)
            after = self._data(pending)
            objections.clear()
            for user in pending:
                data = after.get(user, NOTHING)
                if user not in made:
                    yield Exported(user, b"", "", self._why_unknown(user))
                elif before.get(user, NOTHING) != data:
                    objections[user] = ""
                elif problem := _objection(made[user], user, data):
                    objections[user] = problem
                else:
                    yield Exported(user, made[user], data.fingerprint)
            pending = list(objections)
            if not pending:
                return
        for user, problem in objections.items():
            if not problem:
                raise ExportIncomplete(f"the calendars of {user} changed during each export")
            yield Exported(user, b"", "", problem)

    def _renew(
        self, due: Collection[str], living: Mapping[str, str]
    ) -> tuple[list[str], list[Finding]]:
        renewed, findings = [], []
        for exported in self.export(due):
            if exported.problem:
                findings.append(self._not_renewed(exported, living))
                continue
            self._kept.save(exported, self._clock())
            renewed.append(exported.user)
        return renewed, findings

    def _not_renewed(self, exported: Exported, living: Mapping[str, str]) -> Finding:
        at = self._kept.exported_at(exported.user)
        if at is None:
            rest = "there is no older export of this user"
        elif self._kept.is_current(exported.user, living[exported.user]):
            rest = "the export of before is kept, and nothing has changed since"
        else:
            rest = f"the export of {at.astimezone(self._zone):%Y-%m-%d %H:%M %Z} is kept"
        return Finding(exported.user, f"{exported.problem}; {rest}")

    def _why_unknown(self, user: str) -> str:
        with connect(self._installation.database()) as connection:
            if is_known(connection, user):
                return (
                    "mailcow knows this user and SOGo does not: its domain is newer than SOGo's "
                    "last start, or SOGo remembers an outage of the database; restart "
                    "memcached-mailcow and sogo-mailcow"
                )
        return "SOGo does not know this user: the mailbox does not exist, or is not active"

    def _data(self, users: Collection[str] | None) -> dict[str, UserData]:
        with connect(self._installation.database()) as connection:
            return read_user_data(connection, users)

    @property
    def _zone(self) -> ZoneInfo:
        try:
            return ZoneInfo(self._installation.settings.get("TZ") or "UTC")
        except (ZoneInfoNotFoundError, ValueError):
            return ZoneInfo("UTC")


def _can_be_named(user: str) -> bool:
    """Whether a user's name is a plain word of a command line and a plain file name."""
    return not user.startswith((".", "-")) and not set(user) & set("/\0") and bool(user)


def _objection(content: bytes, user: str, data: UserData) -> str:
    """Say in what an export is not what its user has, or "".

    Without a database sogo-tool writes exports of nothing, and ends with 0.
    """
    try:
        export = read_export(content)
    except ExportDamaged as error:
        return str(error).rstrip(".")
    if export.uid not in ("", user):
        return f"SOGo exported the folders of {export.uid} instead"
    if export.ldif_record in (None, '""') or export.preferences is None:
        return "SOGo exported nothing of this user"
    found = {folder.path: len(folder.records) for folder in export.folders}
    for path in sorted(found.keys() | data.records.keys()):
        if found.get(path, -1) != data.records.get(path, -1):
            return (
                f"the export holds {found.get(path, 0)} of the {data.records.get(path, 0)} "
                f"records of {path}"
            )
    return ""
