"""How to reach one repository, and the environment that borg gets for it."""

import os
import shlex
import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mailrewind.borg.ssh import ssh_command

# borg forgets a file that as many of a repository's runs have not met, and then reads it again;
# its default of 20 is less than a day of hourly backups of two systems.
_FILES_CACHE_TTL = "200"


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    """What the configuration says of one repository.

    Attributes:
        location: Absolute path or ssh URL, as borg understands it.
        encryption: borg's name of the mode that a new repository gets, or "none".
        compression: borg's specification, such as "zstd,3".
        passphrase: Gives the passphrase at the last moment; None for unencrypted repositories.
        lock_wait_seconds: How long a writer waits for another one.
        ssh_command: What to reach an ssh location with; None for ssh without questions.
        remote_path: borg's executable on the other side; None for the one on its PATH.
        base_dir: Where borg keeps its caches and what it knows of repositories.
    """

    location: str
    encryption: str
    compression: str
    passphrase: Callable[[], str] | None
    lock_wait_seconds: int
    ssh_command: tuple[str, ...] | None
    remote_path: str | None
    base_dir: Path

    @property
    def local_path(self) -> Path | None:
        """Where the repository lies on this machine, or None."""
        return Path(self.location) if self.location.startswith("/") else None


def environment_of(
    settings: RepositorySettings,
    *,
    past_locks: bool = False,
    accept_moved: bool = False,
    ssh_log: str = "",
) -> dict[str, str]:
    """Return the variables by which borg works unattended, and the same everywhere.

    There is no secret among them: the passphrase goes through a pipe.

    Args:
        settings: Of the repository.
        past_locks: Whether borg must not wait for a writer's lock on its cache either; even to
            list an archive it would ask the cache where the repository was the last time.
        accept_moved: Whether the repository may lie in another place than the last time.
        ssh_log: Path of a file that ssh appends its words to; "" for standard error.
    """
    settings.base_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    # borg would ask a person; here the answers stand. Only who configured no encryption gets none:
    # otherwise an unencrypted repository put in the place of ours would take the mail.
    answers: Mapping[str, bool] = {
        "BORG_RELOCATED_REPO_ACCESS_IS_OK": accept_moved,
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": settings.encryption == "none",
        "BORG_DISPLAY_PASSPHRASE": False,
    }
    remote = {"BORG_REMOTE_PATH": settings.remote_path} if settings.remote_path else {}
    cache = {"BORG_CACHE_DIR": str(settings.base_dir / "no-cache")} if past_locks else {}
    return {
        **{name: "yes" if answer else "no" for name, answer in answers.items()},
        **remote,
        **cache,
        "BORG_BASE_DIR": str(settings.base_dir),
        "BORG_EXIT_CODES": "modern",
        "BORG_FILES_CACHE_TTL": _FILES_CACHE_TTL,
        "BORG_HOST_ID": host_id(settings.base_dir),
        "BORG_RSH": shlex.join(ssh_command(settings.ssh_command, log=ssh_log)),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }


def host_id(base_dir: Path) -> str:
    """Return the name under which borg takes locks here; it stays the same for ever.

    borg takes a lock for dead, and removes it, when it bears our own name and no such process
    runs here. So the name must outlive reboots and new containers, and two places that cannot see
    each other's processes must never share one: a machine has its machine-id, a container (another
    namespace of process ids) an id of its own in ``base_dir``.
    """
    kept = base_dir / "host-id"
    try:
        return kept.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        pass
    fresh = base_dir / f"host-id.{uuid.uuid4().hex}"
    fresh.write_text(f"{socket.gethostname()}-{_machine_id() or uuid.uuid4().hex}\n", "utf-8")
    try:
        os.link(fresh, kept)  # the first of two processes wins, and both then read the same
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return kept.read_text(encoding="utf-8").strip()


def _machine_id() -> str | None:
    # include/linux/proc_ns.h: the machine's own namespace of process ids bears this number.
    if str(Path("/proc/self/ns/pid").readlink()) != f"pid:[{0xEFFFFFFC}]":
        return None
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None
