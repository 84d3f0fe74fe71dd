"""Dumps of a database in restore points: which point has one, and its text as a stream."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial

from mailrewind.errors import OtherInstallation, RestorePointNotFound, SchemaTooNew
from mailrewind.model.databases import Examination, is_newer_schema
from mailrewind.model.moments import parse_moment
from mailrewind.model.points import RestorePoint
from mailrewind.model.reports import Finding
from mailrewind.ports import State
from mailrewind.services.connected import Connect

PART = "sql"
_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Dumps:
    """The dumps in the restore points of systems.

    Attributes:
        connect: Gives a system by name.
        state: What knows the restore points.
        path: Where a dump lies in its archive.
        zone: Where times without an offset are read.
        clock: Gives the present moment.
    """

    connect: Connect
    state: State
    path: str
    zone: tzinfo
    clock: Callable[[], datetime]

    def point(self, system: str, at: str) -> RestorePoint:
        """Find the restore point that a moment means, among those with a dump.

        The catalogue need not have reached it: a dump is not looked up there.

        Raises:
            MomentUnclear, MomentInFuture, MomentTooEarly: The moment cannot be used.
            RestorePointNotFound: There is none, or it has no dump.
        """
        every = self.state.points(system)
        having = [point for point in every if PART in point.parts]
        if not having or any(point.name == at.strip() for point in every if point not in having):
            raise RestorePointNotFound(
                f"No dump of the database is in {at if having else f'any point of {system}'}."
            )
        return parse_moment(at, points=having, now=self.clock(), zone=self.zone)

    @contextmanager
    def open(self, point: RestorePoint) -> Iterator[Iterator[bytes]]:
        """Give a point's dump in pieces; leaving the block checks that all of it was there.

        Raises:
            RepositoryError: It cannot be read.
        """
        archives = self.connect(point.system).archives_of(point)
        with archives.read_stream(f"{point.name}-{PART}", self.path) as stream:
            yield iter(partial(stream.read, _PIECE_BYTES), b"")


def refuse_newer_schema(system: str, found: Examination) -> tuple[Finding, ...]:
    """Refuse a dump that the living version cannot have written; say where it is older.

    Raises:
        SchemaTooNew: A newer one wrote it, or one that cannot be compared.
    """
    then, now = found.schema
    is_newer = is_newer_schema(then, now)
    if is_newer is None or is_newer:
        raise SchemaTooNew(
            f"the dump's tables are of version {then or 'unknown'}, those of {system} are of "
            f"{now or 'unknown'}"
        )
    if then == now:
        return ()
    text = f"is of version {then}, older than {now}; mailcow brings it up to date when it starts"
    return (Finding("the dump", text),)


def refuse_another(system: str, found: Examination, *, from_another: bool) -> tuple[Finding, ...]:
    """Refuse a dump of another installation, unless that is meant.

    Raises:
        OtherInstallation: It is another's, and nobody said so.
    """
    then, now = found.installation
    if then == now or not then or not now:
        return ()
    text = f"it was made of another installation than {system} is now, or before it got a new key"
    if not from_another:
        raise OtherInstallation(f"the dump cannot be taken as it is: {text}")
    return (Finding("the dump", text),)
