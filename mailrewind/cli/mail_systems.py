"""Look at a mail system of the kind maildir: its mailboxes and its Dovecot."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from mailrewind.cli import show
from mailrewind.cli.examined import Examined
from mailrewind.cli.invocation import Invocation

if TYPE_CHECKING:
    from mailrewind.config import DoveadmSettings, MaildirKeys

_CHECK_TEMPLATE = "Check the path template `mailboxes` of the system."


def looks_at_maildir(
    invocation: Invocation, name: str, configured: "MaildirKeys"
) -> Iterator[tuple[str, Callable[[], Examined]]]:
    """Yield what there is to look at, with its name."""
    yield f"mail of {name}", partial(mail_of, invocation, name, advice=_CHECK_TEMPLATE)
    yield f"Dovecot of {name}", partial(_dovecot, invocation, name, configured)


def mail_of(invocation: Invocation, name: str, *, advice: str) -> Examined:
    """Look whether the mail can be read.

    Args:
        invocation: The command.
        name: Of the system.
        advice: What to do where there is no mailbox.
    """
    mail = invocation.services.connect(name).mail
    with mail.capture() as capture:
        place, *others = map(str, capture.roots)
    mailboxes = mail.mailboxes()
    text = f"{show.count(len(mailboxes), 'mailbox', 'mailboxes')} below {place}."
    if others:
        text += f" Archived with them: {', '.join(others)}."
    if not mailboxes:
        return Examined(f"mail of {name}", False, text, advice)
    return Examined(f"mail of {name}", True, text)


def _dovecot(invocation: Invocation, name: str, configured: "MaildirKeys") -> Examined:
    from mailrewind.systems.maildir import MaildirSettings, detect_dovecot

    label = f"Dovecot of {name}"
    if configured.dovecot == "no":
        return Examined(label, True, "dovecot is no: messages come back as files.")
    if configured.dovecot == "auto":
        found = detect_dovecot(MaildirSettings(name, configured.mailboxes))
        if found is None:
            return Examined(label, True, "none serves this tree: messages come back as files.")
        return Examined(label, True, f"serves this tree; messages come back by {found.doveadm}.")
    return _configured_dovecot(invocation, label, name, configured.dovecot)


def _configured_dovecot(
    invocation: Invocation, label: str, name: str, settings: "DoveadmSettings"
) -> Examined:
    from mailrewind.systems.doveadm import Doveadm, Dovecot

    mailboxes = invocation.services.connect(name).mail.mailboxes()
    if not mailboxes:
        return Examined(label, True, "cannot be asked, there is no mailbox.")
    dovecot = Dovecot(Doveadm(settings.doveadm, settings.config))
    if dovecot.serves(mailboxes[0]).path is None:
        text = f"{settings.doveadm} knows {mailboxes[0]}, but serves no Maildir."
        return Examined(label, False, text, "Check `dovecot` and `mailboxes` of the system.")
    return Examined(label, True, f"answers; messages come back by {settings.doveadm}.")
