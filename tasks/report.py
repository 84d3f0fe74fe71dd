"""The last step of a backup: its report."""

from mailrewind.model.reports import BackupReport
from tasks.artifacts import publish
from tasks.pages import backup_page
from tasks.policy import step
from tasks.services import services


@step("report {point}")
def report(point: str) -> BackupReport:
    """Publish what the run did as an artifact of it."""
    done = services().back_up.report(point)
    publish(
        f"backup-{done.system}",
        backup_page(done, zone=services().config.zone),
        description=f"Restore point {point}",
    )
    return done
