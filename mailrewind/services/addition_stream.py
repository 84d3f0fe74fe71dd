"""Messages on their way out of a restore point into the mail system."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mailrewind.errors import KeyDoesNotFit
from mailrewind.formats.rfc5322 import digest_of
from mailrewind.model.mail import Delivery
from mailrewind.model.points import RestorePoint
from mailrewind.model.restores import Addition
from mailrewind.ports import Progress, Report
from mailrewind.services.connected import ConnectedSystem
from mailrewind.services.contents import contents
from mailrewind.services.verify import Delivered


class AdditionStream:
    """The additions with their contents, one at a time, remembering what went by."""

    def __init__(
        self,
        connected: ConnectedSystem,
        point: RestorePoint,
        additions: tuple[Addition, ...],
        report: Report | None,
    ) -> None:
        self.delivered: list[Delivered] = []
        self.refused: dict[str, str] = {}
        self._connected = connected
        self._point = point
        self._by_path = {addition.message.path: addition for addition in additions}
        self._report = report

    def __iter__(self) -> Iterator[Delivery]:
        """Yield what the mail system could read; what it could not is remembered as refused."""
        for path, content in self.again(list(self._by_path)):
            if objection := self._connected.mail.objection(content):
                self.refused[path] = objection
                continue
            addition = self._by_path[path]
            self.delivered.append(Delivered(addition, digest_of(content)))
            yield Delivery(replace(addition.message, folder=addition.target), content)
            if self._report is not None:
                self._report(
                    Progress(len(self.delivered), len(self._by_path), "messages", "bringing back")
                )

    def useless(self) -> KeyDoesNotFit | None:
        """Return the error for a restore of which not one message could be delivered."""
        if self.delivered or not self.refused:
            return None
        return key_does_not_fit(self._point, next(iter(self.refused.values())))

    def again(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield contents as the point holds them."""
        return contents(self._connected.archives_of(self._point), self._point, paths)


def key_does_not_fit(point: RestorePoint, objection: str) -> KeyDoesNotFit:
    """Return the error for messages that the living mail system could not read."""
    return KeyDoesNotFit(
        f"the mail system could not read what {point.name} holds: {objection}",
        advice="Put the key of that time beside the present one: see docs/mailcow.md, keys.",
    )
