"""borg's verbs as argument lists; pure functions.

Paths and names are always literal: options end before them with ``--``, paths to read carry the
style ``pf:`` (the full path), and nothing ever meets a shell. The options that every verb shares
are added where borg is run.
"""

from collections.abc import Sequence
from pathlib import Path

# One item: mode and type, size, mtime, path, and what a link points to. NUL can stand in no path.
LIST_FORMAT = "{mode} {size} {isomtime} {bpath}{NUL}{source}{NUL}"

# ctime tells of every change; changing the mode once makes borg read everything again.
_FILES_CACHE = "--files-cache=ctime,size,inode"
_CREATE = ("create", "--json", "--comment=mailrewind", _FILES_CACHE)
# What an interrupted first backup loses at most.
_CHECKPOINT = "--checkpoint-interval=600"
# A few changed rows in a large dump: blocks of some 32 KiB instead of 2 MiB store a 25th of it.
_CHUNKS_OF_A_DUMP = "--chunker-params=buzhash,12,18,15,4095"


def init(location: str, encryption: str) -> list[str]:
    """Create a repository, and the directories above it."""
    return ["init", f"--encryption={encryption}", "--make-parent-dirs", "--", location]


def set_segment_size(location: str, size_bytes: int) -> list[str]:
    """Change the size of the files that a repository on this machine is written in."""
    return ["config", "--", location, "max_segment_size", str(size_bytes)]


def create(
    location: str, archive: str, roots: Sequence[Path], *, excludes: Sequence[str], compression: str
) -> list[str]:
    """Archive directories with all that lies below them."""
    return [
        *_CREATE,
        "--progress",
        _CHECKPOINT,
        f"--compression={compression}",
        *(f"--exclude={pattern}" for pattern in excludes),
        "--",
        _at(location, archive),
        *map(str, roots),
    ]


def create_from_stdin(location: str, archive: str, *, compression: str) -> list[str]:
    r"""Archive the paths that stand on standard input, each with "\0" behind it."""
    return [
        *_CREATE,
        f"--compression={compression}",
        "--paths-from-stdin",
        r"--paths-delimiter=\0",
        "--",
        _at(location, archive),
    ]


def create_from_command(
    location: str, archive: str, command: Sequence[str], *, path: str, compression: str
) -> list[str]:
    """Archive what a command writes to standard output, as one file.

    borg refuses an archive that exists before it starts the command, and makes none when the
    command fails. Older versions of Python's argument parser drop the first "--" of the command:
    give it one to spare.
    """
    return [
        *_CREATE,
        # Nothing of a dump is of use until its last line has come.
        "--checkpoint-interval=0",
        f"--compression={compression}",
        _CHUNKS_OF_A_DUMP,
        "--content-from-command",
        f"--stdin-name={path}",
        "--stdin-mode=0600",
        "--",
        _at(location, archive),
        *command,
    ]


def list_archives(location: str, *, checkpoints: bool = False) -> list[str]:
    """List the archives as JSON, without waiting for any lock."""
    also = ["--consider-checkpoints"] if checkpoints else []
    return ["list", "--bypass-lock", "--json", *also, "--", location]


def list_files(location: str, archive: str) -> list[str]:
    """List an archive in ``LIST_FORMAT``."""
    return ["list", "--bypass-lock", f"--format={LIST_FORMAT}", "--", _at(location, archive)]


def export_tar(location: str, archive: str, paths: Sequence[str], *, patterns: Path) -> list[str]:
    """Write chosen paths of an archive to standard output, as tar, in the archive's order.

    Args:
        location: Of the repository.
        archive: Its name.
        paths: At least one.
        patterns: A file with more paths, as ``pattern_line`` writes them.
    """
    if not paths:
        raise ValueError("without a path borg would export the whole archive")
    options = ["--bypass-lock", f"--patterns-from={patterns}"]
    literal = [f"pf:{path}" for path in paths]
    return ["export-tar", *options, "--", _at(location, archive), "-", *literal]


def extract(
    location: str, archive: str, paths: Sequence[str], *, strip: int, progress: bool
) -> list[str]:
    """Write an archive, or some directories of it, below the working directory.

    Owners are those of the archive by number: names may mean other numbers here.
    """
    told = ["--progress"] if progress else []
    options = ["--bypass-lock", "--numeric-ids", f"--strip-components={strip}", *told]
    literal = [f"pp:{path}" for path in paths]
    return ["extract", *options, "--", _at(location, archive), *literal]


def extract_to_stdout(location: str, archive: str, path: str) -> list[str]:
    """Write the content of one file to standard output."""
    return ["extract", "--bypass-lock", "--stdout", "--", _at(location, archive), f"pf:{path}"]


def info(location: str) -> list[str]:
    """Tell the repository's id, encryption and sizes as JSON."""
    return ["info", "--bypass-lock", "--json", "--", location]


def delete(location: str, archives: Sequence[str]) -> list[str]:
    """Delete archives by name."""
    if not archives:
        raise ValueError("without a name borg would delete the whole repository")
    return ["delete", "--", location, *archives]


def compact(location: str) -> list[str]:
    """Give the space of deleted archives back."""
    return ["compact", "--", location]


def check(location: str, *, verify_data: bool) -> list[str]:
    """Look for damage, in the stored messages as well if asked; never repair."""
    data = ["--verify-data"] if verify_data else []
    return ["check", "--progress", *data, "--", location]


def break_lock(location: str) -> list[str]:
    """Remove the locks of the repository and of its cache."""
    return ["break-lock", "--", location]


def key_export(location: str, target: Path | None, *, form: str) -> list[str]:
    """Write a copy of the repository's key, to standard output without a target.

    Args:
        location: Of the repository.
        target: A file.
        form: "file", or an option of borg's such as "paper".
    """
    option = [] if form == "file" else [f"--{form}"]
    return ["key", "export", *option, "--", location, *([str(target)] if target else [])]


def key_import(location: str, source: Path | None) -> list[str]:
    """Bring a key back from an exported file, or from typed lines on standard input."""
    option = [] if source else ["--paper"]
    return ["key", "import", *option, "--", location, *([str(source)] if source else [])]


def fits_pattern_line(path: str) -> bool:
    """Whether a pattern file can hold this path: it is text, split at line ends, and stripped."""
    return is_text(path) and not set(path) & {"\n", "\r"} and path == path.rstrip()


def pattern_line(path: str) -> str:
    """Return the line of a pattern file that includes exactly this path."""
    return f"+ pf:{path}\n"


def is_text(path: str) -> bool:
    """Whether a path is UTF-8 on the disk."""
    return path == path.encode(errors="replace").decode()


def _at(location: str, archive: str) -> str:
    return f"{location}::{archive}"
