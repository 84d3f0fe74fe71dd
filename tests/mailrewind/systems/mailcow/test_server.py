import os
from pathlib import Path
from types import SimpleNamespace

from mailrewind.model.reports import Finding
from mailrewind.systems.mailcow.installation import Installation
from mailrewind.systems.mailcow.server import MailcowServer, with_kept
from mailrewind.systems.mailcow.settings import parse_settings

ARCHIVED = """\
# mailcow's settings
MAILCOW_HOSTNAME=mail.example.org
DBPASS=then
  REDISPASS = "then, too"
ADDITIONAL_SAN=smtp.*
"""


def test_the_passwords_of_running_containers_stay_and_all_else_is_as_archived() -> None:
    merged = with_kept(
        ARCHIVED, {"DBPASS": "now", "REDISPASS": 'it\'s "now" \\ $HOME', "DBROOT": "root # now"}
    )
    assert merged.splitlines()[:3] == [
        "# mailcow's settings",
        "MAILCOW_HOSTNAME=mail.example.org",
        "DBPASS=now",
    ]
    assert parse_settings(merged) == {
        "MAILCOW_HOSTNAME": "mail.example.org",
        "DBPASS": "now",
        "REDISPASS": 'it\'s "now" \\ $HOME',
        "DBROOT": "root # now",
        "ADDITIONAL_SAN": "smtp.*",
    }


def test_restored_files_get_the_label_of_the_volume_that_they_lie_in(tmp_path: Path) -> None:
    (tmp_path / "example.org" / "ada").mkdir(parents=True)
    message, link = tmp_path / "example.org" / "ada" / "1.a", tmp_path / "link"
    message.write_text("mail")
    link.symlink_to("/etc/hostname")
    os.setxattr(message, "security.selinux", b"system_u:object_r:container_file_t:s0:c1,c2")
    os.setxattr(tmp_path, "security.selinux", b"system_u:object_r:container_file_t:s0:c3,c4")
    server = MailcowServer(
        SimpleNamespace(directory=tmp_path),
        SimpleNamespace(),
        SimpleNamespace(),
        system="office",
        data_dir=tmp_path,
    )
    server.label(tmp_path)
    for place in (message, message.parent, link):
        found = os.getxattr(place, "security.selinux", follow_symlinks=False)
        assert found == b"system_u:object_r:container_file_t:s0:c3,c4"


def test_mail_that_lies_elsewhere_than_dovecot_was_started_for_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mailcow.conf").write_text("MAILDIR_SUB=Maildir\n")
    server = MailcowServer(
        Installation(tmp_path),
        SimpleNamespace(),
        SimpleNamespace(),
        system="office",
        data_dir=tmp_path,
    )
    assert server.objection(b"MAILDIR_SUB=Maildir # as now\n") == ""
    assert server.objection(b"MAILDIR_SUB=\n") == (
        f"MAILDIR_SUB was '' and is 'Maildir' in {tmp_path}/mailcow.conf: write it there as it "
        f"was, and run `docker compose up -d` in {tmp_path}"
    )


def test_the_file_with_the_passwords_keeps_its_owner_and_mode(tmp_path: Path) -> None:
    place = tmp_path / "mailcow.conf"
    place.write_text("DBPASS=now\nAPI_KEY=now\n")
    place.chmod(0o640)
    os.chown(place, 0, 8)
    server = MailcowServer(
        Installation(tmp_path),
        SimpleNamespace(),
        SimpleNamespace(),
        system="office",
        data_dir=tmp_path,
    )
    assert server.put_settings(b"DBPASS=then\nAPI_KEY=then\n") == [
        Finding(
            str(tmp_path),
            "as they were before: API_KEY; for their effect run `docker compose up -d` there",
        )
    ]
    assert place.read_text() == "DBPASS=now\nAPI_KEY=then\n"
    assert (place.stat().st_mode & 0o777, place.stat().st_gid) == (0o640, 8)


def test_directories_that_no_archive_has_belong_to_vmail_as_the_mail_in_them(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "example.org" / "ada" / "Maildir" / ".New" / "cur"
    folder.mkdir(parents=True)
    other = tmp_path / "_garbage"
    other.mkdir(mode=0o755)
    os.chown(other, 401, 401)
    server = MailcowServer(
        Installation(tmp_path),
        SimpleNamespace(),
        SimpleNamespace(),
        system="office",
        data_dir=tmp_path,
    )
    server.give_owners("redis-vol-1", tmp_path)
    assert folder.stat().st_uid == 0
    server.give_owners("vmail-vol-1", tmp_path)
    for place in (folder, folder.parent, folder.parents[1]):
        assert (place.stat().st_uid, place.stat().st_mode & 0o777) == (5000, 0o700)
    assert (other.stat().st_uid, other.stat().st_mode & 0o777) == (401, 0o755)
