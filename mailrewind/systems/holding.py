"""Messages held still while borg reads them: links of ours, which nobody renames."""

import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mailrewind.errors import MailServerFailed
from mailrewind.formats.maildir import base_of
from mailrewind.systems.directories import open_below
from mailrewind.systems.living import LivingTree
from mailrewind.systems.reading import FolderFiles, split_message
from mailrewind.systems.staging import room_below

logger = logging.getLogger(__name__)

_ROUNDS = 100


@contextmanager
def hold_still(tree: LivingTree, staging: Path, paths: Iterable[str]) -> Iterator[Sequence[str]]:
    """Give paths that stay, each ending in "/./" and the path that an archive shall show.

    Between a listing and borg's look at it lies half a second, in which a busy mailbox renames
    everything once more; between a listing and a link lie microseconds. Where no link can be made,
    on a read-only mount for instance, the paths are given as they came.
    """
    wanted = list(paths)
    with ExitStack() as stack:
        try:
            room = stack.enter_context(room_below(staging))
            held = [f"{str(room).lstrip('/')}/./{path}" for path in _linked(tree, room, wanted)]
        except (OSError, MailServerFailed) as error:
            logger.warning("messages cannot be held still below %s: %s", staging, error)
            held = wanted
        yield held


def _linked(tree: LivingTree, room: Path, paths: Sequence[str]) -> Iterator[str]:
    """Link files into the room, following those that are renamed; yield what was linked."""
    pending = list(paths)
    for _ in range(_ROUNDS):
        renamed: list[str] = []
        for directory, names in _by_directory(pending).items():
            gone = _link(tree, room, directory, names)
            yield from (f"{directory}/{name}" for name in names if name not in gone)
            renamed += (f"{directory}/{name}" for name in names if name in gone)
        if not renamed:
            return
        pending = _under_their_new_names(tree, renamed)


def _by_directory(paths: Iterable[str]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        directory, _, name = path.rpartition("/")
        names[directory].append(name)
    return names


def _link(tree: LivingTree, room: Path, directory: str, names: Sequence[str]) -> set[str]:
    """Link files of one directory; return those that are not there any more."""
    target = room / directory
    target.mkdir(parents=True, exist_ok=True)
    gone: set[str] = set()
    try:
        with (
            open_below(tree.root, tree.names_below_root(directory)) as source,
            open_below(target, ()) as here,
        ):
            for name in names:
                try:
                    os.link(name, name, src_dir_fd=source, dst_dir_fd=here, follow_symlinks=False)
                except FileNotFoundError:
                    gone.add(name)
    except (FileNotFoundError, NotADirectoryError):
        return set(names)
    return gone


def _under_their_new_names(tree: LivingTree, paths: Iterable[str]) -> list[str]:
    """Find messages that were renamed; what is found nowhere was expunged or moved."""
    folders: dict[str, tuple[FolderFiles, list[str]]] = {}
    for path in paths:
        place = tree.locate(path)
        file = split_message(place.rest) if place else None
        if place and file:
            folder = FolderFiles(place.mailbox, place.folder_path, place.directory)
            folders.setdefault(folder.path, (folder, []))[1].append(base_of(file[1]))
    found: list[str] = []
    for folder, bases in folders.values():
        names = tree.names(folder)
        found += ("/".join((folder.path, *names[base])) for base in bases if base in names)
    return found
