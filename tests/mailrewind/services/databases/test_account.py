"""One account's rows come back; everybody else's, and the account's login, stay."""

import stat

import pytest

from mailrewind.errors import ChoiceNeeded, MailboxNotFound, MailServerFailed, NothingToUndo
from mailrewind.model.databases import RowStep
from mailrewind.model.operations import Change, Effect
from mailrewind.model.reports import Finding
from tests.mailcow_dumps import DumpedMailcow

pytest_plugins = ["tests.mailcow"]

ADA, JOHN, JOHNDOE = "ada@example.org", "john.doe@example.org", "johndoe@example.org"
NEW = "new@example.org"
KEPT = [
    Change(Effect.KEEP, "app passwords", "as now"),
    Change(Effect.KEEP, "second factors", "as now"),
    Change(Effect.KEEP, "security keys", "as now"),
    Change(Effect.KEEP, "login", "password and disabled state as now"),
]


def write(cow, *statements):
    for statement in statements:
        cow.stack.sql(statement)


@pytest.fixture(scope="module")
def cow(mailcow, tmp_path_factory):
    cow = DumpedMailcow(mailcow, tmp_path_factory.mktemp("cow"))
    write(
        cow,
        "INSERT INTO alias (address, goto, domain)"
        f" VALUES ('a@example.org', '{ADA}', 'example.org'),"
        f" ('team@example.org', '{JOHN},{ADA}', 'example.org')",
        f"INSERT INTO filterconf (object, `option`, value) VALUES ('{ADA}', 'lowspamlevel', '5')",
        "INSERT INTO sieve_filters (username, script_desc, script_name, script_data, filter_type)"
        f" VALUES ('{ADA}', 'sort', 'active', 'keep; # \\'ö\\'', 'prefilter')",
        f"INSERT INTO sogo_user_profile VALUES ('{ADA}', '{{\"a\":\"ü\"}}', NULL)",
        f"INSERT INTO tfa (key_id, username, authmech, secret) VALUES ('k', '{ADA}', 'totp', 'S')",
        "INSERT INTO app_passwd (name, mailbox, domain, password)"
        f" VALUES ('phone', '{ADA}', 'example.org', '{{SSHA256}}then')",
    )
    yield cow
    cow.close()


@pytest.fixture(scope="module")
def point(cow):
    return cow.back_up()


@pytest.fixture
def changed(cow, point):
    """What happened to Ada's account since; afterwards all is as it was."""
    write(
        cow,
        "UPDATE mailbox SET name = 'Mallory', quota = 5, password = '{SSHA256}now', active = 0,"
        " attributes = JSON_SET(attributes, '$.imap_access', '0', '$.quarantine_category', 'x')"
        f" WHERE username = '{ADA}'",
        f"UPDATE mailbox SET name = 'John the newer' WHERE username = '{JOHN}'",
        "DELETE FROM alias WHERE address = 'a@example.org'",
        f"UPDATE alias SET goto = '{JOHN}' WHERE address = 'team@example.org'",
        "INSERT INTO alias (address, goto, domain)"
        f" VALUES ('newer@example.org', '{ADA}', 'example.org')",
        f"DELETE FROM filterconf WHERE object = '{ADA}'",
        f"UPDATE sieve_filters SET script_data = 'discard;' WHERE username = '{ADA}'",
        f"UPDATE sogo_user_profile SET c_defaults = NULL WHERE c_uid = '{ADA}'",
        f"DELETE FROM tfa WHERE username = '{ADA}'",
        f"DELETE FROM app_passwd WHERE mailbox = '{ADA}'",
    )
    yield
    cow.pour(f"{point}-sql")


def mailbox(cow, address):
    columns = (
        "name, quota, password, active, JSON_VALUE(attributes, '$.imap_access'),"
        " JSON_VALUE(attributes, '$.quarantine_category')"
    )
    return cow.stack.sql(f"SELECT {columns} FROM mailbox WHERE username = %s", address)[0]


def test_the_plan_says_what_is_added_reverted_and_kept_and_no_secret(cow, point, changed):
    plan = cow.plan("account", point, ADA)

    assert list(plan.draft.changes) == [
        Change(Effect.REVERT, "mailbox", "as then: attributes, name, quota"),
        Change(Effect.ADD, "aliases", "a@example.org"),
        Change(Effect.REVERT, "aliases", "as then: goto"),
        Change(Effect.KEEP, "aliases", "exist now, and did not then"),
        Change(Effect.ADD, "spam settings"),
        Change(Effect.REVERT, "filters", "as then: script_data"),
        Change(Effect.REVERT, "SOGo profile", "as then: c_defaults"),
        *KEPT,
    ]
    assert plan.draft.is_destructive
    secrets = {row[0] for row in cow.rows("mailbox", "password")} | {"{SSHA256}then", "keep;"}
    assert [secret for secret in secrets if secret in repr(plan)] == []


def test_rows_come_back_and_the_login_stays(cow, point, changed):
    before = cow.tables()

    report = cow.execute(cow.plan("account", point, ADA))

    assert report.outcome.counts == (("rows added", 2), ("rows reverted", 4))
    assert report.outcome.failed == ()
    then = "Ada", 1024 * 1024**2, "{SSHA256}now", 0, "0"
    assert mailbox(cow, ADA)[:5] == then
    assert mailbox(cow, ADA)[5] != "x"
    assert mailbox(cow, JOHN)[0] == "John the newer"
    assert dict(cow.rows("alias", "address, goto")) == {
        **{address: address for address in (ADA, JOHN, JOHNDOE)},
        "a@example.org": ADA,
        "team@example.org": f"{JOHN},{ADA}",
        "newer@example.org": ADA,
    }
    assert cow.rows("filterconf", "object, value") == [(ADA, "5")]
    assert cow.rows("sieve_filters", "script_data") == [("keep; # 'ö'",)]
    assert cow.rows("sogo_user_profile", "c_defaults") == [('{"a":"ü"}',)]
    assert (cow.rows("tfa"), cow.rows("app_passwd")) == ([], [])
    safety = cow.safety / report.id / "account.json"
    assert stat.S_IMODE(safety.stat().st_mode) == 0o600
    again = cow.plan("account", point, ADA)
    effects = {change.effect for change in again.draft.changes}
    assert (effects, again.draft.is_destructive) == ({Effect.KEEP}, False)

    undone = cow.undo(report)

    assert undone.taken_back.counts == (("rows taken back", 6),)
    after = cow.tables()
    for table in before:
        assert without_times(cow, table, after) == without_times(cow, table, before), table


def without_times(cow, table, tables):
    columns = [row[0] for row in cow.stack.sql(f"SHOW COLUMNS FROM {table}")]
    skipped = {n for n, column in enumerate(columns) if column in {"modified", "id", "prefid"}}
    return [[v for n, v in enumerate(row) if n not in skipped] for row in tables[table]]


def test_the_login_comes_back_only_when_chosen(cow, point, changed):
    plan = cow.plan("account", point, ADA, keep_newer_credentials="no")
    cow.execute(plan)
    name, quota, password, active, imap, _ = mailbox(cow, ADA)
    assert (name, quota, active, imap) == ("Ada", 1024 * 1024**2, 1, "1")
    assert password not in {"{SSHA256}now", "{SSHA256}then"}
    assert cow.rows("app_passwd", "password") == [("{SSHA256}then",)]
    assert cow.rows("tfa", "secret") == [("S",)]


def test_only_what_is_asked_for_comes_back(cow, point, changed):
    cow.execute(cow.plan("account", point, ADA, what="quota"))
    assert mailbox(cow, ADA)[:2] == ("Mallory", 1024 * 1024**2)
    assert ("a@example.org",) not in cow.rows("alias", "address")
    cow.execute(cow.plan("account", point, ADA, what="aliases"))
    assert mailbox(cow, ADA)[0] == "Mallory"
    assert ("a@example.org",) in cow.rows("alias", "address")
    with pytest.raises(ChoiceNeeded, match="no calendar"):
        cow.plan("account", point, ADA, what="calendar")


def test_an_account_that_was_deleted_comes_back_wholly(cow, point, changed):
    cow.stack.delete_mailbox(JOHNDOE)
    assert not cow.database.has_mailbox(JOHNDOE)
    plan = cow.plan("account", point, JOHNDOE, what="aliases")
    said = "was deleted since: it comes back with the password of then"
    assert plan.draft.findings == (Finding(JOHNDOE, said),)

    report = cow.execute(plan)

    assert cow.database.has_mailbox(JOHNDOE)
    with cow.stack.imap(JOHNDOE):
        pass
    cow.undo(report)
    assert not cow.database.has_mailbox(JOHNDOE)


def test_what_was_changed_after_a_restore_is_left_alone_by_its_undo(cow, point, changed):
    report = cow.execute(cow.plan("account", point, ADA))
    cow.stack.sql("UPDATE filterconf SET value = '7' WHERE object = %s", ADA)

    undone = cow.undo(report)

    assert undone.taken_back.counts == (("rows taken back", 5),)
    assert undone.taken_back.findings == (
        Finding("filterconf", "a row was changed since; it is left alone"),
    )
    assert cow.rows("filterconf", "value") == [("7",)]


def test_all_or_nothing_is_put_back(cow, point, changed):
    steps = [
        RowStep("filterconf", {}, {}, {"object": ADA, "option": "x", "value": "1"}),
        RowStep("mailbox", {"username": ADA}, {"name": "somebody else"}, {"name": "Ada"}),
    ]
    with pytest.raises(MailServerFailed, match="row of mailbox was changed meanwhile"):
        cow.database.put_back(steps)
    assert cow.rows("filterconf") == []


def test_a_column_that_mailcow_has_no_more_is_a_finding(cow, point, changed):
    cow.stack.sql("ALTER TABLE filterconf RENAME COLUMN value TO worth")
    try:
        plan = cow.plan("account", point, ADA)
    finally:
        cow.stack.sql("ALTER TABLE filterconf RENAME COLUMN worth TO value")
    assert plan.draft.findings == (
        Finding("spam settings", "mailcow has no column value any more"),
    )


def test_an_account_that_did_not_exist_then_is_unknown(cow, point):
    with pytest.raises(MailboxNotFound, match=NEW):
        cow.plan("account", point, NEW)


def test_nothing_can_be_taken_back_without_the_safety_copy(cow, point, changed):
    report = cow.execute(cow.plan("account", point, ADA))
    (cow.safety / report.id / "account.json").unlink()
    with pytest.raises(NothingToUndo):
        cow.undo(report)
