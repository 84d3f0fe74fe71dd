"""Run Prefect's server in this one process, with what its own command leaves out.

Version 2 of the pages asks an analytics service outside for its settings whenever a page is opened,
even with analytics switched off; a content security policy keeps the browser at home.
"""

import os
from typing import TYPE_CHECKING

import uvicorn
from prefect.server.api.server import create_app

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = (
    (b"content-security-policy", b"connect-src 'self' ws: wss:; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


class AtHome:
    """Adds headers that keep the pages from talking to anybody but us."""

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on, and its answer with the headers."""

        async def send_with_headers(message: "Message") -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def main() -> None:
    """Serve until told to stop."""
    uvicorn.run(
        AtHome(create_app(final=True)),
        host=os.environ["PREFECT_SERVER_API_HOST"],
        port=int(os.environ["PREFECT_SERVER_API_PORT"]),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,  # pages hold their connections open for ever
    )


if __name__ == "__main__":
    main()
