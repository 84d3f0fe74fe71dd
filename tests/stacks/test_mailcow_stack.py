"""What the tests of restores take for granted of the mailcow that they run on."""

import imaplib
import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import docker
import pytest

from tests.stacks.mailcow.containers import PROJECT, SERVICE
from tests.stacks.mailcow.samples import contact, event, message
from tests.stacks.mailcow.services import SERVICES, VOLUMES
from tests.stacks.mailcow.stack import MailcowStack, hashed

pytest_plugins = ["tests.mailcow"]

ADA = "ada@example.org"
JOHN_DOE = "john.doe@example.org"
JOHNDOE = "johndoe@example.org"


def test_a_user_logs_in_with_the_password_of_the_database_only(mailcow: MailcowStack) -> None:
    with mailcow.imap(ADA) as imap:
        assert imap.select("Sent") == ("OK", [b"0"])
    with pytest.raises(imaplib.IMAP4.error):
        mailcow.imap(ADA, "guessed")


def test_a_changed_password_counts_at_once(mailcow: MailcowStack) -> None:
    mailcow.add_mailbox("changed@example.org", "before")
    mailcow.sql(
        "UPDATE mailbox SET password = %s WHERE username = 'changed@example.org'", hashed("after")
    )
    with pytest.raises(imaplib.IMAP4.error):
        mailcow.imap("changed@example.org", "before")
    with mailcow.imap("changed@example.org", "after"):
        pass


def test_a_disabled_mailbox_is_shut(mailcow: MailcowStack) -> None:
    mailcow.add_mailbox("disabled@example.org")
    mailcow.sql("UPDATE mailbox SET active = 0 WHERE username = 'disabled@example.org'")
    with pytest.raises(imaplib.IMAP4.error):
        mailcow.imap("disabled@example.org")


def test_an_app_password_opens_its_mailbox_and_no_other(mailcow: MailcowStack) -> None:
    mailcow.sql(
        "INSERT INTO app_passwd (name, mailbox, domain, password)"
        " VALUES ('phone', %s, 'example.org', %s)",
        ADA,
        hashed("for the phone"),
    )
    with mailcow.imap(ADA, "for the phone"):
        pass
    with pytest.raises(imaplib.IMAP4.error):
        mailcow.imap(JOHNDOE, "for the phone")


def test_messages_come_back_as_they_were_delivered(mailcow: MailcowStack) -> None:
    received = datetime(2025, 3, 1, 8, 30, tzinfo=UTC)
    content = message("Offer", size=3000)
    [uid] = mailcow.deliver(
        ADA, "Projects/Entwürfe", [content], flags=("\\Seen", "urgent"), received=received
    )
    with mailcow.imap(ADA) as imap:
        imap.select('"Projects/Entw&APw-rfe"', readonly=True)
        _, data = imap.uid("FETCH", str(uid), "(FLAGS INTERNALDATE BODY.PEEK[])")
    about, found = data[0]
    assert found == content.replace(b"\n", b"\r\n")
    assert set(imaplib.ParseFlags(about)) - {b"\\Recent"} == {b"\\Seen", b"urgent"}
    when = time.mktime(imaplib.Internaldate2tuple(about) or time.localtime())
    assert datetime.fromtimestamp(when, UTC) == received


def test_mail_is_encrypted_on_the_disk(mailcow: MailcowStack) -> None:
    mailcow.deliver(ADA, "Sealed", [message("Sealed")])
    [path] = (mailcow.maildir(ADA) / ".Sealed/new").iterdir()
    assert path.read_bytes()[:9] == b"CRYPTED\x03\x07"
    assert (path.stat().st_uid, path.stat().st_gid) == (5000, 5000)


def test_plain_compressed_and_encrypted_mail_lie_side_by_side(mailcow: MailcowStack) -> None:
    mailcow.add_mailbox("mixed@example.org")
    content = message("Mixed", size=2000)
    mailcow.plant_plain("mixed@example.org", "INBOX", content)
    mailcow.plant_compressed("mixed@example.org", "INBOX", content)
    mailcow.plant_uncompressed("mixed@example.org", "INBOX", content)
    mailcow.deliver("mixed@example.org", "INBOX", [content])
    with mailcow.imap("mixed@example.org") as imap:
        imap.select("INBOX", readonly=True)
        _, data = imap.fetch("1:*", "(BODY.PEEK[])")
    folders = [mailcow.maildir("mixed@example.org") / name for name in ("cur", "new")]
    files = [path for folder in folders for path in folder.iterdir()]
    magics = sorted(path.read_bytes()[:9] for path in files)
    assert magics == sorted([content[:9], b"Dovecot-L", b"CRYPTED\x03\x07", b"CRYPTED\x03\x07"])
    assert {found[1] for found in data[::2] if found} == {content.replace(b"\n", b"\r\n")}
    assert mailcow.quota("mixed@example.org") == (4 * len(content), 4)


def test_the_quota_is_exact_after_deliveries_and_deletions(mailcow: MailcowStack) -> None:
    mailcow.add_mailbox("counted@example.org")
    contents = [message(f"No {number}", size=500 + number) for number in range(20)]
    mailcow.deliver("counted@example.org", "INBOX", contents)
    with mailcow.imap("counted@example.org") as imap:
        imap.select("INBOX")
        imap.store("1:5", "+FLAGS", "\\Deleted")
        imap.expunge()
    left = contents[5:]
    assert mailcow.quota("counted@example.org") == (sum(len(one) for one in left), len(left))


def test_dovecot_tells_where_mail_lies(mailcow: MailcowStack) -> None:
    status, answer, _ = mailcow.doveadm("-f", "json", "user", ADA)
    assert status == 0
    assert {entry["field"]: entry["value"] for entry in json.loads(answer)} == {
        "uid": "5000",
        "gid": "5000",
        "home": "/var/vmail/example.org/ada",
        "mail": "maildir:/var/vmail/example.org/ada/Maildir"
        f":VOLATILEDIR=/var/volatile/{ADA}:INDEX=/var/vmail_index/{ADA}",
        "protocol": "doveadm",
        "quota_rule": "*:bytes=1073741824",
    }


def test_containers_are_named_and_labelled_as_mailcows(mailcow: MailcowStack) -> None:
    found = mailcow.client.containers.list(filters={"label": f"{PROJECT}={mailcow.project}"})
    assert {one.name: one.labels[SERVICE] for one in found} == {
        f"{mailcow.project}-{service.name}-1": service.name for service in SERVICES
    }
    directories = {one.labels["com.docker.compose.project.working_dir"] for one in found}
    assert directories == {str(mailcow.directory)}


def test_volumes_are_named_and_labelled_as_mailcows(mailcow: MailcowStack) -> None:
    found = mailcow.client.volumes.list(filters={"label": f"{PROJECT}={mailcow.project}"})
    labels = {one.name: one.attrs["Labels"]["com.docker.compose.volume"] for one in found}
    assert labels == {f"{mailcow.project}_{name}": name for name in VOLUMES}


def test_no_container_has_a_health_check(mailcow: MailcowStack) -> None:
    states = [mailcow.service(service.name).attrs["State"] for service in SERVICES]
    assert [state for state in states if "Health" in state] == []


def test_keys_and_mail_have_mailcows_numeric_owners(mailcow: MailcowStack) -> None:
    owners = {
        path.name: path.stat().st_uid
        for path in (
            mailcow.volume("crypt-vol-1") / "ecprivkey.pem",
            mailcow.volume("vmail-vol-1") / "example.org",
            mailcow.volume("vmail-index-vol-1") / ADA,
        )
    }
    assert owners == {"ecprivkey.pem": 401, "example.org": 5000, ADA: 5000}


def test_redis_holds_the_dkim_key_and_asks_for_a_password(mailcow: MailcowStack) -> None:
    assert mailcow.redis("HGET", "DKIM_SELECTORS", "example.org") == "dkim"
    key = mailcow.redis("HGET", "DKIM_PRIV_KEYS", "dkim.example.org")
    assert key.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert mailcow.run("redis", "redis-cli", "PING")[1] == "NOAUTH Authentication required.\n\n"


def test_an_event_and_a_contact_are_read_again(mailcow: MailcowStack) -> None:
    mailcow.put_event(ADA, "personal", "lunch.ics", event("lunch", "Lunch with Zoë"))
    mailcow.put_contact(ADA, "personal", "zoe.vcf", contact("zoe", "Zoë Quinn"))
    events, contacts = mailcow.events(ADA), mailcow.contacts(ADA)
    assert list(events) == ["lunch.ics"]
    assert "SUMMARY:Lunch with Zoë" in events["lunch.ics"]
    assert list(contacts) == ["zoe.vcf"]
    assert "FN:Zoë Quinn" in contacts["zoe.vcf"]


def test_a_shared_calendar_is_seen_by_the_other(mailcow: MailcowStack) -> None:
    mailcow.make_calendar(ADA, "work")
    mailcow.groupware.rename(ADA, "Calendar/work", "Work and travel")
    mailcow.put_event(ADA, "work", "talk.ics", event("talk", "Talk"))
    mailcow.share(ADA, "work", JOHNDOE, "PublicViewer")
    assert mailcow.groupware.folders(ADA) >= {"Calendar/personal", "Calendar/work"}
    assert mailcow.groupware.title(ADA, "Calendar/work") == "Work and travel"
    assert mailcow.sql(
        "SELECT c_uid, c_role FROM sogo_acl WHERE c_object LIKE %s AND c_uid = %s",
        f"%/{ADA}/Calendar/work",
        JOHNDOE,
    ) == [(JOHNDOE, "PublicViewer")]


def test_sogo_exports_a_user(mailcow: MailcowStack) -> None:
    mailcow.put_event(JOHNDOE, "personal", "x.ics", event("x", "Exported"))
    command = ("gosu", "sogo", "sogo-tool", "backup", "/sogo_backup", JOHNDOE)
    status, _, said = mailcow.run("sogo", *command)
    assert status == 0, said
    export = mailcow.volume("sogo-userdata-backup-vol-1") / JOHNDOE
    assert "SUMMARY:Exported" in export.read_text()


def test_the_master_user_of_sieve_creds_opens_any_mailbox(mailcow: MailcowStack) -> None:
    master, _, password = (
        (mailcow.directory / "data/conf/sogo/sieve.creds").read_text().strip().partition(":")
    )
    with mailcow.imap(f"{ADA}*{master}", password) as imap:
        assert imap.select("INBOX")[0] == "OK"


def test_the_api_tells_of_a_mailbox_and_refuses_a_wrong_key(mailcow: MailcowStack) -> None:
    [known] = mailcow.api("GET", f"get/mailbox/{JOHN_DOE}")
    assert (known["username"], known["quota"], known["name"]) == (JOHN_DOE, 2**30, "John Doe")
    assert mailcow.api("GET", "get/mailbox/nobody@example.org") == [{}]
    mailcow.sql("UPDATE api SET active = 0")
    try:
        with pytest.raises(AssertionError, match="authentication failed"):
            mailcow.api("GET", f"get/mailbox/{JOHN_DOE}")
    finally:
        mailcow.sql("UPDATE api SET active = 1")


def test_the_api_says_danger_with_status_200_for_a_mailbox_that_exists(
    mailcow: MailcowStack,
) -> None:
    wanted = {"local_part": "ada", "domain": "example.org", "password": "x", "password2": "x"}
    [answer] = mailcow.api("POST", "add/mailbox", wanted)
    assert (answer["type"], answer["msg"]) == ("danger", ["object_exists", ADA])


def test_deleted_mailboxes_get_the_same_name_in_the_garbage(mailcow: MailcowStack) -> None:
    for local in ("jane.roe", "janeroe"):
        mailcow.add_mailbox(f"{local}@example.org")
        mailcow.deliver(f"{local}@example.org", "INBOX", [message(local)])
        mailcow.put_event(f"{local}@example.org", "personal", "x.ics", event("x", local))
    for local in ("jane.roe", "janeroe"):
        mailcow.delete_mailbox(f"{local}@example.org")
        time.sleep(1.1)
    garbage = mailcow.volume("vmail-vol-1") / "_garbage"
    names = [path.name for path in garbage.iterdir() if "jane" in path.name]
    assert sorted(re.sub(r"^\d+_", "", name) for name in names) == [
        "exampleorgjaneroe",
        "exampleorgjaneroe",
        "exampleorgjaneroe_index",
        "exampleorgjaneroe_index",
    ]
    for table, column in (
        ("mailbox", "username"),
        ("quota2", "username"),
        ("alias", "goto"),
        ("sogo_folder_info", "c_path2"),
        ("sogo_user_profile", "c_uid"),
        ("_sogo_static_view", "c_uid"),
    ):
        assert mailcow.sql(f"SELECT 1 FROM {table} WHERE {column} LIKE 'jane%%'") == [], table


def test_the_watchdog_starts_a_stopped_dovecot(mailcow: MailcowStack) -> None:
    mailcow.stop("dovecot")
    deadline = time.monotonic() + 30
    while mailcow.service("dovecot").status != "running" and time.monotonic() < deadline:
        time.sleep(0.2)
    mailcow.wait("dovecot")
    with mailcow.imap(ADA) as imap:
        assert imap.state == "AUTH"


def test_stopped_services_stay_down_without_the_watchdog(mailcow: MailcowStack) -> None:
    mailcow.stop("watchdog", "sogo")
    time.sleep(8)
    try:
        assert mailcow.service("sogo").status == "exited"
    finally:
        for name in ("sogo", "watchdog"):
            mailcow.service(name).start()
        mailcow.wait("sogo")


def test_a_new_installation_is_empty_and_has_other_keys(mailcow: MailcowStack) -> None:
    with MailcowStack(watchdog=False) as stack:
        stack.add_mailbox(ADA)
        stack.deliver(ADA, "INBOX", [message("Lost")])
        key = (stack.volume("crypt-vol-1") / "ecprivkey.pem").read_bytes()
        before = stack.configuration
        stack.restart_empty()
        assert stack.sql("SELECT username FROM mailbox") == []
        assert stack.sql("SELECT domain FROM domain") == []
        assert stack.redis("KEYS", "DKIM*") == ""
        assert not (stack.volume("vmail-vol-1") / "example.org").exists()
        assert (stack.volume("crypt-vol-1") / "ecprivkey.pem").read_bytes() != key
        assert stack.configuration["DBPASS"] != before["DBPASS"]
        assert stack.configuration["COMPOSE_PROJECT_NAME"] == before["COMPOSE_PROJECT_NAME"]
        # Two of them run side by side, and the one does not show in the other.
        assert mailcow.sql("SELECT COUNT(*) FROM domain") == [(1,)]


def test_an_old_installation_keeps_mail_in_the_home(mailcow: MailcowStack) -> None:
    with MailcowStack(maildir_sub="", watchdog=False) as stack:
        stack.add_mailbox(ADA)
        stack.deliver(ADA, "Old", [message("Old")])
        home = stack.volume("vmail-vol-1") / "example.org/ada"
        assert len(list((home / ".Old/new").iterdir())) == 1
        _, answer, _ = stack.doveadm("user", "-f", "mail", ADA)
        assert answer.startswith("maildir:/var/vmail/example.org/ada/:")


def test_containers_made_anew_keep_what_the_volumes_hold(mailcow: MailcowStack) -> None:
    mailcow.deliver(ADA, "Kept", [message("Kept")])
    mailcow.recreate()
    with mailcow.imap(ADA) as imap:
        assert imap.select("Kept", readonly=True) == ("OK", [b"1"])


def test_the_database_is_dumped_as_root_in_its_container(mailcow: MailcowStack) -> None:
    script = 'exec mariadb-dump -uroot -p"$MYSQL_ROOT_PASSWORD" --single-transaction mailcow'
    status, dump, said = mailcow.run("mysql", "bash", "-c", script)
    assert (status, said) == (0, "")
    assert dump.splitlines()[-1].startswith("-- Dump completed on ")
    assert set(re.findall("^CREATE TABLE `(.*)`", dump, re.MULTILINE)) >= {"mailbox", "sogo_store"}


def test_the_stack_of_a_killed_process_goes_with_the_next_start() -> None:
    code = (
        "from tests.stacks.mailcow.stack import MailcowStack\n"
        "stack = MailcowStack(watchdog=False)\n"
        "stack.start()\n"
        "print(stack.project, stack.directory, flush=True)\n"
        "import time; time.sleep(300)\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with killed:
        assert killed.stdout is not None
        project, directory = killed.stdout.readline().split()
        killed.kill()
    with MailcowStack(watchdog=False) as stack:
        label: dict[str, str | list[str] | bool] = {"label": f"{PROJECT}={project}"}
        assert stack.client.containers.list(all=True, filters=label) == []
        assert stack.client.volumes.list(filters=label) == []
        assert stack.client.networks.list(filters=label) == []
    assert not Path(directory).parent.exists()


def test_nothing_is_left_of_a_stack() -> None:
    with MailcowStack(watchdog=False) as stack:
        label: dict[str, str | list[str] | bool] = {"label": f"{PROJECT}={stack.project}"}
    client = docker.from_env()
    try:
        containers = client.containers.list(all=True, filters=label)
        volumes, networks = client.volumes.list(filters=label), client.networks.list(filters=label)
        assert (containers, volumes, networks) == ([], [], [])
    finally:
        client.close()
    assert not stack.directory.exists()
