"""Let go what no kept restore point holds.

What was at a kept moment stays exactly as it was. The newest recorded moment counts as kept, since
the next recording is compared with it. A moment that was never recorded shows what the one before
it showed, so that one is kept in its place.
"""

from bisect import bisect_right
from collections.abc import Iterable

from sqlalchemy import Connection, delete, exists, func, select

from mailrewind.catalog.schema import (
    IS_CLOSED,
    IS_GONE,
    OPEN,
    folder,
    folder_count,
    folder_life,
    mailbox_day,
    message,
    moment,
    presence,
)

_DAY_SECONDS = 86_400
_BATCH = 500


def forget(connection: Connection, system_id: int, kept: Iterable[int]) -> int:
    """Drop everything that only other moments held; return how many messages went."""
    if not _forget_moments(connection, system_id, kept):
        return 0
    _forget_presences(connection, system_id)
    gone = _forget_messages(connection, system_id)
    _forget_counts(connection, system_id)
    _forget_folders(connection, system_id)
    _forget_days(connection, system_id)
    return gone


def _forget_moments(connection: Connection, system_id: int, kept: Iterable[int]) -> bool:
    recorded: list[int] = sorted(
        connection.execute(select(moment.c.at).where(moment.c.system_id == system_id)).scalars()
    )
    if not recorded:
        return False
    shown = {recorded[place - 1] for at in kept if (place := bisect_right(recorded, at))}
    going = sorted(set(recorded) - shown - {recorded[-1]})
    for start in range(0, len(going), _BATCH):
        connection.execute(
            delete(moment).where(
                moment.c.system_id == system_id, moment.c.at.in_(going[start : start + _BATCH])
            )
        )
    return bool(going)


def _forget_presences(connection: Connection, system_id: int) -> None:
    held = exists().where(
        moment.c.system_id == presence.c.system_id,
        moment.c.at >= presence.c.seen_from,
        moment.c.at < presence.c.seen_to,
    )
    connection.execute(delete(presence).where(presence.c.system_id == system_id, IS_CLOSED, ~held))


def _forget_messages(connection: Connection, system_id: int) -> int:
    held = exists().where(
        presence.c.system_id == message.c.system_id, presence.c.message_id == message.c.id
    )
    return connection.execute(
        delete(message).where(message.c.system_id == system_id, IS_GONE, ~held)
    ).rowcount


def _forget_counts(connection: Connection, system_id: int) -> None:
    """Drop each count that a later one had replaced before the next kept moment."""
    later = folder_count.alias("later")
    next_kept = (
        select(func.min(moment.c.at))
        .where(moment.c.system_id == folder_count.c.system_id, moment.c.at >= folder_count.c.at)
        .correlate(folder_count)
        .scalar_subquery()
    )
    replaced = exists().where(
        later.c.system_id == folder_count.c.system_id,
        later.c.folder_id == folder_count.c.folder_id,
        later.c.at > folder_count.c.at,
        later.c.at <= next_kept,
    )
    connection.execute(delete(folder_count).where(folder_count.c.system_id == system_id, replaced))


def _forget_folders(connection: Connection, system_id: int) -> None:
    life = folder_life.c
    held = exists().where(
        moment.c.system_id == life.system_id,
        moment.c.at >= life.seen_from,
        moment.c.at < life.seen_to,
    )
    connection.execute(
        delete(folder_life).where(life.system_id == system_id, life.seen_to < OPEN, ~held)
    )
    lives = exists().where(life.system_id == folder.c.system_id, life.folder_id == folder.c.id)
    dead = list(
        connection.execute(
            select(folder.c.id).where(folder.c.system_id == system_id, ~lives)
        ).scalars()
    )
    for start in range(0, len(dead), _BATCH):
        batch = dead[start : start + _BATCH]
        connection.execute(
            delete(folder_count).where(
                folder_count.c.system_id == system_id, folder_count.c.folder_id.in_(batch)
            )
        )
        connection.execute(
            delete(folder).where(folder.c.system_id == system_id, folder.c.id.in_(batch))
        )


def _forget_days(connection: Connection, system_id: int) -> None:
    """Drop the days before the oldest kept moment: nothing of them can be looked at."""
    oldest = select(func.min(moment.c.at)).where(moment.c.system_id == system_id).scalar_subquery()
    connection.execute(
        delete(mailbox_day).where(
            mailbox_day.c.system_id == system_id, (mailbox_day.c.day + 1) * _DAY_SECONDS <= oldest
        )
    )
