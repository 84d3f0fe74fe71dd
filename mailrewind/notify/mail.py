"""Tell the operators by e-mail."""

import logging
import re
import smtplib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid

from mailrewind.errors import NotificationFailed

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 30

# Nothing that would be several addresses, or another header, where one is written.
_ADDRESS = re.compile(r"[^\s@,;:<>\"()\[\]\\]+@[^\s@,;:<>\"()\[\]\\]+")


@dataclass(frozen=True, slots=True)
class MailServer:
    """The SMTP server that takes our messages.

    Attributes:
        host: Name or address.
        port: TCP port.
        starttls: Whether to encrypt; the certificate is checked then.
        user: Who signs in, None for nobody.
        password: Fetches the user's password; called once per message.
    """

    host: str
    port: int
    starttls: bool = False
    user: str | None = None
    password: Callable[[], str] | None = None

    def __str__(self) -> str:
        """Name it for the operator."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Mail:
    """Sends each alarm as one message to all recipients.

    Attributes:
        to: Addresses of who is told.
        sender: The From address.
        server: Who takes the message.
    """

    to: tuple[str, ...]
    sender: str
    server: MailServer

    def tell(self, subject: str, text: str, *, also: Sequence[str] = ()) -> Sequence[str]:
        """Send one message; a recipient whom the server refuses is logged if another was told.

        Returns:
            Those of ``also`` that are no addresses, or that the server refuses.

        Raises:
            NotificationFailed: The server took the message for nobody.
            SecretUnavailable: The password cannot be fetched.
        """
        to = list(dict.fromkeys([*self.to, *filter(_ADDRESS.fullmatch, also)]))
        try:
            with smtplib.SMTP(self.server.host, self.server.port, timeout=TIMEOUT_SECONDS) as smtp:
                self._sign_in(smtp)
                refused = smtp.send_message(self._message(subject, text, to), to_addrs=to)
        except (smtplib.SMTPException, OSError) as error:
            raise NotificationFailed(
                f"The mail server {self.server} did not take the message: {_reason(error)}."
            ) from error
        for address, (code, _) in refused.items():
            logger.warning("mail server %s refused %s with code %d", self.server, address, code)
        return [address for address in also if address not in to or address in refused]

    def _sign_in(self, smtp: smtplib.SMTP) -> None:
        if self.server.starttls:
            smtp.starttls(context=ssl.create_default_context())
        if self.server.user is not None and self.server.password is not None:
            smtp.login(self.server.user, self.server.password())

    def _message(self, subject: str, text: str, to: Sequence[str]) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self.sender
        message["To"] = ", ".join(to)
        message["Subject"] = " ".join(subject.split())  # a line end would begin another header
        message["Date"] = format_datetime(localtime())
        message["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation notice answers
        message.set_content(text)
        return message


def _reason(error: smtplib.SMTPException | OSError) -> str:
    """Say why, without the server's own words: they may repeat what was sent."""
    match error:
        case smtplib.SMTPAuthenticationError():
            return f"it refused user and password (code {error.smtp_code})"
        case smtplib.SMTPRecipientsRefused():
            codes = sorted({code for code, _ in error.recipients.values()})
            return f"it refused every recipient (code {', '.join(map(str, codes))})"
        case smtplib.SMTPResponseException():
            return f"it answered with code {error.smtp_code}"
        case smtplib.SMTPNotSupportedError():
            return "it does not offer STARTTLS or signing in, which is configured"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
        return f"no answer within {TIMEOUT_SECONDS} s"
    if isinstance(error, smtplib.SMTPException):
        return "it broke the conversation off"
    return error.strerror or str(error)
