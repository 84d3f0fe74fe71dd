"""Services of a mailcow that stop under a backup or a restore: told, tried again, nothing lost."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from mailrewind.errors import MailrewindError
from mailrewind.model.points import PointStatus
from mailrewind.model.restores import RestoreRequest
from tests.deployments.running import eventually
from tests.mailcow_customer import states
from tests.mailcow_office import SYSTEM, MailcowOffice
from tests.stacks.mailcow.samples import event, message
from tests.stacks.mailcow.stack import MailcowStack

pytest_plugins = ["tests.mailcow"]
pytestmark = pytest.mark.timeout(600)

ADA = "ada@example.org"
PARTS = ["mail", "sql", "server", "sogo"]


@pytest.fixture(scope="module")
def office(mailcow: MailcowStack, tmp_path_factory: pytest.TempPathFactory) -> MailcowOffice:
    mailcow.stop("watchdog")  # it would start what a test stops
    mailcow.deliver(ADA, "INBOX", [message(f"Letter {number}") for number in range(20)])
    mailcow.put_event(ADA, "personal", "lunch.ics", event("lunch", "Lunch"))
    office = MailcowOffice(mailcow, tmp_path_factory.mktemp("office"))
    office.back_up()
    return office


@contextmanager
def stopped(stack: MailcowStack, service: str) -> Iterator[None]:
    stack.stop(service)
    try:
        yield
    finally:
        stack.service(service).start()
        stack.wait(service)


def mails_of_ada(office: MailcowOffice) -> int:
    return {name: number for name, number, *_ in office.services.browse.mailboxes(SYSTEM)}[ADA]


def archives_of(office: MailcowOffice, point: str) -> list[str]:
    names = office.services.archives("main").names()
    return [name.removeprefix(f"{point}-") for name in names if name.startswith(point)]


def test_a_backup_without_the_database_is_the_same_point_once_that_runs(
    office: MailcowOffice, mailcow: MailcowStack
) -> None:
    services, complete = office.services, office.services.state.points(SYSTEM)
    with stopped(mailcow, "mysql"), pytest.raises(MailrewindError) as raised:
        services.back_up.archive(SYSTEM, initiator="test")
    assert raised.value.retryable
    assert str(raised.value).startswith("mysql-mailcow does not run")
    assert services.state.points(SYSTEM) == complete
    (making,) = services.state.points(SYSTEM, (PointStatus.MAKING,))
    assert services.back_up.archive(SYSTEM, initiator="test") == making.name
    assert archives_of(office, making.name) == PARTS


@pytest.mark.parametrize("service", ["dovecot", "sogo"])
def test_a_backup_holds_everything_of_a_stopped_service_and_says_that_it_was(
    office: MailcowOffice, mailcow: MailcowStack, service: str
) -> None:
    with stopped(mailcow, service):
        point = office.back_up()
    assert archives_of(office, point) == PARTS
    assert mails_of_ada(office) == 20
    (done,) = office.services.state.backup_reports(SYSTEM, limit=1)
    name = f"{service}-mailcow"
    assert [finding.text for finding in done.findings if finding.subject == name] == [
        "does not run (exited) while its data is archived"
    ]


@pytest.mark.parametrize("service", ["dovecot", "sogo", "mysql"])
def test_a_backup_outlives_the_restart_of_a_service(
    office: MailcowOffice, mailcow: MailcowStack, service: str
) -> None:
    restarting = threading.Thread(target=mailcow.restart, args=[service])
    restarting.start()
    try:
        point = backed_up_at_last(office)
    finally:
        restarting.join()
    assert archives_of(office, point) == PARTS
    office.services.back_up.index(point)
    assert mails_of_ada(office) == 20


def backed_up_at_last(office: MailcowOffice) -> str:
    """Try as a step does, but sooner, and only where waiting helps."""
    for _ in range(60):
        try:
            return office.services.back_up.archive(SYSTEM, initiator="test")
        except MailrewindError as error:
            if not error.retryable:
                raise
        time.sleep(0.5)
    raise AssertionError("the service did not come back")


def test_a_restore_without_dovecot_fails_at_once_and_adds_each_message_once_later(
    office: MailcowOffice, mailcow: MailcowStack
) -> None:
    before = office.seen(ADA)
    with mailcow.imap(ADA) as imap:
        imap.select("INBOX")
        imap.uid("STORE", "1:7", "+FLAGS", "(\\Deleted)")
        imap.expunge()
    request = RestoreRequest(SYSTEM, ADA, initiator="test")
    with stopped(mailcow, "dovecot"), pytest.raises(MailrewindError) as raised:
        office.services.restore.run(request)
    assert raised.value.retryable
    assert "in dovecot-mailcow: the container is not running." in str(raised.value)
    assert len(office.services.restore.run(request).added) == 7
    assert _guids(office.seen(ADA)) == _guids(before)
    assert mailcow.quota(ADA) == office.true_quota(ADA)


def test_calendars_are_not_restored_without_sogo_and_are_with_it(
    office: MailcowOffice, mailcow: MailcowStack
) -> None:
    mailcow.delete_event(ADA, "personal", "lunch.ics")
    with stopped(mailcow, "sogo"), pytest.raises(MailrewindError) as raised:
        office.plan("calendars", ADA)
    assert raised.value.retryable
    assert "in sogo-mailcow: the container is not running." in str(raised.value)
    office.carry_out(office.plan("calendars", ADA))
    assert sorted(mailcow.events(ADA)) == ["lunch.ics"]


@pytest.mark.parametrize("ends", ["restart", "kill"])
def test_a_database_that_goes_away_under_its_restore_stays_and_services_run(
    office: MailcowOffice, mailcow: MailcowStack, ends: str
) -> None:
    mailcow.sql("UPDATE mailbox SET name = 'Since then'")
    query = "SELECT username, name FROM mailbox ORDER BY username"
    accounts, running = mailcow.sql(query), states(mailcow)
    plan = office.plan("database")
    going = threading.Thread(target=_go_away, args=[mailcow, ends])
    with closing(mailcow.database()) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLES quarantine WRITE")  # the safety dump waits for it
        going.start()
        with pytest.raises(MailrewindError) as raised:
            office.carry_out(plan)
    going.join()
    mailcow.wait("mysql", "dovecot", "sogo")
    assert states(mailcow) == running
    assert mailcow.sql(query) == accounts
    assert raised.value.retryable
    office.carry_out(office.plan("database"))
    assert mailcow.sql(query) != accounts


def _go_away(stack: MailcowStack, how: str) -> None:
    """End the database when its users have been stopped; after "kill" it comes back at once."""
    eventually(lambda: states(stack)["dovecot-mailcow"] == "exited", seconds=60, what="it is down")
    if how == "kill":
        stack.service("mysql").kill()
        stack.service("mysql").start()
    else:
        stack.service("mysql").restart(timeout=10)


def _guids(seen: dict[str, dict[str, tuple[str, ...]]]) -> set[tuple[str, str]]:
    return {(folder, row[0]) for folder, rows in seen.items() for row in rows.values()}
