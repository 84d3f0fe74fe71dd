"""Where the demo plays: sample mail, a configuration and Prefect, all below one folder."""

import json
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from deployments import settings
from deployments.api import Api, ApiRefused, ApiUnreachable
from mailrewind.config import Config, load
from mailrewind.errors import MailrewindError, StackError
from tools import sample_mail

SYSTEM = "office"
USUAL_PORT = 4200
READY_SECONDS = 180
STOP_SECONDS = 90


class Stage:
    """One folder for everything; removing it removes the demo.

    Attributes:
        place: The folder.
        mail: The sample's mail tree.
        configuration: The demo's mailrewind.yaml.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.mail = place / "mail"
        self.configuration = place / "mailrewind.yaml"
        self._log = place / "up.log"
        self._stack: subprocess.Popen[bytes] | None = None

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
        """Start Prefect's side and wait until its deployments stand.

        Raises:
            StackError: It ended, or was not ready in time.
        """
        with self._log.open("wb") as log:
            self._stack = subprocess.Popen(
                self._command("up"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            if self._stack.poll():
                raise StackError(f"`mailrewind up` ended with exit code {self._stack.returncode}.")
            if time.monotonic() > deadline:
                raise StackError(f"Prefect was not ready after {READY_SECONDS} seconds.")
            time.sleep(0.5)

    def down(self) -> None:
        """Stop Prefect's side; running flows end first."""
        if not self.configuration.exists():
            return
        subprocess.run(
            self._command("down"), stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if self._stack is None:
            return
        try:
            self._stack.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._stack.terminate()
            self._stack.wait(STOP_SECONDS)

    def last_words(self) -> str:
        """Return the end of what `mailrewind up` said, or ""."""
        if not self._log.exists():
            return ""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])

    def _is_ready(self) -> bool:
        try:
            api = Api.of(self.config)
            for deployment in (f"backup/{SYSTEM}", "restore/mailbox"):
                api.get(f"/deployments/name/{deployment}")
        except (ApiUnreachable, ApiRefused):
            return False
        except MailrewindError:  # no password yet: the server has not come so far
            return False
        return True

    def _command(self, verb: str) -> list[str]:
        mailrewind = Path(sys.executable).with_name("mailrewind")
        return [str(mailrewind), "--config", str(self.configuration), verb]

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
            "prefect": {"port": _free_port()},
        }
        return json.dumps(written, indent=2, ensure_ascii=False) + "\n"  # JSON is YAML


def _free_port() -> int:
    """Return Prefect's usual port, or any other one where that is taken."""
    for port in (USUAL_PORT, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StackError("No port is free on 127.0.0.1.")
