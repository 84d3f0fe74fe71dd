"""mailcow's Redis: what it holds in memory is written to its volume before that is archived."""

import logging
import time
from collections.abc import Mapping

from mailrewind.errors import MailServerFailed, MailServerUnreachable
from mailrewind.systems.mailcow.installation import REDIS, Installation

logger = logging.getLogger(__name__)

_ANSWER_SECONDS = 30.0
_SAVE_SECONDS = 120.0
_POLL_SECONDS = 0.1
_COMPLAINTS = ("(error)", "ERR ", "NOAUTH", "WRONGPASS", "MISCONF", "LOADING", "NOPERM")


class Redis:
    """The Redis of a mailcow, asked through redis-cli in its container.

    Args:
        installation: The mailcow.
        save_seconds: How long a save may take.
    """

    def __init__(self, installation: Installation, *, save_seconds: float = _SAVE_SECONDS) -> None:
        self._installation = installation
        self._save_seconds = save_seconds

    def save(self) -> None:
        """Let it write all it holds to its volume, and wait until that is done and good.

        Raises:
            MailServerUnreachable: It does not run, or is not done in time.
            MailServerFailed: It could not write, or refuses us.
        """
        before = self._number("rdb_last_save_time")
        if self._number("rdb_bgsave_in_progress"):
            self._await_save()  # it began before we asked, so it may lack what came since
        self._ask("BGSAVE")
        about = self._await_save()
        if about.get("rdb_last_bgsave_status") != "ok" or self._number_in(
            about, "rdb_last_save_time"
        ) < max(before, 1):
            raise MailServerFailed(
                "Redis could not write what it holds to its volume",
                advice=f"See `docker logs` of {REDIS}: its disk may be full.",
            )
        logger.debug("Redis has written its volume")

    def _await_save(self) -> Mapping[str, str]:
        deadline = time.monotonic() + self._save_seconds
        while True:
            about = self._persistence()
            if not self._number_in(about, "rdb_bgsave_in_progress"):
                return about
            if time.monotonic() > deadline:
                raise MailServerUnreachable(
                    f"Redis has not written its volume within {self._save_seconds:g} s"
                )
            time.sleep(_POLL_SECONDS)

    def _number(self, name: str) -> int:
        return self._number_in(self._persistence(), name)

    def _number_in(self, about: Mapping[str, str], name: str) -> int:
        text = about.get(name, "")
        if not text.isdecimal():
            raise MailServerFailed(f"Redis does not say its {name}")
        return int(text)

    def _persistence(self) -> Mapping[str, str]:
        lines = self._ask("INFO", "persistence").splitlines()
        return dict(line.strip().split(":", 1) for line in lines if ":" in line)

    def _ask(self, *command: str) -> str:
        """Run a command; redis-cli ends with 0 whatever Redis answers."""
        password = self._installation.settings.get("REDISPASS", "")
        done = self._installation.project.execute(
            REDIS,
            ["redis-cli", *command],
            environment={"REDISCLI_AUTH": password} if password else None,
            timeout_seconds=_ANSWER_SECONDS,
        )
        said = done.stdout.decode(errors="replace").strip()
        if "Could not connect" in said or "Could not connect" in done.stderr:
            raise MailServerUnreachable("Redis does not answer in its container")
        if done.returncode or said.startswith(_COMPLAINTS):
            text = (said or done.stderr.strip())[:200]
            if said.startswith("LOADING"):
                raise MailServerUnreachable(f"Redis is not ready yet: {text}")
            raise MailServerFailed(
                f"Redis refuses {command[0]}: {text}",
                advice="Check that REDISPASS in mailcow.conf is what the stack was started with.",
            )
        return said
