"""The page of an export of calendars and contacts."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from mailrewind.model.exports import ExportReport, KeptExport
from tasks.pages.markdown import facts, findings, literal, page, table
from tasks.words import count, moment, size


def export_page(done: ExportReport, kept: Sequence[KeptExport], *, zone: ZoneInfo) -> str:
    """Say what was exported, and which exports are kept.

    Args:
        done: The report.
        kept: All that there are, newest first.
        zone: The operator's.
    """
    return page(
        f"# Export {literal(done.name)}",
        facts(
            [
                ("Mail system", literal(done.system)),
                ("Moment", moment(done.taken_at, zone)),
                ("Holds", count(len(done.users), "user")),
                ("**Exported anew**", f"**{count(len(done.renewed), 'user')}**"),
                ("New in the repository", size(done.added_bytes)),
                ("Old exports removed", f"{len(done.removed):,}"),
            ]
        ),
        findings("Findings", done.findings),
        "## Kept",
        table(
            [
                (
                    literal(each.name),
                    moment(each.taken_at, zone),
                    literal(", ".join(each.reasons)) or "nothing keeps it",
                )
                for each in kept
            ],
            head=("Export", "Moment", "Why"),
        ),
    )
