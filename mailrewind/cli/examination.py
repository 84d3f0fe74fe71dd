"""Look at everything that a backup and a restore need, one thing after the other."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

from mailrewind.cli import show
from mailrewind.cli.examined import Examined
from mailrewind.cli.invocation import Invocation
from mailrewind.cli.mail_systems import looks_at_maildir
from mailrewind.cli.mailcow import looks_at_mailcow
from mailrewind.cli.prefect_side import PrefectSide
from mailrewind.errors import MailrewindError, RepositoryMissing
from mailrewind.model.points import newest

_LITTLE_SPACE = 1024**3


def examine(invocation: Invocation) -> Iterator[Examined]:
    """Look at everything that a backup and a restore need; one thing does not hide the next.

    Raises:
        ConfigurationError: There is no usable configuration to begin with.
    """
    config = invocation.config
    zone_now = show.moment(invocation.now, config.zone)
    yield Examined("configuration", True, f"{config.path}; it is {zone_now}.")
    yield _guarded("borg", _borg)
    yield _guarded("data directory", partial(_data_dir, config.data_dir))
    for name in config.repositories:
        yield _guarded(f"repository {name}", partial(_repository, invocation, name))
    for name in config.systems:
        for label, look in _looks_at(invocation, name):
            yield _guarded(label, look)
        yield _guarded(f"restore points of {name}", partial(_points, invocation, name))
    yield _guarded("restores", partial(_restores, invocation))
    yield _guarded("alarms", partial(_alarms, invocation))
    yield _guarded("Prefect", partial(_prefect, config.prefect.port))


def _guarded(name: str, look: Callable[[], Examined]) -> Examined:
    try:
        return look()
    except MailrewindError as error:
        return Examined(name, False, str(error), error.advice, error.exit_code)


def _borg() -> Examined:
    from mailrewind.borg.executable import borg_executable
    from mailrewind.transports.processes import run

    executable = borg_executable()
    version = run([executable, "--version"], timeout_seconds=60).stdout.decode().strip()
    return Examined("borg", True, f"{version} at {executable}.")


def _data_dir(path: Path) -> Examined:
    name = "data directory"
    existing = next(place for place in (path, *path.parents) if place.exists())
    if not os.access(existing, os.W_OK):
        return Examined(
            name, False, f"{existing} is not writable.", "Run as root, or set data_dir.", 2
        )
    if not path.exists():
        return Examined(name, True, f"{path} will be created.")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        text = f"{path} is open to others (mode {mode:04o})."
        return Examined(name, False, text, f"Run `chmod 700 {path}`.")
    return _space(name, path)


def _repository(invocation: Invocation, name: str) -> Examined:
    label = f"repository {name}"
    archives = invocation.services.archives(name)
    configured = invocation.config.repository(name)
    if configured.passphrase is not None:
        configured.passphrase.resolve()
    try:
        number = len(archives.names())
    except RepositoryMissing:
        if _has_points(invocation, name):
            raise
        text = f"{configured.location} does not exist yet; the first backup creates it."
        return Examined(label, True, text)
    text = f"{configured.location} opens, {show.count(number, 'archive')}."
    place = Path(configured.location)
    return _space(label, place, text) if place.exists() else Examined(label, True, text)


def _has_points(invocation: Invocation, repository: str) -> bool:
    return any(
        invocation.services.state.points(name)
        for name, system in invocation.config.systems.items()
        if system.repository == repository
    )


def _looks_at(invocation: Invocation, name: str) -> Iterator[tuple[str, Callable[[], Examined]]]:
    """Yield what there is to look at of a mail system, by its kind."""
    from mailrewind.config import MailcowKeys

    configured = invocation.config.system(name)
    if isinstance(configured, MailcowKeys):
        yield from looks_at_mailcow(invocation, name)
    else:
        yield from looks_at_maildir(invocation, name, configured)


def _points(invocation: Invocation, name: str) -> Examined:
    label = f"restore points of {name}"
    latest = newest(invocation.services.state.points(name))
    if latest is None:
        command = invocation.command("backup", name, "--yes")
        return Examined(label, False, "none yet.", f"Make one with `{command}`.")
    taken = show.moment(latest.taken_at, invocation.zone)
    text = f"the newest is of {taken}, {show.age(latest.taken_at, invocation.now)}."
    if latest.taken_at - invocation.now > timedelta(minutes=1):
        return Examined(label, False, text, "Set the clock right: it was ahead, or is behind.")
    if name in invocation.services.watch.overdue():
        advice = "The schedule asks for a newer one: see `mailrewind status`."
        return Examined(label, False, text, advice)
    return Examined(label, True, text)


def _restores(invocation: Invocation) -> Examined:
    from mailrewind.services.broken_off import broken_off_text

    left = invocation.services.operations.left_broken_off()
    if not left:
        return Examined("restores", True, "none was broken off.")
    text = f"{broken_off_text(left[0])}."
    if len(left) > 1:
        text += f" There are {len(left) - 1} more."
    return Examined("restores", False, text, f"See `mailrewind undo {left[0].id}`.")


def _alarms(invocation: Invocation) -> Examined:
    notify = invocation.config.notify
    if notify.mail is None and not notify.apprise:
        advice = "Write `notify` into the configuration."
        return Examined("alarms", False, "nobody is told when backups fail.", advice)
    references = [*notify.apprise]
    if notify.mail is not None and notify.mail.password is not None:
        references.append(notify.mail.password)
    for reference in references:
        reference.resolve()
    ways = [*(["e-mail"] if notify.mail else []), *(["apprise"] if notify.apprise else [])]
    return Examined("alarms", True, f"told by {' and '.join(ways)}; `watch --try` sends one.")


def _prefect(port: int) -> Examined:
    side = PrefectSide(port)
    if side.answers():
        return Examined("Prefect", True, f"answers at {side.address}.")
    return Examined(
        "Prefect",
        False,
        f"does not answer at {side.address}; nothing runs by itself.",
        "Start it with `mailrewind up`.",
    )


def _space(name: str, path: Path, text: str = "") -> Examined:
    free = shutil.disk_usage(path).free
    found = f"{text or f'{path} is ours.'} {show.size(free)} free."
    if free < _LITTLE_SPACE:
        return Examined(name, False, found, "Free some space before it is full.")
    return Examined(name, True, found)
