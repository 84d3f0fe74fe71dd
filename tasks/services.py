"""The wired services of this process."""

from functools import cache
from typing import TYPE_CHECKING

from mailrewind.config import load

if TYPE_CHECKING:
    from mailrewind.wiring import Services


@cache
def services() -> "Services":
    """Wire the services once per process, from the configuration that MAILREWIND_CONFIG names.

    Raises:
        ConfigurationError: The configuration is missing or cannot be used.
    """
    # Who loads a flow to read its form, as a deployment does, needs no databases and no borg.
    from mailrewind.wiring import wire

    return wire(load())
