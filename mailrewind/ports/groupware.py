"""What is asked of calendars and contacts."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from mailrewind.model.reports import Finding


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of the wish for the export of one user.

    Attributes:
        user: Whose.
        content: The export, whole; empty where there is none.
        fingerprint: Of the data that it holds, as ``Calendars.users`` gives it.
        problem: Why there is none, in a sentence; "" where there is one.
    """

    user: str
    content: bytes
    fingerprint: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class HeldExports:
    """The newest export of each user, in files that stay as they are for a while.

    Attributes:
        paths: As ``Archives.create_from_paths`` takes them; shown as "sogo/<user>".
        users: Whose, sorted.
        renewed: Whose was made now.
        findings: Users without an export, or with an older one than their data.
    """

    paths: tuple[str, ...]
    users: tuple[str, ...]
    renewed: tuple[str, ...]
    findings: tuple[Finding, ...]


class Calendars(Protocol):
    """Calendars, address books and preferences of a mail system's users.

    A USER is named by an address. An EXPORT is what ``formats.sogo`` reads and writes: everything
    that one user has, with a hash of the user's password; it is shown to nobody, and every file
    that holds one is readable by its owner alone. Contract, checked on the real thing by
    ``tests/mailrewind/systems/mailcow/test_sogo.py``: an export holds what its user has, or there
    is none; what ``reset`` was given, an export has afterwards.
    """

    def users(self) -> Mapping[str, str]:
        """Map each user who has data to a fingerprint, which changes whenever those do.

        Raises:
            MailSystemError: It cannot be found out; retryable where waiting helps.
        """
        ...

    def export(self, users: Iterable[str]) -> Iterator[Exported]:
        """Export users as they are now, one answer for each, in any order.

        An export holds what there was when its fingerprint was: no less, and of no one else. A
        user without data has an empty one.

        Raises:
            ExportIncomplete: A user's data kept changing meanwhile.
            MailSystemError: None can be made; retryable where waiting helps.
        """
        ...

    def held(
        self, *, renew: Collection[str] = (), all_users: bool = False
    ) -> AbstractContextManager[HeldExports]:
        """Bring the kept exports up to date and keep them still for the time of the block.

        Exported again are users whose data have changed, those named, and once a night everybody.
        Where that fails for one, the older export stays, and a finding says so. The export of a
        user who has no data any more goes.

        Args:
            renew: Who is exported in any case.
            all_users: Whether everybody is.

        Raises:
            MailSystemError: As ``export``.
        """
        ...

    def merge(self, user: str, export: bytes) -> None:
        """Add the records whose names their folder lacks; folders that are gone come back.

        Shares and display names of the export's folders become those of the export. Nothing that
        the tool says proves anything: the caller exports again and compares.

        Raises:
            ExportDamaged: It is none, or not of this user: it would be written into another's.
            MailSystemError: It was refused; retryable where waiting helps.
        """
        ...

    def reset(self, user: str, export: bytes) -> None:
        """Make the export's folders what they are in it; other folders stay as they are.

        Raises:
            ExportDamaged, MailSystemError: As ``merge``.
        """
        ...

    def set_preferences(self, user: str, export: bytes) -> None:
        """Replace the user's preferences by those of the export.

        Raises:
            ExportDamaged, MailSystemError: As ``merge``.
        """
        ...
