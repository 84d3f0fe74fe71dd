"""The whole database goes back in time; who may log in does not, unless that is chosen."""

import gzip
import imaplib
import stat
import threading
import time
from pathlib import Path

import pytest

from mailrewind.errors import (
    ConfirmationMissing,
    DumpDamaged,
    MailServerFailed,
    MailSystemError,
    NoSpace,
    NothingToUndo,
    OtherInstallation,
    RepositoryDamaged,
    RestorePointNotFound,
    SchemaTooNew,
)
from mailrewind.model.databases import Returning
from mailrewind.model.operations import Change, Effect
from mailrewind.model.reports import Finding
from mailrewind.transports.mariadb import connect
from tests.mailcow_dumps import DumpedMailcow

pytest_plugins = ["tests.mailcow"]

ADA, JOHN, JOHNDOE = "ada@example.org", "john.doe@example.org", "johndoe@example.org"
EVE, NEW = "eve@example.org", "new@example.org"
STOPPED = ("dovecot-mailcow", "php-fpm-mailcow", "postfix-mailcow", "sogo-mailcow")


@pytest.fixture(scope="module")
def cow(mailcow, tmp_path_factory):
    cow = DumpedMailcow(mailcow, tmp_path_factory.mktemp("cow"))
    mailcow.add_mailbox(EVE)
    yield cow
    cow.close()


def login_works(cow, address, password):
    try:
        with cow.stack.imap(address, password):
            return True
    except imaplib.IMAP4.error as error:
        if "AUTHENTICATIONFAILED" not in str(error):
            raise
        return False


def running(cow):
    return {
        name
        for name, state in cow.installation.project.services().items()
        if state.state == "running"
    }


def of_accounts(plan):
    return [change for change in plan.draft.changes if "@" in change.subject]


@pytest.fixture(scope="module")
def attacked(cow):
    """A point of before an attack, and what was done against it; gives point and old password."""
    stack = cow.stack
    sql = stack.sql
    sql(
        "INSERT INTO app_passwd (name, mailbox, domain, password)"
        " VALUES ('phone', %s, 'example.org', '{SSHA256}stolen')",
        ADA,
    )
    sql("INSERT INTO tfa (key_id, username, authmech, secret) VALUES ('k', %s, 'totp', 'S')", JOHN)
    sql("INSERT INTO api (api_key, allow_from) VALUES ('KEY-THEN', '10.0.0.1')")
    sql("INSERT INTO domain (domain) VALUES ('spam.example')")
    stack.put_event(ADA, "personal", "lunch.ics", EVENT)
    stack.deliver(ADA, "INBOX", [b"Subject: a\n\nhello\n"])
    point = cow.back_up()
    old = stack.passwords[ADA]
    # The attacker is found: a new password, no app passwords, no key; Eve is disabled.
    other = stack.sql("SELECT password FROM mailbox WHERE username = %s", JOHNDOE)[0][0]
    sql(
        "UPDATE mailbox SET password = %s,"
        " attributes = JSON_SET(attributes, '$.force_pw_update', '1') WHERE username = %s",
        other,
        ADA,
    )
    stack.passwords[ADA] = stack.passwords[JOHNDOE]
    sql("DELETE FROM app_passwd WHERE mailbox = %s", ADA)
    sql("DELETE FROM tfa")
    sql("INSERT INTO tfa (key_id, username, authmech, secret) VALUES ('n', %s, 'totp', 'N')", ADA)
    sql("UPDATE mailbox SET active = 0 WHERE username = %s", EVE)
    sql("DELETE FROM api WHERE api_key = 'KEY-THEN'")
    sql("INSERT INTO api (api_key, allow_from) VALUES ('KEY-NOW', '10.0.0.1')")
    sql("UPDATE domain SET active = 0 WHERE domain = 'spam.example'")
    stack.delete_mailbox(JOHN)
    stack.add_mailbox(NEW)
    sql(
        "INSERT INTO alias (address, goto, domain) VALUES ('i@example.org', %s, 'example.org')", ADA
    )
    sql("UPDATE mailbox SET quota = 1, name = 'Mallory' WHERE username = %s", ADA)
    stack.delete_event(ADA, "personal", "lunch.ics")
    return point, old


EVENT = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//
BEGIN:VEVENT
UID:lunch
DTSTAMP:20261101T120000Z
DTSTART:20261112T120000Z
DTEND:20261112T130000Z
SUMMARY:Lunch
END:VEVENT
END:VCALENDAR
""".replace("\n", "\r\n")


def test_the_plan_names_each_account_and_no_secret(cow, attacked):
    point, _ = attacked
    plan = cow.plan("database", point)

    assert of_accounts(plan) == [
        Change(Effect.LOSE, NEW, "exists now, and did not then"),
        Change(Effect.ADD, JOHN, "was deleted since; it comes back disabled"),
        Change(
            Effect.KEEP,
            ADA,
            "the password, app passwords, second factors, how it may log in: as now, not as then",
        ),
        Change(Effect.KEEP, EVE, "the disabled state: as now, not as then; it stays disabled"),
    ]
    assert plan.draft.changes[4:] == (
        Change(Effect.LOSE, "aliases", "exist now, and did not then", 1),
        Change(Effect.KEEP, "disabled state of domain spam.example", "as now, not as then"),
        Change(Effect.KEEP, "keys to the programming interface", "as now, not as then"),
        Change(Effect.REPLACE, "database", "what is not named here becomes as it was then"),
        *(
            Change(Effect.STOP, name, "started again when the database is in place")
            for name in STOPPED
        ),
    )
    assert plan.draft.is_destructive
    secrets = {str(row[0]) for row in cow.rows("mailbox", "password")} | {"stolen", "KEY-"}
    assert [secret for secret in secrets if secret in repr(plan)] == []


def test_without_the_systems_name_nothing_happens(cow, attacked):
    plan = cow.plan("database", attacked[0])
    with pytest.raises(ConfirmationMissing):
        cow.operations.execute(plan.id, initiator="test")


def test_the_new_password_and_the_disabled_state_stay(cow, attacked):
    point, old = attacked
    before = running(cow)
    plan = cow.plan("database", point)

    report = cow.execute(plan)

    assert report.outcome.counts[2:] == (
        ("logins kept as they were", 2),
        ("accounts returned", 1),
        ("accounts gone", 1),
    )
    assert report.outcome.failed == ()
    assert not login_works(cow, ADA, old)
    assert login_works(cow, ADA, cow.stack.passwords[ADA])
    assert not login_works(cow, EVE, cow.stack.passwords[EVE])
    active = dict(cow.rows("mailbox", "username, active"))
    assert active == {ADA: 1, EVE: 0, JOHN: 0, JOHNDOE: 1}
    assert dict(cow.rows("domain", "domain, active")) == {"example.org": 1, "spam.example": 0}
    assert cow.rows("app_passwd") == []
    assert cow.rows("tfa", "username, secret") == [(ADA, "N"), (JOHN, "S")]
    assert [row[0] for row in cow.rows("api", "api_key") if "KEY" in row[0]] == ["KEY-NOW"]
    name = cow.stack.sql(
        "SELECT name, quota, JSON_VALUE(attributes, '$.force_pw_update') FROM mailbox"
        " WHERE username = %s",
        ADA,
    )
    assert name == [("Ada", 1024 * 1024**2, "1")]
    assert ("i@example.org",) not in cow.rows("alias", "address")
    assert list(cow.stack.events(ADA)) == ["lunch.ics"]
    assert cow.stack.quota(ADA)[1] == 1
    assert running(cow) == before
    assert cow.databases() == ["mailcow"]
    safety = cow.safety / report.id / "database.sql.gz"
    assert stat.S_IMODE(safety.stat().st_mode) == 0o600
    assert stat.S_IMODE(safety.parent.stat().st_mode) == 0o700

    undone = cow.undo(report)

    assert undone.taken_back.failed == ()
    assert dict(cow.rows("mailbox", "username, active")) == {ADA: 1, EVE: 0, JOHNDOE: 1, NEW: 1}
    assert ("i@example.org",) in cow.rows("alias", "address")
    assert login_works(cow, ADA, cow.stack.passwords[ADA])
    assert not login_works(cow, ADA, old)
    assert running(cow) == before


def test_old_logins_come_back_only_when_chosen_and_the_plan_says_so(cow, attacked):
    point, old = attacked
    plan = cow.plan("database", point, keep_newer_credentials="no", returning="as then")
    assert [change for change in of_accounts(plan) if change.effect is Effect.REVERT] == [
        Change(
            Effect.REVERT,
            ADA,
            "the password, app passwords, second factors, how it may log in: as then",
        ),
        Change(
            Effect.REVERT, EVE, "the disabled state: as then; it would not be disabled any more"
        ),
    ]
    said = (
        "Logins of 2 accounts would be as they were then: a password that was stolen before it was"
        " changed would be good again."
    )
    assert Finding("logins", said) in plan.draft.findings

    report = cow.execute(plan)

    assert login_works(cow, ADA, old)
    assert dict(cow.rows("mailbox", "username, active")) == {ADA: 1, EVE: 1, JOHN: 1, JOHNDOE: 1}
    assert cow.rows("app_passwd", "name") == [("phone",)]
    cow.undo(report)
    assert not login_works(cow, ADA, old)
    assert cow.rows("app_passwd", "name") == []


def test_a_dump_from_a_newer_schema_is_refused_and_an_older_one_is_a_finding(cow, attacked):
    known = cow.stack.sql("SELECT version FROM versions WHERE application = 'db_schema'")[0][0]
    change = "UPDATE versions SET version = %s WHERE application = 'db_schema'"
    try:
        cow.stack.sql(change, "01012026_0000")
        with pytest.raises(SchemaTooNew, match=f"{known}.*01012026_0000"):
            cow.plan("database", attacked[0])
        cow.stack.sql(change, "31122026_0000")
        older = cow.plan("database", attacked[0]).draft.findings[0]
        cow.stack.sql(change, "tomorrow")
        with pytest.raises(SchemaTooNew):
            cow.plan("database", attacked[0])
    finally:
        cow.stack.sql(change, known)
    assert older == Finding(
        "the dump",
        f"is of version {known}, older than 31122026_0000; mailcow brings it up to date when it"
        " starts",
    )


def test_a_dump_of_another_mailcow_is_refused_unless_it_is_meant(cow, attacked):
    known = cow.stack.sql("SELECT version FROM versions WHERE application = 'GUID'")[0][0]
    change = "UPDATE versions SET version = %s WHERE application = 'GUID'"
    cow.stack.sql(change, "f" * 64)
    try:
        with pytest.raises(OtherInstallation, match="another installation than cow"):
            cow.plan("database", attacked[0])
        plan = cow.plan("database", attacked[0], from_another="yes")
    finally:
        cow.stack.sql(change, known)
    assert plan.draft.findings[0].subject == "the dump"


def test_a_point_without_a_dump_is_refused(cow, attacked):
    with pytest.raises(RestorePointNotFound):
        cow.plan("database", "cow-2020-01-01T00:00:00Z")


def test_a_dump_that_is_cut_changes_nothing(cow, attacked):
    text = cow.dump(f"{attacked[0]}-sql")
    before = cow.tables()
    for cut in (len(text) // 3, len(text) - 30, len(text) - 10):
        with pytest.raises(DumpDamaged):
            cow.database.load("cut", [text[:cut]])
    with pytest.raises(DumpDamaged):
        cow.database.load("bad", [text.replace(b"INSERT INTO `alias`", b"INSERT INTO `alien`", 1)])
    assert cow.tables() == before
    assert cow.databases() == ["mailcow"]


def test_an_archive_that_breaks_off_changes_nothing(cow, attacked):
    text = cow.dump(f"{attacked[0]}-sql")

    def breaks():
        yield text[: len(text) // 2]
        raise RepositoryDamaged("a chunk is missing")

    before = cow.tables()
    with pytest.raises(RepositoryDamaged):
        cow.database.load("broken", breaks())
    assert cow.tables() == before
    assert cow.databases() == ["mailcow"]


def test_a_dump_can_do_nothing_outside_of_what_it_is_loaded_into(cow, attacked):
    text = cow.dump(f"{attacked[0]}-sql")
    harmful = b"DELETE FROM mailcow.alias;\n" + text
    before = cow.rows("alias")
    with pytest.raises(DumpDamaged):
        cow.database.load("harm", [harmful])
    assert cow.rows("alias") == before


def test_a_dump_carries_no_command_for_the_client(cow, attacked):
    text = cow.dump(f"{attacked[0]}-sql")
    with pytest.raises(MailServerFailed):
        cow.database.load("harm", [b"\\! touch /tmp/harm\n" + text])
    assert cow.stack.run("mysql", "ls", "/tmp/harm")[0] != 0


def arguments_of(program, word):
    """Return the arguments of every process of this host that a program runs in, with a word."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            argv = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if argv.startswith(program) and word.encode() in argv:
            found.append(argv.decode(errors="replace"))
    return found


def test_a_database_that_restarts_while_a_dump_is_loaded_is_as_it_was(cow, attacked):
    before, ran = cow.tables(), running(cow)
    text = cow.dump(f"{attacked[0]}-sql")
    rows = text.replace(b"-- Dump completed", b"")

    def slowly():
        for start in range(0, len(rows), 1024):
            yield rows[start : start + 1024]
            time.sleep(0.2)

    seen = []

    def look_and_restart():
        last = time.monotonic() + 60
        while (
            not (found := arguments_of(b"mariadb\0--batch", "mailrewind_restarted"))
            and time.monotonic() < last
        ):
            time.sleep(0.05)
        seen.extend(found)
        cow.stack.restart("mysql")

    thread = threading.Thread(target=look_and_restart)
    thread.start()
    with pytest.raises(MailSystemError) as raised:
        cow.database.load("restarted", slowly())
    thread.join()
    assert raised.value.retryable
    assert cow.tables() == before
    assert running(cow) == ran
    assert [text.split("\0")[1:] for text in seen] == [
        [
            *("--batch", "--binary-mode"),
            *("--default-character-set=utf8mb4", "--max-allowed-packet=1G"),
            *("--user=mailrewind_restarted", "mailrewind_restarted", ""),
        ]
    ]
    # What was left behind goes with the next load.
    with cow.archives.read_stream(f"{attacked[0]}-sql", "mailcow.sql") as stream:
        cow.database.load("again", stream)
    cow.database.discard("again")
    assert cow.databases() == ["mailcow"]
    assert cow.root_sql("SELECT user FROM mysql.user WHERE user LIKE 'mailrewind%'") == ""


OF_THEN = (
    "CREATE TRIGGER noted BEFORE INSERT ON sogo_admin FOR EACH ROW SET NEW.c_content = 'then'",
    "CREATE PROCEDURE answer() SELECT 42",
    "CREATE EVENT clean ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' DO DELETE FROM spamalias",
    # Its name comes before that of the view which it looks at.
    "CREATE VIEW a_first AS SELECT username FROM sieve_before",
)
NEWER = (
    *("DROP TRIGGER noted", "DROP PROCEDURE answer", "DROP EVENT clean", "DROP VIEW a_first"),
    "CREATE TRIGGER newer BEFORE INSERT ON alias FOR EACH ROW SET NEW.domain = 'x'",
    "CREATE PROCEDURE newer() SELECT 43",
    "CREATE EVENT newer ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' DO DELETE FROM spamalias",
    *("CREATE VIEW newer AS SELECT 1 AS one", "DROP VIEW sieve_after"),
)


def named(cow, kind):
    found = cow.stack.sql(
        f"SELECT {kind}_name FROM information_schema.{kind}s WHERE {kind}_schema = 'mailcow'"
    )
    return sorted(row[0] for row in found)


def killed_when(cow, has_come):
    """Kill MariaDB when something has come, and start it again; return the thread that waits."""

    def wait():
        last = time.monotonic() + 120
        while not has_come():
            assert time.monotonic() < last
            time.sleep(0.01)
        cow.stack.service("mysql").kill()
        cow.stack.service("mysql").start()
        cow.stack.wait("mysql")

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_database_that_dies_while_services_are_stopped_is_as_it_was(cow, attacked):
    before, ran = cow.tables(), running(cow)
    plan = cow.plan("database", attacked[0])
    thread = killed_when(cow, lambda: any(cow.safety.glob("*/.*.partial")))

    with pytest.raises(MailSystemError) as raised:
        cow.execute(plan)

    thread.join()
    assert raised.value.retryable
    assert cow.tables() == before
    assert running(cow) == ran
    assert list(cow.safety.glob("*/.*")) == []


def test_a_database_that_dies_while_tables_are_exchanged_is_as_it_was_or_as_it_should_be(
    cow, attacked
):
    cow.stack.sql("CREATE TABLE mark (number INT)")
    cow.stack.sql("INSERT INTO mark VALUES (1)")
    with cow.archives.read_stream(f"{cow.back_up()}-sql", "mailcow.sql") as stream:
        cow.database.load("crash", stream)
    cow.stack.sql("UPDATE mark SET number = 2")
    tables = len(cow.stack.sql("SHOW TABLES"))
    with connect(cow.installation.database(as_root=True)) as looking:
        renaming = "SELECT 1 FROM information_schema.processlist WHERE info LIKE 'RENAME TABLE%'"
        thread = killed_when(cow, lambda: looking.rows(renaming))
        with pytest.raises(MailSystemError) as raised:
            cow.database.exchange("crash", Returning())
        thread.join()
    assert raised.value.retryable
    assert len(cow.stack.sql("SHOW TABLES")) == tables
    assert cow.stack.sql("SELECT number FROM mark") in ([(1,)], [(2,)])
    cow.stack.sql("DROP TABLE mark")
    cow.database.discard("crash")


def test_a_full_disk_is_told_before_anything_is_loaded(cow, attacked, monkeypatch):
    # Nothing is ever free below /proc.
    monkeypatch.setattr(cow.installation, "volume", lambda name: Path("/proc"))
    with pytest.raises(NoSpace, match="below /proc"):
        cow.database.load("full", [b""])
    assert cow.databases() == ["mailcow"]


def test_triggers_views_routines_and_events_come_back(cow, attacked):
    for statement in OF_THEN:
        cow.stack.sql(statement)
    point = cow.back_up()
    for statement in NEWER:
        cow.stack.sql(statement)

    cow.execute(cow.plan("database", point))

    assert {kind: named(cow, kind) for kind in ("trigger", "routine", "event")} == {
        "trigger": ["noted"],
        "routine": ["answer"],
        "event": ["clean"],
    }
    owners = "SELECT definer FROM information_schema.{}s WHERE {}_schema = 'mailcow'"
    for kind in ("routine", "event"):
        assert cow.stack.sql(owners.format(kind, kind)) == [("mailcow@%",)]
    views = cow.stack.sql("SHOW FULL TABLES WHERE table_type = 'VIEW'")
    assert sorted(row[0] for row in views) == [
        *("a_first", "grouped_mail_aliases", "sieve_after", "sieve_before")
    ]
    # As mailcow's own user sees it, and as the next dump will.
    assert cow.stack.sql("SELECT * FROM grouped_mail_aliases") == [(ADA, "i@example.org")]
    with cow.archives.read_stream(f"{cow.back_up()}-sql", "mailcow.sql") as stream:
        cow.database.load("twice", stream)
    cow.database.discard("twice")
    for statement in NEWER[:4]:
        cow.stack.sql(statement)


def test_a_safety_dump_that_is_gone_cannot_be_taken_back(cow, attacked):
    report = cow.execute(cow.plan("database", attacked[0]))
    safety = cow.safety / report.id / "database.sql.gz"
    whole = safety.read_bytes()
    safety.write_bytes(gzip.compress(gzip.decompress(whole)[:-40]))
    before = cow.tables()
    with pytest.raises(DumpDamaged):
        cow.undo(report)
    assert cow.tables() == before
    safety.unlink()
    with pytest.raises(NothingToUndo):
        cow.undo(report)
