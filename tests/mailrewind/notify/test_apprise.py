"""Alarms through apprise, taken by a real web server."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from mailrewind import errors
from mailrewind.notify import Apprise

# apprise imports this module of the standard library where it is still to be had.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Inbox(ThreadingHTTPServer):
    """Keeps what is posted; refuses everything below /refused."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def url(self, path: str) -> str:
        return f"json://127.0.0.1:{self.server_port}/{path}"


class _Handler(BaseHTTPRequestHandler):
    server: Inbox

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/refused"):
            self.send_error(403)
            return
        self.server.posted.append(json.loads(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with Inbox() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_message_arrives_as_written(inbox: Inbox) -> None:
    Apprise("notify.apprise[0]", lambda: inbox.url("token")).tell("büro: zu alt", "Grüße *x*")
    (posted,) = inbox.posted
    assert (posted["title"], posted["message"]) == ("büro: zu alt", "Grüße *x*")


@pytest.mark.parametrize("url", ["hunter2", "hunter2://example.org", ""])
def test_text_that_is_no_url_is_refused_and_not_repeated(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(errors.NotificationFailed) as caught:
        Apprise("notify.apprise[0]", lambda: url).tell("subject", "text")
    assert str(caught.value) == "notify.apprise[0] does not lead to a URL that apprise knows."
    assert "hunter2" not in caplog.text


def test_refusing_service_is_named_without_its_token(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(errors.NotificationFailed) as caught:
        Apprise("notify.apprise[1]", lambda: inbox.url("refused/hunter2")).tell("subject", "text")
    assert str(caught.value) == "The service behind notify.apprise[1] did not take the message."
    assert "hunter2" not in caplog.text
