"""A configured system, together with the adapters that serve it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mailrewind.model.points import RestorePoint
from mailrewind.model.retention import RetentionPolicy
from mailrewind.ports import Archives, Calendars, Catalog, MailSystem, Operation


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
        repository_named: Gives any configured repository; None for a name that is not configured.
        open_catalog: Gives the catalogue; one that is damaged is in the way of what needs it, and
            of nothing else.
        catalogues_headers: Whether the catalogue may know subjects and senders.
        operations: What can be restored beyond messages, by name.
        calendars: Calendars, contacts and preferences; None where the system has none.
        export_policy: How long exports of those are kept beside the restore points.
    """

    name: str
    prefix: str
    repository: str
    cron: str
    policy: RetentionPolicy
    mail: MailSystem
    archives: Archives
    repository_named: Callable[[str], Archives | None]
    open_catalog: Callable[[], Catalog]
    catalogues_headers: bool = True
    operations: Mapping[str, Operation] = field(default_factory=dict)
    calendars: Calendars | None = None
    export_policy: RetentionPolicy = field(default_factory=RetentionPolicy)

    @property
    def catalog(self) -> Catalog:
        """What its restore points hold.

        Raises:
            RecordsError: It cannot be opened.
        """
        return self.open_catalog()

    def archives_of(self, point: RestorePoint) -> Archives:
        """Return the repository that holds a point: it stays where it was made.

        Where no repository bears that name any more, it is the present one, renamed.
        """
        if point.repository == self.repository:
            return self.archives
        return self.repository_named(point.repository) or self.archives


Connect = Callable[[str], ConnectedSystem]
"""Give a system by name; raises UnknownSystem."""
