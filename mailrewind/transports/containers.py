"""The services of a compose project, asked and told through the Docker engine's API.

A command is a list of words and meets no shell. Its two output streams stay apart and its exit
code is kept; the code alone proves nothing, so callers look at what was meant to change.

Containers are found by their compose labels whenever they are needed: their names follow no rule,
and `docker compose up` gives them new ids at any time.
"""

import io
import logging
import tarfile
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from mailrewind.errors import (
    ConfigurationInvalid,
    ContainerMissing,
    MailServerFailed,
    MailServerUnreachable,
)
from mailrewind.transports.engine import Engine, connected, translated
from mailrewind.transports.processes import Completed
from mailrewind.transports.running import Running

logger = logging.getLogger(__name__)

_PROJECT = "com.docker.compose.project"
_DIRECTORY = "com.docker.compose.project.working_dir"
_SERVICE = "com.docker.compose.service"
_VOLUME = "com.docker.compose.volume"
_ONE_OFF = "com.docker.compose.oneoff"
_NEVER = "0001-"
_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class ServiceState:
    """How a service of a project is.

    Attributes:
        service: Its name in the compose file.
        container_id: "" when it has no container.
        state: "running", "exited", "paused", "restarting", … as the engine says; "missing".
        health: "healthy", "starting", "unhealthy"; "none" without a health check.
        started_at: When its container was last started, UTC; None for never.
    """

    service: str
    container_id: str
    state: str
    health: str
    started_at: datetime | None

    @property
    def is_ready(self) -> bool:
        """Whether it runs and, where its health is checked, is healthy."""
        return self.state == "running" and self.health in {"healthy", "none"}


class Stream:
    """The standard output of a running command, in pieces as they come."""

    def __init__(self, running: "Running") -> None:
        self._running = running
        self._chunks = running.chunks()

    def __iter__(self) -> Iterator[bytes]:
        """Yield pieces of any size; meanwhile the command gets its input."""
        return self._chunks

    def finish(self) -> Completed:
        """Read on to the end without keeping anything, and return how the command ended.

        Raises:
            MailServerUnreachable: Its container, or the engine, stopped meanwhile.
            MailServerFailed: There is no such program or user in the container.
        """
        for _ in self._chunks:
            pass
        return self._running.completed(b"")


class Project:
    """A compose project of the Docker engine on this host; one client, closed by ``close``.

    Every method raises MailServerUnreachable when the engine does not answer or the service's
    container does not run, and ContainerMissing when there is none.

    Args:
        name: The project's name, as in its labels.
        base_url: Of the engine; None for what DOCKER_HOST says, else the local socket.
    """

    def __init__(self, name: str, *, base_url: str | None = None) -> None:
        self.name = name
        self._base_url = base_url
        self._closing: weakref.finalize[[], Project] | None = None

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """Close the connection to the engine."""
        if self._closing is not None:
            self._closing()
            self._closing = None
            del self.__dict__["_api"]

    def services(self) -> Mapping[str, ServiceState]:
        """Return the state of every service that has a container, sorted by name."""
        with translated(f"listing the services of {self.name}"):
            ids = {service: self._newest(service) for service in self._service_names()}
            states = [self._state(service, found) for service, found in ids.items() if found]
        return {state.service: state for state in states}

    def service(self, name: str) -> ServiceState:
        """Return the state of one service, "missing" when it has no container."""
        with translated(f"looking at {name}"):
            return self._state(name, self._newest(name))

    def execute(
        self,
        service: str,
        argv: Sequence[str],
        *,
        user: str = "root",
        environment: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        timeout_seconds: float | None = None,
    ) -> Completed:
        """Run a command in a service's container to its end; judging its code is the caller's.

        Args:
            service: Such as "dovecot-mailcow".
            argv: The program and its arguments; no shell reads them.
            user: Who runs it, a name or "uid:gid".
            environment: Besides what the container has; the place for a secret.
            stdin: What it may read.
            timeout_seconds: After which it is ended.

        Raises:
            MailServerFailed: There is no such program or user in the container.
            MailServerUnreachable: Not running, paused, or not done in time.
        """
        running = Running(
            self._api_for(service),
            self._id(service),
            service,
            argv,
            user=user,
            environment=environment,
            stdin=None if stdin is None else [stdin],
            timeout_seconds=timeout_seconds,
        )
        with running:
            output = b"".join(running.chunks())
            return running.completed(output)

    @contextmanager
    def stream(
        self,
        service: str,
        argv: Sequence[str],
        *,
        user: str = "root",
        environment: Mapping[str, str] | None = None,
        stdin: Iterable[bytes] | bytes | None = None,
    ) -> Iterator[Stream]:
        """Run a command that says or reads much, holding little of it in memory.

        Leaving the block ends the command, so call ``finish`` to learn its exit code. The
        arguments and what is raised are those of ``execute``.

        Args:
            service: As there.
            argv: As there.
            user: As there.
            environment: As there.
            stdin: What it may read, in pieces; an error that comes out of it ends the command.
        """
        pieces = [stdin] if isinstance(stdin, bytes) else stdin
        with Running(
            self._api_for(service),
            self._id(service),
            service,
            argv,
            user=user,
            environment=environment,
            stdin=pieces,
            timeout_seconds=None,
        ) as running:
            yield Stream(running)

    def write_file(
        self, service: str, path: str, content: bytes, *, uid: int, gid: int, mode: int
    ) -> None:
        """Put a file into a container, in place of one that is there.

        Its directory must exist and be on the container's disk or on a volume, not on a tmpfs.
        """
        place = PurePosixPath(path)
        about = tarfile.TarInfo(place.name)
        about.size, about.uid, about.gid, about.mode = len(content), uid, gid, mode
        about.mtime = int(time.time())
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.addfile(about, io.BytesIO(content))
        with translated(f"writing {path} into {service}"):
            self._api.put_archive(self._id(service), str(place.parent), packed.getvalue())

    def read_file(self, service: str, path: str) -> bytes:
        """Return a regular file's content.

        Raises:
            MailServerFailed: There is no such file.
        """
        container = self._id(service)
        try:
            with translated(f"reading {path} from {service}"):
                pieces, _ = self._api.get_archive(container, path)
                with closing(pieces):
                    packed = io.BytesIO(b"".join(pieces))
        except ContainerMissing as error:
            raise MailServerFailed(f"{service} holds no file {path}") from error
        with tarfile.open(fileobj=packed) as tar:
            file = tar.extractfile(tar.getmembers()[0])
            if file is None:
                raise MailServerFailed(f"{path} in {service} is no regular file")
            return file.read()

    def remove_file(self, service: str, path: str) -> None:
        """Remove a file; one that is gone already is no error.

        Raises:
            MailServerFailed: It is still there.
        """
        done = self.execute(service, ["rm", "-f", "--", path])
        if done.returncode:
            raise MailServerFailed(f"{path} cannot be removed from {service}: {done.stderr}")

    def volume(self, name: str) -> Path:
        """Return where a volume of the project lies on this host.

        Args:
            name: As in the compose file, such as "vmail-vol-1".

        Raises:
            ContainerMissing: The project has no such volume.
        """
        with translated(f"looking for the volume {name}"):
            labels = [f"{_PROJECT}={self.name}", f"{_VOLUME}={name}"]
            found = self._api.volumes(filters={"label": labels})["Volumes"] or []
        if not found:
            raise ContainerMissing(
                f"the project {self.name} has no volume {name}",
                advice="Check the project's name, and that the stack was started once.",
            )
        return _place_of(found[0])

    def mount_of(self, service: str, destination: str) -> Path | None:
        """Return what is mounted at a path in a container, as a path of this host, or None."""
        with translated(f"looking at the mounts of {service}"):
            mounts = self._api.inspect_container(self._id(service))["Mounts"]
        wanted = PurePosixPath(destination)
        sources = [m["Source"] for m in mounts if PurePosixPath(m["Destination"]) == wanted]
        return Path(sources[0]) if sources else None

    def address_of(self, service: str, port: int) -> tuple[str, int]:
        """Return host and port under which a port of a container is reached from this host.

        Published ports come first; otherwise the container's own address in its network.

        Args:
            service: Such as "mysql-mailcow".
            port: Of TCP, within the container.

        Raises:
            MailServerUnreachable: It does not run, so it has no address.
        """
        with translated(f"looking for the address of {service}"):
            about = self._api.inspect_container(self._id(service))["NetworkSettings"]
        for binding in (about["Ports"] or {}).get(f"{port}/tcp") or []:
            host = _LOOPBACK.get(binding["HostIp"], binding["HostIp"])
            return host, int(binding["HostPort"])
        for network in about["Networks"].values():
            if network["IPAddress"]:
                return network["IPAddress"], port
        raise MailServerUnreachable(f"{service} does not run, so it has no address")

    def start(self, service: str, *, wait_seconds: float = 90) -> None:
        """Start a service and wait until it is ready; one that runs is only waited for.

        Raises:
            MailServerUnreachable: It was not ready in time.
        """
        with translated(f"starting {service}"):
            self._api.start(self._id(service))
        self._await_ready(service, wait_seconds)

    def stop(self, service: str, *, grace_seconds: float = 30) -> None:
        """Stop a service: it is asked to, and killed when its time is over."""
        with translated(f"stopping {service}"):
            self._api.stop(self._id(service), timeout=int(grace_seconds))

    def restart(self, service: str, *, grace_seconds: float = 30, wait_seconds: float = 90) -> None:
        """Stop a service, start it and wait until it is ready.

        Raises:
            MailServerUnreachable: It was not ready in time.
        """
        with translated(f"restarting {service}"):
            self._api.restart(self._id(service), timeout=int(grace_seconds))
        self._await_ready(service, wait_seconds)

    @cached_property
    def _api(self) -> Engine:
        api = connected(self._base_url)
        self._closing = weakref.finalize(self, api.close)  # whoever forgets to close it
        return api

    def _api_for(self, service: str) -> Engine:
        with translated(f"asking the Docker engine for {service}"):
            return self._api

    def _id(self, service: str) -> str:
        with translated(f"looking for {service}"):
            found = self._newest(service)
        if not found:
            raise ContainerMissing(f"the project {self.name} has no container of {service}")
        return found

    def _service_names(self) -> list[str]:
        return sorted({item["Labels"][_SERVICE] for item in self._containers()})

    def _newest(self, service: str) -> str:
        """Return the id of a service's container, a running one before others, or ""."""
        found = self._containers(f"{_SERVICE}={service}")
        found.sort(key=lambda item: (item["State"] == "running", item["Created"]))
        return str(found[-1]["Id"]) if found else ""

    def _containers(self, *labels: str) -> list[dict[str, Any]]:
        wanted = [f"{_PROJECT}={self.name}", _SERVICE, *labels]
        found: list[dict[str, Any]] = self._api.containers(all=True, filters={"label": wanted})
        return [item for item in found if item["Labels"].get(_ONE_OFF) != "True"]

    def _state(self, service: str, container: str) -> ServiceState:
        if not container:
            return ServiceState(service, "", "missing", "none", None)
        state = self._api.inspect_container(container)["State"]
        started = str(state["StartedAt"])
        return ServiceState(
            service=service,
            container_id=container,
            state=state["Status"],
            health=(state.get("Health") or {}).get("Status", "none"),
            started_at=None if started.startswith(_NEVER) else datetime.fromisoformat(started),
        )

    def _await_ready(self, service: str, wait_seconds: float) -> None:
        deadline = time.monotonic() + wait_seconds
        while not (state := self.service(service)).is_ready:
            if time.monotonic() > deadline:
                health = "" if state.health == "none" else f" and {state.health}"
                raise MailServerUnreachable(
                    f"{service} is {state.state}{health} after {wait_seconds:g} s",
                    advice=f"See `docker logs` of {service} for the reason.",
                )
            time.sleep(_POLL_SECONDS)


def find_project(directory: Path, *, name: str = "", base_url: str | None = None) -> Project:
    """Find the compose project that was started in a directory.

    Args:
        directory: Where its compose file lies.
        name: The project's name, where it is known: then only this one will do.
        base_url: Of the engine, as for ``Project``.

    Raises:
        ContainerMissing: There is none.
        ConfigurationInvalid: There are several.
        MailServerUnreachable: The engine does not answer.
    """
    with translated("looking for compose projects"), closing(connected(base_url)) as api:
        found = api.containers(all=True, filters={"label": [_PROJECT]})
        volumes = api.volumes(filters={"label": [_PROJECT]})["Volumes"] or []
    started_in = {(item["Labels"][_PROJECT], item["Labels"].get(_DIRECTORY, "")) for item in found}
    if name:
        known = {project for project, _ in started_in}
        if name in known | {volume["Labels"][_PROJECT] for volume in volumes}:
            return Project(name, base_url=base_url)
        raise ContainerMissing(f"the Docker engine knows no compose project {name}")
    names = sorted({project for project, place in started_in if _is_same(place, directory)})
    if not names:
        raise ContainerMissing(f"no compose project was started in {directory}")
    if len(names) > 1:
        raise ConfigurationInvalid(
            f"Several compose projects were started in {directory}: {', '.join(names)}.",
            advice="Name the right one with the key `project` of the system.",
        )
    return Project(names[0], base_url=base_url)


def project_directories(*, base_url: str | None = None) -> Mapping[str, frozenset[Path]]:
    """Return where every compose project of the engine was started, by the project's name.

    Raises:
        MailServerUnreachable: The engine does not answer.
    """
    with translated("looking for compose projects"), closing(connected(base_url)) as api:
        found = api.containers(all=True, filters={"label": [_DIRECTORY]})
    places: dict[str, set[Path]] = {}
    for item in found:
        labels = item["Labels"]
        places.setdefault(labels[_PROJECT], set()).add(Path(labels[_DIRECTORY]))
    return {name: frozenset(found) for name, found in sorted(places.items())}


def _place_of(volume: Mapping[str, Any]) -> Path:
    """Return where a volume lies; one that is bound from elsewhere is mounted only while used."""
    options = volume.get("Options") or {}
    is_bound = "bind" in options.get("o", "").split(",")
    return Path(options["device"] if is_bound and "device" in options else volume["Mountpoint"])


def _is_same(one: str, other: Path) -> bool:
    """Whether a label means this directory, by its name or through links."""
    if not one:
        return False
    with suppress(OSError):
        return Path(one).samefile(other)
    return Path(one) == other
