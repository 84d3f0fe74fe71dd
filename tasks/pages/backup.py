"""The page of a backup run."""

from zoneinfo import ZoneInfo

from mailrewind.model.reports import ArchiveStatistics, BackupReport, IndexChanges
from tasks.pages.markdown import Row, facts, findings, literal, page, table
from tasks.words import count, duration, moment, size


def backup_page(report: BackupReport, *, zone: ZoneInfo) -> str:
    """Say what one backup run did."""
    return page(
        f"# Restore point {literal(report.point)}",
        facts(
            [
                ("Mail system", literal(report.system)),
                ("Moment", moment(report.taken_at, zone)),
                ("Took", duration(report.finished_at - report.taken_at)),
                ("New in the repository", size(report.added_bytes)),
                *(_contents(report.index) if report.index else ()),
                ("Caught by the second pass", count(report.late, "message")),
            ]
        ),
        "## Archives",
        table(
            [_archive(archive) for archive in report.archives],
            head=("Archive", "Files", "Size", "New", "Took"),
        ),
        findings("Findings", report.findings),
    )


def _contents(index: IndexChanges) -> tuple[Row, ...]:
    mailboxes = count(index.mailboxes, "mailbox", "mailboxes")
    changes = (
        f"{index.appeared:,} appeared, {index.vanished:,} vanished, "
        f"{index.moved:,} moved, {index.flagged:,} changed flags"
    )
    return (
        ("Holds", f"{count(index.messages, 'message')} in {mailboxes}"),
        ("Since the point before", changes),
    )


def _archive(archive: ArchiveStatistics) -> Row:
    return (
        literal(archive.archive),
        f"{archive.files:,}",
        size(archive.original_bytes),
        size(archive.added_bytes),
        duration(archive.duration),
    )
