"""Begin: a configuration file, a passphrase, a repository, and a copy of its key."""

import json
import os
import re
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

import click

from mailrewind.cli import show
from mailrewind.cli.examination import examine
from mailrewind.cli.grammar import Command
from mailrewind.cli.invocation import Invocation
from mailrewind.errors import ConfigurationInvalid

_PLACE = Path("mailrewind.yaml")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the operator answered.

    Attributes:
        system: Name of the mail system and of its repository.
        mailboxes: Path template.
        repository: Location.
        passphrase_file: Absolute.
        time_zone: IANA name, "" for the machine's.
        alarms_to: Address, "" for nobody.
        data_dir: None for the default.
    """

    system: str
    mailboxes: str
    repository: str
    passphrase_file: Path
    time_zone: str
    alarms_to: str
    data_dir: Path | None


@click.command(cls=Command)
@click.option("--system", help="Name of the mail system.  [default: mail]")
@click.option("--mailboxes", help="Path of a Maildir, with {domain} and {local} or {address}.")
@click.option("--repository", help="Where the borg repository lies or will lie.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Where it is kept.")
@click.option("--time-zone", help="Such as Europe/Berlin.  [default: the machine's]")
@click.option("--alarms-to", help="Address that is told of failures.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where our own data lies.")
@click.option("--yes", is_flag=True, help="Ask nothing: take options and defaults, and do it.")
@click.pass_obj
def init(
    invocation: Invocation,
    *,
    system: str | None,
    mailboxes: str | None,
    repository: str | None,
    passphrase_file: Path | None,
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

    name = _checked(ask("Name of the mail system", system, "mail"))
    wishes = Wishes(
        system=name,
        mailboxes=ask(
            "Path of a mailbox's Maildir", mailboxes, "/var/vmail/{domain}/{local}/Maildir"
        ),
        repository=ask("Repository", repository, f"/var/backups/mailrewind/{name}"),
        passphrase_file=Path(
            ask(
                "File that keeps the passphrase",
                str(passphrase_file) if passphrase_file else None,
                str(place.with_name(f"{name}.passphrase")),
            )
        ).absolute(),
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
            ("Mail", f"{wishes.system}: {wishes.mailboxes}"),
            ("Passphrase", f"{wishes.passphrase_file} {keeps}"),
            ("Repository", f"{wishes.repository} is created if there is none"),
            ("Copy of the key", f"{key}"),
        ]
    )


def _write_passphrase(path: Path) -> None:
    """Write a new passphrase; a file that is there already is used as it is."""
    if path.exists():
        return
    _write_new(path, f"{secrets.token_urlsafe(32)}\n", mode=0o600)


def _write_configuration(invocation: Invocation, place: Path, wishes: Wishes) -> None:
    _write_new(place, _text(wishes), mode=0o644)
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
    show.line()
    show.line(f"First backup: {invocation.command('backup', wishes.system, '--yes')}")
    show.line(f"Every hour from now on: {invocation.command('up')}")


def _text(wishes: Wishes) -> str:
    """Write the file; JSON's strings are YAML's, whatever stands in them."""
    zone = f"time_zone: {_quoted(wishes.time_zone)}\n" if wishes.time_zone else ""
    data_dir = f"data_dir: {_quoted(str(wishes.data_dir))}\n" if wishes.data_dir else ""
    notify = f"""
notify:
  mail:
    to: [{_quoted(wishes.alarms_to)}]
    sender: {_quoted(f"mailrewind@{socket.getfqdn()}")}
"""
    return f"""\
# mailrewind; every key is described in docs/configuration.md.
{zone}{data_dir}
repositories:
  {_quoted(wishes.system)}:
    location: {_quoted(wishes.repository)}
    passphrase: {{file: {_quoted(str(wishes.passphrase_file))}}}

systems:
  {_quoted(wishes.system)}:
    kind: maildir
    mailboxes: {_quoted(wishes.mailboxes)}
    repository: {_quoted(wishes.system)}
{notify if wishes.alarms_to else ""}"""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
