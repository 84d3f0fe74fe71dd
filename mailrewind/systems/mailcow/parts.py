"""What belongs to a mailcow besides its mail: the parts of each restore point."""

from collections.abc import Sequence

from mailrewind.ports import Part
from mailrewind.systems.mailcow.installation import Installation


def parts_of(installation: Installation) -> Sequence[Part]:
    """Return the parts in the order in which they are archived."""
    return ()
