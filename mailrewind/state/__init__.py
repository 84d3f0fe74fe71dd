"""What must survive: points, plans, reports, undo, leases, audit."""

from mailrewind.state.state import SqlState

__all__ = ["SqlState"]
