"""A real sshd on a free port of 127.0.0.1, which lets one key do nothing but `borg serve`."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mailrewind.borg.executable import borg_executable

_CONFIGURATION = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {root}/host_key
PidFile none
AuthorizedKeysFile {root}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
"""


@dataclass(frozen=True)
class Sshd:
    """A running server.

    Attributes:
        root: Its keys and its configuration, and those of its one client.
        port: Where it listens on 127.0.0.1.
        repository: The one directory that `borg serve` may touch.
        process: The server itself.
    """

    root: Path
    port: int
    repository: Path
    process: "subprocess.Popen[bytes]"

    @property
    def location(self) -> str:
        return f"ssh://127.0.0.1:{self.port}{self.repository}"

    @property
    def ssh_command(self) -> tuple[str, ...]:
        """How the client calls ssh: with its own files in place of those of the home directory."""
        files = (f"-oUserKnownHostsFile={self.known_hosts}", f"-oIdentityFile={self.root}/client")
        return ("ssh", "-F", "none", "-oIdentitiesOnly=yes", "-oIdentityAgent=none", *files)

    @property
    def known_hosts(self) -> Path:
        return self.root / "known_hosts"

    def make_known(self, key: str = "host_key") -> None:
        """Write a host key into known_hosts, as an operator does after comparing it."""
        kind, blob, *_ = (self.root / f"{key}.pub").read_text().split()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {blob}\n")

    def sessions(self) -> list[int]:
        """Process ids of the servers of open connections."""
        return [int(name) for name in _children_of(self.process.pid)]

    def break_connections(self) -> None:
        """End every connection without a word; what `borg serve` does then is its own affair."""
        for session in self.sessions():
            _kill(session)

    def kill_borg(self) -> None:
        """End every `borg serve`, as a host does that is switched off."""
        for session in self.sessions():
            for pid in _children_of(session):
                _kill(int(pid))


@contextmanager
def running_sshd(root: Path) -> Iterator[Sshd]:
    root.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for name in ("host_key", "other_key", "client", "stranger"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", root / name], check=True
        )
    repository = root / "repository"
    serve = f"{borg_executable()} serve --restrict-to-repository {repository}"
    public = (root / "client.pub").read_text()
    (root / "authorized_keys").write_text(f'command="{serve}",restrict {public}')
    (root / "sshd_config").write_text(_CONFIGURATION.format(port=port, root=root))
    Path("/run/sshd").mkdir(exist_ok=True)  # where sshd locks its unprivileged part in
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise FileNotFoundError("sshd is not installed: tools/setup test installs it")
    with (root / "log").open("wb") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", root / "sshd_config"], stderr=log)
    server = Sshd(root, port, repository, process)
    try:
        _await(server)
        yield server
    finally:
        server.break_connections()
        process.terminate()
        process.wait()


def _await(server: Sshd) -> None:
    last = time.monotonic() + 20
    while not _answers(server.port):
        assert server.process.poll() is None, (server.root / "log").read_text()
        assert time.monotonic() < last
        time.sleep(0.05)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _children_of(pid: int | str) -> list[str]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return []
