"""Begin: a configuration file, a passphrase, a repository, and a copy of its key."""

import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

import click

from mailrewind.cli import show
from mailrewind.cli.examination import examine
from mailrewind.cli.first_configuration import Wishes, text_of
from mailrewind.cli.grammar import Command
from mailrewind.cli.invocation import Invocation
from mailrewind.errors import ConfigurationInvalid

_PLACE = Path("mailrewind.yaml")

Ask = Callable[[str, str | None, str], str]


@click.command(cls=Command)
@click.option("--system", help="Name of the mail system.  [default: mail]")
@click.option(
    "--mailcow",
    type=click.Path(path_type=Path),
    help="Directory of a mailcow.  [default: the one that is found]",
)
@click.option("--mailboxes", help="Path of a Maildir, with {domain} and {local} or {address}.")
@click.option("--repository", help="Where the borg repository lies or will lie.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Where it is kept.")
@click.option("--passphrase-copy", help="In words: where its copy away from this machine is.")
@click.option(
    "--headers/--no-headers",
    default=None,
    help="Whether the catalogue may know subjects and senders of a mailcow's mail.",
)
@click.option("--time-zone", help="Such as Europe/Berlin.  [default: the machine's]")
@click.option("--alarms-to", help="Address that is told of failures.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where our own data lies.")
@click.option("--yes", is_flag=True, help="Ask nothing: take options and defaults, and do it.")
@click.pass_obj
def init(
    invocation: Invocation,
    *,
    system: str | None,
    mailcow: Path | None,
    mailboxes: str | None,
    repository: str | None,
    passphrase_file: Path | None,
    passphrase_copy: str | None,
    headers: bool | None,
    time_zone: str | None,
    alarms_to: str | None,
    data_dir: Path | None,
    yes: bool,
) -> None:
    """Write mailrewind.yaml, create the repository, and export its key."""
    place = (invocation.config_path or _PLACE).absolute()
    if place.exists():
        raise ConfigurationInvalid(
            f"{place} exists, and is never overwritten.",
            advice="Edit it, or name another file with --config.",
        )

    def ask(question: str, given: str | None, default: str) -> str:
        if given is not None or yes:
            return default if given is None else given
        answer: str = click.prompt(question, default=default, show_default=bool(default), err=True)
        return answer

    cow = _mailcow(ask, mailcow, mailboxes)
    name = _checked(ask("Name of the mail system", system, "mailcow" if cow else "mail"))
    wishes = Wishes(
        system=name,
        mailcow=cow,
        mailboxes=""
        if cow
        else ask("Path of a mailbox's Maildir", mailboxes, "/var/vmail/{domain}/{local}/Maildir"),
        headers=_may_catalogue(headers, asks=cow is not None and not yes),
        repository=ask(
            "Repository: a path, best on another disk, or ssh://user@host:port/path",
            repository,
            f"/var/backups/mailrewind/{name}",
        ),
        passphrase_file=Path(
            ask(
                "File that keeps the passphrase",
                str(passphrase_file) if passphrase_file else None,
                str(place.with_name(f"{name}.passphrase")),
            )
        ).absolute(),
        passphrase_copy=ask(
            "Where will you keep a copy of the passphrase, away from this machine",
            passphrase_copy,
            "",
        ),
        time_zone=ask("Time zone (empty: the machine's)", time_zone, ""),
        alarms_to=ask("Address that is told of failures (empty: nobody)", alarms_to, ""),
        data_dir=data_dir.absolute() if data_dir else None,
    )
    key = place.with_name(f"{name}.borgkey")
    _show_plan(place, wishes, key)
    if not yes:
        click.confirm("Do it?", abort=True, err=True)
    invocation.config_path = place
    _write_passphrase(wishes.passphrase_file)
    _write_configuration(invocation, place, wishes)
    _create_repository(invocation, wishes, key)
    _show_what_to_keep(invocation, wishes, key)


def _mailcow(ask: Ask, given: Path | None, mailboxes: str | None) -> Path | None:
    """Return mailcow's directory, None where the system is a tree of Maildirs."""
    from mailrewind.systems.mailcow.installation import find_installations

    if given is not None:
        return _with_settings(given)
    found = [] if mailboxes is not None else find_installations()
    if not found:
        return None
    if len(found) > 1:
        show.line(f"Several mailcows are here: {', '.join(map(str, found))}")
    answer = ask("Directory of mailcow (a dash: this is no mailcow)", None, str(found[0]))
    return None if answer.strip() == "-" else _with_settings(Path(answer))


def _with_settings(directory: Path) -> Path:
    """Return mailcow's directory, after seeing that its settings can be read."""
    from mailrewind.systems.mailcow.settings import read_settings

    read_settings(directory)
    return directory.absolute()


def _may_catalogue(given: bool | None, *, asks: bool) -> bool:
    if given is not None or not asks:
        return given is not False
    return click.confirm(
        "May subjects and senders, also of encrypted mail, stand in our catalogue, which is not"
        " encrypted? Without them messages are found by folder, date and size only",
        default=True,
        err=True,
    )


def _checked(name: str) -> str:
    """Return the name of a system; files are about to be called after it."""
    from mailrewind.config.checks import NAME

    if re.fullmatch(NAME.removesuffix("$"), name) is None:
        raise ConfigurationInvalid(
            f"{name!r} cannot be the name of a mail system.",
            advice="Take up to 41 small letters, digits and dashes, such as office.",
        )
    return name


def _show_plan(place: Path, wishes: Wishes, key: Path) -> None:
    keeps = "stays" if wishes.passphrase_file.exists() else "gets a new, strong passphrase"
    show.facts(
        [
            ("Configuration", f"{place} is written"),
            ("Mail", f"{wishes.system}: {_what(wishes)}"),
            ("Passphrase", f"{wishes.passphrase_file} {keeps}"),
            ("Repository", f"{wishes.repository} is created if there is none"),
            ("Copy of the key", f"{key}"),
        ]
    )


def _what(wishes: Wishes) -> str:
    if wishes.mailcow is None:
        return wishes.mailboxes
    headers = "" if wishes.headers else ", no subjects and senders in the catalogue"
    return f"mailcow in {wishes.mailcow}{headers}"


def _write_passphrase(path: Path) -> None:
    """Write a new passphrase; a file that is there already is used as it is."""
    if path.exists():
        return
    _write_new(path, f"{secrets.token_urlsafe(32)}\n", mode=0o600)


def _write_configuration(invocation: Invocation, place: Path, wishes: Wishes) -> None:
    _write_new(place, text_of(wishes), mode=0o644)
    try:
        _ = invocation.config
    except ConfigurationInvalid:
        place.unlink()  # so that the answers can be given again
        raise


def _write_new(path: Path, text: str, *, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationInvalid(
            f"{path} cannot be written: {error.strerror}.", advice="Run this as root."
        ) from error


def _create_repository(invocation: Invocation, wishes: Wishes, key: Path) -> None:
    archives = invocation.services.archives(wishes.system)
    archives.prepare()
    if not key.exists():
        archives.export_key(key)


def _show_what_to_keep(invocation: Invocation, wishes: Wishes, key: Path) -> None:
    show.line()
    for finding in examine(invocation):
        if not finding.is_good:
            show.line(f"Finding: {finding.name}: {finding.text} {finding.advice}".rstrip())
    show.line()
    show.line("KEEP COPIES OF THESE TWO FILES AWAY FROM THIS MACHINE, apart from each other.")
    show.line("Whoever lacks either of them can never read the backups again:")
    show.line(f"  {wishes.passphrase_file}")
    show.line(f"  {key}")
    if wishes.passphrase_copy:
        show.line(f"You said that the passphrase's copy will be here: {wishes.passphrase_copy}")
    if wishes.mailcow is not None:
        show.line("Without the host, the keys of encrypted mail are nowhere but in the backups.")
    show.line()
    show.line(f"First backup: {invocation.command('backup', wishes.system, '--yes')}")
    show.line(f"Every hour from now on: {invocation.command('up')}")
