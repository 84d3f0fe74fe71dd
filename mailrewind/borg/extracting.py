"""Write what an archive holds onto a disk, as it was: owners, modes, times, links, attributes."""

import logging
from collections.abc import Sequence
from pathlib import Path

from mailrewind.borg import commands
from mailrewind.borg.messages import Message, finding_of, loss_in
from mailrewind.borg.process import run_borg
from mailrewind.borg.reader import STUMBLES
from mailrewind.borg.settings import RepositorySettings
from mailrewind.errors import NoSpace, SourceMissing, SourceUnreadable
from mailrewind.model.reports import Finding
from mailrewind.ports import Report

logger = logging.getLogger(__name__)


def extract(
    settings: RepositorySettings,
    archive: str,
    target: Path,
    *,
    paths: Sequence[str] = (),
    strip: int = 0,
    report: Report | None = None,
) -> Sequence[Finding]:
    """Write an archive, or what lies at some paths of it, below an existing directory.

    What is there under the same names is replaced, what is there under others stays. Owners are
    kept by number, which takes root: borg says nothing of owners that it could not set.

    Args:
        settings: Of the repository.
        archive: Its name.
        target: Where to; nothing is written outside of it.
        paths: Files or directories with all below them; none for everything.
        strip: How many leading names each path loses; what has no more of them is left out.
        report: Hears of the progress, in bytes.

    Returns:
        What came without an attribute, or not at all.

    Raises:
        SourceMissing: The target is no directory.
        ArchiveMissing: The repository holds no archive of this name.
        ArchivePathMissing: The archive does not hold one of the paths.
        RepositoryDamaged: Content is missing or has changed.
        NoSpace: The target's disk is full.
        SourceUnreadable: The target may not be written.
    """
    if not target.is_dir():
        raise SourceMissing(f"there is no directory {target} to write into", advice="Create it.")
    command = commands.extract(
        settings.location, archive, paths, strip=strip, progress=report is not None
    )

    def judge(message: Message) -> None:
        if message.is_about_full_disk:
            raise NoSpace(
                f"no space is left in {target}",
                advice="Make room there and extract once more; what was written stays.",
            )
        if message.is_about_permission:
            raise SourceUnreadable(f"{target} may not be written: {message.text}")
        if error := loss_in(message, archive):
            raise error

    def run() -> Sequence[Finding]:
        ended = run_borg(
            settings, command, past_locks=True, cwd=target, report=report, on_warning=judge
        )
        return [finding_of(warning, settings.location) for warning in ended.warnings]

    try:
        return run()
    except STUMBLES as error:  # twice is once: what it wrote already is written again
        logger.info("extracting once more: %s", error)
        return run()
