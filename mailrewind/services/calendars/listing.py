"""Look at calendars and address books as they were, to choose what to bring back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mailrewind.errors import FolderNotFound
from mailrewind.formats.icalendar import summary
from mailrewind.formats.sogo import SogoFolder
from mailrewind.services.calendars.archives import CalendarArchives, ExportSource
from mailrewind.services.calendars.likeness import kinds, shared_with


@dataclass(frozen=True, slots=True)
class CalendarFolder:
    """A calendar or an address book.

    Attributes:
        path: Such as "Calendar/personal".
        display_name: What its owner calls it.
        counts: How many "events", "tasks", "contacts", … it holds; kinds it lacks are missing.
        shared_with: Whom it is shared with, sorted.
    """

    path: str
    display_name: str
    counts: Mapping[str, int]
    shared_with: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CalendarItem:
    """An event, a task, a contact, or what else a folder holds.

    Attributes:
        name: Unique in its folder, and kept when it is edited.
        kind: "event", "task", "note", "contact" or "list"; "" for anything else.
        title: Its summary or its name; may be "".
        start: When it begins, as it was written, with its zone; "" without a beginning.
    """

    name: str
    kind: str
    title: str
    start: str


@dataclass(frozen=True, slots=True)
class Seen:
    """Where a list comes from.

    Attributes:
        name: Of the restore point, or of the kept export.
        taken_at: Its moment, UTC.
    """

    name: str
    taken_at: datetime


class BrowseCalendars:
    """Answer what was in whose calendars; a moment is as in ``CalendarArchives.find``."""

    def __init__(self, archives: CalendarArchives) -> None:
        self._archives = archives

    def folders(
        self, system: str, user: str, at: str = "latest"
    ) -> tuple[Seen, Sequence[CalendarFolder]]:
        """Return a user's calendars and address books, calendars first.

        Raises:
            UnknownSystem, MomentUnclear, MomentInFuture, MomentTooEarly, RestorePointNotFound
            MailboxNotFound: The point holds nothing of this user.
            ExportDamaged: What it holds cannot be read.
        """
        source = self._archives.find(system, at)
        folders = self._archives.read(source, user).folders
        return _seen(source), [
            CalendarFolder(
                path=folder.path,
                display_name=folder.display_name,
                counts=dict(sorted(kinds(folder.records).items())),
                shared_with=shared_with(folder),
            )
            for folder in sorted(folders, key=lambda folder: folder.path)
        ]

    def items(
        self, system: str, user: str, folder: str, at: str = "latest"
    ) -> tuple[Seen, Sequence[CalendarItem]]:
        """Return what lies in a folder, by start and title.

        Args:
            system: Name of the system.
            user: Address.
            folder: Its path, or what its owner calls it.
            at: The moment.

        Raises:
            FolderNotFound: The user had no such folder.
            MailrewindError: As ``folders``.
        """
        source = self._archives.find(system, at)
        export = self._archives.read(source, user)
        found = [each for each in export.folders if _is_called(each, folder)]
        if not found:
            raise FolderNotFound(
                f"{user} had no calendar or address book {folder!r}.",
                advice=f"See `mailrewind calendars {system} {user}` for the folders.",
            )
        items = [
            CalendarItem(record.name, seen.kind, seen.title, seen.start)
            for record in found[0].records
            for seen in [summary(record.content)]
        ]
        return _seen(source), sorted(items, key=lambda item: (item.start, item.title, item.name))


def _is_called(folder: SogoFolder, name: str) -> bool:
    return name == folder.path or name.casefold() == folder.display_name.casefold()


def _seen(source: ExportSource) -> Seen:
    return Seen(source.name, source.taken_at)
