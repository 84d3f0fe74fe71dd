"""Alarms by e-mail, taken by a real SMTP server."""

import email.policy
import logging
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from mailrewind import errors
from mailrewind.notify import Mail, MailServer
from mailrewind.notify import mail as mail_module

PASSWORD = "right horse"


class Postbox:
    """Keeps what arrives; knows one user, and no mailbox called nobody."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        if b"full disk" in (envelope.original_content or b""):
            return "452 no space"
        self.envelopes.append(envelope)
        return "250 OK"

    @property
    def messages(self) -> list[EmailMessage]:
        contents = [envelope.original_content or b"" for envelope in self.envelopes]
        return [message_from_bytes(content, policy=email.policy.default) for content in contents]


def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    known = LoginPassword(login=b"ops", password=PASSWORD.encode())
    return AuthResult(success=data == known, handled=False)


@pytest.fixture
def postbox() -> Postbox:
    return Postbox()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def server(postbox: Postbox) -> Iterator[MailServer]:
    controller = Controller(
        postbox,
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=authenticate,
        auth_require_tls=False,
    )
    controller.start()
    yield MailServer("127.0.0.1", controller.port)
    controller.stop()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """One that nobody else trusts, its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(signed.public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def encrypting_server(postbox: Postbox, certificate: Path) -> Iterator[MailServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    controller = Controller(
        postbox,
        hostname="localhost",
        port=free_port(),
        tls_context=context,
        require_starttls=True,
        authenticator=authenticate,
    )
    controller.start()
    yield MailServer(
        "localhost", controller.port, starttls=True, user="ops", password=lambda: PASSWORD
    )
    controller.stop()


def mail(server: MailServer, *to: str) -> Mail:
    return Mail(to or ("ops@example.org",), "mailrewind@example.org", server)


def test_who_else_is_told_gets_the_same_message_and_who_cannot_be_is_named(
    server: MailServer, postbox: Postbox
) -> None:
    also = ["ada@example.org", "nobody@example.org", "a@x\nBcc: b@x", "a@x, b@x", "ada", ""]
    assert mail(server).tell("restored", "2 messages", also=also) == also[1:]
    (envelope,), (message,) = postbox.envelopes, postbox.messages
    assert envelope.rcpt_tos == ["ops@example.org", "ada@example.org"]
    assert message["To"] == "ops@example.org, ada@example.org, nobody@example.org"


def test_message_arrives_as_written(server: MailServer, postbox: Postbox) -> None:
    mail(server, "ops@example.org", "chef@example.org").tell("büro: zu alt", "Grüße\n")
    (envelope,), (message,) = postbox.envelopes, postbox.messages
    assert envelope.mail_from == "mailrewind@example.org"
    assert envelope.rcpt_tos == ["ops@example.org", "chef@example.org"]
    assert message["From"] == "mailrewind@example.org"
    assert message["To"] == "ops@example.org, chef@example.org"
    assert message["Subject"] == "büro: zu alt"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@example.org>")
    assert message["Date"].datetime is not None
    assert message.get_content() == "Grüße\r\n"


def test_line_end_in_a_subject_begins_no_header(server: MailServer, postbox: Postbox) -> None:
    mail(server).tell("office\r\nBcc: eve@example.org", "text")
    (message,) = postbox.messages
    assert message["Subject"] == "office Bcc: eve@example.org"
    assert message["Bcc"] is None


def test_user_signs_in(server: MailServer, postbox: Postbox) -> None:
    signed_in = MailServer(server.host, server.port, user="ops", password=lambda: PASSWORD)
    mail(signed_in).tell("subject", "text")
    assert len(postbox.messages) == 1


def test_connection_is_encrypted_when_asked(
    encrypting_server: MailServer,
    postbox: Postbox,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    mail(encrypting_server).tell("subject", "text")
    assert len(postbox.messages) == 1


def test_unknown_certificate_is_refused(encrypting_server: MailServer, postbox: Postbox) -> None:
    with pytest.raises(errors.NotificationFailed, match="its certificate is not trusted"):
        mail(encrypting_server).tell("subject", "text")
    assert postbox.messages == []


def test_server_without_starttls_is_not_told_in_clear(server: MailServer, postbox: Postbox) -> None:
    with pytest.raises(errors.NotificationFailed, match="does not offer STARTTLS"):
        mail(MailServer(server.host, server.port, starttls=True)).tell("subject", "text")
    assert postbox.messages == []


def test_wrong_password_is_not_repeated(server: MailServer) -> None:
    wrong = MailServer(server.host, server.port, user="ops", password=lambda: "hunter2")
    with pytest.raises(errors.NotificationFailed) as caught:
        mail(wrong).tell("subject", "text")
    assert str(caught.value) == (
        f"The mail server {server} did not take the message: it refused user and password "
        "(code 535)."
    )


def test_one_refused_recipient_does_not_silence_the_others(
    server: MailServer, postbox: Postbox, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        mail(server, "nobody@example.org", "ops@example.org").tell("subject", "text")
    assert postbox.envelopes[0].rcpt_tos == ["ops@example.org"]
    assert caplog.messages == [f"mail server {server} refused nobody@example.org with code 550"]


@pytest.mark.parametrize(
    ("to", "text", "reason"),
    [
        ("nobody@example.org", "text", "it refused every recipient (code 550)"),
        ("ops@example.org", "full disk", "it answered with code 452"),
    ],
)
def test_refused_message_says_why(server: MailServer, to: str, text: str, reason: str) -> None:
    with pytest.raises(errors.NotificationFailed) as caught:
        mail(server, to).tell("subject", text)
    assert str(caught.value) == f"The mail server {server} did not take the message: {reason}."


def test_dead_server_is_named() -> None:
    server = MailServer("127.0.0.1", free_port())
    with pytest.raises(errors.NotificationFailed) as caught:
        mail(server).tell("subject", "text")
    assert str(caught.value) == (
        f"The mail server {server} did not take the message: Connection refused."
    )


def test_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_module, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = MailServer("127.0.0.1", silent.getsockname()[1])
        with pytest.raises(errors.NotificationFailed, match=r"no answer within 0\.2 s"):
            mail(server).tell("subject", "text")
