"""Look at mailboxes as they were."""

from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo

from mailrewind.errors import MessageDamaged, MessageNotFound
from mailrewind.model.mail import Headers
from mailrewind.model.points import RestorePoint
from mailrewind.model.restores import Then
from mailrewind.ports import State
from mailrewind.services.connected import Connect
from mailrewind.services.contents import contents
from mailrewind.services.resolving import resolve

Row = tuple[Then, Headers, tuple[int, int]]


class Browse:
    """Answer what was where; every moment may be "latest", a restore point's name or a time."""

    def __init__(
        self, connect: Connect, state: State, *, zone: tzinfo, clock: Callable[[], datetime]
    ) -> None:
        self._connect = connect
        self._state = state
        self._zone = zone
        self._clock = clock

    def resolve(self, system: str, at: str = "latest") -> RestorePoint:
        """Find the restore point that a moment means.

        Raises:
            UnknownSystem: No such system is configured.
            MomentUnclear, MomentInFuture, MomentTooEarly: The moment cannot be used.
            RestorePointNotFound: There is none of this name or none at all, or the catalogue has
                not reached it yet.
        """
        connected = self._connect(system)
        return resolve(connected, self._state, at, now=self._clock(), zone=self._zone)

    def mailboxes(self, system: str, at: str = "latest") -> Sequence[tuple[str, int, int]]:
        """Return (address, messages, bytes) of every mailbox at a moment.

        Raises:
            UnknownSystem, MomentUnclear, MomentInFuture, MomentTooEarly, RestorePointNotFound
        """
        point = self.resolve(system, at)
        return self._connect(system).catalog.mailboxes(point.taken_at)

    def folders(
        self, system: str, mailbox: str, at: str = "latest"
    ) -> Sequence[tuple[str, int, int, int]]:
        """Return (path, messages, unseen, bytes) of every folder at a moment.

        Raises:
            MailboxNotFound: The mailbox did not exist then.
            UnknownSystem, MomentUnclear, MomentInFuture, MomentTooEarly, RestorePointNotFound
        """
        point = self.resolve(system, at)
        return self._connect(system).catalog.folders(mailbox, point.taken_at)

    def messages(
        self,
        system: str,
        mailbox: str,
        folder: str,
        at: str = "latest",
        *,
        after: tuple[int, int] | None = None,
        limit: int = 50,
    ) -> Sequence[Row]:
        """Return one page of a folder at a moment, newest first, each with its cursor.

        Raises:
            MailboxNotFound, FolderNotFound: They did not exist then.
            UnknownSystem, MomentUnclear, MomentInFuture, MomentTooEarly, RestorePointNotFound
        """
        point = self.resolve(system, at)
        return self._connect(system).catalog.page(
            mailbox, folder, point.taken_at, after=after, limit=limit
        )

    def message(self, system: str, mailbox: str, number: int, at: str = "latest") -> bytes:
        """Return a message as it was delivered: decrypted, decompressed, with its line ends.

        Args:
            system: Name of the system.
            mailbox: Address.
            number: As ``messages`` gives it.
            at: A moment when the message was there.

        Raises:
            MailboxNotFound, MessageNotFound: They did not exist then.
            MessageDamaged: The archive does not give it, or not as it was.
            KeyDoesNotFit: It is encrypted for a key that the system does not have.
            UnknownSystem, MomentUnclear, MomentInFuture, MomentTooEarly, RestorePointNotFound
        """
        point = self.resolve(system, at)
        connected = self._connect(system)
        then = connected.catalog.messages(mailbox, point.taken_at)
        path = next((entry.message.path for entry in then if entry.number == number), None)
        if path is None:
            raise MessageNotFound(f"The mailbox {mailbox} had no message {number} at {point.name}.")
        for _, content in contents(connected.archives_of(point), point, [path]):
            return connected.mail.plain(content)
        raise MessageDamaged(f"the archives of {point.name} do not give {path}")
