"""Whether Prefect's server lives, asked without Prefect."""

import http.client
import urllib.request
from dataclasses import dataclass

_PATIENCE_SECONDS = 5


@dataclass(frozen=True, slots=True)
class PrefectSide:
    """Prefect's server on this machine.

    Attributes:
        port: Where it listens, on loopback.
    """

    port: int

    @property
    def address(self) -> str:
        """Where an operator's browser finds the pages."""
        return f"http://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        """Whether it says that it is healthy."""
        # No proxy stands between this machine and itself, whatever the environment says.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.address}/api/health", timeout=_PATIENCE_SECONDS) as answer:
                return bool(answer.read(100).strip() == b"true")
        except (OSError, ValueError, http.client.HTTPException):  # or it is no web server
            return False
