"""The services of a compose project, asked and told through the Docker engine's API.

A command is a list of words and meets no shell. Its two output streams stay apart and its exit
code is kept; the code alone proves nothing, so callers look at what was meant to change.

Containers are found by their compose labels whenever they are needed: their names follow no rule,
and `docker compose up` gives them new ids at any time.
"""

import io
import logging
import os
import selectors
import shlex
import signal
import socket
import tarfile
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

import docker
import requests
from docker.errors import APIError, DockerException, NotFound
from docker.utils import kwargs_from_env

from mailrewind.errors import (
    ConfigurationInvalid,
    ContainerMissing,
    MailServerFailed,
    MailServerUnreachable,
)
from mailrewind.transports.attached import Attached
from mailrewind.transports.processes import Completed

logger = logging.getLogger(__name__)

_PROJECT = "com.docker.compose.project"
_DIRECTORY = "com.docker.compose.project.working_dir"
_SERVICE = "com.docker.compose.service"
_VOLUME = "com.docker.compose.volume"
_ONE_OFF = "com.docker.compose.oneoff"
_NEVER = "0001-"
_LOCAL_SOCKET = "unix:///var/run/docker.sock"
_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
_CONFLICT = 409
_NOT_RUN = 126
_NO_PROGRAM = 127
_KILLED = 137
_POLL_SECONDS = 0.2
_SETTLING_SECONDS = 5.0
_GRACE_SECONDS = 5.0


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

    def __init__(self, running: "_Running") -> None:
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
        with _translated(f"listing the services of {self.name}"):
            ids = {service: self._newest(service) for service in self._service_names()}
            states = [self._state(service, found) for service, found in ids.items() if found]
        return {state.service: state for state in states}

    def service(self, name: str) -> ServiceState:
        """Return the state of one service, "missing" when it has no container."""
        with _translated(f"looking at {name}"):
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
        running = _Running(
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
        with _Running(
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
        with _translated(f"writing {path} into {service}"):
            self._api.put_archive(self._id(service), str(place.parent), packed.getvalue())

    def read_file(self, service: str, path: str) -> bytes:
        """Return a regular file's content.

        Raises:
            MailServerFailed: There is no such file.
        """
        container = self._id(service)
        try:
            with _translated(f"reading {path} from {service}"):
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
        with _translated(f"looking for the volume {name}"):
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
        with _translated(f"looking at the mounts of {service}"):
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
        with _translated(f"looking for the address of {service}"):
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
        with _translated(f"starting {service}"):
            self._api.start(self._id(service))
        self._await_ready(service, wait_seconds)

    def stop(self, service: str, *, grace_seconds: float = 30) -> None:
        """Stop a service: it is asked to, and killed when its time is over."""
        with _translated(f"stopping {service}"):
            self._api.stop(self._id(service), timeout=int(grace_seconds))

    def restart(self, service: str, *, grace_seconds: float = 30, wait_seconds: float = 90) -> None:
        """Stop a service, start it and wait until it is ready.

        Raises:
            MailServerUnreachable: It was not ready in time.
        """
        with _translated(f"restarting {service}"):
            self._api.restart(self._id(service), timeout=int(grace_seconds))
        self._await_ready(service, wait_seconds)

    @cached_property
    def _api(self) -> docker.APIClient:
        api = _connected(self._base_url)
        self._closing = weakref.finalize(self, api.close)  # whoever forgets to close it
        return api

    def _api_for(self, service: str) -> docker.APIClient:
        with _translated(f"asking the Docker engine for {service}"):
            return self._api

    def _id(self, service: str) -> str:
        with _translated(f"looking for {service}"):
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
    with _translated("looking for compose projects"), closing(_connected(base_url)) as api:
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
    with _translated("looking for compose projects"), closing(_connected(base_url)) as api:
        found = api.containers(all=True, filters={"label": [_DIRECTORY]})
    places: dict[str, set[Path]] = {}
    for item in found:
        labels = item["Labels"]
        places.setdefault(labels[_PROJECT], set()).add(Path(labels[_DIRECTORY]))
    return {name: frozenset(found) for name, found in sorted(places.items())}


class _Running:
    """A command in a container, from its start to its end."""

    def __init__(
        self,
        api: docker.APIClient,
        container: str,
        service: str,
        argv: Sequence[str],
        *,
        user: str,
        environment: Mapping[str, str] | None,
        stdin: Iterable[bytes] | None,
        timeout_seconds: float | None,
    ) -> None:
        logger.debug("running in %s: %s", service, shlex.join(argv))
        self._api = api
        self._container = container
        self._what = f"the command {argv[0]} in {service}"
        self._service = service
        self._timeout_seconds = timeout_seconds
        with _translated(f"running {self._what}"):
            self._exec = api.exec_create(
                container,
                list(argv),
                stdin=stdin is not None,
                environment=dict(environment or {}),
                user=user,
            )["Id"]
            self._resources = ExitStack()
            raw: Any = api.exec_start(
                self._exec, detach=False, tty=False, stream=False, socket=True
            )
        response, connection = raw._response, raw._sock
        for resource in (connection, raw, response):  # closed from the last to the first
            self._resources.callback(resource.close)
        connection.setblocking(False)
        # What followed the answer's head at once has been read with it, into a buffer that the
        # SDK passes over.
        buffered = response.raw._fp.fp
        early = buffered.read1(len(buffered.peek()))
        self._attached = Attached(connection, early, stdin=stdin, timeout_seconds=timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with suppress(MailServerUnreachable, MailServerFailed, ContainerMissing):
                self._end()
        finally:
            self._resources.close()

    def chunks(self) -> Iterator[bytes]:
        """Yield what comes on the standard output.

        Raises:
            MailServerUnreachable: The time is over, or the engine is gone.
        """
        pieces = self._attached.chunks()
        while True:
            try:
                piece = next(pieces, None)
            except TimeoutError as error:
                left = "" if self._end() else "; it may still run there"
                raise MailServerUnreachable(
                    f"{self._what} did not end within {self._timeout_seconds:g} s{left}"
                ) from error
            except ConnectionError as error:
                raise MailServerUnreachable(f"{self._what} was cut off: {error}") from error
            if piece is None:
                return
            yield piece

    def completed(self, output: bytes) -> Completed:
        """Return how it ended, once its outputs have."""
        about = self._ended()
        code = about["ExitCode"]
        said = output + self._attached.stderr.encode()
        if code == _NOT_RUN or (code == _NO_PROGRAM and b"OCI runtime" in said):
            text = said.decode(errors="replace").strip()[-300:]
            raise MailServerFailed(
                f"{self._what} cannot be run: {text}",
                advice="Check that the image of this service is mailcow's own.",
            )
        if code is None or (code == _KILLED and not self._is_up()):
            raise MailServerUnreachable(f"{self._service} stopped while {self._what} ran")
        return Completed(code, output, self._attached.stderr)

    def _started(self) -> dict[str, Any]:
        """Return what the engine knows, once it knows the process's number."""
        deadline = time.monotonic() + _SETTLING_SECONDS
        while (about := self._inspect())["Running"] and not about["Pid"]:
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        return about

    def _ended(self) -> dict[str, Any]:
        """Return what the engine knows, once it has taken note of the end."""
        deadline = time.monotonic() + _SETTLING_SECONDS
        while (about := self._inspect())["Running"] and time.monotonic() < deadline:
            time.sleep(0.01)
        return about

    def _inspect(self) -> dict[str, Any]:
        with _translated(f"asking how {self._what} ended"):
            about: dict[str, Any] = self._api.exec_inspect(self._exec)
            return about

    def _is_up(self) -> bool:
        with _translated(f"looking at {self._service}"):
            return bool(self._api.inspect_container(self._container)["State"]["Running"])

    def _end(self) -> bool:
        """End the command if it still runs; say whether it has ended.

        The engine cannot end an exec. Where it runs on this host its process can be met here.
        """
        about = self._started()
        if not about["Running"]:
            return True
        with _translated(f"looking at {self._service}"):
            first = self._api.inspect_container(self._container)["State"]["Pid"]
        has_ended = _end_process(about["Pid"], beside=first)
        if not has_ended:
            logger.warning("%s could not be ended and may still run", self._what)
        return has_ended


def _end_process(pid: int, *, beside: int) -> bool:
    """End a process of this host and its group; False if it is not ours to end.

    Args:
        pid: As the engine gave it; with an engine elsewhere it means somebody else here.
        beside: First process of the same container: both see the same processes.
    """
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    try:
        ours = Path(f"/proc/{pid}/ns/pid").readlink() == Path(f"/proc/{beside}/ns/pid").readlink()
        if not ours or pid == beside:
            return False
        for number, patience in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, 1.0)):
            if os.getpgid(pid) == pid:
                os.killpg(pid, number)
            else:
                signal.pidfd_send_signal(handle, number)
            if _has_exited(handle, patience):
                return True
    except ProcessLookupError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


def _has_exited(handle: int, patience_seconds: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        return bool(selector.select(patience_seconds))


def _connected(base_url: str | None) -> docker.APIClient:
    settings = {"base_url": base_url} if base_url else kwargs_from_env()
    place = settings.get("base_url", _LOCAL_SOCKET)
    if place.startswith("unix://"):
        # The SDK forgets to close the socket with which it could not connect.
        with socket.socket(socket.AF_UNIX) as trial:
            trial.connect(place.removeprefix("unix://"))
    return docker.APIClient(version="auto", **settings)


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


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """Turn what the SDK and the library below it raise into errors of ours."""
    try:
        yield
    except NotFound as error:
        raise ContainerMissing(f"{doing}: {error.explanation}") from error
    except APIError as error:
        text = f"{doing}: {error.explanation or error}"
        if error.status_code == _CONFLICT:
            raise MailServerUnreachable(text) from error
        raise MailServerFailed(text) from error
    except (DockerException, requests.RequestException, OSError) as error:
        raise MailServerUnreachable(
            f"{doing}: the Docker engine does not answer: {error}",
            advice="Check that Docker runs, and that this user may use its socket.",
        ) from error
