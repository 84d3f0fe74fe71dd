"""What goes wrong with a database of ours, state and catalogue alike, and what is lost: nothing."""

import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

import mailrewind.catalog.schema as catalog_schema
import mailrewind.state.schema as state_schema
from mailrewind.catalog import SqlCatalog
from mailrewind.errors import RecordsBusy, RecordsFull, RecordsOutdated, RecordsUnreadable
from mailrewind.model.mail import Message
from mailrewind.ports import AuditLine
from mailrewind.state import SqlState
from mailrewind.transports.processes import is_alive, this_process

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Kind:
    """One kind of database, and the least that can be done with it."""

    name: str
    what: str
    schema: Any
    open: Callable[..., Any]
    write: Callable[[Any, int], None]
    read: Callable[[Any], int]

    @property
    def migrations(self) -> Path:
        return Path(self.schema.__file__).parent / "migrations"


def _open_state(place: Path, **settings: Any) -> SqlState:
    return SqlState(place, process=this_process(), is_alive=is_alive, **settings)


def _open_catalog(place: Path, **settings: Any) -> SqlCatalog:
    return SqlCatalog(place, "office", **settings)


def _write_state(state: SqlState, number: int) -> None:
    state.audit(AuditLine(NOON, "cli:root", "restore", "office", "a@x", f"{number} " * 2000))


def _write_catalog(catalog: SqlCatalog, number: int) -> None:
    messages = [
        Message("a@x", "INBOX", f"{number}-{n}", frozenset(), NOON, 10, f"mail/{number}/{n}")
        for n in range(20)
    ]
    catalog.record(NOON + timedelta(hours=number), messages, (), {})


def _read_catalog(catalog: SqlCatalog) -> int:
    """Return how many points stand, having read the newest."""
    newest = catalog.recorded()
    if newest is None:
        return 0
    assert len(catalog.messages("a@x", newest)) == 20
    return (newest - NOON) // timedelta(hours=1) + 1


STATE = Kind(
    "state",
    "the state database",
    state_schema,
    _open_state,
    _write_state,
    lambda state: len(state.audit_lines(limit=9999)),
)
CATALOG = Kind(
    "catalogue",
    "the catalogue of office",
    catalog_schema,
    _open_catalog,
    _write_catalog,
    _read_catalog,
)


@pytest.fixture(params=[STATE, CATALOG], ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_full_disk_is_told_and_what_was_written_before_stands(kind: Kind, small_disk: Path) -> None:
    records = kind.open(small_disk / "records.db")
    with pytest.raises(RecordsFull, match=f"No space is left for {kind.what}"):
        _write_on(kind, records)

    written = kind.read(records)
    assert written > 0
    with pytest.raises(RecordsFull):
        kind.write(records, written)
    assert kind.read(records) == written
    records.close()
    again = kind.open(small_disk / "records.db")
    assert kind.read(again) == written
    again.close()


def test_database_is_not_opened_on_a_disk_without_any_space(kind: Kind, small_disk: Path) -> None:
    records = kind.open(small_disk / "records.db")
    kind.write(records, 0)
    records.close()
    _fill(small_disk / "filler")

    with pytest.raises(RecordsFull):
        kind.open(small_disk / "records.db")
    with pytest.raises(RecordsFull):
        kind.open(small_disk / "other.db")

    (small_disk / "filler").unlink()
    again = kind.open(small_disk / "records.db")
    assert kind.read(again) == 1
    again.close()


def test_writer_that_waits_too_long_is_told_so_and_readers_do_not_wait(
    kind: Kind, tmp_path: Path
) -> None:
    records = kind.open(tmp_path / "records.db", busy_timeout=timedelta(milliseconds=100))
    other = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(RecordsBusy, match=f"Another process is writing to {kind.what}"):
        kind.write(records, 0)
    assert kind.read(records) == 0

    other.execute("ROLLBACK")
    other.close()
    kind.write(records, 0)
    assert kind.read(records) == 1


@pytest.mark.parametrize(
    "content", [b"Return-Path: <a@x>\n" * 500, b"\0" * 8192], ids=["mail", "zeros"]
)
def test_file_that_is_no_database_is_refused_and_left_alone(
    kind: Kind, tmp_path: Path, content: bytes
) -> None:
    place = tmp_path / "records.db"
    place.write_bytes(content)

    with pytest.raises(RecordsUnreadable, match=kind.what[1:]):
        kind.open(place)
    assert place.read_bytes() == content


def test_database_of_somebody_else_is_refused(kind: Kind, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "records.db")
    connection.execute("CREATE TABLE bookmark (url TEXT)")
    connection.close()

    with pytest.raises(RecordsUnreadable, match=f"{kind.what[1:]} is not in this file"):
        kind.open(tmp_path / "records.db")


def test_damaged_database_is_told_apart_from_a_busy_one(kind: Kind, tmp_path: Path) -> None:
    place = tmp_path / "records.db"
    records = kind.open(place)
    for number in range(8):
        kind.write(records, number)
    records.close()
    content = bytearray(place.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    place.write_bytes(content)

    with pytest.raises(RecordsUnreadable, match=kind.what[1:]):
        kind.read(kind.open(place))


def test_place_that_cannot_be_a_file_is_refused(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RecordsUnreadable, match=f"{kind.what[1:]} cannot be used"):
        kind.open(tmp_path / "file" / "records.db")
    with pytest.raises(RecordsUnreadable, match=f"{kind.what[1:]} cannot be used"):
        kind.open(tmp_path)


def test_database_of_a_newer_version_is_refused(kind: Kind, tmp_path: Path) -> None:
    kind.open(tmp_path / "records.db").close()
    connection = sqlite3.connect(tmp_path / "records.db")
    connection.execute(f"UPDATE {kind.schema.VERSION_TABLE} SET version_num = '9999'")
    connection.commit()
    connection.close()

    with pytest.raises(RecordsOutdated) as refused:
        kind.open(tmp_path / "records.db")
    assert str(refused.value) == (
        f"T{kind.what[1:]} was written by a newer version: its schema is 9999, "
        f"the newest known here is {kind.schema.HEAD}."
    )


def test_files_and_new_directories_are_private(kind: Kind, tmp_path: Path) -> None:
    place = tmp_path / "var" / "records.db"
    records = kind.open(place)
    kind.write(records, 0)

    assert {oct(stat.S_IMODE(file.stat().st_mode)) for file in place.parent.iterdir()} == {"0o600"}
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    records.close()


def test_migrations_end_at_the_schema_that_the_code_knows(kind: Kind, tmp_path: Path) -> None:
    kind.open(tmp_path / "migrated.db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'created.db'}")
    kind.schema.metadata.create_all(engine)
    engine.dispose()

    migrated, created = _tables(tmp_path / "migrated.db"), _tables(tmp_path / "created.db")
    migrated.pop(kind.schema.VERSION_TABLE)
    assert migrated == created
    assert ScriptDirectory(str(kind.migrations)).get_heads() == [kind.schema.HEAD]


def test_same_tables_can_be_made_on_postgresql(kind: Kind) -> None:
    statements = []
    for table in kind.schema.metadata.sorted_tables:
        statements += [CreateTable(table), *map(CreateIndex, table.indexes)]
    texts = [str(statement.compile(dialect=postgresql.dialect())) for statement in statements]

    assert not [text for text in texts if "ROWID" in text]


def test_processes_that_open_a_new_database_together_all_can_use_it(
    kind: Kind, tmp_path: Path
) -> None:
    spawn = get_context("spawn")
    barrier = spawn.Barrier(3)
    place = tmp_path / "records.db"
    openers = [
        spawn.Process(target=_open_at_once, args=(kind.name, place, barrier)) for _ in range(3)
    ]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join(120)

    assert [opener.exitcode for opener in openers] == [0, 0, 0]


def _open_at_once(name: str, place: Path, barrier: Any) -> None:
    kind = STATE if name == STATE.name else CATALOG
    barrier.wait(60)
    assert kind.read(kind.open(place)) == 0


def _write_on(kind: Kind, records: Any) -> None:
    for number in range(1000):
        kind.write(records, number)
        assert kind.read(records) == number + 1


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 1024):
                pass
        except OSError:
            return


def _tables(place: Path) -> dict[str, str]:
    connection = sqlite3.connect(place)
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql NOT NULL AND type != 'trigger'"
    ).fetchall()
    connection.close()
    return {name: " ".join(sql.split()) for name, sql in rows}
