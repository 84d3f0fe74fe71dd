"""The second step of a backup: the catalogue."""

from tasks.policy import step
from tasks.progress import shown_progress
from tasks.services import services


@step("index {point}")
def index(point: str) -> None:
    """Bring the catalogue up to a restore point."""
    with shown_progress(f"Indexing {point}") as report:
        services().back_up.index(point, report=report)
