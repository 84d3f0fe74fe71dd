"""Find the restore point that a moment means, among those that can be looked into."""

from datetime import datetime, tzinfo

from mailrewind.errors import RestorePointNotFound
from mailrewind.model.moments import parse_moment
from mailrewind.model.points import RestorePoint
from mailrewind.ports import State
from mailrewind.services.connected import ConnectedSystem


def resolve(
    connected: ConnectedSystem, state: State, at: str, *, now: datetime, zone: tzinfo
) -> RestorePoint:
    """Find a point that the catalogue has reached.

    A point is complete when its archives stand, and in the catalogue some time later; until then,
    or where the catalogue was lost, the catalogue would show what an older point held, under paths
    that this one's archives need not have. So while the newest point is on its way there, "latest"
    is the one before.

    Args:
        connected: The system.
        state: What knows its restore points.
        at: "latest", a restore point's name, or a moment.
        now: The moment of the question, aware.
        zone: Where times without an offset are read.

    Raises:
        MomentUnclear, MomentInFuture, MomentTooEarly: The moment cannot be used.
        RestorePointNotFound: There is none, or none that the catalogue has reached.
    """
    points = state.points(connected.name)
    recorded = connected.catalog.recorded()
    known = [point for point in points if recorded is not None and point.taken_at <= recorded]
    is_on_its_way = at.strip().casefold() == "latest" and len(points) - len(known) == 1
    found = parse_moment(
        at, points=known if is_on_its_way and known else points, now=now, zone=zone
    )
    if found not in known:
        raise RestorePointNotFound(
            f"The restore point {found.name} is not in the catalogue yet.",
            advice=f"The next backup of {connected.name} adds what is missing there; "
            f"`mailrewind backup {connected.name} --yes` makes one now.",
        )
    return found
