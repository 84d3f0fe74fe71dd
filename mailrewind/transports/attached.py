"""The socket of a command that runs in a container: both of its outputs, and its input.

The engine sends frames of eight bytes of head and a payload; the first byte says which of the two
outputs it is, the last four its length (Docker Engine API, "Attach to a container").
"""

import selectors
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress

_HEAD_BYTES = 8
_STDOUT = 1
_CHUNK_BYTES = 65536
_KEPT_LINES = 1000
_TICK_SECONDS = 0.5  # an exception sent to a thread is only seen between two system calls


class Attached:
    """Talks to one running command until it has closed its outputs.

    Args:
        connection: The socket; stays the caller's to close.
        early: What was read from it already.
        stdin: What the command may read, in pieces; None for nothing.
        timeout_seconds: After which listening raises TimeoutError; None for never.
    """

    def __init__(
        self,
        connection: socket.socket,
        early: bytes,
        *,
        stdin: Iterable[bytes] | None,
        timeout_seconds: float | None,
    ) -> None:
        self._connection = connection
        self._frames = _Frames()
        self._early = early
        self._pieces = iter(stdin) if stdin is not None else None
        self._unsent = memoryview(b"")
        self._deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds

    @property
    def stderr(self) -> str:
        """The last lines of the standard error."""
        return self._frames.stderr

    def chunks(self) -> Iterator[bytes]:
        """Yield what comes on the standard output until both outputs have ended.

        Raises:
            TimeoutError: The time is over.
            OSError: The engine broke the connection.
        """
        yield from self._frames.stdout_of(self._early)
        with selectors.DefaultSelector() as selector:
            interest = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._pieces else 0)
            selector.register(self._connection, interest)
            while True:
                ready = self._wait(selector)
                if ready & selectors.EVENT_WRITE and not self._feed():
                    selector.modify(self._connection, selectors.EVENT_READ)
                if not ready & selectors.EVENT_READ:
                    continue
                with suppress(BlockingIOError):
                    data = self._connection.recv(_CHUNK_BYTES)
                    if not data:
                        return
                    yield from self._frames.stdout_of(data)

    def _wait(self, selector: selectors.BaseSelector) -> int:
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TimeoutError
        return next((events for _, events in selector.select(_TICK_SECONDS)), 0)

    def _feed(self) -> bool:
        """Send on; say whether there is more to send."""
        if self._pieces is None:
            return False
        try:
            while not self._unsent:
                self._unsent = memoryview(next(self._pieces))
            self._unsent = self._unsent[self._connection.send(self._unsent[:_CHUNK_BYTES]) :]
        except StopIteration:
            self._pieces = None
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            self._pieces = None  # the command ended without reading everything
        return self._pieces is not None


class _Frames:
    """Takes the frames apart, whatever pieces they come in."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self._is_stdout = False
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._partial = b""

    @property
    def stderr(self) -> str:
        lines = [*self._lines]
        if self._partial:
            lines.append(self._partial.decode(errors="backslashreplace"))
        return "\n".join(lines)

    def stdout_of(self, data: bytes) -> Iterator[bytes]:
        while data:
            if not self._left:
                data = self._read_head(data)
                continue
            payload, data = data[: self._left], data[self._left :]
            self._left -= len(payload)
            if self._is_stdout:
                yield payload
            else:
                self._hear(payload)

    def _read_head(self, data: bytes) -> bytes:
        lacking = _HEAD_BYTES - len(self._head)
        self._head += data[:lacking]
        if len(self._head) == _HEAD_BYTES:
            self._is_stdout = self._head[0] == _STDOUT
            self._left = int.from_bytes(self._head[4:], "big")
            self._head = b""
        return data[lacking:]

    def _hear(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._lines.extend(line.decode(errors="backslashreplace") for line in lines)
