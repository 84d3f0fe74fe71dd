"""One restore point in the making: its archives so far, and what was noticed."""

import logging
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import datetime
from functools import partial

from mailrewind.errors import ArchiveExists, CaptureIncomplete
from mailrewind.model.mail import Message
from mailrewind.model.points import LATE, RestorePoint
from mailrewind.model.reports import ArchiveStatistics, Finding
from mailrewind.ports import ArchivedFile, Part, Report, State
from mailrewind.services.connected import ConnectedSystem

logger = logging.getLogger(__name__)

_LATE_PASSES = 5


def without_left_places(
    messages: Sequence[Message], gone: Container[str], *, key_of: Callable[[str], str | None]
) -> Sequence[Message]:
    """Leave out the place that a message was moved away from while borg read.

    Borg may meet it in both places, and a restore would take the two for copies. It is left where
    it was if its new place is not in the point.

    Args:
        messages: What all archives of a point hold.
        gone: Keys of messages that were archived and not there any more in the end.
        key_of: Gives the key of a message's path.
    """
    left = {message.path for message in messages if key_of(message.path) in gone}
    stayed = {(message.mailbox, message.guid) for message in messages if message.path not in left}
    return [
        message
        for message in messages
        if message.path not in left or (message.mailbox, message.guid) not in stayed
    ]


class PointInTheMaking:
    """Makes the archives of one restore point.

    Attributes:
        statistics: Of each archive that was made now.
        findings: What did not fail the run.
        listing: By path, what all archives together hold; the later archive is right.
        gone: Keys of archived messages that were not there any more in the end.
    """

    def __init__(
        self,
        connected: ConnectedSystem,
        state: State,
        point: RestorePoint,
        *,
        began_at: datetime,
    ) -> None:
        self.statistics: list[ArchiveStatistics] = []
        self.findings: list[Finding] = []
        self.listing: dict[str, ArchivedFile] = {}
        self.gone: frozenset[str] = frozenset()
        self._connected = connected
        self._state = state
        self._point = point
        self._began_at = began_at
        self._archived: set[str] = set()

    def create(
        self,
        part: str,
        make: Callable[[str], tuple[ArchiveStatistics, Sequence[Finding]]],
    ) -> None:
        """Make one archive of mail, unless a try before this one has made it."""
        name = self._make(part, make)
        key_of = self._connected.mail.key_of
        for file in self._connected.archives.files(name):
            self.listing[file.path] = file
            if file.kind == "-" and (key := key_of(file.path)) is not None:
                self._archived.add(key)

    def create_part(self, part: Part, *, report: Report | None) -> None:
        """Make the archive of one of the system's other parts, unless it stands already."""
        if part.name in self._point.parts:
            logger.info("%s stands already", part.name)
            return
        archives = self._connected.archives
        self._make(part.name, lambda name: part.archive(archives, name, report=report))

    def catch_late(self, before: Mapping[str, str]) -> int:
        """Archive what was renamed or delivered while borg read; return how many messages.

        Maildir renames a file with every flag, so a message can be missed although it was there
        from before to after the run. Those must be caught; what came in meanwhile comes along.

        Raises:
            CaptureIncomplete: Some were missed again and again.
        """
        caught = 0
        for number in range(1, _LATE_PASSES + 1):
            absent = self._absent()
            if number > 1 and not absent.keys() & before.keys():
                return caught
            # In each pass: what is caught now may have its GUID from a line written since the last.
            companions = self._connected.mail.companions(self._began_at)
            if not absent and not companions:
                return caught
            already = len(self._archived)
            with self._connected.mail.hold([*absent.values(), *companions]) as paths:
                make = partial(self._connected.archives.create_from_paths, paths=paths)
                self.create(f"{LATE}{number}", make)
            caught += len(self._archived) - already
        if missed := self._absent().keys() & before.keys():
            raise CaptureIncomplete(
                f"{len(missed)} messages of {self._connected.name} were renamed each time that "
                f"borg came to read them, such as {min(missed)}"
            )
        return caught

    def _make(
        self,
        part: str,
        make: Callable[[str], tuple[ArchiveStatistics, Sequence[Finding]]],
    ) -> str:
        name = f"{self._point.name}-{part}"
        try:
            statistics, findings = make(name)
        except ArchiveExists:
            logger.info("%s stands already", name)
        else:
            self.statistics.append(statistics)
            self.findings += findings
        self._state.add_part(self._point.name, part)
        return name

    def _absent(self) -> dict[str, str]:
        there = self._connected.mail.survey()
        self.gone = frozenset(self._archived - there.keys())
        return {key: path for key, path in there.items() if key not in self._archived}
