"""What a backup of a tree holds, by borg itself."""

import subprocess
import sysconfig
from pathlib import Path

from mailrewind.systems.maildir import MaildirSettings, MaildirSystem
from tests.mailrewind.systems.trees import make_maildir, put_file

BORG = str(Path(sysconfig.get_path("scripts"), "borg"))


def archived(capture, tmp_path):
    """Return the paths of what borg archives of a capture."""
    environment = {
        "BORG_BASE_DIR": str(tmp_path / "borg"),
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    }
    repository = f"{tmp_path}/repository"

    def borg(*arguments):
        done = subprocess.run(
            [BORG, *arguments], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    borg("init", "--encryption=none", repository)
    excludes = [f"--exclude={pattern}" for pattern in capture.excludes]
    borg("create", *excludes, f"{repository}::all", *map(str, capture.roots))
    return set(borg("list", "--format={path}{NL}", f"{repository}::all").splitlines())


def test_what_is_rebuilt_or_ours_is_left_out_and_nothing_else(tmp_path):
    root = tmp_path / "mail"
    kept, left_out = [], []
    for local in ("ada", "tmp", "dovecot.index", 'o\'neil; "$(x)" [a-z]* ü'):
        maildir = make_maildir(root / "example.org" / local / "Maildir")
        make_maildir(maildir / ".tmp.dovecot\\2eindex")
        for directory in (maildir, maildir / ".tmp.dovecot\\2eindex"):
            kept += [directory / "tmp", directory / "cur"]
            kept += [put_file(directory / "cur" / "1.tmp:2,S"), put_file(directory / "new" / "2")]
            kept += [put_file(directory / "dovecot-uidlist")]
            kept += [put_file(directory / "dovecot-keywords"), put_file(directory / "dovecot-acl")]
            left_out += [put_file(directory / "tmp" / "3.draft")]
            left_out += [
                put_file(directory / f"dovecot.index{end}") for end in ("", ".cache", ".log")
            ]
            left_out += [put_file(directory / "dovecot.list.index.log")]
            left_out += [put_file(directory / "dovecot-uidlist.lock")]
        kept += [put_file(maildir / "subscriptions"), put_file(maildir.parent / "dovecot.index")]
    stage = make_maildir(root / ".mailrewind-staging/0123/known-flat-0")
    left_out += [put_file(stage / "cur" / "1.a"), root / ".mailrewind-staging"]
    left_out += [put_file(root / "notes.txt")]
    system = MaildirSystem(
        MaildirSettings(
            "office",
            f"{root}/{{domain}}/{{local}}/Maildir",
            exclude=(f"pf:{root}/notes.txt",),
            dovecot=None,
        )
    )
    with system.capture() as capture:
        paths = archived(capture, tmp_path)
    assert not {str(path).lstrip("/") for path in kept} - paths
    assert not {str(path).lstrip("/") for path in left_out} & paths
    assert set(system.survey().values()) <= paths
