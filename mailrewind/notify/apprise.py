"""Tell the operators through one of the services that apprise knows."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import apprise

from mailrewind.errors import NotificationFailed

# apprise logs a URL that it cannot use, with whatever token stands in it.
logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Apprise:
    """Sends each alarm to one apprise URL.

    Attributes:
        name: What the operator calls this entry; the URL is never shown, it holds a token.
        url: Fetches the URL; called once per message.
    """

    name: str
    url: Callable[[], str]

    def tell(self, subject: str, text: str, *, also: Sequence[str] = ()) -> Sequence[str]:
        """Send one message; none of the addresses is told, apprise's URLs are whole.

        Raises:
            NotificationFailed: The URL is none of apprise's, or its service did not take it.
            SecretUnavailable: The URL cannot be fetched.
        """
        service = apprise.Apprise()
        if not service.add(self.url()):
            raise NotificationFailed(f"{self.name} does not lead to a URL that apprise knows.")
        if not service.notify(body=text, title=subject, body_format=apprise.NotifyFormat.TEXT):
            raise NotificationFailed(f"The service behind {self.name} did not take the message.")
        return also
