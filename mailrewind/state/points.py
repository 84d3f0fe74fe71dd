"""Restore points: one row each, from the moment when a run begins to make it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from mailrewind.errors import ArchiveExists, BackupRunning, RestorePointNotFound
from mailrewind.model.points import PointStatus, RestorePoint
from mailrewind.ports import Process
from mailrewind.state.liveness import Liveness, Renewals, process_of
from mailrewind.state.schema import restore_point, restore_point_part
from mailrewind.transports.database import Database


class Points:
    """The rows of restore points."""

    def __init__(self, database: Database, liveness: Liveness, renewals: Renewals) -> None:
        self._database = database
        self._liveness = liveness
        self._renewals = renewals

    def begin(self, point: RestorePoint, process: Process) -> None:
        """Write the row of a point that is being made; see ``ports.State``."""
        with self._database.write() as connection:
            self._refuse_second(connection, point, process)
            self._clear_place(connection, point)
            connection.execute(
                insert(restore_point).values(
                    name=point.name,
                    system=point.system,
                    repository=point.repository,
                    taken_at=point.taken_at,
                    status=point.status.value,
                    **self._liveness.signature(process),
                )
            )
            for part in point.parts:
                _add_part(connection, point.name, part)
        self._renewals.begin(point.name, lambda: self._renew(point.name))

    def enter(self, point: RestorePoint) -> None:
        """Write the row of a point that stands already; see ``ports.State``."""
        name = point.name
        with self._database.write() as connection:
            row = connection.execute(
                select(restore_point.c.system).where(restore_point.c.name == name)
            ).one_or_none()
            if row is not None:
                raise ArchiveExists(f"The restore point {name} is known to {row.system} already.")
            connection.execute(
                insert(restore_point).values(
                    name=name,
                    system=point.system,
                    repository=point.repository,
                    taken_at=point.taken_at,
                    status=PointStatus.COMPLETE.value,
                    ended_at=self._liveness.now(),
                    **self._liveness.signature(self._liveness.process),
                )
            )
            for part in point.parts:
                _add_part(connection, name, part)

    def add_part(self, point: str, part: str) -> None:
        """Note that one archive stands."""
        with self._database.write() as connection:
            row = connection.execute(
                select(restore_point.c.name).where(restore_point.c.name == point)
            ).one_or_none()
            if row is None:
                raise RestorePointNotFound(f"there is no restore point {point}")
            _add_part(connection, point, part)

    def end(self, point: str, status: PointStatus, at: datetime) -> None:
        """Move a point on."""
        with self._database.write() as connection:
            changed = connection.execute(
                update(restore_point)
                .where(restore_point.c.name == point)
                .values(status=status.value, ended_at=at)
            ).rowcount
            if not changed:
                raise RestorePointNotFound(f"there is no restore point {point}")
        self._renewals.end(point)

    def of_system(self, system: str, statuses: Iterable[PointStatus]) -> list[RestorePoint]:
        """Return the points in any of these statuses, oldest first."""
        with self._database.read() as connection:
            rows = _select(connection, statuses, system=system)
            return _points(connection, rows)

    def dead(self, system: str) -> list[RestorePoint]:
        """Return points whose maker is gone, and failed ones with archives."""
        with self._database.read() as connection:
            rows = _select(connection, (PointStatus.MAKING, PointStatus.FAILED), system=system)
            unfinished = [row for row in rows if not self._is_being_made(row)]
            return [
                point
                for point in _points(connection, unfinished)
                if point.status is PointStatus.MAKING or point.parts
            ]

    def being_made(self) -> list[tuple[RestorePoint, Process]]:
        """Return the points that living processes are making."""
        with self._database.read() as connection:
            rows = [
                row
                for row in _select(connection, (PointStatus.MAKING,))
                if self._liveness.is_living(row)
            ]
            return list(zip(_points(connection, rows), map(process_of, rows), strict=True))

    def _is_being_made(self, row: Row[Any]) -> bool:
        return row.status == PointStatus.MAKING.value and self._liveness.is_living(row)

    def _refuse_second(self, connection: Connection, point: RestorePoint, process: Process) -> None:
        for row in _select(connection, (PointStatus.MAKING,), system=point.system):
            is_same = row.name == point.name and process_of(row) == process
            if not is_same and self._liveness.is_living(row):
                raise BackupRunning(
                    f"{row.name} is being made by process {row.pid} on {row.host}, "
                    f"begun at {row.taken_at:%Y-%m-%d %H:%M:%S %Z}"
                )

    def _clear_place(self, connection: Connection, point: RestorePoint) -> None:
        """Remove the row of an unfinished point of the same name; what is finished stays."""
        name = point.name
        row = connection.execute(
            select(restore_point).where(restore_point.c.name == name)
        ).one_or_none()
        if row is not None and row.system != point.system:
            raise ArchiveExists(
                f"The name of the restore point {name} is taken by the system {row.system}.",
                advice="Give each of the two systems an archive_prefix of its own.",
            )
        if row is not None and row.status == PointStatus.COMPLETE.value:
            raise ArchiveExists(f"The restore point {name} exists already.")
        connection.execute(delete(restore_point_part).where(restore_point_part.c.point == name))
        connection.execute(delete(restore_point).where(restore_point.c.name == name))

    def _renew(self, point: str) -> None:
        with self._database.write() as connection:
            connection.execute(
                update(restore_point)
                .where(restore_point.c.name == point)
                .values(renewed=self._liveness.now())
            )


def _add_part(connection: Connection, point: str, part: str) -> None:
    parts = restore_point_part.c
    noted = connection.execute(select(parts.part).where(parts.point == point)).scalars().all()
    if part not in noted:
        connection.execute(
            insert(restore_point_part).values(point=point, part=part, position=len(noted))
        )


def _select(
    connection: Connection, statuses: Iterable[PointStatus], *, system: str | None = None
) -> Sequence[Row[Any]]:
    query = select(restore_point).where(
        restore_point.c.status.in_([status.value for status in statuses])
    )
    if system is not None:
        query = query.where(restore_point.c.system == system)
    return connection.execute(query.order_by(restore_point.c.taken_at, restore_point.c.name)).all()


def _points(connection: Connection, rows: Sequence[Row[Any]]) -> list[RestorePoint]:
    parts: dict[str, list[str]] = {row.name: [] for row in rows}
    names = list(parts)
    for start in range(0, len(names), 500):
        found = connection.execute(
            select(restore_point_part.c.point, restore_point_part.c.part)
            .where(restore_point_part.c.point.in_(names[start : start + 500]))
            .order_by(restore_point_part.c.point, restore_point_part.c.position)
        )
        for point, part in found:
            parts[point].append(part)
    return [
        RestorePoint(
            name=row.name,
            system=row.system,
            taken_at=row.taken_at,
            status=PointStatus(row.status),
            parts=tuple(parts[row.name]),
            repository=row.repository,
        )
        for row in rows
    ]
