"""Read Maildirs that are in use: renamed, delivered to and expunged from at every moment."""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mailrewind.errors import (
    MailboxNotFound,
    MailSystemError,
    SourceMissing,
    SourceUnreadable,
)
from mailrewind.formats.dovecot import ACL, KEYWORDS, SUBSCRIPTIONS, UIDLIST
from mailrewind.formats.dovecot import read_keywords as keywords_from
from mailrewind.formats.dovecot import read_uidlist as uids_from
from mailrewind.formats.maildir import base_of
from mailrewind.model.mail import Message
from mailrewind.systems.directories import (
    messages_looked_at_in,
    messages_named_in,
    open_below,
    open_in,
    read_file,
    read_if_there,
    subdirectories,
)
from mailrewind.systems.reading import MESSAGE_PARTS, FolderFiles, MessageFile, split_message
from mailrewind.systems.template import Place, Template

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRIES = 20
_ROUNDS = 4
_COMPANIONS = (UIDLIST, KEYWORDS, SUBSCRIPTIONS, ACL, "dovecot-uidvalidity")
_GONE = (FileNotFoundError, NotADirectoryError)
_CLOCK_SLACK = timedelta(seconds=2)


class LivingTree:
    """All mailboxes below a template, as they are now.

    Args:
        template: Where they lie.
        without: Directories that hold none, though they look so.
    """

    def __init__(self, template: Template, *, without: Iterable[Path] = ()) -> None:
        self._template = template
        self._without = tuple(f"{str(path).strip('/')}/" for path in without)

    @property
    def root(self) -> Path:
        """The fixed directory that holds all mailboxes."""
        return self._template.root

    def names_below_root(self, path: str) -> tuple[str, ...]:
        """Split a path into the names below the fixed directory."""
        return self._template.names_below_root(path)

    def locate(self, path: str) -> Place | None:
        """Say what a path without a leading "/" means, None if it lies in no mailbox."""
        if path.startswith(self._without):
            return None
        return self._template.locate(path)

    def mailboxes(self) -> Iterator[tuple[str, str]]:
        """Yield (address, path of its Maildir) of every mailbox.

        Raises:
            SourceMissing: The fixed directory does not exist.
            SourceUnreadable: Something on the way may not be read.
        """
        try:
            for mailbox, path in self._template.walk():
                if self.locate(path) and self._has_messages(path):
                    yield mailbox, path
        except _GONE as error:
            raise SourceMissing(
                f"{self._template.root} does not exist or is no directory"
            ) from error
        except PermissionError as error:
            raise SourceUnreadable(f"{self._template.root}: {error.strerror}") from error

    def maildir(self, mailbox: str) -> str:
        """Return the path of a living mailbox's Maildir, without a leading "/".

        Raises:
            MailboxNotFound: There is none.
        """
        path = self._template.maildir(mailbox)
        if self.locate(path) is None or not self._has_messages(path):
            raise MailboxNotFound(f"The mailbox {mailbox} has no Maildir at /{path}")
        return path

    def folders(self, mailbox: str, path: str) -> Iterator[FolderFiles]:
        """Yield the folders of a Maildir, without their files.

        Raises:
            SourceUnreadable: The Maildir, or a folder in it, may not be read.
        """
        names = self._template.names_below_root(path)
        try:
            with open_below(self._template.root, names) as maildir:
                below = [name for name in sorted(subdirectories(maildir)) if name[0] == "."]
                for name in ["", *below]:
                    if _is_folder(maildir, name):
                        yield FolderFiles(mailbox, f"{path}/{name}" if name else path, name)
        except PermissionError as error:
            raise SourceUnreadable(f"a folder of /{path}: {error.strerror}") from error
        except _GONE:
            return

    def check_readable(self, folder: FolderFiles) -> None:
        """Open what holds a folder's messages.

        Raises:
            SourceUnreadable: It may not be read.
        """
        for part in MESSAGE_PARTS:
            try:
                with suppress(*_GONE), self._opened(f"{folder.path}/{part}"):
                    pass
            except PermissionError as error:
                raise SourceUnreadable(f"/{folder.path}/{part}: {error.strerror}") from error

    def names(self, folder: FolderFiles) -> dict[str, tuple[str, str]]:
        """Map the base names of a folder's messages to (part, file name).

        Raises:
            SourceUnreadable: The folder may not be read.
        """
        found: dict[str, tuple[str, str]] = {}
        for part in MESSAGE_PARTS:
            try:
                with self._opened(f"{folder.path}/{part}") as directory:
                    named = messages_named_in(directory)
            except _GONE:
                continue
            except PermissionError as error:
                raise SourceUnreadable(f"/{folder.path}/{part}: {error.strerror}") from error
            found |= {base: (part, name) for base, name in named.items()}
        return found

    def messages(self, mailbox: str, path: str) -> list[Message]:
        """Return all messages of a Maildir.

        A message that is moved from a folder not read yet to one that has been read would be in
        neither, so folders that changed are read again until nothing has.
        """
        known: dict[str, tuple[object, list[Message]]] = {}
        for _ in range(_ROUNDS):
            changed = False
            folders = list(self.folders(mailbox, path))
            for folder in folders:
                marks = self._marks(folder)
                if folder.path not in known or known[folder.path][0] != marks:
                    known[folder.path] = (marks, self._messages(folder))
                    changed = True
            if not changed:
                break
        return [message for folder in folders for message in known[folder.path][1]]

    def companions(self, folder: FolderFiles, since: datetime) -> Iterator[str]:
        """Yield paths of the files that give a folder's messages meaning, changed since then."""
        earliest = (since - _CLOCK_SLACK).timestamp()
        with suppress(*_GONE), self._opened(folder.path) as directory:
            for name in _COMPANIONS:
                with suppress(*_GONE):
                    about = os.stat(name, dir_fd=directory, follow_symlinks=False)
                    if stat.S_ISREG(about.st_mode) and about.st_mtime >= earliest:
                        yield f"{folder.path}/{name}"

    def content(self, message: Message) -> bytes:
        """Return a message's content, under whatever name it goes by now.

        Raises:
            MailSystemError: It is gone or cannot be read.
        """
        place = self.locate(message.path)
        file = split_message(place.rest) if place else None
        if place is None or file is None:
            raise MailSystemError(f"/{message.path} is not the path of a message")
        folder = FolderFiles(place.mailbox, place.folder_path, place.directory)
        part, name = file
        for _ in range(_TRIES):
            try:
                with self._opened(f"{folder.path}/{part}") as directory:
                    return read_file(directory, name)
            except _GONE:
                part, name = self.names(folder).get(base_of(name), (part, name))
            except OSError as error:
                raise MailSystemError(f"/{message.path}: {error.strerror}") from error
        raise MailSystemError(f"the message at /{message.path} is gone")

    def free_bytes(self, path: str) -> int:
        """Return the free space on the disk of a Maildir."""
        about = os.statvfs(f"/{path}")
        return about.f_bavail * about.f_frsize

    def read(self, path: str, name: str) -> bytes:
        """Read a file of a folder; nothing if there is none."""
        with suppress(*_GONE), self._opened(path) as directory:
            return read_if_there(directory, name)
        return b""

    def _opened(self, path: str) -> AbstractContextManager[int]:
        return open_below(self.root, self.names_below_root(path))

    def _has_messages(self, path: str) -> bool:
        try:
            with self._opened(f"{path}/cur"):
                return True
        except PermissionError as error:
            raise SourceUnreadable(f"/{path}/cur: {error.strerror}") from error
        except OSError:
            return False

    def _marks(self, folder: FolderFiles) -> tuple[int, ...]:
        """Return the times that change with every change of a folder's messages."""
        marks: list[int] = []
        with suppress(*_GONE), self._opened(folder.path) as directory:
            for name in (*MESSAGE_PARTS, UIDLIST, KEYWORDS):
                with suppress(*_GONE):
                    about = os.stat(name, dir_fd=directory, follow_symlinks=False)
                    marks += [about.st_ino, about.st_mtime_ns, about.st_size]
        return tuple(marks)

    def _messages(self, folder: FolderFiles) -> list[Message]:
        for file in self._files(folder):
            folder.add(file)
        uidlist, keywords = b"", b""
        with suppress(*_GONE), self._opened(folder.path) as directory:
            uidlist = read_if_there(directory, UIDLIST)
            keywords = read_if_there(directory, KEYWORDS)
        return list(folder.messages(uids_from(uidlist), keywords_from(keywords)))

    def _files(self, folder: FolderFiles) -> Iterator[MessageFile]:
        for part in MESSAGE_PARTS:
            with suppress(*_GONE), self._opened(f"{folder.path}/{part}") as directory:
                for name, about in messages_looked_at_in(directory).values():
                    if stat.S_ISREG(about.st_mode):
                        yield MessageFile(part, name, about.st_size, _moment(about))


def _is_folder(maildir: int, name: str) -> bool:
    """Whether a directory holds messages; one that is deleted at this moment does not."""
    try:
        with open_in(maildir, name) as directory:
            return "cur" in subdirectories(directory)
    except _GONE:
        return False


def _moment(about: os.stat_result) -> datetime:
    # In whole microseconds: a float of seconds would round to a neighbour.
    return _EPOCH + timedelta(microseconds=about.st_mtime_ns // 1000)
