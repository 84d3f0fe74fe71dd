"""Where nobody is configured to be told, the log is."""

import logging
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Log:
    """Writes each alarm into the log; stands in for a configured way, and never fails."""

    def tell(self, subject: str, text: str) -> None:
        """Log one message."""
        logger.warning("nobody is configured to be told: %s: %s", subject, text)
