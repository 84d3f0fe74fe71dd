"""What every restore point holds of calendars and contacts: one export of each user."""

from collections.abc import Sequence

from mailrewind.errors import ExportIncomplete
from mailrewind.model.reports import ArchiveStatistics, Finding
from mailrewind.ports import Archives, Calendars, Report


class SogoPart:
    """The archive "sogo" of a restore point: "sogo/<user>" for all users.

    Args:
        calendars: Keeps the exports.
    """

    name = "sogo"

    def __init__(self, calendars: Calendars) -> None:
        self._calendars = calendars

    def archive(
        self, archives: Archives, archive: str, *, report: Report | None = None
    ) -> tuple[ArchiveStatistics, Sequence[Finding]]:
        """Make the archive; see ``ports.Part``."""
        with self._calendars.held() as exports:
            statistics, unread = archives.create_from_paths(archive, exports.paths)
        if unread:
            archives.delete([archive])
            raise ExportIncomplete(f"{unread[0].subject} {unread[0].text}")
        return statistics, exports.findings
