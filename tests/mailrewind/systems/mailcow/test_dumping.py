"""The archive of the database: whole, or none; and nobody sees a password."""

import subprocess
import threading
import time
from pathlib import Path

import pytest

from mailrewind.config import load
from mailrewind.errors import (
    ArchiveMissing,
    DatabaseRefused,
    DatabaseUnreachable,
    DumpFailed,
    MailServerFailed,
    MailSystemError,
)
from mailrewind.model.reports import Finding
from mailrewind.wiring import wire
from tests.mailcow_dumps import PASSPHRASE, DumpedMailcow, counted, dumping_command

pytest_plugins = ["tests.mailcow"]


@pytest.fixture(scope="module")
def cow(mailcow, tmp_path_factory):
    cow = DumpedMailcow(mailcow, tmp_path_factory.mktemp("cow"))
    mailcow.sql(
        "CREATE TABLE large (id INT PRIMARY KEY, body TEXT) AS"
        " SELECT seq AS id, REPEAT(MD5(seq), 30) AS body FROM seq_1_to_60000"
    )
    yield cow
    cow.close()


def checksums(cow, database, tables):
    """Return a sum over all rows of each table."""
    names = ", ".join(f"{database}.{table}" for table in sorted(tables))
    return cow.root_sql(f"CHECKSUM TABLE {names} EXTENDED").replace(f"{database}.", "").split()


def processes(cow, name):
    """Return the ids, on this host, of a container's processes of a name."""
    found = cow.stack.service("mysql").top(ps_args="-eo pid,args")["Processes"] or []
    return [int(pid) for pid, args in found if args.startswith(name)]


def while_dumping(cow, do):
    """Call something when the dump has begun; return the thread."""

    def wait():
        last = time.monotonic() + 30
        while not (found := processes(cow, "mariadb-dump --defaults")):
            assert time.monotonic() < last
            time.sleep(0.02)
        time.sleep(0.3)
        do(found[0])

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_dump_holds_all_rows_and_loads_as_what_it_was(cow):
    cow.stack.sql("INSERT INTO sogo_admin VALUES (%s, %s)", "k", "quote ' \\ \n 🐄")
    cow.stack.sql(
        "INSERT INTO fido2 (username, rpId, credentialPublicKey, AAGUID, credentialId)"
        " VALUES ('ada@example.org', 'x', 'y', %s, %s)",
        bytes(range(256)),
        b"\x00'\\\xff",
    )

    _, findings = cow.archive("whole-sql")

    with cow.archives.read_stream("whole-sql", "mailcow.sql") as stream:
        loaded = cow.database.load("whole", stream)
    assert checksums(cow, "mailrewind_whole", loaded) == checksums(cow, "mailcow", loaded)
    names = "SELECT table_name FROM information_schema.tables WHERE table_schema = '{}'"
    assert cow.root_sql(names.format("mailrewind_whole")) == cow.root_sql(names.format("mailcow"))
    assert loaded["large"] == 60_000
    assert findings == ()
    cow.database.discard("whole")
    assert cow.databases() == ["mailcow"]


def test_a_dump_that_is_killed_half_way_leaves_no_archive_and_is_made_again(cow):
    thread = while_dumping(cow, lambda pid: subprocess.run(["kill", "-9", str(pid)], check=True))

    with pytest.raises(DumpFailed) as raised:
        cow.archive("killed-sql")
    thread.join()

    assert raised.value.retryable
    assert "ended with code 137" in str(raised.value)
    assert "killed-sql" not in cow.archives.names()
    with pytest.raises(ArchiveMissing):
        list(cow.archives.files("killed-sql"))
    cow.archive("killed-sql")
    assert b"-- Dump completed" in cow.dump("killed-sql")[-100:]


CONFIGURATION = """\
data_dir: {data}
repositories:
  main: {{location: {repository}, passphrase: {{file: {passphrase}}}}}
systems:
  cow: {{kind: mailcow, directory: {directory}, repository: main}}
"""


def test_a_backup_whose_dump_is_killed_is_no_restore_point_and_its_retry_is_one(cow, tmp_path):
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    (tmp_path / "passphrase").chmod(0o600)
    (tmp_path / "mailrewind.yaml").write_text(
        CONFIGURATION.format(
            data=tmp_path / "data",
            repository=tmp_path / "repository",
            passphrase=tmp_path / "passphrase",
            directory=cow.stack.directory,
        )
    )
    services = wire(load(tmp_path / "mailrewind.yaml"))
    services.archives("main").prepare()
    thread = while_dumping(cow, lambda pid: subprocess.run(["kill", "-9", str(pid)], check=True))

    with pytest.raises(DumpFailed) as raised:
        services.back_up.archive("cow", initiator="test")
    thread.join()

    assert raised.value.retryable
    assert list(services.state.points("cow")) == []
    point = services.back_up.archive("cow", initiator="test")
    assert [(found.name, found.parts) for found in services.state.points("cow")] == [
        (point, ("mail", "sql", "server", "sogo"))
    ]


def test_a_database_that_stops_during_the_dump_leaves_no_archive(cow):
    thread = while_dumping(cow, lambda pid: cow.stack.service("mysql").kill())

    with pytest.raises(DumpFailed) as raised:
        cow.archive("stopped-sql")
    thread.join()

    assert raised.value.retryable
    assert "stopped-sql" not in cow.archives.names()
    with pytest.raises(MailSystemError) as unreachable:
        cow.archive("stopped-sql")
    assert unreachable.value.retryable
    cow.stack.restart("mysql")
    cow.archive("stopped-sql")


def test_no_password_is_seen_while_a_dump_is_made(cow):
    secrets = {cow.stack.configuration["DBPASS"], cow.stack.configuration["DBROOT"], PASSPHRASE}
    seen = []

    def look(pid):
        for entry in Path("/proc").iterdir():
            for name in ("cmdline", "environ"):
                try:
                    text = (entry / name).read_bytes().decode(errors="replace")
                except OSError:
                    continue
                if "mariadb-dump" in text or "systems.mailcow.dumping" in text:
                    seen.append((name, text))

    while_dumping(cow, look)
    cow.archive("seen-sql")

    assert {name for name, _ in seen} >= {"cmdline", "environ"} or len(seen) >= 3
    assert [text for _, text in seen if any(secret in text for secret in secrets)] == []


def test_the_dumping_program_sees_no_passphrase_of_borg(cow, tmp_path):
    command = dumping_command(cow.stack, tmp_path / "rows.json")
    environment = {}

    def look(pid):
        for entry in Path("/proc").iterdir():
            try:
                if b"systems.mailcow.dumping" in (entry / "cmdline").read_bytes():
                    text = (entry / "environ").read_bytes().decode()
                    name = (entry / "comm").read_text().strip()
                    environment[name, entry.name] = text
            except OSError:
                continue

    while_dumping(cow, look)
    cow.archives.create_from_command("env-sql", command, path="mailcow.sql")

    dumping = [text for (name, _), text in environment.items() if name.startswith("python")]
    assert dumping
    said = [entry for text in dumping for entry in text.split("\0")]
    # Only where borg itself reads it, a descriptor that no child inherits.
    assert [e for e in said if PASSPHRASE in e or e.startswith("BORG_PASSPHRASE=")] == []
    assert counted(tmp_path / "rows.json")["large"] == 60_000


def test_a_password_that_is_wrong_is_refused_before_borg_begins(cow):
    path = cow.stack.directory / "mailcow.conf"
    text = path.read_text()
    path.write_text(text + "\nDBPASS=wrong\n")
    try:
        with pytest.raises(DatabaseRefused) as raised:
            cow.archive("refused-sql")
    finally:
        path.write_text(text)
    assert "wrong" not in str(raised.value)
    assert "mailcow.conf" in raised.value.advice
    assert "refused-sql" not in cow.archives.names()


def test_a_view_that_is_broken_is_named_before_borg_begins(cow):
    cow.stack.sql("CREATE TABLE gone (a INT)")
    cow.stack.sql("CREATE VIEW broken AS SELECT a FROM gone")
    cow.stack.sql("DROP TABLE gone")
    try:
        with pytest.raises(MailServerFailed, match=r"'mailcow\.broken' references invalid"):
            cow.archive("broken-sql")
    finally:
        cow.stack.sql("DROP VIEW broken")


def test_a_table_that_is_not_of_one_moment_is_a_finding(cow):
    cow.stack.sql("CREATE TABLE old (a INT) ENGINE=MyISAM")
    try:
        _, findings = cow.archive("engine-sql")
    finally:
        cow.stack.sql("DROP TABLE old")
    said = "its engine is MyISAM, so what changes while it is dumped may not fit the rest"
    assert findings == (Finding("table old", said),)


def test_a_user_who_may_not_dump_everything_is_refused(cow):
    user = "REVOKE TRIGGER ON mailcow.* FROM mailcow@'%'"
    cow.root_sql(user)
    try:
        with pytest.raises(DatabaseRefused, match="may not TRIGGER"):
            cow.archive("trigger-sql")
    finally:
        cow.root_sql("GRANT ALL ON mailcow.* TO mailcow@'%'")


def test_a_program_that_cannot_reach_the_engine_says_so_and_fails(cow, tmp_path):
    command = dumping_command(cow.stack, tmp_path / "rows.json")
    done = subprocess.run(
        command, env={"DOCKER_HOST": "tcp://127.0.0.1:1"}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "engine does not answer" in done.stderr
    assert not (tmp_path / "rows.json").exists()


def test_a_dump_that_is_cancelled_leaves_nothing_running_in_the_container(cow, tmp_path):
    command = dumping_command(cow.stack, tmp_path / "rows.json")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as program:
        program.stdout.read(100_000)
        assert len(processes(cow, "mariadb-dump --defaults")) == 1
        program.terminate()
        program.stdout.read()
    assert program.returncode == 143
    assert processes(cow, "mariadb-dump --defaults") == []
    assert not (tmp_path / "rows.json").exists()


def test_an_address_where_nobody_listens_is_unreachable(cow, monkeypatch):
    monkeypatch.setattr(cow.installation, "address_of_database", lambda: ("127.0.0.1", 1))
    with pytest.raises(DatabaseUnreachable):
        cow.database.schema_version()
