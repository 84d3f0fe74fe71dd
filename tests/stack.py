"""A running stack: Prefect's real server and our real worker, started as an operator starts them.

Use it with ``from tests.stack import stack`` in a conftest, or list it in ``pytest_plugins``.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient

from deployments import settings
from deployments.api import Api
from deployments.stack import down, up
from mailrewind.config import Config, load


@dataclass(frozen=True, slots=True)
class RunningStack:
    """Everything a test needs to talk to the running side."""

    config: Config
    lines: tuple[str, ...]

    @property
    def url(self) -> str:
        return settings.api_url(self.config)

    @property
    def auth(self) -> str:
        return settings.read_auth(self.config)

    @property
    def api(self) -> Api:
        return Api.of(self.config)

    @property
    def home(self) -> Path:
        return settings.home(self.config)

    @property
    def environment(self) -> dict[str, str]:
        """What a worker, or any other Prefect client, is started with."""
        return settings.client_environment(self.config, self.auth, os.environ)

    def client(self) -> SyncPrefectClient:
        return SyncPrefectClient(self.url, auth_string=self.auth)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_config(folder: Path, *, port: int, systems: tuple[str, ...] = ("post",)) -> Path:
    """Write a configuration with one small Maildir per system; return its path."""
    blocks = []
    repositories = []
    for system in systems:
        maildir = folder / "mail" / system / "example.org" / "ada" / "Maildir"
        for part in ("cur", "new", "tmp"):
            (maildir / part).mkdir(parents=True)
        (maildir / "cur" / "1700000000.M1P1.host:2,S").write_text("Subject: hello\n\nworld\n")
        repositories.append(
            f"  {system}: {{location: {folder / 'repositories' / system}, encryption: none}}"
        )
        blocks.append(
            f"  {system}:\n"
            "    kind: maildir\n"
            f"    mailboxes: {folder}/mail/{system}/{{domain}}/{{local}}/Maildir\n"
            f"    repository: {system}\n"
            "    dovecot: no\n"
        )
    path = folder / "mailrewind.yaml"
    path.write_text(
        "time_zone: Europe/Berlin\n"
        f"data_dir: {folder / 'data'}\n"
        "repositories:\n" + "\n".join(repositories) + "\n"
        "systems:\n" + "".join(blocks) + f"prefect: {{port: {port}}}\n"
    )
    return path


@contextmanager
def running_stack(folder: Path, *, systems: tuple[str, ...] = ("post",)) -> Iterator[RunningStack]:
    """Bring a stack up in an empty folder, and take it down at once afterwards."""
    config = load(write_config(folder, port=free_port(), systems=systems))
    lines: list[str] = []
    try:
        up(config, say=lines.append)
        yield RunningStack(config, tuple(lines))
    finally:
        down(config, now=True, say=lambda line: None)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """One stack for all tests that do not break it; a few seconds to start."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
