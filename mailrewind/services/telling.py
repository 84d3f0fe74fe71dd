"""Tell people that a restore begins, and how it ended; it never fails for want of that."""

import logging

from mailrewind.errors import MailrewindError
from mailrewind.model.reports import Finding
from mailrewind.ports import Notifier

logger = logging.getLogger(__name__)


def tell(notifier: Notifier, subject: str, *, text: str, also: str) -> tuple[Finding, ...]:
    """Tell the operators, and one address besides.

    Args:
        notifier: The ways to tell.
        subject: One line, without the product's name.
        text: Numbers, names and the reason; never with what stands in anybody's mail.
        also: The address; "" for none.

    Returns:
        Who was not told, for the report.
    """
    try:
        untold = notifier.tell(f"mailrewind: {subject}", text, also=(also,) if also else ())
    except MailrewindError as error:
        logger.warning("nobody was told that %s: %s", subject, error)
        return (Finding("notification", f"nobody was told that {subject}: {error}"),)
    for address in untold:
        logger.warning("%s was not told that %s", address, subject)
    return tuple(Finding(address, f"was not told that {subject}") for address in untold)
