"""Make messages of a folder's files, be they alive or in an archive's listing."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from mailrewind.formats.dovecot import KEYWORDS, UIDLIST, UidList, read_keywords, read_uidlist
from mailrewind.formats.folders import folder_of
from mailrewind.formats.maildir import base_of, flags_of, plain_size_of
from mailrewind.model.mail import Message
from mailrewind.ports import ArchivedFile, Fetch
from mailrewind.systems.template import Place

Locate = Callable[[str], Place | None]

COMPANIONS = frozenset({UIDLIST, KEYWORDS})
MESSAGE_PARTS = ("new", "cur")  # a message goes from the first to the second, never back


@dataclass(frozen=True, slots=True)
class MessageFile:
    """A file that holds a message.

    Attributes:
        part: "new" or "cur".
        name: The file's name.
        size_bytes: Its size.
        modified: Its mtime, aware, UTC.
    """

    part: str
    name: str
    size_bytes: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """What a folder's directory holds.

    Attributes:
        mailbox: Address.
        path: Of the directory, without a leading "/".
        directory: Its name within the Maildir; "" for the INBOX.
        files: By base name, for two files of one base name are one message.
    """

    mailbox: str
    path: str
    directory: str
    files: dict[str, MessageFile] = field(default_factory=dict)

    def add(self, file: MessageFile) -> None:
        """Add a file; of two for one message the one in "cur" is right, else the later one."""
        base = base_of(file.name)
        known = self.files.get(base)
        if known is None or known.part == file.part or file.part == "cur":
            self.files[base] = file

    def messages(self, uids: UidList, keywords: tuple[str, ...]) -> Iterator[Message]:
        """Yield the folder's messages.

        Args:
            uids: What its dovecot-uidlist says.
            keywords: Its keywords, in the order of their letters.
        """
        folder = folder_of(self.directory)
        for file in self.files.values():
            plain_size = plain_size_of(file.name)
            yield Message(
                mailbox=self.mailbox,
                folder=folder,
                guid=uids.guid(file.name),
                flags=flags_of(file.name, keywords),
                received=file.modified,
                size_bytes=file.size_bytes if plain_size is None else plain_size,
                path=f"{self.path}/{file.part}/{file.name}",
            )


def split_message(rest: str) -> tuple[str, str] | None:
    """Split "cur/name" into its two parts, or return None if that is no message's file."""
    part, _, name = rest.partition("/")
    if part not in MESSAGE_PARTS or not name or "/" in name or name.startswith("."):
        return None
    return part, name


def key_of(place: Place) -> str | None:
    """Return what stays the same of a message's path while it lies in its folder."""
    file = split_message(place.rest)
    return f"{place.folder_path}/{base_of(file[1])}" if file else None


def interpret(locate: Locate, files: Iterable[ArchivedFile], fetch: Fetch) -> Iterator[Message]:
    """Read an archive's listing as messages; the arguments are those of the port."""
    folders: dict[str, FolderFiles] = {}
    companions: set[str] = set()
    for file in files:
        place = locate(file.path) if file.kind == "-" else None
        if place is None:
            continue
        if place.rest in COMPANIONS:
            companions.add(file.path)
        elif found := split_message(place.rest):
            folder = folders.setdefault(
                place.folder_path, FolderFiles(place.mailbox, place.folder_path, place.directory)
            )
            folder.add(MessageFile(*found, file.size_bytes, file.modified))

    wanted = sorted(path for path in companions if path.rpartition("/")[0] in folders)
    contents = dict(fetch(wanted)) if wanted else {}
    for path, folder in folders.items():
        uids = read_uidlist(contents.pop(f"{path}/{UIDLIST}", b""))
        yield from folder.messages(uids, read_keywords(contents.pop(f"{path}/{KEYWORDS}", b"")))


def folders_in(locate: Locate, files: Iterable[ArchivedFile]) -> Iterator[tuple[str, str]]:
    """Yield (mailbox, folder) of every folder in a listing, empty ones too."""
    seen: set[str] = set()
    for file in files:
        place = locate(file.path)
        if place is None or place.folder_path in seen:
            continue
        if place.rest.partition("/")[0] in MESSAGE_PARTS:
            seen.add(place.folder_path)
            yield place.mailbox, folder_of(place.directory)
