"""``sogo-tool`` in its container: exports come out, exports go in.

It runs as the user ``sogo``, whose home holds the addresses of the databases. Its exit code proves
nothing: it is 0 for a backup in which a user was unknown, and 0 for one without a database, which
then holds nothing. What it says may hold the database's password.
"""

import logging
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import cached_property

from mailrewind.errors import (
    ExportDamaged,
    MailServerFailed,
    MailServerUnreachable,
    MailSystemError,
)
from mailrewind.formats.sogo import read_export
from mailrewind.systems.mailcow.installation import SOGO
from mailrewind.transports.containers import Project

logger = logging.getLogger(__name__)

_USER = "sogo"
_ROOM = "/tmp/mailrewind-"
_LEFT_MINUTES = 120
_TOOL_SECONDS = 3600
_SAID = re.compile(r"sogo-tool\[[^\]]*\] (.*)")
_CREDENTIALS = re.compile(r"://[^@\s]*@")
_SAID_CHARACTERS = 300
_SIGNALS = range(128, 193)  # as a shell counts; its own failures are 1 and 255


class How(StrEnum):
    """What ``sogo-tool restore`` does with an export."""

    MERGE = "-f"
    RESET = "-F"
    PREFERENCES = "-p"


class SogoTool:
    """Runs ``sogo-tool``; nothing of an export stays in the container.

    Args:
        project: Gives the compose project.
    """

    def __init__(self, project: Callable[[], Project]) -> None:
        self._project = project
        self._has_cleared = False

    def backup(self, users: Sequence[str]) -> Mapping[str, bytes]:
        """Export users into a directory that was empty before; one of no file is left out.

        Raises:
            MailServerUnreachable: SOGo's container does not run.
            MailServerFailed: The directory cannot be made or read.
        """
        project = self._project()
        with self._room() as room:
            argv = ["sogo-tool", "backup", room, *users]
            done = project.execute(SOGO, argv, user=_USER, timeout_seconds=_TOOL_SECONDS)
            _require_own_end(done.returncode)
            if done.returncode:
                logger.debug("sogo-tool ended with %s: %s", done.returncode, said(done.stderr))
            names = self._names(room)
            return {
                user: project.read_file(SOGO, f"{room}/{user}") for user in users if user in names
            }

    def restore(self, how: How, user: str, export: bytes) -> None:
        """Give SOGo an export.

        Raises:
            ExportDamaged: It is none, or of somebody else.
            MailServerUnreachable: SOGo's container does not run.
            MailServerFailed: It was refused.
        """
        require_owner(export, user)
        project = self._project()
        with self._room() as room:
            path = f"{room}/{user}"
            uid, gid = self._ids
            project.write_file(SOGO, path, export, uid=uid, gid=gid, mode=0o600)
            what = [] if how is How.PREFERENCES else ["ALL"]
            argv = ["sogo-tool", "restore", how.value, *what, room, user]
            done = project.execute(SOGO, argv, user=_USER, timeout_seconds=_TOOL_SECONDS)
        _require_own_end(done.returncode)
        if done.returncode:
            raise MailServerFailed(
                f"sogo-tool refused the export of {user}: {said(done.stderr)}",
                advice="After an outage of the database SOGo takes users for unknown for some "
                "minutes: then restart memcached-mailcow and try again.",
            )

    def _names(self, room: str) -> frozenset[str]:
        argv = ["find", room, "-mindepth", "1", "-type", "f", "-printf", "%f\\0"]
        done = self._project().execute(SOGO, argv)
        if done.returncode:
            raise MailServerFailed(f"what sogo-tool wrote cannot be listed: {done.stderr}")
        return frozenset(done.stdout.decode(errors="surrogateescape").split("\0"))

    @cached_property
    def _ids(self) -> tuple[int, int]:
        return self._number("-u"), self._number("-g")

    def _number(self, which: str) -> int:
        done = self._project().execute(SOGO, ["id", which, _USER])
        if done.returncode:
            raise MailServerFailed(f"{SOGO} has no user {_USER}")
        return int(done.stdout)

    @contextmanager
    def _room(self) -> Iterator[str]:
        """Give a directory in the container that is empty and ``sogo``'s alone, and remove it."""
        project = self._project()
        self._clear_leftovers()
        room = f"{_ROOM}{secrets.token_hex(8)}"
        made = project.execute(SOGO, ["mkdir", "-m", "700", room], user=_USER)
        if made.returncode:
            raise MailServerFailed(f"{room} cannot be made in {SOGO}: {made.stderr}")
        try:
            yield room
        finally:
            try:
                project.execute(SOGO, ["rm", "-rf", "--", room])
            except MailSystemError as error:
                # What is left there can be read by root and sogo only, and goes with a later run.
                logger.warning("%s is left in %s: %s", room, SOGO, error)

    def _clear_leftovers(self) -> None:
        """Remove what a killed run of before has left, once for each of us."""
        if self._has_cleared:
            return
        where = ["find", "/tmp", "-maxdepth", "1", "-name", "mailrewind-*"]
        argv = [*where, "-mmin", f"+{_LEFT_MINUTES}", "-exec", "rm", "-rf", "--", "{}", "+"]
        self._project().execute(SOGO, argv)
        self._has_cleared = True


def require_owner(export: bytes, user: str) -> None:
    """Refuse an export that SOGo would write into somebody else's folders.

    Raises:
        ExportDamaged: It names another user's folders, or cannot be read.
    """
    owner = read_export(export).uid
    if owner not in ("", user):
        raise ExportDamaged(
            f"the export is one of {owner}, not of {user}: it would be written into the folders of "
            f"{owner}",
            advice="Restore it for its own user, or into another one by --into-user.",
        )


def _require_own_end(returncode: int) -> None:
    """Tell what sogo-tool says when it has failed from what a signal leaves of it.

    Raises:
        MailServerUnreachable: A signal ended it, as when its container is stopped.
    """
    if returncode in _SIGNALS:
        raise MailServerUnreachable(
            f"sogo-tool was ended by signal {returncode - _SIGNALS.start}: {SOGO} is being stopped",
        )


def said(stderr: str) -> str:
    """Return the last thing that sogo-tool itself said, without credentials."""
    found = _SAID.findall(stderr)
    text = found[-1] if found else "it said nothing"
    return _CREDENTIALS.sub("://", text)[:_SAID_CHARACTERS]
