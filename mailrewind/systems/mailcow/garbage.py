r"""What mailcow keeps of deleted mailboxes: ``_garbage/<seconds>_<name>``; the port Garbage.

The name is the address without all that is no letter, digit or underscore
(``re.sub(r'\W+', '', 'example.org/john.doe')``), so that john.doe and johndoe have the same one.
If two are deleted in one second, the second home lands within the first, under its local part.
"""

import logging
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from mailrewind.errors import ChoiceNeeded, MailboxNotFound, MailServerFailed, MailSystemError
from mailrewind.formats.rfc5322 import delivered_to
from mailrewind.model.mail import Message
from mailrewind.ports import DeletedMailbox
from mailrewind.systems.directories import open_below, subdirectories
from mailrewind.systems.living import LivingTree
from mailrewind.systems.mailcow.api import Api
from mailrewind.systems.mailcow.layout import GARBAGE, mail_users
from mailrewind.systems.mailcow.system import MailcowSystem
from mailrewind.systems.template import Template

logger = logging.getLogger(__name__)

_NAME = re.compile(r"(\d+)_(\w+)")
_INDEX = "_index"
# What a home holds besides its mail.
_SETTINGS = ("sieve", "dovecot-attributes")
_LOOKED_INTO = 40
_MIB = 1024 * 1024
_LEAST_QUOTA_MIB = 3072


def garbage_name(address: str) -> str:
    """Return what mailcow calls a mailbox in its garbage."""
    local, _, domain = address.rpartition("@")
    return re.sub(r"\W+", "", f"{domain}/{local}")


class MailcowGarbage:
    """The garbage of one mailcow.

    Args:
        mail: The mailcow.
        api_key: Gives the key of mailcow's API; None where none is configured.
    """

    def __init__(self, mail: MailcowSystem, api_key: Callable[[], str] | None) -> None:
        self._mail = mail
        self._api_key = api_key

    def candidates(self, address: str) -> Sequence[DeletedMailbox]:
        """See the port."""
        wanted = garbage_name(address)
        found = []
        for name in self._homes(wanted):
            with suppress(MailboxNotFound):
                found.append(self._described(name, address))
        return sorted(found, key=lambda one: (one.deleted_at, one.name), reverse=True)

    def could_be(self, address: str, other: str) -> bool:
        """See the port."""
        return garbage_name(address) == garbage_name(other)

    def messages(self, name: str, address: str) -> Sequence[Message]:
        """See the port."""
        tree = self._tree(name)
        return tree.messages(address, tree.maildir(_leaf(self._maildir(name))))

    def names(self, name: str, messages: Sequence[Message]) -> Sequence[str]:
        """See the port."""
        maildir = str(self._maildir(name)).lstrip("/")
        return [message.path.removeprefix(f"{maildir}/") for message in messages]

    def content(self, name: str, message: Message) -> bytes:
        """See the port."""
        return self._tree(name).content(message)

    def copy_into(self, name: str, directory: Path) -> None:
        """See the port."""
        maildir = self._maildir(name)
        uid, gid = self._owner()
        for entry in sorted(maildir.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                if entry.name in ("cur", "new", "tmp") or entry.name.startswith("."):
                    _link_tree(entry, directory / entry.name, uid, gid)
            elif not entry.is_symlink() and entry.is_file():
                _copy(entry, directory / entry.name, uid, gid)

    def copy_settings(self, name: str, address: str) -> None:
        """See the port."""
        maildir = self._maildir(name)
        first, _, inner = name.partition("/")
        home = self._directory / first / inner
        local, _, domain = address.rpartition("@")
        living = self._mail.layout.vmail / domain / local
        uid, gid = self._owner()
        for entry in (home / each for each in _SETTINGS):
            target = living / entry.name
            if entry == maildir or entry.is_symlink() or target.exists() or not living.is_dir():
                continue
            if entry.is_dir():
                _link_tree(entry, target, uid, gid)
            elif entry.is_file():
                _copy(entry, target, uid, gid)

    def knows(self, address: str) -> bool:
        """See the port."""
        try:
            self._mail.dovecot.serves(address)
        except MailboxNotFound:
            return False
        return True

    def living(self) -> Sequence[str]:
        """See the port."""
        return mail_users(self._mail.dovecot)

    @property
    def can_create(self) -> bool:
        """See the port."""
        return self._api_key is not None

    def create(self, address: str, *, size_bytes: int) -> None:
        """See the port."""
        if self._api_key is None:
            raise MailboxNotFound(f"there is no mailbox {address}, and no key to create it")
        api = Api(self._mail.installation, self._api_key)
        quota_mib = max(_LEAST_QUOTA_MIB, 2 * size_bytes // _MIB)
        logger.info("creating the mailbox %s with a quota of %s MiB", address, quota_mib)
        api.add_mailbox(address, quota_mib=quota_mib)
        if not self.knows(address):
            raise MailServerFailed(f"mailcow says that it created {address}, and Dovecot not")
        self._mail.dovecot.make_mailbox(address)

    @property
    def _directory(self) -> Path:
        return self._mail.layout.vmail / GARBAGE

    def _homes(self, wanted: str) -> Iterator[str]:
        """Yield the directories that were homes of a mailbox of this name."""
        try:
            with open_below(self._directory, ()) as garbage:
                names = sorted(subdirectories(garbage))
        except FileNotFoundError:
            return
        for name in names:
            match = _NAME.fullmatch(name)
            if match is None or match[2] != wanted or wanted.endswith(_INDEX):
                continue
            yield name
            yield from (
                f"{name}/{inner}" for inner in self._within(name) if self._is_home(name, inner)
            )

    def _within(self, name: str) -> list[str]:
        with open_below(self._directory, (name,)) as home:
            return sorted(inner for inner in subdirectories(home) if not inner.startswith("."))

    def _is_home(self, name: str, inner: str) -> bool:
        place = self._directory / name / inner
        below = self._mail.layout.subdirectory
        is_part = inner in ("cur", "new", "tmp", below)
        return not is_part and any((place / each / "cur").is_dir() for each in ("", below))

    def _described(self, name: str, address: str) -> DeletedMailbox:
        messages = self.messages(name, address)
        seconds = int(name.partition("_")[0])
        local = name.partition("/")[2]
        return DeletedMailbox(
            name=name,
            deleted_at=datetime.fromtimestamp(seconds, UTC),
            messages=len(messages),
            size_bytes=sum(message.size_bytes for message in messages),
            addressed=self._addressed(name, messages),
            local_part=local,
        )

    def _addressed(self, name: str, messages: Sequence[Message]) -> tuple[tuple[str, int], ...]:
        """Count to whom some of the messages were delivered, by their own headers."""
        latest = sorted(messages, key=lambda one: one.received, reverse=True)[:_LOOKED_INTO]
        found: Counter[str] = Counter()
        for message in latest:
            try:
                content = self._mail.plain(self.content(name, message))
            except MailSystemError as error:
                logger.debug("a message of %s tells nothing: %s", name, error)
                continue
            if address := delivered_to(content):
                found[address] += 1
        return tuple(found.most_common())

    def _maildir(self, name: str) -> Path:
        """Return the Maildir of a home in the garbage.

        Raises:
            ChoiceNeeded: This is not the name of one.
            MailboxNotFound: It holds no mail.
        """
        first, _, inner = name.partition("/")
        if _NAME.fullmatch(first) is None or inner in (".", "..") or "/" in inner:
            raise ChoiceNeeded(f"{name!r} is not the name of a deleted mailbox")
        home = self._directory / first / inner
        for place in (home / self._mail.layout.subdirectory, home / "Maildir", home):
            if (place / "cur").is_dir() and not place.is_symlink():
                return place
        raise MailboxNotFound(f"{home} holds no mail (any more)")

    def _tree(self, name: str) -> LivingTree:
        return LivingTree(Template(str(self._maildir(name).parent / "{address}")), without=())

    def _owner(self) -> tuple[int, int]:
        about = self._mail.layout.vmail.stat()
        return about.st_uid, about.st_gid


def _leaf(path: Path) -> str:
    return path.name


def _link_tree(source: Path, target: Path, uid: int, gid: int) -> None:
    """Copy a directory; messages never change, so that a further name is a copy of one."""
    target.mkdir(mode=0o700)
    os.chown(target, uid, gid)
    for entry in source.iterdir():
        if entry.is_symlink():
            continue
        if entry.is_dir():
            _link_tree(entry, target / entry.name, uid, gid)
        elif source.name in ("cur", "new"):
            os.link(entry, target / entry.name, follow_symlinks=False)
        else:
            _copy(entry, target / entry.name, uid, gid)


def _copy(source: Path, target: Path, uid: int, gid: int) -> None:
    shutil.copy2(source, target, follow_symlinks=False)
    os.chown(target, uid, gid)
