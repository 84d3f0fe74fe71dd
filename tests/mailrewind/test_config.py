"""The configuration file: what it accepts, and what it says of what it does not accept."""

import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from mailrewind import config, errors
from mailrewind.config import (
    Config,
    DoveadmSettings,
    MailcowKeys,
    MaildirKeys,
    Repository,
    Retention,
    SecretRef,
)

GOOD = """\
repositories:
  main:
    location: repo
    passphrase: {env: PASSPHRASE}
systems:
  office:
    kind: maildir
    mailboxes: /var/vmail/{domain}/{local}/Maildir
    repository: main
"""
REFERENCE = (
    "expected exactly one of `env: NAME`, `file: PATH`, `command: [PROGRAM, ARGUMENT, ...]`; "
    "never the secret itself"
)


def write(folder: Path, text: str) -> Path:
    path = folder / "mailrewind.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def complaints(folder: Path, text: str) -> list[str]:
    """What is said of a file, each line without the file's path."""
    path = write(folder, text)
    with pytest.raises(errors.ConfigurationInvalid) as caught:
        config.load(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:") for line in lines]


def test_short_file_is_filled_with_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "time_zone: Europe/Berlin\n")
    assert config.load(path) == Config(
        path=path,
        time_zone="Europe/Berlin",
        data_dir=Path("/var/lib/mailrewind"),
        repositories={
            "main": Repository(
                location=str(tmp_path / "repo"),
                encryption="repokey-blake2",
                passphrase=SecretRef(env="PASSPHRASE"),
                compression="zstd,3",
                lock_wait_seconds=60,
            )
        },
        systems={
            "office": MaildirKeys(
                kind="maildir",
                mailboxes="/var/vmail/{domain}/{local}/Maildir",
                repository="main",
                schedule="14 * * * *",
                retention=Retention(hourly=24, daily=7, weekly=4, monthly=6, yearly=0, floor=3),
                dovecot="auto",
            )
        },
    )
    assert config.load(path).zone == ZoneInfo("Europe/Berlin")


COW = """\
repositories:
  cow: {location: repo, passphrase: {env: PASSPHRASE}}
systems:
  # a system may bear the name of a kind, even of another one
  maildir:
    kind: mailcow
    directory: /opt/mailcow-dockerized
    repository: cow
"""


def test_three_lines_are_enough_for_a_mailcow(tmp_path: Path) -> None:
    assert config.load(write(tmp_path, COW)).system("maildir") == MailcowKeys(
        kind="mailcow",
        directory=Path("/opt/mailcow-dockerized"),
        project=None,
        repository="cow",
        schedule="14 * * * *",
        retention=Retention(hourly=24, daily=7, weekly=4, monthly=6, yearly=0, floor=3),
        headers=True,
        api_key=None,
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (COW + "    headrs: no\n", "9: systems.maildir.headrs: unknown key; did you mean headers?"),
        (
            COW + "    mailboxes: /var/vmail/{address}\n",
            "9: systems.maildir.mailboxes: unknown key; known here: repository, schedule, "
            "retention, exclude, archive_prefix, kind, directory, project, headers, sogo_exports, "
            "api_key",
        ),
        (
            GOOD + "    headers: no\n",
            "10: systems.office.headers: unknown key; known here: repository, schedule, "
            "retention, exclude, archive_prefix, kind, mailboxes, dovecot, staging",
        ),
        (COW + "    api_key: 1A2B-3C4D\n", f"9: systems.maildir.api_key: {REFERENCE}"),
        (COW + "    headers: perhaps\n", "9: systems.maildir.headers: expected true or false"),
        (
            COW.replace("    directory: /opt/mailcow-dockerized\n", ""),
            "5: systems.maildir.directory: expected this key; it is needed",
        ),
        (
            COW.replace("kind: mailcow", "kind: mailcoww"),
            "6: systems.maildir.kind: expected 'maildir', 'mailcow'",
        ),
        (
            COW.replace("    kind: mailcow\n", ""),
            "5: systems.maildir.kind: expected this key; it is needed",
        ),
    ],
)
def test_each_kind_of_system_has_keys_of_its_own(tmp_path: Path, text: str, complaint: str) -> None:
    assert complaints(tmp_path, text) == [complaint]


def test_several_mistakes_are_told_together(tmp_path: Path) -> None:
    text = GOOD.replace("passphrase:", "pasphrase:").replace("repository: main", "repository: mian")
    assert complaints(tmp_path, text + "time_zone: Mars/Base\nprefect: {port: 70000}\n") == [
        "4: repositories.main.pasphrase: unknown key; did you mean passphrase?",
        "9: systems.office.repository: expected the name of a repository; configured: main",
        "10: time_zone: expected the IANA name of a time zone such as Europe/Berlin; "
        "found 'Mars/Base'",
        "11: prefect.port: expected a number not above 65535",
    ]


@pytest.mark.parametrize(
    ("addition", "complaint"),
    [
        (
            "    schedule: 61 * * * *\n",
            '10: systems.office.schedule: expected five cron fields such as "14 * * * *"; '
            "found '61 * * * *', Bad minute",
        ),
        (
            "    schedule: 14 * * *\n",
            '10: systems.office.schedule: expected five cron fields such as "14 * * * *"; '
            "found '14 * * *'",
        ),
        (
            "    schedule: * * * * *\n",
            "10: expected plain YAML; write a text that begins with * & ! or % in quotes",
        ),
        (
            "    archive_prefix: a/b\n",
            "10: systems.office.archive_prefix: expected at most 41 letters, digits, dots, dashes "
            "and underscores",
        ),
        (
            "    exclude: ['xx:Trash']\n",
            "10: systems.office.exclude[0]: expected a borg pattern with one of the styles "
            "fm, sh, re, pp, pf; found 'xx:Trash'",
        ),
        (
            "    retention: {hourly: 0, daily: 0, weekly: 0, monthly: 0}\n",
            "10: systems.office.retention: expected at least one of hourly, daily, weekly, "
            "monthly, yearly other than 0; as written, nothing but the floor would be kept",
        ),
        (
            "    retention: {floor: 0}\n",
            "10: systems.office.retention.floor: expected a number not below 1",
        ),
        (
            "    dovecot: maybe\n",
            "10: systems.office.dovecot: expected 'auto' or 'no'",
        ),
        (
            "    dovecot: {doveadm: /usr/bin/doveadm, conf: x}\n",
            "10: systems.office.dovecot.conf: unknown key; did you mean config?",
        ),
        (
            "  Second: {kind: maildir, mailboxes: '/v/{address}', repository: main}\n",
            "10: systems.Second: expected a name of at most 41 small letters, digits and dashes",
        ),
        (
            "systems: {}\n",
            "10: systems: this key stands on line 5 already",
        ),
        (
            "path: /elsewhere\n",
            "10: path: unknown key",
        ),
        (
            "prefect: [\n",
            "11: expected YAML; expected the node content, but found '<stream end>'",
        ),
        (
            "time_zone: \x01\n",
            "1: expected UTF-8 text without control characters",
        ),
    ],
)
def test_mistake_names_line_key_and_expectation(
    tmp_path: Path, addition: str, complaint: str
) -> None:
    assert complaint in complaints(tmp_path, GOOD + addition)


@pytest.mark.parametrize(
    "template",
    [
        *(
            "vmail/{domain}/{local}",
            "/v/{domain}",
            "/v/{address",
            "/v/../{address}",
            "/v//{address}",
        ),
        *("/v/{address!r}", "/v/{{address}}", "/v/{domain}/{domain}/{local}", "/{address}/Maildir"),
        *("/v/{address}/{local}", "/v/{address}\n", "/", ""),
    ],
)
def test_template_that_cannot_tell_mailboxes_apart_is_refused(
    tmp_path: Path, template: str
) -> None:
    text = GOOD.replace("/var/vmail/{domain}/{local}/Maildir", json.dumps(template))
    assert complaints(tmp_path, text) == [
        "8: systems.office.mailboxes: expected an absolute path with {domain} and {local}, or with "
        "{address}, once each, below a directory, such as /var/vmail/{domain}/{local}/Maildir; "
        f"found {template!r}"
    ]


@pytest.mark.parametrize(
    "words", ["zstd,23", "zstd,", "lz4,1", "brotli", "auto", "obfuscate,7,lz4", "zlib,¹"]
)
def test_compression_that_borg_does_not_know_is_refused(tmp_path: Path, words: str) -> None:
    text = GOOD.replace("location: repo", f"location: repo\n    compression: '{words}'")
    assert complaints(tmp_path, text) == [
        "4: repositories.main.compression: expected a compression of borg such as lz4, zstd,3, "
        f"zlib,6, lzma,6, auto,zstd,8 or none; found {words!r}"
    ]


@pytest.mark.parametrize("words", ["none", "lz4", "zstd,22", "auto,lzma,6", "obfuscate,110,zlib"])
def test_compression_that_borg_knows_is_taken(tmp_path: Path, words: str) -> None:
    text = GOOD.replace("location: repo", f"location: repo\n    compression: '{words}'")
    assert config.load(write(tmp_path, text)).repository("main").compression == words


def test_two_systems_do_not_share_a_repository(tmp_path: Path) -> None:
    text = GOOD + "  branch: {kind: maildir, mailboxes: '/v/{address}', repository: main}\n"
    assert complaints(tmp_path, text) == [
        "10: systems.branch.repository: expected a repository of its own; main is that of office "
        "already (a shared one makes each wait for the other's lock)"
    ]


def test_two_repositories_do_not_share_a_location(tmp_path: Path) -> None:
    text = GOOD.replace("systems:", "  other: {location: repo/, encryption: none}\nsystems:")
    assert complaints(tmp_path, text) == [
        "5: repositories.other.location: expected a location of its own; main lies there already"
    ]


def test_encryption_needs_its_passphrase_and_none_has_none(tmp_path: Path) -> None:
    without = GOOD.replace("    passphrase: {env: PASSPHRASE}\n", "")
    assert complaints(tmp_path, without) == [
        "2: repositories.main: expected a passphrase, because encryption is repokey-blake2"
    ]
    unused = GOOD.replace("location: repo", "location: repo\n    encryption: none")
    assert complaints(tmp_path, unused) == [
        "2: repositories.main: expected no passphrase, because encryption none would not use it"
    ]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("{env: PASSPHRASE}", "hunter2", "4: repositories.main.passphrase"),
        ("{env: PASSPHRASE}", "{hunter2: }", "4: repositories.main.passphrase"),
        ("{env: PASSPHRASE}", "{env: hunter2 x}", "4: repositories.main.passphrase"),
        ("{env: PASSPHRASE}", "{env: A, file: hunter2}", "4: repositories.main.passphrase"),
        ("systems:", "state_url: postgresql://u:hunter2@h/d\nsystems:", "5: state_url"),
        ("systems:", "notify: {apprise: ['json://hunter2']}\nsystems:", "5: notify.apprise[0]"),
    ],
)
def test_secret_in_place_of_its_reference_is_refused_and_not_repeated(
    tmp_path: Path, old: str, new: str, key: str
) -> None:
    assert complaints(tmp_path, GOOD.replace(old, new, 1)) == [f"{key}: {REFERENCE}"]


@pytest.mark.parametrize("value", ["*hunter2", "!hunter2 x", "*/hunter2"])
def test_yaml_that_is_not_plain_is_refused_and_not_repeated(tmp_path: Path, value: str) -> None:
    assert complaints(tmp_path, GOOD.replace("{env: PASSPHRASE}", value)) == [
        "4: expected plain YAML; write a text that begins with * & ! or % in quotes"
    ]


def test_bare_no_turns_dovecot_off(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, GOOD + "    dovecot: no\n"))
    assert loaded.system("office").dovecot == "no"


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    text = GOOD.replace("{env: PASSPHRASE}", "{file: pass}") + (
        "    dovecot: {doveadm: bin/doveadm}\n    staging: staging\ndata_dir: data\n"
    )
    loaded = config.load(write(tmp_path, text))
    assert loaded.data_dir == tmp_path / "data"
    assert loaded.repository("main").location == str(tmp_path / "repo")
    assert loaded.repository("main").passphrase == SecretRef(file=tmp_path / "pass")
    assert loaded.system("office").staging == tmp_path / "staging"
    assert loaded.system("office").dovecot == DoveadmSettings(doveadm=tmp_path / "bin/doveadm")


@pytest.mark.parametrize("location", ["ssh://u@h:22/./repo", "u@h:repo", "h:/repo", "/srv/repo"])
def test_remote_and_absolute_locations_stay_as_written(tmp_path: Path, location: str) -> None:
    text = GOOD.replace("location: repo", f"location: {location}")
    assert config.load(write(tmp_path, text)).repository("main").location == location


def test_checkout_keeps_its_data_to_itself(tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").touch()
    (tmp_path / "mailrewind").mkdir()
    assert config.load(write(tmp_path, GOOD)).data_dir == tmp_path / ".mailrewind"


def test_places_are_tried_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config.loading, "PLACES", (Path("mailrewind.yaml"), tmp_path / "etc.yaml"))
    monkeypatch.delenv("MAILREWIND_CONFIG", raising=False)
    with pytest.raises(errors.ConfigurationMissing, match=r"at mailrewind.yaml or .*etc.yaml"):
        config.find()
    (tmp_path / "etc.yaml").touch()
    assert config.find() == tmp_path / "etc.yaml"
    (tmp_path / "mailrewind.yaml").touch()
    assert config.find() == tmp_path / "mailrewind.yaml"
    (tmp_path / "variable.yaml").touch()
    monkeypatch.setenv("MAILREWIND_CONFIG", "variable.yaml")
    assert config.find() == tmp_path / "variable.yaml"
    with pytest.raises(errors.ConfigurationMissing):
        config.find(Path("named.yaml"))


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, GOOD))
    with pytest.raises(errors.UnknownSystem, match="No system is called 'offce'"):
        loaded.system("offce")
    with pytest.raises(errors.UnknownRepository, match="No repository is called 'x'"):
        loaded.repository("x")


def test_secret_comes_from_environment_file_and_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSPHRASE", " right horse\n")
    assert SecretRef(env="PASSPHRASE").resolve() == " right horse\n"
    secret = tmp_path / "secret"
    secret.write_text(" right horse\n\n")
    secret.chmod(0o600)
    assert SecretRef(file=secret).resolve() == " right horse\n"
    secret.chmod(0o400)
    assert SecretRef(command=["printf", "%s", "a; echo $HOME"]).resolve() == "a; echo $HOME"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (SecretRef(env="NOT_SET"), "The environment variable NOT_SET is not set."),
        (
            SecretRef(file=Path("/nowhere/secret")),
            "The secret file /nowhere/secret cannot be read: No such file or directory.",
        ),
        (SecretRef(command=["false", "x"]), "The secret's command false ended with code 1."),
        (SecretRef(command=["true"]), "The secret's command true gives an empty secret."),
        (
            SecretRef(command=["/nowhere/program"]),
            "The secret's command /nowhere/program cannot be started: No such file or directory.",
        ),
    ],
)
def test_secret_that_is_not_there_says_where_it_was_looked_for(
    reference: SecretRef, message: str
) -> None:
    with pytest.raises(errors.SecretUnavailable) as caught:
        reference.resolve()
    assert str(caught.value) == message


def test_secret_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config.secrets, "COMMAND_TIMEOUT_SECONDS", 0.2)
    with pytest.raises(errors.SecretUnavailable, match=r"ran longer than 0\.2 s"):
        SecretRef(command=["sleep", "60"]).resolve()


def test_secret_file_open_to_others_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("right horse")
    secret.chmod(0o640)
    with pytest.raises(errors.SecretUnavailable) as caught:
        SecretRef(file=secret).resolve()
    assert str(caught.value) == f"The secret file {secret} can be read by others (mode 0640)."
    assert caught.value.advice.startswith(f"Run `chmod 600 {secret}`")
