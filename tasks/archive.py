"""The first step of a backup: the restore point's archives."""

from tasks.initiator import initiator
from tasks.policy import step
from tasks.progress import shown_progress
from tasks.services import services


@step("archive {system}")
def archive(system: str) -> str:
    """Archive a system; return the restore point's name."""
    with shown_progress(f"Archiving {system}") as report:
        return services().back_up.archive(system, initiator=initiator(), report=report)
