"""Read messages out of the archives of a restore point."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from mailrewind.errors import MailSystemError, RepositoryDamaged
from mailrewind.model.points import RestorePoint
from mailrewind.ports import ArchivedFile, Archives, MailSystem

_AHEAD = 4  # contents per processor that wait in memory


def files_of(archives: Archives, point: RestorePoint) -> dict[str, ArchivedFile]:
    """List a point's mail by path; where two archives hold a path, the later one is right."""
    return {file.path: file for archive in point.mail_archives for file in archives.files(archive)}


def contents(
    archives: Archives, point: RestorePoint, paths: Sequence[str]
) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of what can be read; the caller compares what came with the wish.

    The second pass makes small archives after the large one, so they are asked first. A damaged
    stretch of an archive costs the messages that lie in it and no others; where the archive's own
    list is damaged, borg does not get beyond that place, whatever it is asked for.
    """
    wanted = set(paths)
    for archive in reversed(point.mail_archives):
        if not wanted:
            return
        for path, content in _read_past_damage(archives, archive, sorted(wanted)):
            wanted.discard(path)
            yield path, content


def plain_contents(
    mail: MailSystem, stored: Iterable[tuple[str, bytes]]
) -> Iterator[tuple[str, bytes | MailSystemError]]:
    """Yield each path with the message as it was delivered, or with what is wrong with it.

    Encrypted messages cost milliseconds each, most of them outside of Python's lock.

    Args:
        mail: The system that stored them.
        stored: (path, content) as the archive holds it; read in the calling thread, a few ahead.
    """

    def read(content: bytes) -> bytes | MailSystemError:
        try:
            return mail.plain(content)
        except MailSystemError as error:
            return error

    processors = os.cpu_count() or 1
    pending: deque[tuple[str, Future[bytes | MailSystemError]]] = deque()
    with ThreadPoolExecutor(processors, thread_name_prefix="plain") as pool:
        try:
            for path, content in stored:
                pending.append((path, pool.submit(read, content)))
                if len(pending) > _AHEAD * processors:
                    first, future = pending.popleft()
                    yield first, future.result()
            while pending:
                first, future = pending.popleft()
                yield first, future.result()
        finally:
            for _, future in pending:
                future.cancel()


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
