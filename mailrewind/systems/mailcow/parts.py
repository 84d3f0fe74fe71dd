"""What a mailcow is besides mail, database and calendars: the archive "server" of a restore point.

The volumes of Redis (DKIM keys, learned spam), Rspamd and Postfix, and of mailcow's own directory
what git does not hold: mailcow.conf, settings, certificates, hooks, overrides. Left out is what
comes back by itself: indexes, SOGo's web files, virus signatures.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mailrewind.errors import ContainerMissing
from mailrewind.model.reports import ArchiveStatistics, Finding
from mailrewind.ports import Archives, Capture, Report
from mailrewind.systems.mailcow.installation import DOVECOT, SOGO, Installation
from mailrewind.systems.mailcow.redis import Redis
from mailrewind.systems.mailcow.settings import FILE_NAME

logger = logging.getLogger(__name__)

NAME = "server"

POSTFIX_VOLUME = "postfix-vol-1"
RSPAMD_VOLUME = "rspamd-vol-1"
VOLUMES = ("redis-vol-1", RSPAMD_VOLUME, POSTFIX_VOLUME, "postfix-tlspol-vol-1")
"""Volumes of the part, by their names in mailcow's compose file."""

# Not in every mailcow: it came with a version, or a person made it.
_OPTIONAL = frozenset({"postfix-tlspol-vol-1"})
_KEPT_FILES = (FILE_NAME, ".env", "docker-compose.yml", "docker-compose.override.yml")
_KEPT_DIRECTORIES = ("data/conf", "data/hooks", "data/assets/ssl")
_SKIP_SOGO = "SKIP_SOGO"
_YES = frozenset({"y", "Y", "yes"})
# Without the others there is no backup.
_EXPECTED = frozenset({DOVECOT, SOGO})
_ALWAYS_THERE = ("data/conf", "data/assets/ssl")
# Sockets and pipes between the running services.
_VOLATILE = {POSTFIX_VOLUME: ("public", "private"), RSPAMD_VOLUME: ("rspamd.sock",)}


class ServerPart:
    """Archives settings, keys and small volumes; see ``ports.Part``."""

    name = NAME

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def archive(
        self, archives: Archives, archive: str, *, report: Report | None = None
    ) -> tuple[ArchiveStatistics, Sequence[Finding]]:
        """Make the archive. Redis writes its volume first: most of it is only in memory."""
        Redis(self._installation).save()
        volumes, lacking = self._volumes()
        directory = self._installation.directory.resolve()
        queue = str(volumes.get(POSTFIX_VOLUME, ""))
        capture = Capture(
            roots=(*volumes.values(), directory),
            excludes=(*_volatile(volumes), _all_but_kept(directory)),
        )
        statistics, findings = archives.create(archive, capture, report=report)
        return statistics, [
            *self._not_running(),
            *(Finding(name, "is not there, so it is not archived") for name in lacking),
            *_absent(directory),
            *_without_queue(findings, queue),
        ]

    def _volumes(self) -> tuple[dict[str, Path], list[str]]:
        """Return where the volumes lie, and the names of those that should be there and are not."""
        found: dict[str, Path] = {}
        lacking: list[str] = []
        for name in VOLUMES:
            try:
                found[name] = self._installation.volume(name)
            except ContainerMissing:
                if name not in _OPTIONAL:
                    lacking.append(name)
        return found, lacking

    def _not_running(self) -> Iterator[Finding]:
        states = self._installation.project.services()
        expected = {DOVECOT} if self._installation.settings.get(_SKIP_SOGO) in _YES else _EXPECTED
        for service in sorted(expected - states.keys()):
            yield Finding(service, "has no container while its data is archived")
        for state in states.values():
            if state.state != "running":
                text = f"does not run ({state.state}) while its data is archived"
                yield Finding(state.service, text)


def _volatile(volumes: dict[str, Path]) -> Iterator[str]:
    for name, below in _VOLATILE.items():
        if name in volumes:
            root = str(volumes[name]).lstrip("/")
            yield from (f"pp:{root}/{path}" for path in below)


def _all_but_kept(directory: Path) -> str:
    """Return the pattern of all in mailcow's directory that git, or mailcow itself, brings back."""
    files = "|".join(f"{re.escape(name)}$" for name in _KEPT_FILES)
    trees = "|".join(f"{re.escape(name)}(/|$)" for name in _KEPT_DIRECTORIES)
    on_the_way = sorted({str(p) for name in _KEPT_DIRECTORIES for p in Path(name).parents} - {"."})
    parents = "|".join(f"{re.escape(name)}$" for name in on_the_way)
    return f"re:^{re.escape(str(directory).lstrip('/'))}/(?!{files}|{trees}|{parents})"


def _absent(directory: Path) -> Iterator[Finding]:
    for name in _ALWAYS_THERE:
        if not (directory / name).is_dir():
            yield Finding(str(directory / name), "is not there, so it is not archived")


def _without_queue(findings: Sequence[Finding], queue: str) -> Iterator[Finding]:
    """Put what is always so into one finding: mail passes through Postfix's queue meanwhile."""
    passing = [finding for finding in findings if queue and finding.subject.startswith(queue)]
    yield from (finding for finding in findings if finding not in passing)
    if passing:
        yield Finding(queue, f"{len(passing)} files changed or went while they were read")
