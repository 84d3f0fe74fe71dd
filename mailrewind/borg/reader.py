"""Read archives, past the repository's lock.

A reader that holds the lock would make the hourly backup fail. Without it, something may be
written or deleted meanwhile and borg may stumble; then it is asked once more.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar

from mailrewind.borg import commands
from mailrewind.borg.messages import Message, loss_in
from mailrewind.borg.output import LISTING_ENCODING, as_source, exported_files, listed_files
from mailrewind.borg.process import memory_file, stream_borg
from mailrewind.borg.settings import RepositorySettings
from mailrewind.errors import (
    ArchivePathMissing,
    BorgFailed,
    RepositoryDamaged,
    RepositoryMoved,
)
from mailrewind.ports import ArchivedFile

logger = logging.getLogger(__name__)

# What a reader may run into when a writer commits at the same moment. The last: borg compares the
# state that it read with the newest one known here, and takes the difference for an old copy.
STUMBLES = (RepositoryDamaged, BorgFailed, RepositoryMoved)

_T = TypeVar("_T")
_ARGUMENTS = 500  # paths of a kilobyte each stay far below what the kernel takes


def read_listing(settings: RepositorySettings, archive: str) -> Iterator[ArchivedFile]:
    """List an archive; further names of one file come last.

    Raises:
        ArchiveMissing: The repository holds no archive of this name.
    """
    return _again(lambda: _files(settings, archive))


def read_contents(
    settings: RepositorySettings, archive: str, paths: Sequence[str]
) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of regular files in the archive's order; further names come last.

    Raises:
        ArchiveMissing: The repository holds no archive of this name.
        RepositoryDamaged: Content is missing or has changed.
    """
    return _again(lambda: _contents(settings, archive, frozenset(paths)))


@contextmanager
def open_content(settings: RepositorySettings, archive: str, path: str) -> Iterator[BinaryIO]:
    """Give the content of one regular file as a stream; little of it lies in memory at a time.

    Leaving the block reads on to the end, so that damage there is met as well; leaving it by an
    exception ends borg at once. Consume it in one thread: borg ends with the thread that started
    it.

    Raises:
        ArchiveMissing: The repository holds no archive of this name.
        ArchivePathMissing: The archive does not hold the path, or no regular file there.
        RepositoryDamaged: Content is missing or has changed; may come after much of it was read.
    """
    with ExitStack() as stack:
        try:
            output = stack.enter_context(_begun(settings, archive, path))
        except STUMBLES as error:
            logger.info("reading once more: %s", error)
            output = stack.enter_context(_begun(settings, archive, path))
        yield output


@contextmanager
def _begun(settings: RepositorySettings, archive: str, path: str) -> Iterator[BinaryIO]:
    """Give the content once its first bytes have come; what is met before can be tried again."""

    def judge(message: Message) -> None:
        if error := loss_in(message, archive):
            raise error

    command = commands.extract_to_stdout(settings.location, archive, path)
    with stream_borg(settings, command, on_warning=judge) as output:
        # borg has no content for a directory either, and does not say so.
        if not output.peek(1) and path not in dict(read_contents(settings, archive, [path])):
            raise ArchivePathMissing(f"archive {archive} holds no file {path}")
        yield output


def _files(settings: RepositorySettings, archive: str) -> Iterator[ArchivedFile]:
    links: list[tuple[ArchivedFile, str]] = []
    for file, source in _listed(settings, archive):
        if source:
            links.append((file, source))
        else:
            yield file
    if links:
        wanted = {source for _, source in links}
        sizes = {
            shown: file.size_bytes
            for file, _ in _listed(settings, archive)
            if (shown := as_source(file.path)) in wanted
        }
        for file, source in links:
            yield replace(file, size_bytes=sizes.get(source, 0))


def _listed(settings: RepositorySettings, archive: str) -> Iterator[tuple[ArchivedFile, str]]:
    command = commands.list_files(settings.location, archive)
    with stream_borg(settings, command, encoding=LISTING_ENCODING) as output:
        yield from listed_files(output)


def _contents(
    settings: RepositorySettings, archive: str, paths: frozenset[str]
) -> Iterator[tuple[str, bytes]]:
    links: dict[str, list[str]] = {}
    for path, content, source in _exported(settings, archive, paths):
        if path not in paths:
            continue
        if content is None:
            links.setdefault(source, []).append(path)
        else:
            yield path, content
    # The content went by under the file's first name; keeping it all could be any size.
    for source, content, _ in _exported(settings, archive, frozenset(links)):
        if content is not None:
            yield from ((path, content) for path in links[source])


def _exported(
    settings: RepositorySettings, archive: str, paths: frozenset[str]
) -> Iterator[tuple[str, bytes | None, str]]:
    lines = sorted(path for path in paths if commands.fits_pattern_line(path))
    others = sorted(paths.difference(lines)) or lines[:1]
    for start in range(0, len(others), _ARGUMENTS):
        some = others[start : start + _ARGUMENTS]
        with memory_file(map(commands.pattern_line, lines)) as descriptor:
            patterns = Path(f"/dev/fd/{descriptor}")
            command = commands.export_tar(settings.location, archive, some, patterns=patterns)
            with stream_borg(settings, command, pass_fds=(descriptor,)) as output:
                yield from exported_files(output)
        lines = []


def _again(start: Callable[[], Iterator[_T]]) -> Iterator[_T]:
    """Yield everything; when it breaks off, start once more after what was yielded already."""
    done = 0
    try:
        for thing in start():
            yield thing
            done += 1
    except STUMBLES as error:
        logger.info("reading once more: %s", error)
    else:
        return
    yield from islice(start(), done, None)
