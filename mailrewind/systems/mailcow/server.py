"""A mailcow that is to become another one, from its archives; implements the port Rebuilding."""

import errno
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from pathlib import Path

from mailrewind.errors import ContainerMissing, SourceMissing, SourceUnreadable
from mailrewind.model.reports import Finding
from mailrewind.model.words import count
from mailrewind.ports import Database
from mailrewind.systems.mailcow.installation import MYSQL, Installation
from mailrewind.systems.mailcow.interruption import interrupted
from mailrewind.systems.mailcow.layout import KEPT
from mailrewind.systems.mailcow.parts import VOLUMES
from mailrewind.systems.mailcow.settings import FILE_NAME, parse_settings
from mailrewind.systems.mailcow.system import MailcowSystem

logger = logging.getLogger(__name__)

_VMAIL, _CRYPT, _REDIS = "vmail-vol-1", "crypt-vol-1", "redis-vol-1"
_VMAIL_ID = 5000
_LABEL = "security.selinux"
_NO_LABELS = frozenset({errno.ENODATA, errno.EOPNOTSUPP})
_AT_MOST = timedelta(days=3)
# With these the containers were made: other values would lock them out of their own databases, or
# make compose see another project.
_OF_THE_CONTAINERS = (
    *("DBNAME", "DBUSER", "DBPASS", "DBROOT", "REDISPASS"),
    "COMPOSE_PROJECT_NAME",
)
_WHERE_MAIL_LIES = "MAILDIR_SUB"
_NAME = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=")


class MailcowServer:
    """One mailcow, to be filled.

    Args:
        installation: The mailcow.
        mail: Its mail.
        database: Its database.
        system: Name of the system.
        data_dir: Our data directory.
    """

    def __init__(
        self,
        installation: Installation,
        mail: MailcowSystem,
        database: Database,
        *,
        system: str,
        data_dir: Path,
    ) -> None:
        self.directory = installation.directory
        self._installation = installation
        self._mail = mail
        self._database = database
        self._system = system
        self._data_dir = data_dir

    def is_laid_out(self) -> bool:
        """See the port."""
        try:
            services = self._installation.project.services()
            self._installation.volume(_VMAIL)
        except (ContainerMissing, SourceMissing):
            return False
        return MYSQL in services

    def obstacles(self) -> Sequence[str]:
        """See the port."""
        found = []
        if known := self._database.mailboxes():
            said = count(len(known), "mailbox", "mailboxes")
            found.append(f"{said} in its database, such as {known[0]}")
        if there := [one for one in self._mail.mailboxes() if self._mail.messages(one)]:
            said = count(len(there), "mailbox", "mailboxes")
            found.append(f"mail of {said}, such as {there[0]}")
        return found

    def volumes(self) -> Mapping[str, Path]:
        """See the port: vmail and the keys may be mounted from elsewhere."""
        found = {_VMAIL: self._installation.vmail, _CRYPT: self._installation.crypt}
        for name in VOLUMES:
            with suppress(ContainerMissing):
                found[name] = self._installation.volume(name)
        return found

    def is_cleared_first(self, volume: str) -> bool:
        """See the port: Redis would prefer a journal of the new installation to the old data."""
        return volume == _REDIS

    def objection(self, settings: bytes) -> str:
        """See the port: Dovecot was started for one place of mail, and would not find another."""
        then = _parsed(settings).get(_WHERE_MAIL_LIES, "")
        now = self._installation.settings.get(_WHERE_MAIL_LIES, "")
        if then == now:
            return ""
        return (
            f"{_WHERE_MAIL_LIES} was {then!r} and is {now!r} in {self.directory / FILE_NAME}: "
            f"write it there as it was, and run `docker compose up -d` in {self.directory}"
        )

    def put_settings(self, settings: bytes) -> Sequence[Finding]:
        """See the port."""
        place = self.directory / FILE_NAME
        if not place.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            _write(place, settings)
            return [Finding(str(self.directory), "run `docker compose up -d` there")]
        living = self._installation.settings
        kept = {name: living[name] for name in _OF_THE_CONTAINERS if name in living}
        merged = with_kept(settings.decode(errors="surrogateescape"), kept)
        then = _parsed(merged.encode(errors="surrogateescape"))
        _write(place, merged.encode(errors="surrogateescape"))
        changed = sorted(name for name in then if then[name] != living.get(name))
        if not changed:
            return []
        names = ", ".join(changed)
        text = f"as they were before: {names}; for their effect run `docker compose up -d` there"
        return [Finding(str(self.directory), text)]

    def kept_files(self) -> Sequence[str]:
        """See the port: the compose file belongs to mailcow's version, and has its images."""
        return (FILE_NAME, "docker-compose.yml", ".env")

    def give_owners(self, volume: str, directory: Path) -> None:
        """See the port: in the mail nothing is root's, whom borg makes such directories for."""
        if volume != _VMAIL:
            return
        for parent, directories, _ in os.walk(directory):
            for name in directories:
                place = Path(parent, name)
                if place.lstat().st_uid == 0 and not place.is_symlink() and name != KEPT:
                    os.chown(place, _VMAIL_ID, _VMAIL_ID)
                    place.chmod(0o700)

    def label(self, directory: Path) -> None:
        """See the port."""
        try:
            wanted = os.getxattr(directory, _LABEL)
        except OSError as error:
            if error.errno in _NO_LABELS:
                return
            raise SourceUnreadable(f"the label of {directory}: {error.strerror}") from error
        for place in _below(directory):
            os.setxattr(place, _LABEL, wanted, follow_symlinks=False)

    def alone(self, *, holder: str) -> AbstractContextManager[None]:
        """See the port."""
        services = [name for name in self._installation.project.services() if name != MYSQL]
        return interrupted(
            self._installation,
            services,
            system=self._system,
            data_dir=self._data_dir,
            holder=holder,
            at_most=_AT_MOST,
        )


def with_kept(settings: str, kept: Mapping[str, str]) -> str:
    """Return the text of a mailcow.conf in which some settings have other values.

    Comments and the order stay; what the text does not have comes at its end.
    """
    lines, written = [], set()
    for line in settings.splitlines():
        match = _NAME.match(line)
        if match is not None and match[1] in kept:
            written.add(match[1])
            lines.append(f"{match[1]}={_quoted(kept[match[1]])}")
        else:
            lines.append(line)
    lines += [f"{name}={_quoted(kept[name])}" for name in kept if name not in written]
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    """Write a value so that it is read back as it is."""
    if re.fullmatch(r"[A-Za-z0-9_./:@%+=,-]*", value):
        return value
    if "'" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _parsed(settings: bytes) -> Mapping[str, str]:
    return parse_settings(settings.decode(errors="surrogateescape"), place="archived mailcow.conf")


def _write(place: Path, content: bytes) -> None:
    """Replace the file with the passwords; nobody but its owner may read it meanwhile either."""
    partial = place.with_name(f".{place.name}.mailrewind")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        os.fsync(file.fileno())
    if place.exists():
        about = place.stat()
        os.chown(partial, about.st_uid, about.st_gid)
        partial.chmod(about.st_mode & 0o7777)
    partial.replace(place)


def _below(directory: Path) -> Iterator[Path]:
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            yield Path(parent, name)
