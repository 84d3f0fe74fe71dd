"""SOGo's own exports and MariaDB's own dumps, read, and SOGo taking back what was written."""

import io
import re
import tarfile
from dataclasses import replace
from decimal import Decimal

import pytest

from mailrewind.formats.icalendar import Summary, summary
from mailrewind.formats.property_lists import quoted
from mailrewind.formats.sogo import (
    SogoExport,
    SogoFolder,
    difference,
    only,
    read_export,
    with_living_shares,
    with_user,
    without_preferences,
    write_export,
)
from mailrewind.formats.sql_dump import DumpCounter, rows
from tests.stacks.mailcow.samples import contact, event
from tests.stacks.mailcow.stack import MailcowStack

pytest_plugins = ["tests.mailcow"]

ADA = "ada@example.org"
JOHN_DOE = "john.doe@example.org"
JOHNDOE = "johndoe@example.org"

NASTY = (
    "Grüße aus Köln",
    "🎉 Feier 👩‍👩‍👧 für alle",
    "in \"quotes\" and 'quotes'",
    "C:\\\\Temp\\\\new\\, \\; and \\n",
    "{a = (b, c); } /* no comment */ // <00ff>",
    "tab\there",
    "x" * 3000,
    "会議のお知らせ",
)
DUMP = (
    "mariadb-dump",
    *("--single-transaction", "--quick", "--skip-dump-date", "--order-by-primary", "--hex-blob"),
    *("--routines", "--events", "--triggers"),
)
TABLE = """CREATE TABLE `nasty ``(1,` (
  id INT PRIMARY KEY AUTO_INCREMENT,
  text LONGTEXT COMMENT 'it''s; (here),',
  `fixed``` VARBINARY(64),
  share DECIMAL(8,3),
  approximate DOUBLE,
  bits BIT(9),
  day DATETIME,
  twice INT AS (id * 2) VIRTUAL
)"""
TEXTS = (
    "it's",
    'say "hi"',
    "back\\slash\\",
    "\\'",
    "a),(b",
    "),\n(9,'x');\n",
    "INSERT INTO `t` VALUES (1);\n-- Dump completed\n",
    "null\0 tab\t return\r sub\x1a percent\\% under\\_",
    "Grüße 🎉",
    "",
    None,
    "x" * 3_000_000,
)
BYTES = (b"", b"\0\xff'\"\\\n", None, b"),(", b"0x00")


@pytest.fixture(scope="module")
def filled(mailcow: MailcowStack) -> MailcowStack:
    for number, text in enumerate(NASTY):
        mailcow.put_event(ADA, "personal", f"{number}.ics", event(f"u{number}", text))
        # The column in which SOGo looks for a contact's name ends at 255.
        name = text[:100]
        mailcow.put_contact(ADA, "personal", f"{number}.vcf", contact(f"c{number}", name))
    mailcow.make_calendar(ADA, "work")
    mailcow.groupware.rename(ADA, "Calendar/work", 'Arbeit "ü" \\ 🎉')
    mailcow.put_event(ADA, "work", "w.ics", event("w", "Work"))
    mailcow.share(ADA, "work", JOHNDOE)
    return mailcow


def backup(mailcow: MailcowStack, user: str) -> bytes:
    status, _, said = mailcow.run("sogo", "sogo-tool", "backup", "/tmp/out", user, user="sogo")
    assert status == 0, said
    stream, _ = mailcow.service("sogo").get_archive(f"/tmp/out/{user}")
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        file = archive.extractfile(user)
        assert file is not None
        return file.read()


def restore(mailcow: MailcowStack, user: str, export: SogoExport, *how: str) -> str:
    content = write_export(export)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(user)
        entry.size, entry.mode = len(content), 0o644
        archive.addfile(entry, io.BytesIO(content))
    mailcow.run("sogo", "mkdir", "-p", "/tmp/in")
    mailcow.service("sogo").put_archive("/tmp/in", packed.getvalue())
    argv = ("sogo-tool", "restore", *how, "/tmp/in", user)
    status, _, said = mailcow.run("sogo", *argv, user="sogo")
    assert status == 0, said
    return said


def ordered(export: SogoExport) -> tuple[SogoFolder, ...]:
    folders = (
        replace(folder, records=tuple(sorted(folder.records, key=lambda record: record.name)))
        for folder in export.folders
    )
    return tuple(sorted(folders, key=lambda folder: folder.path))


def test_export_of_sogo_reads_as_its_database_has_it(filled: MailcowStack) -> None:
    export = read_export(backup(filled, ADA))
    stored = filled.sql(
        "SELECT f.c_path4, f.c_foldername, s.c_name, s.c_content FROM sogo_store s"
        " JOIN sogo_folder_info f USING (c_folder_id)"
        " WHERE f.c_path2 = %s AND coalesce(s.c_deleted, 0) = 0",
        ADA,
    )
    assert export.uid == ADA
    assert len(stored) == 2 * len(NASTY) + 1
    assert {
        (folder.path.partition("/")[2], folder.display_name, record.name, record.content)
        for folder in export.folders
        for record in folder.records
    } == set(stored)


def test_strings_are_written_as_sogo_writes_them(filled: MailcowStack) -> None:
    text = backup(filled, ADA).decode()
    for folder in read_export(text.encode()).folders:
        assert quoted(folder.display_name) in text
        assert [r.name for r in folder.records if quoted(r.content) not in text] == []


def test_people_see_the_titles_that_they_gave(filled: MailcowStack) -> None:
    records = {r.name: r for f in read_export(backup(filled, ADA)).folders for r in f.records}
    assert summary(records["0.ics"].content) == Summary("event", NASTY[0], "2026-11-12 12:00 UTC")
    assert summary(records["1.ics"].content).title == NASTY[1]
    assert summary(records["3.ics"].content).title == "C:\\Temp\\new, ; and"
    assert summary(records["7.vcf"].content) == Summary("contact", NASTY[7], "")


def test_sogo_lists_the_folders_of_what_was_written(filled: MailcowStack) -> None:
    export = read_export(backup(filled, ADA))
    said = restore(filled, ADA, export, "-l")
    listed = re.findall(r"  ((?:Calendar|Contacts)/\w+) \(", said)
    assert sorted(listed) == sorted(folder.path for folder in export.folders)


def test_sogo_restores_from_what_was_written_and_exports_the_same(filled: MailcowStack) -> None:
    before = read_export(backup(filled, ADA))
    filled.sql(
        "DELETE s FROM sogo_store s JOIN sogo_folder_info f USING (c_folder_id)"
        " WHERE f.c_path2 = %s",
        ADA,
    )
    emptied = difference(before, read_export(backup(filled, ADA)))
    assert sum(len(folder.missing) for folder in emptied) == 2 * len(NASTY) + 1
    restore(filled, ADA, before, "-F", "ALL")
    filled.restart("memcached")
    after = read_export(backup(filled, ADA))
    assert ordered(after) == ordered(before)
    assert all(not f.missing and not f.changed and not f.newer for f in difference(before, after))


def test_merge_brings_back_one_event_and_keeps_a_later_share(filled: MailcowStack) -> None:
    then = read_export(backup(filled, ADA))
    filled.delete_event(ADA, "work", "w.ics")
    filled.put_event(ADA, "work", "later.ics", event("later", "Later"))
    filled.share(ADA, "work", JOHN_DOE)
    now = read_export(backup(filled, ADA))
    [work] = [folder for folder in difference(then, now) if folder.path == "Calendar/work"]
    assert [record.name for record in work.missing] == ["w.ics"]
    assert [record.name for record in work.newer] == ["later.ics"]
    wanted = with_living_shares(only(then, records=[("Calendar/work", "w.ics")]), now)
    restore(filled, ADA, without_preferences(wanted), "-f", "ALL")
    [after] = [f for f in read_export(backup(filled, ADA)).folders if f.path == "Calendar/work"]
    assert sorted(record.name for record in after.records) == ["later.ics", "w.ics"]
    assert JOHN_DOE in after.acl
    assert JOHNDOE in after.acl


def test_export_for_another_user_restores_into_that_one(filled: MailcowStack) -> None:
    filled.put_event(JOHNDOE, "personal", "own.ics", event("own", "Own"))
    export = only(read_export(backup(filled, ADA)), folders=["Calendar/personal"])
    restore(filled, JOHNDOE, with_user(export, JOHNDOE), "-f", "ALL")
    names = {f"{number}.ics" for number in range(len(NASTY))}
    assert set(filled.events(JOHNDOE)) == {"own.ics", *names}
    assert set(filled.events(ADA)) == names


@pytest.fixture(scope="module")
def dump(mailcow: MailcowStack) -> bytes:
    mailcow.sql(TABLE)
    for number, text in enumerate(TEXTS):
        mailcow.sql(
            "INSERT INTO `nasty ``(1,` (text, `fixed```, share, approximate, bits, day)"
            " VALUES (%s, %s, %s, %s, b'101000001', '2026-11-12 13:00:00')",
            text,
            BYTES[number % len(BYTES)],
            Decimal(number) / 8,
            number * 1e-12,
        )
    mailcow.sql("CREATE TABLE `empty` (id INT)")
    mailcow.sql("CREATE TABLE `log` (id INT)")
    mailcow.sql("CREATE VIEW nasty_view AS SELECT id, 'a),(b;\\n' AS x FROM `nasty ``(1,`")
    body = "BEGIN INSERT INTO `log` VALUES (1),(2);\n-- Dump completed\nEND"
    mailcow.sql(f"CREATE TRIGGER t AFTER INSERT ON `empty` FOR EACH ROW {body}")
    mailcow.sql(f"CREATE PROCEDURE p() {body}")
    mailcow.sql(f"CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DO {body}")
    settings = mailcow.configuration
    done = mailcow.service("mysql").exec_run(
        [*DUMP, "-u", settings["DBUSER"], settings["DBNAME"]],
        environment={"MYSQL_PWD": settings["DBPASS"]},
        demux=True,
    )
    content, said = done.output
    assert done.exit_code == 0, said
    assert isinstance(content, bytes)
    return content


@pytest.mark.parametrize("size", [4096, 1 << 20])
def test_dump_is_counted_as_the_database_counts(
    mailcow: MailcowStack, dump: bytes, size: int
) -> None:
    counter = DumpCounter()
    for at in range(0, len(dump), size):
        counter.feed(dump[at : at + size])
    counted = counter.end()
    tables = mailcow.sql("SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")
    assert counted.is_complete
    assert counted.tables == {
        str(name): mailcow.sql(f"SELECT count(*) FROM `{str(name).replace('`', '``')}`")[0][0]
        for name, _ in tables
    }


def test_rows_of_a_dump_are_those_of_the_database(mailcow: MailcowStack, dump: bytes) -> None:
    name = "nasty `(1,"
    read = list(rows([dump], {name}))
    stored = mailcow.sql(
        "SELECT id, text, `fixed```, share, approximate, bits + 0, CAST(day AS CHAR), twice"
        " FROM `nasty ``(1,` ORDER BY id"
    )
    assert {columns for _, columns, _ in read} == {
        ("id", "text", "fixed`", "share", "approximate", "bits", "day", "twice")
    }
    assert [
        (number, text, fixed, share, float(str(approximate)), _number(bits), day, twice)
        for _, _, (number, text, fixed, share, approximate, bits, day, twice) in read
    ] == stored
    assert len(read) == len(TEXTS)


def test_accounts_of_a_dump_are_those_of_the_database(mailcow: MailcowStack, dump: bytes) -> None:
    read = {values[columns.index("username")] for _, columns, values in rows([dump], {"mailbox"})}
    assert read == {ADA, JOHN_DOE, JOHNDOE}


def _number(bits: object) -> int:
    return int.from_bytes(bits, "big") if isinstance(bits, bytes) else int(str(bits))
