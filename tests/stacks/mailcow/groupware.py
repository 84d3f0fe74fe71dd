"""SOGo through CalDAV and CardDAV: events, contacts, folders and shares of any user.

mailcow's SOGo trusts whoever reaches its port to name the user, so no password is needed here.
"""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote, unquote
from xml.etree import ElementTree

_PORT = 20000
_DAV = "{DAV:}"


@dataclass(frozen=True, slots=True)
class Groupware:
    """SOGo at an address."""

    address: str

    def put(self, user: str, folder: str, name: str, content: str) -> None:
        """Write an event or a contact; the folder is like "Calendar/personal"."""
        kind = "text/calendar" if folder.startswith("Calendar/") else "text/vcard"
        headers = {"Content-Type": f"{kind}; charset=utf-8"}
        self._ask("PUT", user, f"{folder}/{name}", content, headers, expected=(201, 204))

    def items(self, user: str, folder: str) -> dict[str, str]:
        """Return the events or contacts of a folder by name."""
        return {
            # SOGo ends a connection whenever it likes: each question gets its own.
            name: self._ask("GET", user, f"{folder}/{name}", expected=(200,)).decode()
            for name in self._names(user, folder)
        }

    def delete(self, user: str, folder: str, name: str) -> None:
        self._ask("DELETE", user, f"{folder}/{name}", expected=(200, 204))

    def make_calendar(self, user: str, name: str) -> None:
        self._ask("MKCALENDAR", user, f"Calendar/{name}/", expected=(201,))

    def rename(self, user: str, folder: str, title: str) -> None:
        """Give a folder the name that its owner sees."""
        body = (
            '<?xml version="1.0" encoding="utf-8"?><propertyupdate xmlns="DAV:"><set><prop>'
            f"<displayname>{title}</displayname></prop></set></propertyupdate>"
        )
        headers = {"Content-Type": "application/xml"}
        self._ask("PROPPATCH", user, f"{folder}/", body, headers, expected=(207,))

    def title(self, user: str, folder: str) -> str:
        """Return the name of a folder that its owner sees."""
        answer = self._properties(user, folder, "displayname", depth=0)
        return next(iter(answer.values()))

    def folders(self, user: str, kind: str = "Calendar") -> set[str]:
        """Return a user's calendars, or address books with kind "Contacts"."""
        hrefs = self._properties(user, kind, "displayname", depth=1)
        own = (_parts(href) for href in hrefs)
        return {f"{kind}/{parts[4]}" for parts in own if len(parts) == 5 and parts[3] == kind}

    def share(self, owner: str, folder: str, user: str, role: str) -> None:
        """Give another user a role, like "ObjectViewer" or "PublicViewer", on a folder."""
        for action in (
            f'<add-user user="{user}"/>',
            f'<set-roles user="{user}"><{role}/></set-roles>',
        ):
            body = (
                '<?xml version="1.0" encoding="utf-8"?>'
                '<acl-query xmlns="urn:inverse:params:xml:ns:inverse-dav">'
                f"{action}</acl-query>"
            )
            headers = {"Content-Type": "application/xml"}
            self._ask("POST", owner, f"{folder}/", body, headers, expected=(200, 201, 204))

    def _names(self, user: str, folder: str) -> list[str]:
        hrefs = self._properties(user, folder, "getetag", depth=1)
        parts = (_parts(href) for href in hrefs)
        return sorted(names[5] for names in parts if len(names) == 6)

    def _properties(self, user: str, folder: str, name: str, *, depth: int) -> dict[str, str]:
        body = f'<propfind xmlns="DAV:"><prop><{name}/></prop></propfind>'
        headers = {"Content-Type": "application/xml", "Depth": str(depth)}
        answer = self._ask("PROPFIND", user, f"{folder}/", body, headers, expected=(207,))
        responses = ElementTree.fromstring(answer).iter(f"{_DAV}response")
        return {
            str(one.findtext(f"{_DAV}href")): one.findtext(f".//{_DAV}{name}") or ""
            for one in responses
        }

    def _ask(
        self,
        method: str,
        user: str,
        path: str,
        body: str = "",
        headers: dict[str, str] | None = None,
        *,
        expected: tuple[int, ...],
    ) -> bytes:
        with self._connection() as connection:
            return _answer(
                connection,
                method,
                _path(user, path),
                user,
                body=body,
                headers=headers or {},
                expected=expected,
            )

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection(self.address, _PORT, timeout=30)
        try:
            yield connection
        finally:
            connection.close()


def _answer(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    user: str,
    *,
    body: str = "",
    headers: dict[str, str] | None = None,
    expected: tuple[int, ...] = (200,),
) -> bytes:
    trusted = {"x-webobjects-remote-user": user} | (headers or {})
    connection.request(method, path, body=body.encode() or None, headers=trusted)
    response = connection.getresponse()
    content = response.read()
    assert response.status in expected, f"{method} {path}: {response.status} {content[:500]!r}"
    return content


def _path(user: str, path: str) -> str:
    return quote(f"/SOGo/dav/{user}/{path}", safe="/@")


def _parts(href: str) -> list[str]:
    """Return ["SOGo", "dav", user, "Calendar", folder, item] or what there is of it."""
    path = "/" + href.partition("://")[2].partition("/")[2] if "://" in href else href
    return [unquote(part) for part in path.strip("/").split("/")]
