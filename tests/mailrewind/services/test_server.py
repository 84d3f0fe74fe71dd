import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mailrewind.errors import NotEmpty
from mailrewind.model.operations import OperationReport
from mailrewind.transports.containers import Project
from tests.mailcow_office import SYSTEM, MailcowOffice
from tests.stacks.mailcow.samples import contact, event, message
from tests.stacks.mailcow.stack import MailcowStack

pytestmark = pytest.mark.timeout(900)  # a whole server, twice, on a machine that has other work

ADA, BOB = "ada@example.org", "bob@example.net"
SCRIPT = Path(__file__).with_name("restoring_a_server.py")


@dataclass
class Server:
    """A mailcow with everything in it, and what it looked like when it was backed up."""

    stack: MailcowStack
    office: MailcowOffice
    before: dict[str, object]
    settings: str
    passwords: dict[str, str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("server")
    with MailcowStack(domains=("example.org", "example.net")) as stack:
        for mailbox in (ADA, BOB):
            stack.add_mailbox(mailbox, quota_mib=700)
        stack.deliver(ADA, "INBOX", [message(f"inbox {n}") for n in range(40)], flags=["work"])
        stack.deliver(ADA, "Projects/Straße", [message(f"p {n}") for n in range(10)])
        stack.deliver(BOB, "INBOX", [message("for Bob")], flags=["\\Seen", "\\Answered"])
        stack.plant_plain(BOB, "Old", message("from before mail_crypt"))
        stack.put_event(ADA, "personal", "standup.ics", event("standup", "Standup"))
        stack.put_contact(ADA, "personal", "grace.vcf", contact("grace", "Grace"))
        office = MailcowOffice(stack, root)
        office.back_up()
        settings = (stack.directory / "mailcow.conf").read_text()
        yield Server(stack, office, picture(stack, office), settings, dict(stack.passwords))


def picture(stack: MailcowStack, office: MailcowOffice) -> dict[str, object]:
    """Return all that must be as it was."""
    return {
        "mail": {mailbox: office.seen(mailbox) for mailbox in (ADA, BOB)},
        "uids": {mailbox: office.uid_validities(mailbox)["INBOX"] for mailbox in (ADA, BOB)},
        "quota": {mailbox: stack.quota(mailbox) for mailbox in (ADA, BOB)},
        "limits": stack.sql("SELECT username, quota FROM mailbox ORDER BY username"),
        "events": stack.events(ADA),
        "contacts": stack.contacts(ADA),
        "keys": sorted(stack.redis("HGETALL", "DKIM_PRIV_KEYS").splitlines()),
        "selectors": sorted(stack.redis("HGETALL", "DKIM_SELECTORS").splitlines()),
        "crypt": (stack.volume("crypt-vol-1") / "ecprivkey.pem").read_bytes(),
        "certificate": (stack.directory / "data/assets/ssl/key.pem").read_text(),
        "hook": (stack.directory / "data/hooks/dovecot/10-hello.sh").read_text(),
        "owners": sorted(
            {
                path.stat().st_uid
                for path in stack.volume("vmail-vol-1").glob("example.*/**/*")
                if path.exists()
            }
        ),
    }


def bare_machine(server: Server, root: Path) -> MailcowOffice:
    """Return an office that has the repository and its passphrase, and nothing else."""
    office = MailcowOffice(server.stack, root, repository=server.office.repository)
    adopted = office.services.adopt.run(SYSTEM)
    assert len(adopted.adopted) == 1
    return office


def assert_as_before(server: Server, office: MailcowOffice) -> None:
    server.stack.recreate()  # as the report says: docker compose up -d
    assert picture(server.stack, office) == server.before
    for mailbox, password in server.passwords.items():
        with server.stack.imap(mailbox, password) as imap:
            status, body = (imap.select("INBOX"), imap.fetch("1", "(BODY.PEEK[])"))[1]
            assert status == "OK"
            assert b"Subject: " in body[0][1]
    assert {mailbox: office.true_quota(mailbox) for mailbox in (ADA, BOB)} == server.before["quota"]


def told(report: OperationReport) -> dict[str, int]:
    assert report.outcome is not None
    assert report.outcome.failed == ()
    return dict(report.outcome.counts)


def test_a_server_that_is_not_empty_is_refused(server: Server) -> None:
    with pytest.raises(NotEmpty, match=r"2 mailboxes in its database, such as ada@example.org"):
        server.office.plan("server")


def test_a_destroyed_server_is_rebuilt_from_the_repository_alone(
    server: Server, tmp_path: Path
) -> None:
    server.stack.restart_empty()
    passwords = server.stack.configuration["DBPASS"], server.stack.configuration["REDISPASS"]
    began = time.monotonic()
    office = bare_machine(server, tmp_path / "bare")
    report = office.carry_out(office.plan("server"))
    print(f"rebuilt in {time.monotonic() - began:.0f} s")
    counts = told(report)
    assert counts.pop("seconds") < 600
    assert counts == {"mailboxes": 2, "messages": 52}
    now = server.stack.configuration
    assert (now["DBPASS"], now["REDISPASS"]) == passwords
    assert now["API_KEY"] == server.stack.configuration["API_KEY"]
    assert_as_before(server, office)


def test_without_any_container_the_settings_are_laid_out_first(
    server: Server, tmp_path: Path
) -> None:
    office = MailcowOffice(server.stack, tmp_path / "bare", repository=server.office.repository)
    place = tmp_path / "opt" / "mailcow-dockerized"
    text = office.configuration.read_text().replace(str(server.stack.directory), str(place))
    office.configuration.write_text(f"{text}    project: none{server.stack.project}\n")
    office.services = office.wire()
    office.services.adopt.run(SYSTEM)
    report = office.carry_out(office.plan("server"))
    assert report.outcome is not None
    assert [finding.text.partition(":")[0] for finding in report.outcome.findings] == [
        "run `docker compose up -d` there",
        "start mailcow, then restore the server once more",
    ]
    assert (place / "mailcow.conf").read_text() == server.settings
    names = ["docker-compose.yml", "docker-compose.override.yml", "data/conf/redis/redis-conf.sh"]
    assert {name: (place / name).read_text() for name in names} == {
        name: (server.stack.directory / name).read_text() for name in names
    }
    assert (place / "data/assets/ssl/key.pem").stat().st_mode & 0o777 == 0o600


def test_after_kill_9_the_services_run_and_the_next_run_goes_on(
    server: Server, tmp_path: Path
) -> None:
    server.stack.restart_empty()
    office = bare_machine(server, tmp_path / "bare")
    plan = office.plan("server")
    command = [sys.executable, str(SCRIPT), str(office.configuration), plan.id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "volume redis-vol-1":
                break
        process.kill()
        killed_at = time.monotonic()
    with Project(server.stack.project) as project:
        while not all(one.state == "running" for one in project.services().values()):
            assert time.monotonic() - killed_at < 90
            time.sleep(0.2)
    print(f"all services run again {time.monotonic() - killed_at:.1f} s after kill -9")
    again = office.plan("server")
    [finding] = [one for one in again.draft.findings if "goes on" in one.text]
    assert finding.text == "goes on after volume crypt-vol-1, volume vmail-vol-1"
    told(office.carry_out(again))
    assert_as_before(server, office)
