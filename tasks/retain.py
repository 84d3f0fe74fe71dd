"""The steps of thinning out restore points."""

from datetime import UTC, datetime

from tasks.artifacts import publish
from tasks.initiator import initiator
from tasks.pages import points_page
from tasks.policy import step
from tasks.progress import shown_progress
from tasks.services import services


@step("systems")
def configured_systems() -> list[str]:
    """Return the names of all configured systems."""
    return list(services().config.systems)


@step("show points of {system}")
def show_points(system: str) -> None:
    """Publish until when each restore point is kept, and why; nothing is changed."""
    _publish(system, removed=0)


@step("retain {system}")
def retain(system: str) -> int:
    """Let points go that nothing keeps; return how many went."""
    with shown_progress(f"Thinning out {system}") as report:
        done = services().retain.carry_out(system, initiator=initiator(), report=report)
    _publish(system, removed=len(done.removed))
    return len(done.removed)


def _publish(system: str, *, removed: int) -> None:
    page = points_page(
        system,
        services().retain.decide(system),
        removed=removed,
        zone=services().config.zone,
        now=datetime.now(UTC),
    )
    publish(f"points-{system}", page, description=f"Restore points of {system}")
