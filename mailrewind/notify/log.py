"""Tell the operators through the log alone, where no other way is configured."""

import logging
from collections.abc import Sequence

logger = logging.getLogger(__name__)


class Log:
    """Writes each alarm into the log: `doctor` says that this reaches nobody by itself."""

    def tell(self, subject: str, text: str, *, also: Sequence[str] = ()) -> Sequence[str]:
        """Log one message."""
        logger.error("%s (nobody is configured to be told)", subject)
        return also


class Note:
    """Writes into the log, as its ordinary course, what is no alarm."""

    def tell(self, subject: str, text: str, *, also: Sequence[str] = ()) -> Sequence[str]:
        """Log one message."""
        logger.info("%s (nobody is configured to be told)", subject)
        return also
