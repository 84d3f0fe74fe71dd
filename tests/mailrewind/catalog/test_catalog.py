import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.dialects import sqlite

from mailrewind.catalog import SqlCatalog
from mailrewind.catalog.queries import page_query
from mailrewind.errors import MailboxNotFound, RecordsError, RecordsUnreadable
from mailrewind.model.mail import Headers, Message
from mailrewind.model.reports import IndexChanges

ADA = "ada@example.org"
FIRST = datetime(2026, 11, 20, 12, tzinfo=UTC)
SEEN = frozenset({"\\Seen"})
NO_FLAGS: frozenset[str] = frozenset()


def hour(number: int) -> datetime:
    return FIRST + timedelta(hours=number)


def mail(guid: str, folder: str = "INBOX", *, flags: frozenset[str] = SEEN) -> Message:
    letters = "S" if flags else ""
    return Message(
        mailbox=ADA,
        folder=folder,
        guid=guid,
        flags=flags,
        received=FIRST - timedelta(days=2, microseconds=123_456),
        size_bytes=1000,
        path=f"var/vmail/ada/Maildir/.{folder}/cur/{guid}:2,{letters}",
    )


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    catalog = SqlCatalog(tmp_path / "office.db", "office")
    yield catalog
    catalog.close()


def record(catalog: SqlCatalog, at: int, *messages: Message, folders: Iterable[str] = ()):
    return catalog.record(hour(at), messages, [(ADA, folder) for folder in folders], {})


def lying(catalog: SqlCatalog, at: int) -> list[Message]:
    return [entry.message for entry in catalog.messages(ADA, hour(at))]


def intervals(tmp_path: Path) -> list[tuple[int, int | None]]:
    """Return (from, to) of all intervals, in hours."""
    connection = sqlite3.connect(tmp_path / "office.db")
    rows = connection.execute("SELECT seen_from, seen_to FROM presence ORDER BY id").fetchall()
    connection.close()
    first = int(FIRST.timestamp())
    return [
        ((start - first) // 3600, None if end == 1 << 40 else (end - first) // 3600)
        for start, end in rows
    ]


def test_unchanged_point_adds_no_row(catalog: SqlCatalog, tmp_path: Path) -> None:
    for at in range(3):
        record(catalog, at, mail("a"), mail("b"))

    assert intervals(tmp_path) == [(0, None), (0, None)]


def test_flag_change_closes_one_interval_and_opens_one(catalog: SqlCatalog, tmp_path: Path) -> None:
    record(catalog, 0, mail("a", flags=NO_FLAGS))
    changes = record(catalog, 1, mail("a"))

    assert changes == IndexChanges(1, 1, appeared=0, vanished=0, moved=0, flagged=1)
    assert intervals(tmp_path) == [(0, 1), (1, None)]
    assert lying(catalog, 0) == [mail("a", flags=NO_FLAGS)]
    assert lying(catalog, 1) == [mail("a")]


def test_renamed_file_with_the_same_flags_is_found_under_its_path_then(
    catalog: SqlCatalog,
) -> None:
    delivered = replace(mail("a", flags=NO_FLAGS), path="var/vmail/ada/Maildir/new/a")
    record(catalog, 0, delivered)
    changes = record(catalog, 1, mail("a", flags=NO_FLAGS))

    assert changes == IndexChanges(1, 1, appeared=0, vanished=0, moved=0, flagged=0)
    assert lying(catalog, 0) == [delivered]
    assert lying(catalog, 1) == [mail("a", flags=NO_FLAGS)]


def test_move_is_a_move_and_keeps_the_number(catalog: SqlCatalog) -> None:
    record(catalog, 0, mail("a"), mail("b"))
    changes = record(catalog, 1, mail("a", "Archive"), mail("b"))

    assert changes == IndexChanges(2, 1, appeared=0, vanished=0, moved=1, flagged=0)
    then, now = (
        {entry.message.guid: entry.number for entry in catalog.messages(ADA, hour(at))}
        for at in (0, 1)
    )
    assert then == now


def test_copy_is_a_second_presence_of_the_same_message(catalog: SqlCatalog) -> None:
    record(catalog, 0, mail("a"))
    changes = record(catalog, 1, mail("a"), mail("a", "Archive"))

    assert changes == IndexChanges(2, 1, appeared=0, vanished=0, moved=0, flagged=0)
    entries = catalog.messages(ADA, hour(1))
    assert [entry.message.folder for entry in entries] == ["INBOX", "Archive"]
    assert len({entry.number for entry in entries}) == 1


def test_message_that_vanishes_and_returns_is_told_as_both(catalog: SqlCatalog) -> None:
    record(catalog, 0, mail("a"), mail("b"))
    gone = record(catalog, 1, mail("b"))
    assert gone == IndexChanges(1, 1, appeared=0, vanished=1, moved=0, flagged=0)
    assert [entry.vanished_at for entry in catalog.messages(ADA, hour(0))] == [hour(1), None]

    back = record(catalog, 2, mail("a"), mail("b"))
    assert back == IndexChanges(2, 1, appeared=1, vanished=0, moved=0, flagged=0)
    assert [entry.vanished_at for entry in catalog.messages(ADA, hour(0))] == [None, None]
    assert catalog.unknown([mail("a")]) == []


def test_keywords_come_back_in_every_combination(catalog: SqlCatalog) -> None:
    sets = [{"$label1"}, {"$label1", "\\Seen"}, {"a b", "\\Odd"}, {"\\Draft", "\\Flagged"}, set()]
    then = [mail(str(number), flags=frozenset(flags)) for number, flags in enumerate(sets[:3])]
    now = [mail(str(number), flags=frozenset(flags)) for number, flags in enumerate(sets)]
    record(catalog, 0, *then)
    record(catalog, 1, *now)

    assert lying(catalog, 0) == then
    assert lying(catalog, 1) == now


def test_internaldate_comes_back_to_the_microsecond(catalog: SqlCatalog) -> None:
    moments = [
        datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(2026, 3, 29, 1, 0, 0, 1, UTC),
    ]
    sent = [replace(mail(str(n)), received=moment) for n, moment in enumerate(moments)]
    record(catalog, 0, *sent)

    assert [message.received for message in lying(catalog, 0)] == moments


def test_folder_that_is_deleted_and_made_again_is_known_at_every_moment(
    catalog: SqlCatalog,
) -> None:
    record(catalog, 0, folders=["INBOX", "Empty"])
    record(catalog, 1, folders=["INBOX"])
    record(catalog, 2, mail("a", "Empty", flags=NO_FLAGS), folders=["INBOX"])

    assert catalog.folders(ADA, hour(0)) == [("INBOX", 0, 0, 0), ("Empty", 0, 0, 0)]
    assert catalog.folders(ADA, hour(1)) == [("INBOX", 0, 0, 0)]
    assert catalog.folders(ADA, hour(2)) == [("INBOX", 0, 0, 0), ("Empty", 1, 1, 1000)]


def test_moment_between_two_points_shows_the_older_one(catalog: SqlCatalog) -> None:
    record(catalog, 0, mail("a"))
    record(catalog, 2, mail("a"), mail("b"))

    assert lying(catalog, 1) == [mail("a")]
    with pytest.raises(MailboxNotFound, match=r"had no mailbox ada@example\.org at 2026-11-20 11"):
        catalog.messages(ADA, hour(-1))


def test_catalogue_does_not_go_back(catalog: SqlCatalog) -> None:
    record(catalog, 1, mail("a"))

    with pytest.raises(RecordsError) as refused:
        record(catalog, 0, mail("a"))
    assert str(refused.value) == (
        "The catalogue of office has reached 2026-11-20 13:00:00 and cannot go back to "
        "2026-11-20 12:00:00."
    )


def test_error_while_the_listing_is_read_records_nothing(catalog: SqlCatalog) -> None:
    def broken() -> Iterator[Message]:
        yield mail("a")
        raise OSError("the archive's host is gone")

    with pytest.raises(OSError, match="the archive's host is gone"):
        catalog.record(FIRST, broken(), (), {})

    assert catalog.recorded() is None
    assert record(catalog, 0, mail("a")).appeared == 1


def test_headers_come_back_and_what_no_database_holds_is_marked(catalog: SqlCatalog) -> None:
    headers = Headers(
        subject="caf\udce9\0",
        sender="Zo\N{LATIN SMALL LETTER E WITH DIAERESIS} <zoe@example.org>",
        recipients="",
        message_id="<1@example.org>",
        sent=datetime(1, 1, 1, tzinfo=UTC),
        attachments=("a\udcff\0.pdf",),
        digest="00" * 15 + "af",
    )
    catalog.record(FIRST, [mail("a")], (), {(ADA, "a"): headers})

    ((_, shown, _),) = catalog.page(ADA, "INBOX", FIRST)
    assert shown == replace(headers, subject="caf?\N{REPLACEMENT CHARACTER}")


def test_forgetting_leaves_no_row_of_what_nobody_holds(catalog: SqlCatalog, tmp_path: Path) -> None:
    record(catalog, 0, mail("a", "Old"), mail("b"))
    record(catalog, 1, mail("b", flags=NO_FLAGS))
    record(catalog, 2, mail("b"), mail("c"))
    record(catalog, 3, mail("b"))

    assert catalog.forget([hour(3)]) == 2
    assert intervals(tmp_path) == [(2, None)]
    connection = sqlite3.connect(tmp_path / "office.db")
    rows = {
        table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("message", "presence", "folder", "folder_life", "folder_count", "moment")
    }
    connection.close()
    assert rows == {
        "message": 1,
        "presence": 1,
        "folder": 1,
        "folder_life": 1,
        "folder_count": 1,
        "moment": 1,
    }


def test_number_of_a_forgotten_message_is_never_given_again(catalog: SqlCatalog) -> None:
    record(catalog, 0, mail("a"), mail("b"))
    record(catalog, 1)
    record(catalog, 2)
    assert catalog.forget([]) == 2

    assert [m.guid for m in catalog.unknown([mail("a")])] == ["a"]
    record(catalog, 3, mail("a"))
    assert [entry.number for entry in catalog.messages(ADA, hour(3))] == [3]


def test_days_sum_up_what_appeared_vanished_and_moved(catalog: SqlCatalog, tmp_path: Path) -> None:
    record(catalog, 0, mail("a"), mail("b"))
    record(catalog, 1, mail("a", "Archive"), mail("c"))
    record(catalog, 24, mail("a", "Archive"))

    assert days(tmp_path) == [("2026-11-20", 3, 1, 1), ("2026-11-21", 0, 1, 0)]
    catalog.forget([hour(24)])
    assert days(tmp_path) == [("2026-11-21", 0, 1, 0)]


def days(tmp_path: Path) -> list[tuple[str, int, int, int]]:
    connection = sqlite3.connect(tmp_path / "office.db")
    rows = connection.execute(
        "SELECT date(day * 86400, 'unixepoch'), appeared, vanished, moved FROM mailbox_day"
    ).fetchall()
    connection.close()
    return rows


def test_catalogue_of_another_system_is_refused(catalog: SqlCatalog, tmp_path: Path) -> None:
    with pytest.raises(RecordsUnreadable, match="that should be of works is of office"):
        SqlCatalog(tmp_path / "office.db", "works")


@pytest.mark.parametrize(
    ("is_now", "index"),
    [
        (True, "COVERING INDEX presence_live"),
        (False, "COVERING INDEX presence_list"),
    ],
)
def test_page_is_read_from_one_bound_of_its_index_without_sorting(
    catalog: SqlCatalog, tmp_path: Path, is_now: bool, index: str
) -> None:
    """With both ``sort <= T`` and the cursor, SQLite would use the first and filter the second."""
    record(catalog, 0, *[mail(f"g{n}") for n in range(300)])
    values = {"system": 1, "folder": 1, "at": 1, "after_sort": 1, "after_id": 1, "limit": 50}
    connection = sqlite3.connect(tmp_path / "office.db")
    query = page_query(is_now=is_now).compile(dialect=sqlite.dialect(paramstyle="named"))
    rows = connection.execute(f"EXPLAIN QUERY PLAN {query}", query.params | values)
    plan = [row[3] for row in rows]
    connection.close()

    bound = "(system_id=? AND folder_id=? AND (sort,id)<(?,?))"
    assert f"SEARCH row USING {index} {bound}" in plan
    # The outer query puts the one page in order again; the inner one sorts nothing.
    assert plan[: plan.index("SCAN found")].count("USE TEMP B-TREE FOR ORDER BY") == 0


def test_pages_of_a_folder_join_without_gap_or_overlap(catalog: SqlCatalog) -> None:
    same_second = [mail(f"g{n}") for n in range(25)]
    later = [replace(mail("z"), received=FIRST + timedelta(days=9))]
    record(catalog, 0, *same_second, *later)

    pages = []
    after = None
    while page := catalog.page(ADA, "INBOX", hour(0), after=after, limit=10):
        pages.append([entry.message.guid for entry, _, _ in page])
        after = page[-1][2]

    assert [len(page) for page in pages] == [10, 10, 6]
    assert pages[0][0] == "z"
    assert sorted(guid for page in pages for guid in page) == sorted(
        message.guid for message in same_second + later
    )
