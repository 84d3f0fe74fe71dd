"""A mailcow's mail, archived and brought back, with what may be in the way."""

import json

import pytest

from mailrewind.errors import MailServerUnreachable, OverQuota
from mailrewind.model.points import PointStatus
from mailrewind.model.restores import RestoreRequest
from mailrewind.systems.mailcow.installation import find_installations
from tests.command import Call
from tests.mailcow_office import SYSTEM, MailcowOffice
from tests.stacks.mailcow.samples import message
from tests.stacks.mailcow.stack import MailcowStack

pytest_plugins = ["tests.mailcow"]

ADA = "ada@example.org"
JOHN = "john.doe@example.org"


@pytest.fixture(scope="module")
def office(mailcow: MailcowStack, tmp_path_factory: pytest.TempPathFactory) -> MailcowOffice:
    return MailcowOffice(mailcow, tmp_path_factory.mktemp("office"))


def restore(office: MailcowOffice, mailbox: str = ADA, **wishes: bool):
    return office.services.restore.run(RestoreRequest(SYSTEM, mailbox, initiator="test", **wishes))


def archived(office: MailcowOffice, part: str) -> dict[str, int]:
    """Return the paths in the newest point's archive of a part, with the files' sizes."""
    point = office.services.state.points(SYSTEM)[-1]
    archives = office.services.connect(SYSTEM).archives
    return {file.path: file.size_bytes for file in archives.files(f"{point.name}-{part}")}


def subjects(office: MailcowOffice, mailbox: str, folder: str) -> dict[str, int]:
    page = office.services.browse.messages(SYSTEM, mailbox, folder, limit=1000)
    return {headers.subject: then.number for then, headers, _ in page}


def lose(stack: MailcowStack, mailbox: str, folder: str) -> None:
    assert stack.doveadm("expunge", "-u", mailbox, "mailbox", folder, "all")[0] == 0


def test_plain_compressed_and_encrypted_messages_lie_side_by_side(office, mailcow, tmp_path):
    letters = {kind: message(kind, size=3000) for kind in ("plain", "packed", "secret", "both")}
    mailcow.plant_plain(ADA, "Mixed", letters["plain"])
    mailcow.plant_compressed(ADA, "Mixed", letters["packed"])
    mailcow.plant_uncompressed(ADA, "Mixed", letters["secret"])
    mailcow.deliver(ADA, "Mixed", [letters["both"]])
    office.back_up()
    numbers = subjects(office, ADA, "Mixed")
    seen, quota = office.seen(ADA), mailcow.quota(ADA)
    assert numbers.keys() == letters.keys()
    rows = office.services.browse.folders(SYSTEM, ADA)
    assert [(path, count, size) for path, count, _, size in rows if path == "Mixed"] == [
        ("Mixed", 4, sum(map(len, letters.values())))
    ]

    call = Call(office.configuration)
    for kind, number in numbers.items():
        file = tmp_path / f"{kind}.eml"
        assert call("message", SYSTEM, ADA, str(number), "--output", str(file)).exit_code == 0
        assert file.read_bytes() == letters[kind]

    lose(mailcow, ADA, "Mixed")
    report = restore(office)
    assert (len(report.added), report.failed) == (4, ())
    assert mailcow.quota(ADA) == quota == office.true_quota(ADA)
    assert {row for row in office.seen(ADA)["Mixed"].values()} == {*seen["Mixed"].values()}
    # Dovecot has linked the files, and the staged ones are gone.
    files = [*mailcow.maildir(ADA).glob(".Mixed/[cn]*/*")]
    assert [path.stat().st_nlink for path in files] == [1, 1, 1, 1]


def test_files_are_linked_and_not_encrypted_anew(office, mailcow):
    mailcow.deliver(ADA, "Linked", [message("linked")])
    office.back_up()
    (before,) = (path.read_bytes() for path in mailcow.maildir(ADA).glob(".Linked/[cn]*/*"))
    lose(mailcow, ADA, "Linked")
    restore(office)
    (after,) = (path.read_bytes() for path in mailcow.maildir(ADA).glob(".Linked/[cn]*/*"))
    assert after == before


def test_a_mailbox_without_any_mail_yet_takes_messages(office, mailcow):
    mailcow.deliver(JOHN, "INBOX", [message("for John")])
    office.back_up()
    mailcow.delete_mailbox(JOHN)
    mailcow.add_mailbox(JOHN)
    assert not mailcow.maildir(JOHN).exists()
    assert JOHN not in office.services.connect(SYSTEM).mail.mailboxes()
    report = restore(office, JOHN)
    assert (len(report.added), report.failed) == (1, ())
    assert mailcow.quota(JOHN) == office.true_quota(JOHN)


def test_garbage_and_scripts_are_archived_and_are_no_mailboxes(office, mailcow):
    office.back_up()
    vmail = str(mailcow.volume("vmail-vol-1")).lstrip("/")
    (mailcow.volume("vmail-vol-1") / "sieve/x/Maildir/cur").mkdir(parents=True, exist_ok=True)
    garbage = [path for path in archived(office, "mail") if f"{vmail}/_garbage/" in path]
    assert any("exampleorgjohndoe/Maildir/cur" in path for path in garbage)
    known = {ADA, JOHN, "johndoe@example.org"}
    assert set(office.services.connect(SYSTEM).mail.mailboxes()) <= known
    rows = office.services.browse.mailboxes(SYSTEM)
    assert {address for address, _, _ in rows} <= known


def test_keys_settings_and_what_redis_holds_in_memory_are_archived(office, mailcow):
    mailcow.redis("SET", "only-in-memory", "the-newest-value")
    point = office.back_up()
    crypt, redis = mailcow.volume("crypt-vol-1"), mailcow.volume("redis-vol-1")
    key = str(crypt / "ecprivkey.pem").lstrip("/")
    assert archived(office, "mail")[key] == (crypt / "ecprivkey.pem").stat().st_size
    paths = archived(office, "server")
    directory = str(mailcow.directory.resolve()).lstrip("/")
    wanted = {
        *("mailcow.conf", "docker-compose.yml", "docker-compose.override.yml"),
        *("data/conf/dovecot/extra.conf", "data/assets/ssl/key.pem"),
        "data/hooks/dovecot/10-hello.sh",
    }
    assert {f"{directory}/{name}" for name in wanted} <= paths.keys()
    assert f"{directory}/data/web" not in paths
    left_out = ("postfix-vol-1/_data/public", "postfix-vol-1/_data/private", "rspamd.sock")
    assert [path for path in paths for name in left_out if name in path] == []
    dump = str(redis / "dump.rdb").lstrip("/")
    archives = office.services.connect(SYSTEM).archives
    ((_, content),) = archives.read(f"{point}-server", [dump])
    assert b"the-newest-value" in content


def test_a_point_is_complete_with_all_its_parts(office):
    office.back_up()
    point = office.services.state.points(SYSTEM)[-1]
    parts = {part.name for part in office.services.connect(SYSTEM).mail.parts()}
    assert {"mail", *parts} <= set(point.parts)


def test_headers_stay_out_of_the_catalogue_where_they_shall(mailcow, tmp_path):
    office = MailcowOffice(mailcow, tmp_path / "office", more="    headers: false\n")
    mailcow.deliver(ADA, "Private", [message("nobody's business")])
    report = office.services.back_up.run(SYSTEM, initiator="test")
    assert report.findings == ()
    ((_, headers, _),) = office.services.browse.messages(SYSTEM, ADA, "Private")
    assert (headers.subject, headers.sender, headers.message_id) == ("", "", "")
    catalogue = b"".join(path.read_bytes() for path in tmp_path.rglob("catalog/*"))
    assert b"nobody's business" not in catalogue


def test_while_dovecot_is_stopped_mail_is_archived_and_that_is_said(office, mailcow):
    mailcow.deliver(ADA, "INBOX", [message("before the stop")])
    mailcow.stop("watchdog", "dovecot")
    try:
        other = MailcowOffice(mailcow, office.root)  # as another process would begin
        report = other.services.back_up.run(SYSTEM, initiator="test")
        subjects_then = subjects(other, ADA, "INBOX")
        with pytest.raises(MailServerUnreachable) as caught:
            restore(other)
    finally:
        mailcow.service("dovecot").start()
        mailcow.wait("dovecot")
    said = {finding.subject: finding.text for finding in report.findings}
    assert said["dovecot-mailcow"] == "does not run (exited) while its data is archived"
    assert "before the stop" in subjects_then
    assert caught.value.retryable


def test_service_without_a_container_is_a_finding(office, mailcow):
    mailcow.stop("watchdog", "sogo")
    mailcow.service("sogo").remove()
    try:
        report = MailcowOffice(mailcow, office.root).services.back_up.run(SYSTEM, initiator="test")
    finally:
        mailcow.recreate()
    said = {finding.subject: finding.text for finding in report.findings}
    assert said["sogo-mailcow"] == "has no container while its data is archived"


def test_without_redis_there_is_no_restore_point_until_it_is_back(office, mailcow):
    before = [point.name for point in office.services.state.points(SYSTEM)]
    mailcow.stop("watchdog", "redis")
    try:
        with pytest.raises(MailServerUnreachable) as caught:
            office.services.back_up.archive(SYSTEM, initiator="test")
        assert caught.value.retryable
        assert [point.name for point in office.services.state.points(SYSTEM)] == before
    finally:
        mailcow.service("redis").start()
        mailcow.wait("redis")
    name = office.services.back_up.archive(SYSTEM, initiator="test")
    point = office.services.state.points(SYSTEM)[-1]
    assert (point.name, point.status) == (name, PointStatus.COMPLETE)
    assert "server" in point.parts


def test_a_mailbox_over_its_quota_is_refused_or_filled_on_request(office, mailcow):
    mailcow.add_mailbox("tim@example.org", quota_mib=1)
    letters = [message(f"large {n}", size=300_000) for n in range(3)]
    mailcow.deliver("tim@example.org", "INBOX", letters)
    office.back_up()
    lose(mailcow, "tim@example.org", "INBOX")
    mailcow.deliver("tim@example.org", "INBOX", [message("since then", size=400_000)])
    with pytest.raises(OverQuota):
        restore(office, "tim@example.org")
    assert mailcow.quota("tim@example.org") == (400_000, 1)
    report = restore(office, "tim@example.org", over_quota=True)
    assert len(report.added) == 3
    assert mailcow.quota("tim@example.org") == (1_300_000, 4)


def test_the_password_of_redis_is_in_no_argument(office, mailcow, caplog):
    with caplog.at_level("DEBUG"):
        office.back_up()
    commands = [record.getMessage() for record in caplog.records]
    assert any("redis-cli BGSAVE" in command for command in commands)
    secret = mailcow.configuration["REDISPASS"]
    assert [command for command in commands if secret in command] == []


def test_doctor_says_what_was_found_and_what_is_lacking(office, mailcow):
    mailcow.service("watchdog").start()  # tests before this one have stopped it
    mailcow.deliver(ADA, "INBOX", [message("so that there is a mailbox")])
    call = Call(office.configuration)
    found = {each["name"]: each for each in json.loads(call("doctor", "--json").stdout)}
    names = ("project", "Dovecot", "keys", "database", "SOGo", "mail")
    assert [found[f"{name} of office"]["is_good"] for name in names] == [True] * 6
    text = {name: found[f"{name} of office"]["text"] for name in names}
    assert text["project"].startswith(f"{mailcow.project} in {mailcow.directory}, ")
    assert "Dovecot puts mail at vmail-vol-1/{domain}/{local}/Maildir." in text["Dovecot"]
    assert text["Dovecot"].startswith("2.3.")
    assert "opens encrypted mail" in text["keys"]
    assert f"at {mailcow.configuration['SQL_PORT']}, " in text["database"]

    mailcow.stop("watchdog", "mysql")
    try:
        result = call("doctor", "--json")
        assert result.exit_code == 10
        lacking = {each["name"]: each for each in json.loads(result.stdout)}
        assert "Not running: mysql-mailcow, " in lacking["project of office"]["text"]
        assert not lacking["database of office"]["is_good"]
        assert lacking["keys of office"]["is_good"]
    finally:
        mailcow.service("mysql").start()
        mailcow.wait("mysql", "dovecot")


def test_a_mailcow_of_this_host_is_found_without_being_named(mailcow):
    assert mailcow.directory in find_installations()
