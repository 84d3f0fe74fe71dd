"""Read messages out of the archives of a restore point."""

from collections.abc import Iterator, Sequence

from mailrewind.errors import RepositoryDamaged
from mailrewind.model.points import RestorePoint
from mailrewind.ports import ArchivedFile, Archives


def files_of(archives: Archives, point: RestorePoint) -> dict[str, ArchivedFile]:
    """List a restore point by path; where two archives hold a path, the later one is right."""
    return {file.path: file for archive in point.archives for file in archives.files(archive)}


def contents(
    archives: Archives, point: RestorePoint, paths: Sequence[str]
) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of what can be read; the caller compares what came with the wish.

    The second pass makes small archives after the large one, so they are asked first. A damaged
    stretch of an archive costs the messages that lie in it and no others.
    """
    wanted = set(paths)
    for archive in reversed(point.archives):
        if not wanted:
            return
        for path, content in _read_around_damage(archives, archive, sorted(wanted)):
            wanted.discard(path)
            yield path, content


def _read_around_damage(
    archives: Archives, archive: str, paths: Sequence[str]
) -> Iterator[tuple[str, bytes]]:
    seen: set[str] = set()
    try:
        for path, content in archives.read(archive, paths):
            seen.add(path)
            yield path, content
    except RepositoryDamaged:
        rest = [path for path in paths if path not in seen]
        if len(rest) <= 1:
            return
        middle = len(rest) // 2
        for half in (rest[:middle], rest[middle:]):
            yield from _read_around_damage(archives, archive, half)
