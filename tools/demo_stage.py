"""Where the demo plays: sample mail, a configuration and Prefect, all below one folder."""

import json
import secrets
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from deployments import settings
from mailrewind.config import Config, load
from mailrewind.errors import StackError
from tools import sample_mail

SYSTEM = "office"
USUAL_PORT = 4200


class Stage:
    """One folder for everything; removing it removes the demo.

    Attributes:
        place: The folder.
        mail: The sample's mail tree.
        configuration: The demo's mailrewind.yaml.
    """

    def __init__(self, place: Path, *, port: int = USUAL_PORT, program: Path | None = None) -> None:
        """Say where it stands and what it is made of.

        Args:
            place: The folder.
            port: Prefect's port; another one is taken where it is not free, or 0.
            program: The `mailrewind` to start; this environment's by default.
        """
        self.place = place
        self._port = port
        self._program = program or Path(sys.executable).with_name("mailrewind")
        self.mail = place / "mail"
        self.configuration = place / "mailrewind.yaml"

    @property
    def config(self) -> Config:
        """The demo's configuration."""
        return load(self.configuration)

    @property
    def address(self) -> str:
        """Where a browser finds Prefect."""
        return settings.address(self.config)

    @property
    def login(self) -> str:
        """User and password of Prefect's pages, as its form takes them."""
        return settings.read_auth(self.config)

    def clear(self) -> None:
        """Stop and remove what an earlier demo left, and lay out an empty stage."""
        if self.configuration.exists():
            self.down()
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(mode=0o700, parents=True)
        passphrase = self.place / "passphrase"
        passphrase.touch(mode=0o600)
        passphrase.write_text(secrets.token_urlsafe(24) + "\n", encoding="utf-8")
        self.configuration.write_text(self._written_configuration(passphrase), encoding="utf-8")

    def up(self) -> None:
        """Start Prefect's side and wait until its schedules are active.

        Raises:
            StackError: It did not come up.
        """
        self._ask("up")

    def down(self) -> None:
        """Stop Prefect's side, if any of it runs; running flows end first.

        Raises:
            StackError: Something could not be stopped.
        """
        if self.configuration.exists():
            self._ask("down")

    def _ask(self, verb: str) -> None:
        done = subprocess.run(
            [str(self._program), "--config", str(self.configuration), verb],
            cwd=self.place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StackError(f"`mailrewind {verb}` ended with {done.returncode}:\n{done.stdout}")

    def _written_configuration(self, passphrase: Path) -> str:
        written = {
            "data_dir": str(self.place / "data"),
            "repositories": {
                "demo": {
                    "location": str(self.place / "repository"),
                    "passphrase": {"file": str(passphrase)},
                }
            },
            "systems": {
                SYSTEM: {
                    "kind": "maildir",
                    "mailboxes": f"{self.mail}/{sample_mail.TEMPLATE}",
                    "repository": "demo",
                    "dovecot": "no",
                }
            },
            "prefect": {"port": _free_port(self._port)},
        }
        return json.dumps(written, indent=2, ensure_ascii=False) + "\n"  # JSON is YAML


def _free_port(wanted: int) -> int:
    """Return the wanted port, or any other one where that is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            # The server's closed connections linger for a minute and keep nobody out.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StackError("No port is free on 127.0.0.1.")
