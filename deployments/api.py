"""Speak to Prefect's API without importing Prefect, which costs two seconds and 90 MB."""

import base64
import http.client
import json
import os
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from typing import Any

from mailrewind.config import Config
from mailrewind.errors import StackError

from . import settings

# Longer than the minute that the server itself waits for SQLite's lock on a machine under load.
_TIMEOUT_SECONDS = 75.0
# SQLite's lock is held by another writer, as while the server starts or marks many runs late:
# nothing was written, and Prefect's own client waits too.
_BUSY = frozenset({429, 503})
_BUSY_DELAYS_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0)


class ApiUnreachable(StackError):
    """Prefect's server does not answer."""

    retryable = True
    default_advice = "See `mailrewind up`, and server.log below the data directory, in prefect/."


class ApiRefused(StackError):
    """Prefect's server answered with an error.

    Attributes:
        status: HTTP's status code.
    """

    def __init__(self, message: str, *, status: int = 0, advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.status = status


class Api:
    """One client of Prefect's REST API."""

    def __init__(self, url: str, auth: str, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._url = url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._headers = {"Content-Type": "application/json"}
        if auth:
            token = base64.b64encode(auth.encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"
        self._csrf: dict[str, str] | None = None
        # A proxy meant for the web must not see the API of this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @classmethod
    def of(cls, config: Config, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> "Api":
        """Return a client of the server that a configuration describes."""
        return cls(
            settings.api_url(config), settings.read_auth(config), timeout_seconds=timeout_seconds
        )

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> "Api":
        """Return a client of the server that Prefect's own variables name."""
        return cls(environment["PREFECT_API_URL"], environment.get("PREFECT_API_AUTH_STRING", ""))

    def get(self, path: str) -> Any:
        """Read.

        Raises:
            ApiUnreachable: Nobody answers.
            ApiRefused: The answer is an error.
        """
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Create, or query. Raises as `get` does."""
        return self._change("POST", path, body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change. Raises as `get` does."""
        return self._change("PATCH", path, body)

    def delete(self, path: str) -> None:
        """Remove. Raises as `get` does."""
        self._change("DELETE", path, None)

    def _change(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        if self._csrf is None:
            self._csrf = self._csrf_headers()
        try:
            return self._ask(method, path, body)
        except ApiRefused as error:
            if error.status != 403:
                raise
        self._csrf = self._csrf_headers()  # a token lives for an hour
        return self._ask(method, path, body)

    def _csrf_headers(self) -> dict[str, str]:
        client = str(uuid.uuid4())
        try:
            token = self._ask("GET", f"/csrf-token?client={client}", None)["token"]
        except ApiRefused as error:
            if error.status == 422:  # "CSRF protection is disabled."
                return {}
            raise
        return {"Prefect-Csrf-Token": str(token), "Prefect-Csrf-Client": client}

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        for delay_seconds in _BUSY_DELAYS_SECONDS:
            try:
                return self._ask_once(method, path, body)
            except ApiRefused as error:
                if error.status not in _BUSY:
                    raise
            time.sleep(delay_seconds)
        return self._ask_once(method, path, body)

    def _ask_once(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        request = urllib.request.Request(
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers=self._headers | (self._csrf or {}),
        )
        try:
            with self._opener.open(request, timeout=self._timeout_seconds) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                detail = error.read(2000).decode(errors="replace")
            raise ApiRefused(
                f"Prefect answered {error.code} to {method} {path}: {detail}", status=error.code
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise ApiUnreachable(f"Prefect's API at {self._url} does not answer.") from error
        return json.loads(content) if content else None
