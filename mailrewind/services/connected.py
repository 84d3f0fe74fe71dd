"""A configured system, together with the adapters that serve it."""

from collections.abc import Callable
from dataclasses import dataclass

from mailrewind.model.retention import RetentionPolicy
from mailrewind.ports import Archives, Catalog, MailSystem


@dataclass(frozen=True, slots=True)
class ConnectedSystem:
    """One mail system, its repository and its catalogue.

    Attributes:
        name: As configured.
        prefix: What the names of its restore points begin with.
        repository: The repository's name in the configuration.
        cron: When it is backed up, read in the operator's zone.
        policy: How long its restore points live.
        mail: The mail system itself.
        archives: Its repository.
        catalog: What its restore points hold.
    """

    name: str
    prefix: str
    repository: str
    cron: str
    policy: RetentionPolicy
    mail: MailSystem
    archives: Archives
    catalog: Catalog


Connect = Callable[[str], ConnectedSystem]
"""Give a system by name; raises UnknownSystem."""
