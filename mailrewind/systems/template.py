"""Where the mailboxes lie: a path such as "/var/vmail/{domain}/{local}/Maildir", read both ways."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from mailrewind.errors import ConfigurationInvalid, MailboxNotFound
from mailrewind.systems.directories import open_below, subdirectories

_HOLDER = re.compile(r"\{(\w+)\}")
_WHOLE = ({"address"}, {"domain", "local"})


@dataclass(frozen=True, slots=True)
class Place:
    """What a path below a mailbox means.

    Attributes:
        mailbox: Address.
        maildir: Path of the Maildir, without a leading "/".
        directory: Name of the folder's directory within it; "" for the INBOX.
        rest: What follows in the path, such as "cur/1.a:2,S"; "" for the folder itself.
    """

    mailbox: str
    maildir: str
    directory: str
    rest: str

    @property
    def folder_path(self) -> str:
        """Path of the folder's directory, without a leading "/"."""
        return f"{self.maildir}/{self.directory}" if self.directory else self.maildir


class Template:
    """The path template of a system.

    Names of people become names of directories here, so a mailbox whose name is not one plain,
    printable path segment does not exist, and a symbolic link is no mailbox.

    Args:
        text: The template.
        former_roots: Regular expression of what may stand in archives in the place of the fixed
            directories, without a leading "/"; "" for nothing else.
        no_domains: Names of directories that are no domains, though they lie like some.

    Raises:
        ConfigurationInvalid: It does not lead from an address to a directory and back.
    """

    def __init__(
        self, text: str, *, former_roots: str = "", no_domains: Collection[str] = ()
    ) -> None:
        segments = text.strip("/").split("/")
        holders = _HOLDER.findall(text)
        fixed = next((n for n, name in enumerate(segments) if _HOLDER.search(name)), 0)
        if not text.startswith("/") or {"", ".", ".."} & set(segments):
            raise ConfigurationInvalid(f"The path template {text!r} is not a plain absolute path.")
        if set(holders) not in _WHOLE or len(holders) != len(set(holders)):
            raise ConfigurationInvalid(
                f"The path template {text!r} needs {{domain}} and {{local}}, or {{address}}, once."
            )
        if fixed == 0:
            raise ConfigurationInvalid(
                f"The path template {text!r} begins with no fixed directory."
            )
        self.root = Path("/", *segments[:fixed])
        self._text = text.strip("/")
        self._holders = frozenset(holders)
        self._no_domains = frozenset(no_domains)
        self._levels = tuple(re.compile(_expression(name), re.DOTALL) for name in segments[fixed:])
        root = re.escape("/".join(segments[:fixed]))
        known = f"(?:{root}|{former_roots})" if former_roots else root
        maildir = "/".join([known, *map(_expression, segments[fixed:])])
        self._path = re.compile(
            rf"(?P<maildir_>{maildir})(?:/(?P<directory_>\.[^/]+))?(?:/(?P<rest_>.*))?", re.DOTALL
        )

    def locate(self, path: str) -> Place | None:
        """Say what a path means, or None if it lies in no mailbox.

        Args:
            path: Without a leading "/".
        """
        match = self._path.fullmatch(path)
        mailbox = self._address(match) if match else None
        if match is None or mailbox is None:
            return None
        return Place(mailbox, match["maildir_"], match["directory_"] or "", match["rest_"] or "")

    def maildir(self, mailbox: str) -> str:
        """Return the path of a mailbox's Maildir, without a leading "/".

        Raises:
            MailboxNotFound: No directory can have this name.
        """
        local, _, domain = mailbox.rpartition("@")
        values = {"address": mailbox, "local": local, "domain": domain}
        path = _HOLDER.sub(lambda holder: values[holder[1]], self._text)
        place = self.locate(path)
        if place is None or place.mailbox != mailbox or place.rest or place.directory:
            raise MailboxNotFound(f"{mailbox!r} cannot be the address of a mailbox here")
        return path

    def names_below_root(self, path: str) -> tuple[str, ...]:
        """Split a path into the names below the fixed root directory."""
        return Path("/", path).relative_to(self.root).parts

    def walk(self) -> Iterator[tuple[str, str]]:
        """Yield (address, path of its Maildir) of all directories that fit, sorted by path.

        Raises:
            OSError: A directory on the way cannot be read.
        """
        yield from self._walk(str(self.root).strip("/"), self._levels)

    def pattern(self, rest: str) -> str:
        """Return a borg pattern for what lies below any Maildir.

        Args:
            rest: Regular expression of the path below a folder's directory.
        """
        segments = self._text.split("/")
        maildir = "/".join(_expression(name, named=False) for name in segments)
        return rf"re:^{maildir}(/\.[^/]+)?/{rest}"

    def _walk(self, path: str, levels: tuple[re.Pattern[str], ...]) -> Iterator[tuple[str, str]]:
        if not levels:
            place = self.locate(path)
            if place is not None:
                yield place.mailbox, path
            return
        names = self.names_below_root(path)
        try:
            with open_below(self.root, names) as directory:
                below = sorted(subdirectories(directory))
        except (FileNotFoundError, NotADirectoryError):
            if not names:
                raise
            return  # deleted since the directory above it was listed
        for name in below:
            if levels[0].fullmatch(name):
                yield from self._walk(f"{path}/{name}", levels[1:])

    def _address(self, match: re.Match[str]) -> str | None:
        if "address" in self._holders:
            return match["address"] if _is_plain(match["address"]) else None
        local, domain = match["local"], match["domain"]
        if (
            domain in self._no_domains
            or "@" in domain
            or not (_is_plain(local) and _is_plain(domain))
        ):
            return None
        return f"{local}@{domain}"


def _expression(segment: str, *, named: bool = True) -> str:
    """Return the regular expression of one segment of the template."""
    pieces = _HOLDER.split(segment)
    pieces[::2] = [re.escape(piece) for piece in pieces[::2]]
    pieces[1::2] = [f"(?P<{name}>[^/]+)" if named else "[^/]+" for name in pieces[1::2]]
    return "".join(pieces)


def _is_plain(name: str) -> bool:
    # A name with a leading dot is hidden, a folder or ours; the rest cannot be shown or typed.
    return not name.startswith(".") and name.isprintable() and name.strip() == name
