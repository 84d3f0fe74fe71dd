"""What becomes of accounts, told without a secret."""

import pytest

from mailrewind.model.operations import Change, Effect
from mailrewind.model.reports import Finding
from mailrewind.systems.mailcow.accounts import Census, compare

ADA, BOB = "ada@example.org", "bob@example.org"
MAILBOX = {"password": "{SSHA256}one", "active": "1", "authsource": "mailcow", "attributes": "{}"}


def census(*rows):
    found = Census()
    for table, row in rows:
        found.take(table, row)
    return found


def mailbox(address, **columns):
    return "mailbox", {"username": address, **MAILBOX, **columns}


def changes(then, now, *, keeps=True, disables=True):
    return list(compare(census(*then), census(*now), keeps=keeps, disables=disables).changes)


def test_equal_databases_differ_in_nothing():
    rows = [mailbox(ADA), ("alias", {"address": "i@x", "goto": ADA}), ("domain", {"domain": "x"})]
    found = compare(census(*rows), census(*reversed(rows)), keeps=True, disables=True)
    assert (found.changes, found.findings) == ((), ())


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (mailbox(ADA, password="{SSHA256}two"), "the password"),
        (mailbox(ADA, authsource="ldap"), "the password"),
        (mailbox(ADA, attributes='{"smtp_access": "0"}'), "how it may log in"),
        (mailbox(ADA, active="2"), "the disabled state"),
    ],
)
def test_each_thing_that_decides_about_logins_is_named(row, what):
    rest = "; it would not be disabled any more" if what == "the disabled state" else ""
    assert changes([mailbox(ADA)], [row], keeps=False) == [
        Change(Effect.REVERT, ADA, f"{what}: as then{rest}")
    ]


def test_what_does_not_decide_about_logins_is_not_named():
    now = mailbox(ADA, attributes='{"quarantine_category": "all"}', name="Ada")
    assert changes([mailbox(ADA)], [now]) == []


@pytest.mark.parametrize(
    ("table", "row", "what"),
    [
        ("app_passwd", {"mailbox": ADA, "name": "phone", "password": "p"}, "app passwords"),
        ("tfa", {"username": ADA, "key_id": "k", "secret": "s"}, "second factors"),
        ("fido2", {"username": ADA, "credentialPublicKey": b"\x00\xff"}, "security keys"),
    ],
)
def test_keys_that_are_gone_or_new_are_named(table, row, what):
    kept = [Change(Effect.KEEP, ADA, f"{what}: as now, not as then")]
    assert changes([mailbox(ADA), (table, row)], [mailbox(ADA)]) == kept
    assert changes([mailbox(ADA)], [mailbox(ADA), (table, row)]) == kept


def test_administrators_and_keys_of_the_interface_are_named():
    admin = ("admin", {"username": "root", "password": "a", "active": "1"})
    other = ("admin", {"username": "root", "password": "b", "active": "1"})
    more = ("admin", {"username": "mallory", "password": "c", "active": "1"})
    key = ("api", {"api_key": "K", "access": "rw", "active": "1"})
    found = compare(census(admin, more, key), census(other), keeps=True, disables=True)
    assert [change.subject for change in found.changes] == [
        "administrator mallory",
        "login of administrator root",
        "keys to the programming interface",
    ]
    assert {change.effect for change in found.changes} == {Effect.KEEP}


def test_a_domain_that_was_disabled_since_is_named():
    then, now = (("domain", {"domain": "x", "active": active}) for active in "10")
    assert changes([then], [now]) == [
        Change(Effect.KEEP, "disabled state of domain x", "as now, not as then")
    ]


def test_accounts_that_return_or_vanish_are_named_with_how_they_come_back():
    assert changes([mailbox(ADA)], [mailbox(BOB)]) == [
        Change(Effect.LOSE, BOB, "exists now, and did not then"),
        Change(Effect.ADD, ADA, "was deleted since; it comes back disabled"),
    ]
    found = compare(census(mailbox(ADA)), census(), keeps=True, disables=False)
    assert found.changes == (Change(Effect.ADD, ADA, "was deleted since; it comes back as it was"),)
    said = "was deleted since, and its mail with it: it can log in as it could then"
    assert found.findings == (Finding(ADA, said),)


def test_facts_are_the_same_for_what_is_the_same_and_hold_no_secret():
    then = [mailbox(ADA), mailbox(BOB, password="{SSHA256}secret")]
    now = [mailbox(ADA, password="{SSHA256}other"), mailbox(BOB)]
    facts = compare(census(*then), census(*now), keeps=True, disables=True).facts
    assert facts == compare(census(*then), census(*now), keeps=True, disables=True).facts
    assert "SSHA256" not in facts
    assert "secret" not in repr(census(*then))
