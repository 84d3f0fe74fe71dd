"""A customer's first day: three lines of configuration, and everything back by Prefect's forms."""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mailcow_customer import PASSPHRASE, REASON, SYSTEM, Customer, customer_of
from tests.stacks.mailcow.samples import contact, event, message
from tests.stacks.mailcow.stack import MailcowStack, hashed

pytest_plugins = ["tests.mailcow"]
pytestmark = pytest.mark.timeout(900)

ADA, JOHN_DOE, JOHNDOE = "ada@example.org", "john.doe@example.org", "johndoe@example.org"
BODY = "Zeitgeist-of-a-letter"
# What a mailcow runs in its containers when they start is not ours, and shows a password.
OF_MAILCOW = tuple(
    f"{program} --socket=/var/run/mysqld/mysqld.sock -u" for program in ("mariadb", "mariadb-admin")
)
SUBJECT = "Gehaltsverhandlung"


class CommandLines(threading.Thread):
    """Notes the command line of every process that lives long enough to be seen."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self._ended = threading.Event()

    def run(self) -> None:
        before, known = set(), set()
        while not self._ended.wait(0.1):
            there = {each.name for each in Path("/proc").glob("[0-9]*")}
            # Twice each, for a process gets its own command line a moment after it was born.
            for name in there - (before & known):
                try:
                    self.seen.add(Path("/proc", name, "cmdline").read_bytes())
                except OSError:
                    continue
            known, before = before, there

    def end(self) -> None:
        self._ended.set()
        self.join()


@pytest.fixture(scope="module")
def command_lines() -> Iterator[CommandLines]:
    noted = CommandLines()
    noted.start()
    yield noted
    noted.end()


@pytest.fixture(scope="module")
def customer(
    mailcow: MailcowStack, command_lines: CommandLines, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Customer]:
    for address in (ADA, JOHN_DOE, JOHNDOE):
        letters = [message(f"{SUBJECT} {number}") for number in range(6)]
        mailcow.deliver(address, "INBOX", [*letters, message(BODY)])
        mailcow.deliver(address, "Projects/ACME", letters[:3], flags=("\\Seen", "urgent"))
    mailcow.put_event(ADA, "personal", "lunch.ics", event("lunch", "Lunch"))
    mailcow.put_event(ADA, "personal", "review.ics", event("review", "Review"))
    mailcow.put_contact(ADA, "personal", "zoe.vcf", contact("zoe", "Zoë Quinn"))
    folder = tmp_path_factory.mktemp("trip") / "first customer"
    with customer_of(mailcow, folder) as customer:
        yield customer


@pytest.fixture(scope="module")
def point(customer: Customer) -> str:
    """The restore point that everything comes back from: the first, which nobody asked for."""
    run = customer.first_backup()
    assert run.state == "COMPLETED", run.message
    (point,) = customer.services.state.points(SYSTEM)
    return point.name


def held(stack: MailcowStack, address: str) -> dict[str, int]:
    """Return the number of messages in each folder that has any, as Dovecot says."""
    status, out, said = stack.doveadm("-f", "tab", "fetch", "-u", address, "mailbox", "ALL")
    assert status == 0, said
    folders = out.splitlines()[1:]
    return {folder: folders.count(folder) for folder in sorted({*folders})}


WHOLE = {"INBOX": 7, "Projects/ACME": 3}


def test_three_lines_lead_to_a_restore_point_of_everything(customer: Customer, point: str) -> None:
    names = customer.services.archives("main").names()
    assert names == [f"{point}-{part}" for part in ("mail", "sql", "server", "sogo")]
    page = customer.api.get(f"/artifacts/backup-{SYSTEM}/latest")["data"]
    assert f"# Restore point {point}" in page
    assert "| Holds | 30 messages in 3 mailboxes |" in page


def test_lost_messages_are_back_by_the_form(
    customer: Customer, mailcow: MailcowStack, point: str
) -> None:
    assert held(mailcow, ADA) == WHOLE
    with mailcow.imap(ADA) as imap:
        imap.select("INBOX")
        imap.uid("STORE", "1:5", "+FLAGS", "(\\Deleted)")
        imap.expunge()
        imap.delete("Projects/ACME")
    done = customer.restore("restore/mailbox", mailbox=ADA, moment=point, action="restore")
    assert done.run.state == "COMPLETED", done.run.message
    assert held(mailcow, ADA) == WHOLE
    assert "| **Added and read back** | **8 messages** |" in done.page


def test_a_deleted_event_is_back_by_its_plan_and_nothing_else_changes(
    customer: Customer, mailcow: MailcowStack, point: str
) -> None:
    mailcow.delete_event(ADA, "personal", "lunch.ics")
    mailcow.put_event(ADA, "personal", "later.ics", event("later", "Later"))
    mailcow.put_event(ADA, "personal", "review.ics", event("review", "Review, moved"))
    mailcow.share(ADA, "personal", JOHN_DOE)
    planned, done = customer.by_plan("restore-calendars/calendars", user=ADA, moment=point)
    assert "| **Would be added** | **1** |" in planned.page
    assert "| **Events added** | **1** |" in done.page
    found = mailcow.events(ADA)
    assert sorted(found) == ["later.ics", "lunch.ics", "review.ics"]
    assert "SUMMARY:Review, moved" in found["review.ics"]
    assert mailcow.sql("SELECT COUNT(*) FROM sogo_acl WHERE c_uid = %s", JOHN_DOE) == [(1,)]


def test_a_mailbox_is_put_to_what_it_was_and_that_is_undone(
    customer: Customer, mailcow: MailcowStack, point: str
) -> None:
    mailcow.deliver(JOHNDOE, "INBOX", [message("came later")])
    with mailcow.imap(JOHNDOE) as imap:
        imap.delete("Projects/ACME")
    before = held(mailcow, JOHNDOE)
    form = {"mailbox": JOHNDOE, "moment": point}
    planned, done = customer.by_plan("replace-mailbox/replace-mailbox", **form)
    assert "**What is there would be lost or reverted.**" in planned.page
    assert held(mailcow, JOHNDOE) == WHOLE
    undone = customer.run("undo-restore/undo", restore_id=done.restore_id, reason=REASON)
    assert undone.run.state == "COMPLETED", undone.run.message
    assert "| **Undone** |" in undone.page
    assert held(mailcow, JOHNDOE) == before


def test_a_deleted_mailbox_is_back_from_mailcow_s_garbage(
    customer: Customer, mailcow: MailcowStack, point: str
) -> None:
    address = "maria@example.org"
    mailcow.add_mailbox(address)
    mailcow.deliver(address, "INBOX", [message("only in the garbage")])
    mailcow.delete_mailbox(address)
    mailcow.add_mailbox(address)
    assert held(mailcow, address) == {}
    # Nothing in the mail says whose it was: the plan lists what there is, and nobody guesses.
    form = {"mailbox": address}
    undecided = customer.restore("restore-deleted-mailbox/deleted-mailbox", **form)
    assert "As it stands, nothing would change." in undecided.page
    (candidate,) = re.findall(r"\d+_exampleorgmaria", undecided.page.replace("\\", ""))
    guessed = {"action": "restore", "plan_id": undecided.plan_id}
    refused = customer.restore("restore-deleted-mailbox/deleted-mailbox", **form, **guessed)
    assert refused.run.state == "FAILED"
    assert "ChoiceNeeded: Which deleted mailbox is meant by maria@" in refused.run.message
    assert held(mailcow, address) == {}

    planned, _ = customer.by_plan(
        "restore-deleted-mailbox/deleted-mailbox", **form, candidate=candidate
    )
    assert "| **Would be added** | **1** |" in planned.page
    assert held(mailcow, address) == {"INBOX": 1}
    assert mailcow.quota(address)[1] == 1


def test_an_account_comes_back_without_its_old_password(
    customer: Customer, mailcow: MailcowStack, point: str
) -> None:
    password = hashed("reset by the administrator")
    mailcow.sql(
        "UPDATE mailbox SET name = 'Mallory', password = %s WHERE username = %s", password, ADA
    )
    customer.by_plan("restore-account/account", mailbox=ADA, moment=point)
    rows = mailcow.sql("SELECT name, password FROM mailbox WHERE username = %s", ADA)
    assert rows == [("Ada", password)]


def test_the_database_comes_back_only_when_the_system_s_name_is_typed(
    customer: Customer, mailcow: MailcowStack, point: str
) -> None:
    password = hashed("known to nobody else")
    disabled = "UPDATE mailbox SET password = %s, active = 0 WHERE username = %s"
    mailcow.sql(disabled, password, JOHN_DOE)
    mailcow.sql("UPDATE domain SET aliases = 7")
    form = {"moment": point}
    planned = customer.restore("restore-database/database", **form)
    assert f"| {JOHN_DOE} | the password, the disabled state" in planned.page
    more = {"action": "restore", "plan_id": planned.plan_id}
    wrong = customer.restore(
        "restore-database/database", **form, **more, type_the_system_name="Office"
    )
    assert wrong.run.state == "FAILED"
    assert wrong.run.message.removeprefix("Flow run encountered an exception: ") == (
        f"ConfirmationMissing: Plan {planned.plan_id} is for the system office, and 'Office' was "
        "typed. Type the system's name exactly as it is configured: office"
    )
    assert mailcow.sql("SELECT aliases FROM domain") == [(7,)]
    done = customer.restore(
        "restore-database/database", **form, **more, type_the_system_name=SYSTEM
    )
    assert done.run.state == "COMPLETED", done.run.message
    assert mailcow.sql("SELECT aliases FROM domain") == [(400,)]
    rows = mailcow.sql("SELECT password, active FROM mailbox WHERE username = %s", JOHN_DOE)
    assert rows == [(password, 0)]


def test_calendars_are_exported_by_a_flow_of_their_own(
    customer: Customer, mailcow: MailcowStack, point: str
) -> None:
    done = customer.run("export-sogo/sogo", system="all systems")
    assert done.run.state == "COMPLETED", done.run.message
    (kept,) = customer.services.exports.kept(SYSTEM)
    assert f"# Export {kept.name}" in done.pages[f"export-{SYSTEM}"]


def test_a_living_server_is_not_overwritten(customer: Customer, point: str) -> None:
    refused = customer.restore("restore-server/server", moment=point)
    assert refused.run.state == "FAILED"
    assert "NotEmpty: " in refused.run.message
    assert "one by one instead." in refused.run.message


def test_no_secret_reached_prefect_a_log_or_a_command_line(
    customer: Customer, mailcow: MailcowStack, point: str, command_lines: CommandLines
) -> None:
    time.sleep(3)  # Prefect's logs are sent in batches
    settings = mailcow.configuration
    hashes = [str(row[0]) for row in mailcow.sql("SELECT password FROM mailbox")]
    secrets = {
        "passphrase": PASSPHRASE,
        **{name: settings[name] for name in ("DBPASS", "DBROOT", "REDISPASS", "API_KEY")},
        **{f"password {number}": text for number, text in enumerate(mailcow.passwords.values())},
        **{f"hash {number}": text for number, text in enumerate(hashes)},
    }
    kept = {
        str(path.relative_to(customer.folder)): path.read_bytes()
        for place in (customer.home, customer.config.data_dir / "recovery")
        for path in place.rglob("*")
        if path.is_file()
    }
    assert any(REASON.encode() in content for content in kept.values())
    assert any(b"borg" in line for line in command_lines.seen)
    lines = {
        line.replace(b"\0", b" ").decode(errors="replace"): line for line in command_lines.seen
    }
    ours = {said: line for said, line in lines.items() if not said.startswith(OF_MAILCOW)}
    found = [
        (name, where)
        for name, secret in secrets.items()
        for where, content in {**kept, **ours}.items()
        if secret.encode() in content
    ]
    assert found == []
    for word in (SUBJECT, BODY):
        assert [where for where, content in kept.items() if word.encode() in content] == []
