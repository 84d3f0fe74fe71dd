"""The wired services of this process."""

from functools import cache

from mailrewind.config import load
from mailrewind.wiring import Services, wire


@cache
def services() -> Services:
    """Wire the services once per process, from the configuration that MAILREWIND_CONFIG names.

    Raises:
        ConfigurationError: The configuration is missing or cannot be used.
    """
    return wire(load())
