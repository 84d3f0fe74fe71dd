"""Look at a mailcow: what of it was found, and what it lacks for backups and restores."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from mailrewind.cli import show
from mailrewind.cli.examined import Examined
from mailrewind.cli.invocation import Invocation
from mailrewind.cli.mail_systems import mail_of

if TYPE_CHECKING:
    from mailrewind.systems.mailcow.system import MailcowSystem

_NO_MAILBOXES = "Add one in mailcow's interface, or check that the volume vmail-vol-1 is mounted."
_NEEDED = ("dovecot-mailcow", "mysql-mailcow", "redis-mailcow")


def looks_at_mailcow(
    invocation: Invocation, name: str
) -> Iterator[tuple[str, Callable[[], Examined]]]:
    """Yield what there is to look at, with its name."""
    looks: dict[str, Callable[[MailcowSystem], Examined]] = {
        "project": _project,
        "Dovecot": _dovecot,
        "keys": _keys,
        "database": _database,
        "SOGo": _sogo,
    }

    def look_at(label: str, look: "Callable[[MailcowSystem], Examined]") -> Examined:
        system = cast("MailcowSystem", invocation.services.connect(name).mail)
        found = look(system)
        return Examined(label, found.is_good, found.text, found.advice, found.exit_code)

    for subject, look in looks.items():
        label = f"{subject} of {name}"
        yield label, partial(look_at, label, look)
        if subject == "project":
            yield f"mail of {name}", partial(mail_of, invocation, name, advice=_NO_MAILBOXES)


def _project(system: "MailcowSystem") -> Examined:
    project = system.installation.project
    services = project.services()
    down = sorted(name for name, state in services.items() if state.state != "running")
    text = f"{project.name} in {system.installation.directory}, {len(services)} services."
    if lacking := [name for name in _NEEDED if name not in services or name in down]:
        text += f" Not running: {', '.join(sorted({*lacking, *down}))}."
        return Examined("", False, text, "Start it with `docker compose up -d`.", 10)
    if down:
        return Examined("", False, f"{text} Not running: {', '.join(down)}.")
    return Examined("", True, text)


def _dovecot(system: "MailcowSystem") -> Examined:
    layout, version = system.layout, system.dovecot_version
    users = system.users()
    place = layout.template.replace(str(layout.vmail), "vmail-vol-1")
    text = f"{version}; {show.count(len(users), 'user')}; {layout.told_by} puts mail at {place}."
    if layout.elsewhere:
        return Examined(
            "",
            False,
            f"{text} Elsewhere: {', '.join(layout.elsewhere)}.",
            "Mail in other places is archived and not catalogued; see docs/mailcow.md.",
        )
    return Examined("", True, text)


def _keys(system: "MailcowSystem") -> Examined:
    ids = system.key_ids
    crypt = system.installation.crypt
    if not ids:
        text = f"{crypt} holds no private key: encrypted mail can be archived and not read."
        return Examined("", False, text, "Put ecprivkey.pem back from a backup, if mail needs it.")
    text = f"{ids[0][:16]}… opens encrypted mail, and is archived with it."
    return Examined("", True, text)


def _database(system: "MailcowSystem") -> Examined:
    from mailrewind.transports.mariadb import connect

    with connect(system.installation.database()) as connection:
        version = connection.value("SELECT VERSION()")
        mailboxes = connection.number("SELECT COUNT(*) FROM mailbox")
    host, port = system.installation.address_of_database()
    return Examined(
        "", True, f"{version!s} at {host}:{port}, {show.count(mailboxes, 'mailbox', 'mailboxes')}."
    )


def _sogo(system: "MailcowSystem") -> Examined:
    from mailrewind.systems.mailcow.installation import SOGO

    installation = system.installation
    if installation.settings.get("SKIP_SOGO", "n").lower() in {"y", "yes"}:
        return Examined("", True, "is switched off in mailcow.conf: no calendars are archived.")
    state = installation.project.service(SOGO)
    if not state.is_ready:
        text = f"does not run ({state.state}): calendars and contacts cannot be exported."
        return Examined("", False, text, "Start it with `docker compose up -d`.", 10)
    return Examined("", True, "runs; calendars and contacts are exported by its sogo-tool.")
