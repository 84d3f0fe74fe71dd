"""The mailcow of a directory: its settings, its compose project and where its volumes lie."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from mailrewind.errors import (
    ConfigurationInvalid,
    ContainerMissing,
    MailSystemError,
    SourceUnreadable,
)
from mailrewind.systems.mailcow.settings import FILE_NAME, read_settings
from mailrewind.transports.containers import Project, find_project, project_directories
from mailrewind.transports.mariadb import Access

logger = logging.getLogger(__name__)

USUAL_DIRECTORY = Path("/opt/mailcow-dockerized")

DOVECOT = "dovecot-mailcow"
SOGO = "sogo-mailcow"
MYSQL = "mysql-mailcow"
REDIS = "redis-mailcow"
MEMCACHED = "memcached-mailcow"

_DATABASE_PORT = 3306
_PRIVATE_KEY = "ecprivkey.pem"
_KEYS = "*.pem"


class Installation:
    """One mailcow; asks the engine when something is first needed.

    Args:
        directory: Where mailcow.conf lies.
        project: The compose project's name; "" to find it by the directory.
        base_url: Of the Docker engine; None for this host's own.
        on_opened: Told of the project before anybody works with it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        project: str = "",
        base_url: str | None = None,
        on_opened: Callable[[Project], object] | None = None,
    ) -> None:
        self.directory = directory
        self._on_opened = on_opened
        self._project_name = project
        self._base_url = base_url

    @property
    def settings(self) -> Mapping[str, str]:
        """What mailcow.conf says now.

        Raises:
            SourceMissing, SourceUnreadable, ConfigurationInvalid: As ``read_settings``.
        """
        return read_settings(self.directory)

    @cached_property
    def project(self) -> Project:
        """The compose project; its client stays open until ``close``.

        Raises:
            ContainerMissing: The engine knows no project of this directory or name.
            ConfigurationInvalid: It knows several.
            MailServerUnreachable: The engine does not answer.
        """
        project = self._found()
        if self._on_opened is not None:
            self._on_opened(project)
        return project

    def _found(self) -> Project:
        if self._project_name:
            return find_project(self.directory, name=self._project_name, base_url=self._base_url)
        try:
            return find_project(self.directory, base_url=self._base_url)
        except ContainerMissing:
            # After `docker compose down` only the volumes are left, and they know no directory.
            return self._by_its_settings()

    def close(self) -> None:
        """Close what is open; the next use opens it again."""
        project = self.__dict__.pop("project", None)
        if project is not None:
            project.close()

    @property
    def vmail(self) -> Path:
        """Where the mail lies on this host: domains, "sieve", "_garbage".

        Raises:
            ContainerMissing: There is no such volume.
        """
        return self._mounted(DOVECOT, "/var/vmail") or self.volume("vmail-vol-1")

    @property
    def crypt(self) -> Path:
        """Where the keys of mail_crypt lie on this host.

        Raises:
            ContainerMissing: There is no such volume.
        """
        return self._mounted(DOVECOT, "/mail_crypt") or self.volume("crypt-vol-1")

    def volume(self, name: str) -> Path:
        """Return where a volume of the project lies on this host.

        Args:
            name: As in mailcow's compose file.

        Raises:
            ContainerMissing: There is no such volume.
        """
        return self.project.volume(name)

    def private_keys(self) -> list[bytes]:
        """Return the private keys of mail_crypt as PEM, that of the running mailcow first.

        Raises:
            SourceUnreadable: One may not be read.
        """
        crypt = self.crypt
        files = sorted(crypt.glob(_KEYS), key=lambda path: (path.name != _PRIVATE_KEY, path.name))
        try:
            found = [path.read_bytes() for path in files]
        except OSError as error:
            raise SourceUnreadable(f"a key in {crypt}: {error.strerror}") from error
        return [pem for pem in found if b"PRIVATE KEY" in pem]

    def address_of_database(self) -> tuple[str, int]:
        """Return host and port under which this host reaches MariaDB.

        Raises:
            ContainerMissing: The stack has no MariaDB.
            MailServerUnreachable: It does not run.
        """
        return self.project.address_of(MYSQL, _DATABASE_PORT)

    def database(self, *, as_root: bool = False) -> Access:
        """Return how to log in to mailcow's database.

        Args:
            as_root: As its administrator, who may also create and drop databases.

        Raises:
            ConfigurationInvalid: mailcow.conf lacks the name, the user or the password.
            MailSystemError: As ``address_of_database``.
        """
        settings = self.settings
        wanted = {"DBNAME", "DBROOT"} if as_root else {"DBNAME", "DBUSER", "DBPASS"}
        if lacking := sorted(name for name in wanted if not settings.get(name)):
            raise ConfigurationInvalid(
                f"{self.directory / FILE_NAME} lacks {', '.join(lacking)}.",
                advice="mailcow writes them itself: compare the file with its backup.",
            )
        host, port = self.address_of_database()
        return Access(
            user="root" if as_root else settings["DBUSER"],
            password=settings["DBROOT" if as_root else "DBPASS"],
            database=settings["DBNAME"],
            host=host,
            port=port,
        )

    def _mounted(self, service: str, destination: str) -> Path | None:
        """Return what an override file may have put in a volume's place."""
        with suppress(ContainerMissing):
            return self.project.mount_of(service, destination)
        return None

    def _by_its_settings(self) -> Project:
        name = self.settings.get("COMPOSE_PROJECT_NAME") or "mailcowdockerized"
        elsewhere = [
            str(place)
            for place in project_directories(base_url=self._base_url).get(name, ())
            if (place / FILE_NAME).exists() and not place.samefile(self.directory)
        ]
        if elsewhere:
            raise ConfigurationInvalid(
                f"The compose project {name} was started in {', '.join(elsewhere)}, "
                f"not in {self.directory}.",
                advice="Correct `directory` of the system, or name its `project`.",
            )
        return find_project(self.directory, name=name, base_url=self._base_url)


def find_installations() -> list[Path]:
    """Return the directories of the mailcows on this host, the usual place first.

    An engine that does not answer leaves the usual place to look at.
    """
    found = {USUAL_DIRECTORY}
    try:
        for places in project_directories().values():
            found |= places
    except MailSystemError as error:
        logger.debug("the Docker engine was not asked for mailcows: %s", error)
    there = [path for path in found if _has_settings(path)]
    return sorted(there, key=lambda path: (path != USUAL_DIRECTORY, path))


def _has_settings(directory: Path) -> bool:
    try:
        return (directory / FILE_NAME).is_file()
    except OSError:
        return False
