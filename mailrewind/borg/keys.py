"""Copies of a repository's key: away from the machine, and back onto a bare one."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from mailrewind.borg import commands
from mailrewind.borg.process import run_borg
from mailrewind.borg.settings import RepositorySettings
from mailrewind.errors import KeyMissing, RepositoryRefused

KeyForm = Literal["file", "paper", "qr-html"]

# "id: 20 / 8ad… / 4f1… - 3e" and " 1: 864d… - 9a", as borg prints them; spaces mean nothing.
_TYPED = re.compile(r"\s*(?:id|\d+)\s*:\s*(?P<rest>[0-9a-f][0-9a-f /]*-[ 0-9a-f]+)", re.IGNORECASE)
_MISTYPED = re.compile(r"line checksum did not match, try (?:line (\d+)|same line) again")


def export_key(settings: RepositorySettings, path: Path, *, form: KeyForm) -> None:
    """Write a copy of a repository's key into a new file that only we may read.

    Raises:
        KeyMissing: The repository is not encrypted.
        RepositoryRefused: The file exists, or cannot be written.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise RepositoryRefused(
            f"cannot write the key to {path}: {error.strerror}",
            advice="Name a file that does not exist yet, in a directory that does.",
        ) from error
    try:
        run_borg(settings, commands.key_export(settings.location, path.absolute(), form=form))
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def key_on_paper(settings: RepositorySettings) -> str:
    """Return a copy of a repository's key as lines to print and, one day, to type.

    Raises:
        KeyMissing: The repository is not encrypted.
    """
    command = commands.key_export(settings.location, None, form="paper")
    return run_borg(settings, command).stdout.decode()


def import_key(settings: RepositorySettings, path: Path) -> None:
    """Bring a repository's key back from a copy, be it a file of borg or typed lines of a paper.

    Raises:
        KeyMissing: The copy cannot be read, is none, or belongs to another repository.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyMissing(
            f"{path} cannot be read as a copy of a key", advice="Name the exported file."
        ) from error
    if typed := list(_typed(text.splitlines())):
        _type(settings, path, typed)
    else:
        run_borg(settings, commands.key_import(settings.location, path.absolute()))


def _typed(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if match := _TYPED.fullmatch(line.rstrip()):
            yield match["rest"].lower()


def _type(settings: RepositorySettings, path: Path, typed: Sequence[str]) -> None:
    """Answer borg's questions; at the end of our lines it gives up, and calls that a success."""
    command = commands.key_import(settings.location, None)
    ended = run_borg(settings, command, stdin="".join(f"{line}\n" for line in typed).encode())
    said = ended.stdout.decode(errors="replace")
    if " - aborted" in said:
        first = _MISTYPED.search(said)
        which = f"line {first[1] or 'id'} is not right" if first else "some lines are missing"
        raise KeyMissing(
            f"what stands in {path} is not the whole key: {which}",
            advice="Compare it with the paper: each line ends with a checksum of its own.",
        )
