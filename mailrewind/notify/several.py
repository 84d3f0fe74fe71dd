"""Tell the operators in every configured way."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from mailrewind.errors import MailrewindError, NotificationFailed
from mailrewind.ports import Notifier

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Several:
    """Tries every way, so that one that is broken does not silence the others.

    Attributes:
        notifiers: The ways.
    """

    notifiers: Sequence[Notifier]

    def tell(self, subject: str, text: str, *, also: Sequence[str] = ()) -> Sequence[str]:
        """Send one message every way; what failed is logged if somebody was told.

        Returns:
            Those of ``also`` that were told in no way.

        Raises:
            NotificationFailed: Every way failed, or there is none; names each reason.
        """
        if not self.notifiers:
            raise NotificationFailed(
                "Nobody is configured to be told.",
                advice="Write `notify` into the configuration: `mail`, `apprise` or both.",
            )
        failures: list[MailrewindError] = []
        for notifier in self.notifiers:
            try:
                also = notifier.tell(subject, text, also=also)
            except MailrewindError as error:
                failures.append(error)
        if len(failures) == len(self.notifiers):
            raise NotificationFailed(" ".join(str(failure) for failure in failures))
        for failure in failures:
            logger.warning("one way to tell the operators failed: %s", failure)
        return also
