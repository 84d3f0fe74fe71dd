"""Copies of whole mailboxes on the disk of the mail: what is to come, or what was."""

import os
import re
import shutil
import time
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from pathlib import Path

from mailrewind.errors import NoSpace, NothingToUndo
from mailrewind.systems.directories import open_below, subdirectories
from mailrewind.systems.living import LivingTree
from mailrewind.systems.mailcow.layout import KEPT
from mailrewind.systems.template import Template

KEPT_FOR = timedelta(days=30)
_UNFINISHED_FOR = timedelta(days=2)
_ID = re.compile(r"[0-9a-z]{1,40}")
_EXCHANGED = "exchanged"


class Copies:
    """The copies below the directory ``KEPT`` of a vmail volume.

    mailcow's own ``_garbage`` would lose them after some days. Nobody but root may enter.

    Args:
        vmail: The volume.
    """

    def __init__(self, vmail: Path) -> None:
        self._vmail = vmail

    def make(self, mailbox: str, copy_id: str) -> Path:
        """Make an empty copy; one of this id that was not exchanged goes.

        Raises:
            NoSpace: It cannot be made.
        """
        self.clear()
        place = self.directory(copy_id)
        try:
            (self._vmail / KEPT).mkdir(mode=0o700, exist_ok=True)
            if place.exists() and not self.is_exchanged(copy_id):
                shutil.rmtree(place)
            place.mkdir(mode=0o700)
            (place / mailbox).mkdir(mode=0o700)
        except OSError as error:
            raise NoSpace(
                f"the copy of {mailbox} in {place} cannot be made: {error.strerror}",
                advice="Nothing was changed; look at that directory and its disk.",
            ) from error
        return place / mailbox

    def directory(self, copy_id: str) -> Path:
        """Return where a copy lies; in it the mailbox has its address as its name."""
        if not _ID.fullmatch(copy_id):
            raise NothingToUndo(f"{copy_id!r} is not the id of a copy")
        return self._vmail / KEPT / copy_id

    def tree(self, copy_id: str) -> LivingTree:
        """Return the copy as a tree of one mailbox."""
        template = Template(str(self.directory(copy_id) / "{address}"))
        return LivingTree(template, without=())

    def note_exchange(self, copy_id: str, living: os.stat_result) -> None:
        """Note, before the exchange, which directory the copy will hold after it.

        A process that dies in between leaves it to the directory's number to tell what it is. The
        first directory that was noted is the one to go back to.
        """
        note = self.directory(copy_id) / _EXCHANGED
        noted = self._noted(copy_id)
        if living.st_ino not in noted:
            partial = note.with_suffix(".partial")
            with partial.open("w") as file:
                file.write("".join(f"{number}\n" for number in (*noted, living.st_ino)))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(note)

    def holds_what_was(self, copy_id: str, mailbox: str) -> bool:
        """Whether the copy is the mailbox as it was before the first exchange."""
        return self._noted(copy_id)[:1] == [self._number(copy_id, mailbox)]

    def is_back(self, copy_id: str, mailbox: str, living: os.stat_result) -> bool:
        """Whether the living directory is the one of before, and the copy what had its place."""
        first, *others = self._noted(copy_id) or [0]
        return living.st_ino == first and self._number(copy_id, mailbox) in others

    def is_exchanged(self, copy_id: str) -> bool:
        """Whether the copy has been a living mailbox once."""
        noted = self._noted(copy_id)
        return any(self._number(copy_id, name) in noted for name in self._names(copy_id))

    def opened(self, copy_id: str) -> AbstractContextManager[int]:
        """Open a copy's directory.

        Raises:
            NothingToUndo: It is gone.
        """
        directory = self.directory(copy_id)
        if not directory.is_dir():
            raise NothingToUndo(
                f"there is no copy of what was before {copy_id}: such copies are kept for "
                f"{KEPT_FOR.days} days"
            )
        return open_below(self._vmail, (KEPT, directory.name))

    def clear(self) -> None:
        """Remove copies whose time is over, and what a dead process left before its exchange."""
        now = time.time()
        with suppress(FileNotFoundError), open_below(self._vmail, (KEPT,)) as kept:
            for name in subdirectories(kept):
                age = timedelta(seconds=now - os.stat(name, dir_fd=kept).st_mtime)
                if age > (KEPT_FOR if self.is_exchanged(name) else _UNFINISHED_FOR):
                    shutil.rmtree(self._vmail / KEPT / name, ignore_errors=True)

    def _noted(self, copy_id: str) -> list[int]:
        try:
            text = (self.directory(copy_id) / _EXCHANGED).read_text()
        except FileNotFoundError:
            return []
        return [int(line) for line in text.splitlines()]

    def _names(self, copy_id: str) -> list[str]:
        with open_below(self._vmail, (KEPT, copy_id)) as copy:
            return subdirectories(copy)

    def _number(self, copy_id: str, mailbox: str) -> int:
        return (self.directory(copy_id) / mailbox).stat().st_ino
