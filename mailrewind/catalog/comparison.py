"""What has changed in one mailbox between two moments; pure functions.

Copies of a message share its GUID, so everything is counted per GUID as a multiset. A copy that
lies exactly as before, path included, is matched first; of the rest, copies in the same folder
are the same copy with other flags or another file name; of the rest, one that left a folder and
one that came into another folder are a move.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from mailrewind.catalog.listing import Place


@dataclass(frozen=True, slots=True)
class Standing:
    """One open interval.

    Attributes:
        id: Its number.
        message_id: Its message.
        place: Where and how the message lies.
    """

    id: int
    message_id: int
    place: Place


@dataclass(slots=True)
class Comparison:
    """The changes in one mailbox.

    Attributes:
        closed: Intervals that end.
        opened: Places that intervals begin for.
        message_ids: Messages that were there, by GUID.
        appeared: GUIDs that were not there.
        vanished: Messages that lie nowhere any more.
        moved: Copies in another folder.
        flagged: Copies in the same folder with other flags.
    """

    closed: list[Standing] = field(default_factory=list)
    opened: list[Place] = field(default_factory=list)
    message_ids: dict[str, int] = field(default_factory=dict)
    appeared: list[str] = field(default_factory=list)
    vanished: list[int] = field(default_factory=list)
    moved: int = 0
    flagged: int = 0


def compare(standing: Iterable[Standing], listed: Iterable[Place]) -> Comparison:
    """Compare what stood in a mailbox with what is listed now."""
    result = Comparison()
    unmatched: dict[Place, list[Standing]] = defaultdict(list)
    for entry in standing:
        unmatched[entry.place].append(entry)
        result.message_ids[entry.place.guid] = entry.message_id

    stayed: set[str] = set()
    for place in listed:
        same = unmatched.get(place)
        if same:
            same.pop()
            stayed.add(place.guid)
        else:
            result.opened.append(place)
    result.closed = [entry for entries in unmatched.values() for entry in entries]
    _count(result, stayed)
    return result


def _count(result: Comparison, stayed: set[str]) -> None:
    before: dict[str, list[Place]] = defaultdict(list)
    after: dict[str, list[Place]] = defaultdict(list)
    for entry in result.closed:
        before[entry.place.guid].append(entry.place)
    for place in result.opened:
        after[place.guid].append(place)
    for guid in before.keys() | after.keys():
        if guid not in result.message_ids:
            result.appeared.append(guid)
            continue
        if guid not in after and guid not in stayed:
            result.vanished.append(result.message_ids[guid])
            continue
        moved, flagged = _pair(before[guid], after[guid])
        result.moved += moved
        result.flagged += flagged


def _pair(before: list[Place], after: list[Place]) -> tuple[int, int]:
    """Return how many copies of one message moved, and how many changed flags in place."""
    left = Counter(place.folder for place in before)
    came = Counter(place.folder for place in after)
    in_place = (left & came).total()
    unflagged = (
        Counter((place.folder, place.flags) for place in before)
        & Counter((place.folder, place.flags) for place in after)
    ).total()
    moved = min((left - came).total(), (came - left).total())
    return moved, in_place - unflagged
