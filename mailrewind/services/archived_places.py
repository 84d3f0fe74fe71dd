"""Where the archives of a restore point have the volumes and the settings of a mail system."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mailrewind.errors import ArchivePathMissing
from mailrewind.model.points import RestorePoint
from mailrewind.ports import Archives

SERVER = "server"
SETTINGS = "mailcow.conf"
_DATA = "/_data/"


@dataclass(frozen=True, slots=True)
class ArchivedPlaces:
    """Paths in the archives of one restore point, without a leading "/".

    Attributes:
        roots: By archive, in the order in which they are written back, and by volume.
        settings: The directory that holds the settings, in the part "server".
    """

    roots: Mapping[str, Mapping[str, str]]
    settings: str

    def of(self, volume: str) -> Iterable[tuple[str, str]]:
        """Yield the archives that have a volume, with its path there; the later one is right."""
        for archive, roots in self.roots.items():
            if volume in roots:
                yield archive, roots[volume]


def find_places(
    archives: Archives, point: RestorePoint, volumes: Mapping[str, Path]
) -> ArchivedPlaces:
    """Look through each archive once.

    Args:
        archives: The repository.
        point: The restore point.
        volumes: Where the volumes lie now, by name.

    Raises:
        ArchivePathMissing: No archive has the settings.
        RepositoryError: As borg says.
    """
    server = f"{point.name}-{SERVER}"
    paths = [file.path for file in archives.files(server)]
    roots = {server: roots_in(paths, volumes)}
    for archive in point.mail_archives:
        roots[archive] = roots_in((file.path for file in archives.files(archive)), volumes)
    return ArchivedPlaces(roots, settings_in(paths, server))


def settings_in(paths: Iterable[str], archive: str) -> str:
    """Return the directory that holds the settings.

    Raises:
        ArchivePathMissing: There is none.
    """
    found = [path.removesuffix(f"/{SETTINGS}") for path in paths if path.endswith(f"/{SETTINGS}")]
    if not found:
        raise ArchivePathMissing(f"{archive} holds no {SETTINGS}")
    return min(found, key=len)


def roots_in(paths: Iterable[str], volumes: Mapping[str, Path]) -> dict[str, str]:
    """Find volumes in a listing.

    Docker's directory and the project may have had other names then; a volume that was mounted
    from elsewhere has to be in the same place as now.
    """
    same = {name: str(place).lstrip("/") for name, place in volumes.items()}
    found: dict[str, str] = {}
    seen: set[str] = set()
    for path in paths:
        for name, place in same.items():
            if name not in found and (path == place or path.startswith(f"{place}/")):
                found[name] = place
        head, mark, _ = f"{path}/".partition(_DATA)
        if not mark or head in seen:
            continue
        seen.add(head)
        leaf = head.rpartition("/")[2]
        for name in volumes:
            if leaf == name or leaf.endswith(f"_{name}"):
                found[name] = f"{head}{_DATA}".rstrip("/")
    return found
