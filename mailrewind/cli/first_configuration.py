"""The configuration file that `mailrewind init` writes."""

import json
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the operator answered.

    Attributes:
        system: Name of the mail system and of its repository.
        mailcow: mailcow's directory; None for a tree of Maildirs.
        mailboxes: Path template of those; "" for mailcow.
        headers: Whether the catalogue may know subjects and senders.
        repository: Location.
        passphrase_file: Absolute.
        passphrase_copy: In words, where the copy is that does not lie on this machine.
        time_zone: IANA name, "" for the machine's.
        alarms_to: Address, "" for nobody.
        data_dir: None for the default.
    """

    system: str
    mailcow: Path | None
    mailboxes: str
    headers: bool
    repository: str
    passphrase_file: Path
    passphrase_copy: str
    time_zone: str
    alarms_to: str
    data_dir: Path | None


def text_of(wishes: Wishes) -> str:
    """Write the file; JSON's strings are YAML's, whatever stands in them."""
    zone = f"time_zone: {_quoted(wishes.time_zone)}\n" if wishes.time_zone else ""
    data_dir = f"data_dir: {_quoted(str(wishes.data_dir))}\n" if wishes.data_dir else ""
    copy = (
        " ".join(wishes.passphrase_copy.split()) or "NOWHERE YET: without it a lost machine is lost"
    )
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
    # A copy away from this machine: {copy}
    passphrase: {{file: {_quoted(str(wishes.passphrase_file))}}}

systems:
  {_quoted(wishes.system)}:
{_kind(wishes)}
    repository: {_quoted(wishes.system)}
{notify if wishes.alarms_to else ""}"""


def _kind(wishes: Wishes) -> str:
    if wishes.mailcow is None:
        return f"    kind: maildir\n    mailboxes: {_quoted(wishes.mailboxes)}"
    headers = "" if wishes.headers else "\n    headers: false"
    return f"    kind: mailcow\n    directory: {_quoted(str(wishes.mailcow))}{headers}"


def _comment(text: str) -> str:
    """Return a text as what stands behind a "#": one line of what can be seen."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
