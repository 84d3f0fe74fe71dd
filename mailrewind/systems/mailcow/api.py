"""mailcow's API, as far as a restore needs it: make a mailbox anew.

It answers 200 whatever becomes of the wish; "type" and "msg" of the answer say what did.
"""

import http.client
import json
import secrets
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from mailrewind.errors import MailServerFailed, MailServerUnreachable
from mailrewind.systems.mailcow.installation import Installation

_SECONDS = 60.0
_LOOPBACK = "127.0.0.1"
_ANYWHERE = frozenset({"", "0.0.0.0", "::", "[::]"})
_MOVED = frozenset({301, 302, 307, 308})
_REFUSED = frozenset({401, 403})


class Api:
    """The API of one mailcow.

    Args:
        installation: Which one.
        key: Gives the key when it is needed; it may read and write.
    """

    def __init__(self, installation: Installation, key: Callable[[], str]) -> None:
        self._installation = installation
        self._key = key

    def add_mailbox(self, address: str, *, quota_mib: int) -> None:
        """Make a mailbox with a password that nobody knows, not even we afterwards.

        Raises:
            MailServerUnreachable: The API does not answer.
            MailServerFailed: It refused; says why.
        """
        local, _, domain = address.rpartition("@")
        # mailcow may ask for letters of each kind.
        password = f"{secrets.token_urlsafe(32)}aA1!"
        wanted = {
            "local_part": local,
            "domain": domain,
            "name": local,
            "authsource": "mailcow",
            "password": password,
            "password2": password,
            "quota": str(quota_mib),
            "active": "1",
            "force_pw_update": "1",
        }
        answer = self._post("add/mailbox", wanted)
        results = answer if isinstance(answer, list) else [answer]
        if not any(_is(result, "success") for result in results):
            said = "; ".join(_message(result) for result in results) or "nothing"
            raise MailServerFailed(
                f"mailcow did not create {address}, it said: {said}",
                advice="Create the mailbox in mailcow's own pages, and restore once more.",
            )

    def _post(self, path: str, body: Mapping[str, str]) -> Any:
        settings = self._installation.settings
        content = json.dumps(body).encode()
        try:
            status, text = _asked(_plain(settings), path, content, key=self._key())
            if status in _MOVED:
                status, text = _asked(_encrypted(settings), path, content, key=self._key())
        except (OSError, http.client.HTTPException) as error:
            raise MailServerUnreachable(f"mailcow's API does not answer: {error}") from error
        if status in _REFUSED:
            raise MailServerFailed(
                "mailcow's API refuses the key",
                advice="It must be a read-write key, with this host in API_ALLOW_FROM.",
            )
        try:
            return json.loads(text)
        except ValueError as error:
            raise MailServerFailed(f"mailcow's API answered {status} and no JSON") from error


def _asked(
    connection: http.client.HTTPConnection, path: str, content: bytes, *, key: str
) -> tuple[int, bytes]:
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    with closing(connection):
        connection.request("POST", f"/api/v1/{path}", body=content, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()


def _plain(settings: Mapping[str, str]) -> http.client.HTTPConnection:
    host = _reached(settings.get("HTTP_BIND", ""))
    return http.client.HTTPConnection(
        host, _port(settings.get("HTTP_PORT") or "80"), timeout=_SECONDS
    )


def _encrypted(settings: Mapping[str, str]) -> http.client.HTTPConnection:
    """Connect to where mailcow listens on this host, and check the certificate for its name."""
    host, name = _reached(settings.get("HTTPS_BIND", "")), settings.get("MAILCOW_HOSTNAME", "")
    port = _port(settings.get("HTTPS_PORT") or "443")
    raw = socket.create_connection((host, port), timeout=_SECONDS)
    connection = http.client.HTTPConnection(name, port, timeout=_SECONDS)
    connection.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=name)
    return connection


def _reached(bind: str) -> str:
    return _LOOPBACK if bind in _ANYWHERE else bind


def _port(text: str) -> int:
    """Read a port, which compose lets have an address before it."""
    return int(text.rpartition(":")[2])


def _is(result: Any, kind: str) -> bool:
    return isinstance(result, dict) and result.get("type") == kind


def _message(result: Any) -> str:
    said = result.get("msg", "") if isinstance(result, dict) else result
    return " ".join(map(str, said)) if isinstance(said, list) else str(said)
