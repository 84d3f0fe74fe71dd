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
    stretch of an archive costs the messages that lie in it and no others; where the archive's own
    list is damaged, borg does not get beyond that place, whatever it is asked for.
    """
    wanted = set(paths)
    for archive in reversed(point.archives):
        if not wanted:
            return
        for path, content in _read_past_damage(archives, archive, sorted(wanted)):
            wanted.discard(path)
            yield path, content


def _read_past_damage(
    archives: Archives, archive: str, paths: Sequence[str]
) -> Iterator[tuple[str, bytes]]:
    pending = [list(paths)]
    is_listed = False
    while pending:
        seen: set[str] = set()
        some = pending.pop()
        try:
            for path, content in archives.read(archive, some):
                seen.add(path)
                yield path, content
        except RepositoryDamaged:
            is_listed = is_listed or _can_be_listed(archives, archive)
            if not is_listed:
                return
            rest = [path for path in some if path not in seen]
            middle = len(rest) // 2
            if middle:
                pending += [rest[middle:], rest[:middle]]


def _can_be_listed(archives: Archives, archive: str) -> bool:
    try:
        for _ in archives.files(archive):
            pass
    except RepositoryDamaged:
        return False
    return True
