"""A command in a container, from its start to its end."""

import logging
import os
import selectors
import shlex
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mailrewind.errors import ContainerMissing, MailServerFailed, MailServerUnreachable
from mailrewind.transports.attached import Attached
from mailrewind.transports.engine import Engine, translated
from mailrewind.transports.processes import Completed

logger = logging.getLogger(__name__)

_NOT_RUN = 126
_NO_PROGRAM = 127
_KILLED = 137
_SETTLING_SECONDS = 5.0
_GRACE_SECONDS = 5.0
_STOPPING_SECONDS = 1.0


class Running:
    """A running command; leaving its block ends it.

    Args:
        engine: Which runs it.
        container: Id.
        service: What errors call the container.
        argv: The program and its arguments.
        user: Who runs it.
        environment: Besides the container's.
        stdin: What it may read, in pieces; None for nothing.
        timeout_seconds: After which ``chunks`` raises.

    Raises:
        MailServerUnreachable: The container or the engine does not run.
    """

    def __init__(
        self,
        engine: Engine,
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
        self._engine = engine
        self._container = container
        self._what = f"the command {argv[0]} in {service}"
        self._service = service
        self._timeout_seconds = timeout_seconds
        self._began_at = datetime.now(UTC)
        with translated(f"running {self._what}"):
            self._exec = engine.exec_create(
                container,
                list(argv),
                stdin=stdin is not None,
                environment=dict(environment or {}),
                user=user,
            )["Id"]
            self._resources = ExitStack()
            raw: Any = engine.exec_start(
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
        """Give itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it if it still runs, and close the connection to it."""
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
        # The engine gives a reason for a program that cannot be run; a container that dies at this
        # moment has none.
        if code == _NOT_RUN and not said.strip():
            raise MailServerUnreachable(f"{self._service} stopped as {self._what} was to begin")
        if code == _NOT_RUN or (code == _NO_PROGRAM and b"OCI runtime" in said):
            text = said.decode(errors="replace").strip()[-300:]
            raise MailServerFailed(
                f"{self._what} cannot be run: {text}",
                advice="Check that the image of this service is mailcow's own.",
            )
        if code is None or (code == _KILLED and self._was_stopped()):
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
        try:
            with translated(f"asking how {self._what} ended"):
                about: dict[str, Any] = self._engine.exec_inspect(self._exec)
        except ContainerMissing as error:  # the engine forgets what ran in a container of before
            text = f"{self._service} stopped while {self._what} ran"
            raise MailServerUnreachable(text) from error
        return about

    def _was_stopped(self) -> bool:
        """Whether the container stopped under the command, even if it runs again by now.

        The engine takes note of that a moment after the command's end.
        """
        deadline = time.monotonic() + _STOPPING_SECONDS
        while True:
            try:
                with translated(f"looking at {self._service}"):
                    state = self._engine.inspect_container(self._container)["State"]
            except ContainerMissing:
                return True
            if not state["Running"] or datetime.fromisoformat(state["StartedAt"]) > self._began_at:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)

    def _end(self) -> bool:
        """End the command if it still runs; say whether it has ended.

        The engine cannot end an exec. Where it runs on this host its process can be met here.
        """
        about = self._started()
        if not about["Running"]:
            return True
        with translated(f"looking at {self._service}"):
            first = self._engine.inspect_container(self._container)["State"]["Pid"]
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
