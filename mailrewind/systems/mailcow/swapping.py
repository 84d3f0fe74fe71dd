"""Exchange a mailbox of a mailcow for another state of it; implements the port Swapping.

Measured: with the index moved away, Dovecot takes the messages' UIDs from the ``dovecot-uidlist``
that comes along, and no mail program notices; with the old index it gives new ones.
"""

import logging
import os
import secrets
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mailrewind.errors import (
    ArchivePathMissing,
    ContainerMissing,
    KeyDoesNotFit,
    MailboxNotFound,
    MailSystemError,
    NothingToUndo,
)
from mailrewind.formats.dovecot import UIDLIST, UidList, read_uidlist
from mailrewind.formats.folders import folder_of
from mailrewind.formats.maildir import base_of
from mailrewind.model.mail import Message
from mailrewind.model.reports import Finding
from mailrewind.systems.delivery import Ownership, make_folder
from mailrewind.systems.directories import names_in, open_below, open_in, subdirectories
from mailrewind.systems.living import LivingTree
from mailrewind.systems.mailcow.copies import Copies
from mailrewind.systems.mailcow.system import MailcowSystem
from mailrewind.systems.reading import MESSAGE_PARTS
from mailrewind.systems.renaming import exchange

logger = logging.getLogger(__name__)

_INDEX_VOLUME = "vmail-index-vol-1"
_HEAD_BYTES = 4096
_TOLD = 5
# What of a Maildir belongs to its messages; the rest of a home that is one is the user's.
_OF_THE_MAIL = ("cur", "new", "tmp", "subscriptions", "maildirsize", "maildirfolder")


class MailcowSwapping:
    """Swaps mailboxes of one mailcow.

    Args:
        mail: The mailcow.
    """

    def __init__(self, mail: MailcowSystem) -> None:
        self._mail = mail

    def make_copy(self, mailbox: str, copy_id: str) -> Path:
        """See the port."""
        return self._copies.make(mailbox, copy_id)

    def archived_maildir(self, message: Message) -> str:
        """See the port."""
        place = self._mail.places.template.locate(message.path)
        if place is None:
            raise ArchivePathMissing(f"{message.path} is not the path of a message of mailcow's")
        return place.maildir

    def archived_maildirs(self, mailbox: str, paths: Iterable[str]) -> Collection[str]:
        """See the port."""
        places = map(self._mail.places.template.locate, paths)
        return {place.maildir for place in places if place and place.mailbox == mailbox}

    def complete(self, mailbox: str, copy_id: str, names: Iterable[str]) -> None:
        """See the port."""
        wanted = set(names)
        copy = self._copies.directory(copy_id) / mailbox
        tree = self._copies.tree(copy_id)
        self._complete_folders(copy)
        found = set()
        for path in list(_message_files(copy, tree, mailbox)):
            name = str(path.relative_to(copy))
            if name in wanted:
                found.add(name)
                self._check_key(path)
            else:  # an earlier archive's name, or place, of a message that a later one has; or none
                _remove(path)
        if missing := wanted - found:
            raise ArchivePathMissing(
                f"{len(missing)} of {len(wanted)} messages of {mailbox} are not in the restore "
                f"point's archives, such as {min(missing)}",
                advice="Take another restore point; `mailrewind repository check` looks further.",
            )

    def put_back(self, mailbox: str, copy_id: str) -> Sequence[Finding]:
        """See the port."""
        if self.is_back(mailbox, copy_id):  # whoever put it back may have died before telling
            return self._tell_dovecot(mailbox)
        if not self.is_exchanged(mailbox, copy_id):
            raise NothingToUndo(f"{mailbox} was not exchanged by {copy_id}")
        return self.exchange(mailbox, copy_id)

    def is_exchanged(self, mailbox: str, copy_id: str) -> bool:
        """See the port."""
        try:
            is_there = self._holds(mailbox, copy_id)
        except NothingToUndo:
            return False
        return is_there and self._copies.holds_what_was(copy_id, mailbox)

    def is_back(self, mailbox: str, copy_id: str) -> bool:
        """See the port."""
        if not self._holds(mailbox, copy_id):
            return False
        try:
            living = self._living_maildir(mailbox).lstat()
        except FileNotFoundError:
            return False
        return self._copies.is_back(copy_id, mailbox, living)

    def exchange(self, mailbox: str, copy_id: str) -> Sequence[Finding]:
        """See the port."""
        maildir = self._living_maildir(mailbox)
        names = self._mail.places.template.names_below_root(str(maildir).lstrip("/"))
        with (
            self._copies.opened(copy_id) as copies,
            open_below(self._mail.places.template.root, names[:-1]) as parent,
        ):
            if mailbox not in subdirectories(copies):
                raise NothingToUndo(f"the copy {copy_id} holds no {mailbox}")
            copy = self._copies.directory(copy_id) / mailbox
            meant = _uids(self._copies.tree(copy_id), mailbox, _path(copy))
            if not self._mail.layout.subdirectory:
                _keep_what_is_no_mail(maildir, copy)
            dovecot = self._mail.dovecot
            dovecot.kick(mailbox)
            self._drop_index(mailbox, copy_id)
            living = os.stat(names[-1], dir_fd=parent, follow_symlinks=False)
            self._copies.note_exchange(copy_id, living)
            exchange(parent, names[-1], copies, mailbox)
            # Somebody may have looked into the mailbox between the two.
            self._drop_index(mailbox, copy_id)
        complaints = self._tell_dovecot(mailbox)
        now = _uids(self._mail.places.tree, mailbox, _path(maildir))
        return [*complaints, *_differences(meant, now)]

    def copied(self, mailbox: str, copy_id: str) -> Sequence[Message]:
        """See the port."""
        tree = self._copies.tree(copy_id)
        try:
            return tree.messages(mailbox, tree.maildir(mailbox))
        except MailboxNotFound as error:
            raise NothingToUndo(f"the copy {copy_id} of {mailbox} is gone") from error

    def content_of_copied(self, copy_id: str, message: Message) -> bytes:
        """See the port."""
        return self._copies.tree(copy_id).content(message)

    @property
    def _copies(self) -> Copies:
        return Copies(self._mail.layout.vmail)

    def _holds(self, mailbox: str, copy_id: str) -> bool:
        with self._copies.opened(copy_id) as copies:
            return mailbox in subdirectories(copies)

    def _complete_folders(self, copy: Path) -> None:
        """Give every folder all that belongs in it, with owner and mode.

        A folder that came into being while borg read is in the archive without its directory.
        """
        ownership = self._ownership()
        with open_below(copy, ()) as maildir:
            folders = [name for name in subdirectories(maildir) if name.startswith(".")]
            for name in ("", *folders):
                make_folder(maildir, name, ownership)
                with open_in(maildir, name) as folder:
                    ownership.give(folder, mode=ownership.mode)
                    for part in ("cur", "new", "tmp"):
                        with open_in(folder, part) as directory:
                            ownership.give(directory, mode=ownership.mode)

    def _ownership(self) -> Ownership:
        """Return whose mailboxes are, and with which mode Dovecot makes them."""
        about = self._mail.layout.vmail.stat()
        return Ownership(about.st_uid, about.st_gid, 0o700)

    def _living_maildir(self, mailbox: str) -> Path:
        """Return where a mailbox lies; one that has had no mail yet is laid out.

        Raises:
            MailboxNotFound: Dovecot knows no such user.
        """
        tree = self._mail.places.tree
        served = self._mail.dovecot.serves(mailbox).path
        try:
            path = tree.maildir(mailbox)
        except MailboxNotFound:
            self._mail.dovecot.make_mailbox(mailbox)
            path = tree.maildir(mailbox)
        if served is None or served != Path("/", path):
            raise MailSystemError(
                f"Dovecot keeps {mailbox} at {served}, and not at /{path}",
                advice="Bring messages back one by one: `mailrewind restore mailbox`.",
            )
        return Path("/", path)

    def _tell_dovecot(self, mailbox: str) -> Sequence[Finding]:
        """Let Dovecot look anew; by now the mailbox is exchanged, and that must be told."""
        dovecot = self._mail.dovecot
        try:
            dovecot.kick(mailbox)
            complaints = [dovecot.resync(mailbox), dovecot.recalculate_quota(mailbox)]
        except MailSystemError as error:
            complaints = [f"Dovecot was not told of it, so its quota is old: {error}"]
        return [Finding(mailbox, complaint) for complaint in complaints if complaint]

    def _drop_index(self, mailbox: str, copy_id: str) -> None:
        """Take a mailbox's index away: Dovecot makes it anew from the Maildir."""
        try:
            volume = self._mail.installation.volume(_INDEX_VOLUME)
        except ContainerMissing:
            return
        # No name that was used before: what a dead process left under it would be in the way.
        prefix = f".{mailbox}.{copy_id}"
        with open_below(volume, ()) as indexes:
            with suppress(FileNotFoundError):
                aside = f"{prefix}.{secrets.token_hex(4)}"
                os.rename(mailbox, aside, src_dir_fd=indexes, dst_dir_fd=indexes)
            left = [name for name in subdirectories(indexes) if name.startswith(prefix)]
        for name in left:
            shutil.rmtree(volume / name, ignore_errors=True)

    def _check_key(self, path: Path) -> None:
        with path.open("rb") as file:
            objection = self._mail.objection(file.read(_HEAD_BYTES))
        if objection:
            raise KeyDoesNotFit(f"{path.name}: {objection}")


def _message_files(copy: Path, tree: LivingTree, mailbox: str) -> Iterable[Path]:
    """Yield every file that is a message, also where several names stand for one."""
    for folder in tree.folders(mailbox, _path(copy)):
        for part in MESSAGE_PARTS:
            with open_below(Path("/", folder.path), (part,)) as directory:
                for name in names_in(directory):
                    if not name.startswith("."):
                        yield Path("/", folder.path, part, name)


def _uids(tree: LivingTree, mailbox: str, path: str) -> Mapping[str, UidList]:
    """Return what the lists of UIDs say, by the folder's directory; folders without one are out."""
    found = {}
    for folder in tree.folders(mailbox, path):
        uids = read_uidlist(tree.read(folder.path, UIDLIST))
        if not uids.validity:
            continue
        there = tree.names(folder)
        lines = {base: line for base, line in uids.lines.items() if base in there}
        found[folder.directory] = UidList(uids.validity, uids.mailbox_guid, lines)
    return found


def _differences(meant: Mapping[str, UidList], now: Mapping[str, UidList]) -> list[Finding]:
    findings = []
    for directory, then in meant.items():
        living = now.get(directory, UidList())
        other = [
            base
            for base, line in then.lines.items()
            if living.lines.get(base_of(base)) is None or living.lines[base].uid != line.uid
        ]
        if living.validity != then.validity:
            text = f"its UIDVALIDITY is {living.validity} and was {then.validity}"
            findings.append(Finding(folder_of(directory), text))
        elif other:
            text = f"{len(other)} messages have other UIDs than they had, such as {other[0]}"
            findings.append(Finding(folder_of(directory), text))
    return findings[:_TOLD]


def _keep_what_is_no_mail(living: Path, copy: Path) -> None:
    """Give the copy of a home the filters and settings that the living one has now."""
    for place in (copy, living):
        for entry in sorted(place.iterdir()):
            if _is_mail(entry):
                continue
            if place == copy:
                _remove(entry)
                continue
            _copy(entry, copy / entry.name)


def _is_mail(entry: Path) -> bool:
    if _is_directory(entry):
        return entry.name in _OF_THE_MAIL or entry.name.startswith(".")
    is_dovecots = entry.name.startswith(("dovecot-uid", "dovecot-keywords", "dovecot-acl"))
    return entry.name in _OF_THE_MAIL or is_dovecots or entry.name.startswith("dovecot.index")


def _remove(entry: Path) -> None:
    if _is_directory(entry):
        shutil.rmtree(entry)
    else:
        entry.unlink()


def _is_directory(entry: Path) -> bool:
    return entry.is_dir() and not entry.is_symlink()


def _copy(entry: Path, target: Path) -> None:
    """Copy with owners: of a user's own files there may be thousands, but none is large."""
    if _is_directory(entry):
        target.mkdir()
        for inner in entry.iterdir():
            _copy(inner, target / inner.name)
    else:
        shutil.copy2(entry, target, follow_symlinks=False)
    about = entry.lstat()
    os.chown(target, about.st_uid, about.st_gid, follow_symlinks=False)
    if not target.is_symlink():
        target.chmod(about.st_mode & 0o7777)


def _path(directory: Path) -> str:
    return str(directory).lstrip("/")
