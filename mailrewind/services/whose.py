"""Whose a deleted mailbox was, where its name could be that of several."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mailrewind.ports import Catalog, DeletedMailbox, Garbage


@dataclass(frozen=True, slots=True)
class Whose:
    """What speaks for an owner.

    Attributes:
        address: Whose it was; "" where nothing tells.
        reason: What tells it, in a few words.
    """

    address: str
    reason: str


def whose(
    deleted: DeletedMailbox,
    guids: Iterable[str],
    address: str,
    *,
    garbage: Garbage,
    catalog: Catalog,
    points: Sequence[datetime],
) -> Whose:
    """Find out whose a deleted mailbox was; where nothing tells, nothing is guessed.

    Args:
        deleted: The mailbox.
        guids: Of its messages.
        address: Whose it is hoped to be.
        garbage: What knows which addresses cannot be told apart.
        catalog: What was where.
        points: Moments of restore points that the catalogue has reached, oldest first.
    """
    domain = address.rpartition("@")[2]
    if deleted.local_part:
        return Whose(f"{deleted.local_part}@{domain}", "its directory names it")
    shared = _shared(deleted, frozenset(guids), address, garbage, catalog, points)
    if len(shared) == 1:
        [(owner, number)] = shared.items()
        return Whose(owner, f"{number} of its messages were archived as those of {owner}")
    told = {one: n for one, n in deleted.addressed if garbage.could_be(one, address)}
    if len(told) == 1:
        [(owner, number)] = told.items()
        return Whose(owner, f"{number} of its newest messages were delivered to {owner}")
    return Whose("", "nothing in it tells whose it was")


def _shared(
    deleted: DeletedMailbox,
    guids: frozenset[str],
    address: str,
    garbage: Garbage,
    catalog: Catalog,
    points: Sequence[datetime],
) -> Mapping[str, int]:
    """Count the messages that the last point before the deletion has under each possible owner."""
    before = [moment for moment in points if moment <= deleted.deleted_at]
    if not before or not guids:
        return {}
    found = {}
    for owner, _, _ in catalog.mailboxes(before[-1]):
        if garbage.could_be(owner, address):
            then = {entry.message.guid for entry in catalog.messages(owner, before[-1])}
            if common := len(then & guids):
                found[owner] = common
    return found
