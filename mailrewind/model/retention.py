"""Which restore points stay, why, and until when.

The rules are those of ``borg prune``, borg 1.4 (``prune_split`` in ``borg/helpers/misc.py``):
hourly, daily, weekly, monthly and yearly in this order; each takes the newest point of a period and
counts only points that no rule before it keeps; periods are those of local time, weeks those of
ISO 8601. A rule that finds fewer points than it may keep takes the oldest point as well, and says
"[oldest]". What borg does not know comes on top and only ever keeps more: holds, the floor, and
points whose time has not come.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from mailrewind.errors import RetentionRefused
from mailrewind.model.points import PointStatus, RestorePoint

RULES = ("hourly", "daily", "weekly", "monthly", "yearly")

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_PRECISE_POINTS = 500
_FORESEEN_VISITS = 500_000


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How many restore points live, by rule; 0 switches a rule off, a negative number keeps all.

    Attributes:
        hourly: Newest points of this many hours.
        daily: Newest points of this many days that no rule above keeps; and so on downwards.
        weekly: Of ISO weeks.
        monthly: Of months.
        yearly: Of years.
        floor: Never fewer complete points than this remain, whatever the rules say.
    """

    hourly: int = 24
    daily: int = 7
    weekly: int = 4
    monthly: int = 6
    yearly: int = 0
    floor: int = 3

    @property
    def limits(self) -> tuple[int, ...]:
        """How many points each of ``RULES`` keeps, in their order."""
        return (self.hourly, self.daily, self.weekly, self.monthly, self.yearly)


@dataclass(frozen=True, slots=True)
class KeepDecision:
    """The fate of one restore point.

    Attributes:
        point: The point.
        reasons: Why it stays, such as "hourly #3", "monthly[oldest] #2", "held", "floor" or
            "future"; empty when it may go.
        kept_until: Moment of the first backup to come, UTC, after which the policy lets it go; the
            next daily retention removes it. None when it may go already, or when no end is in
            sight: a hold, a time in the future, a rule that keeps (nearly) everything.
        final_reason: What keeps it last, until ``kept_until``; "" where that is None.
    """

    point: RestorePoint
    reasons: tuple[str, ...]
    kept_until: datetime | None = None
    final_reason: str = ""

    @property
    def keep(self) -> bool:
        """Whether anything wants the point to stay."""
        return bool(self.reasons)


def decide(
    points: Iterable[RestorePoint],
    policy: RetentionPolicy,
    *,
    now: datetime,
    zone: tzinfo,
    held: frozenset[str] = frozenset(),
    every: timedelta = _HOUR,
) -> list[KeepDecision]:
    """Decide for every complete point of one system, newest first.

    Points of another status are left out: what a dead run left is not retention's business. A point
    later than ``now`` (a clock had jumped) is kept with the reason "future" and counts for no rule,
    so that it pushes no good point out.

    Args:
        points: Restore points of one system, in any order.
        policy: How many stay.
        now: The moment of the decision, aware.
        zone: Where hours, days, weeks, months and years begin.
        held: Names of points that must stay; they count for the rules as well.
        every: Distance of the backups to come, which ``kept_until`` assumes to go on without a gap
            from the newest point.

    Raises:
        RetentionRefused: No rule keeps anything. The floor is a net, not a rule.
    """
    found = reasons_to_keep(points, policy, now=now, zone=zone, held=held)
    past = [(point, why) for point, why in found if point.taken_at <= now]
    ends = _Forecast(policy, zone, held, every).ends(past, now)
    return [KeepDecision(point, why, *ends.get(point.name, (None, ""))) for point, why in found]


def reasons_to_keep(
    points: Iterable[RestorePoint],
    policy: RetentionPolicy,
    *,
    now: datetime,
    zone: tzinfo,
    held: frozenset[str] = frozenset(),
) -> list[tuple[RestorePoint, tuple[str, ...]]]:
    """Give each complete point, newest first, its reasons to stay; none means that it may go.

    This is ``decide`` without the look ahead.

    Raises:
        RetentionRefused: No rule keeps anything.
    """
    if not any(policy.limits):
        raise RetentionRefused(
            "The retention policy keeps nothing: all its rules, hourly to yearly, are 0.",
            advice="Give at least one rule a number; the floor alone is no policy.",
        )
    complete = sorted(
        (point for point in points if point.status is PointStatus.COMPLETE),
        key=lambda point: (point.taken_at, point.name),
        reverse=True,
    )
    past = [
        _Moment(point.taken_at, zone, point.name) for point in complete if point.taken_at <= now
    ]
    judged = {moment.name: why for moment, why in _judge(past, policy, held).items()}
    for point in complete:
        if point.taken_at > now:
            judged[point.name] = ("held", "future") if point.name in held else ("future",)
    return [(point, judged.get(point.name, ())) for point in complete]


class _Moment:
    """A point's time, and its period for each of ``RULES``."""

    __slots__ = ("name", "periods", "taken_at")

    def __init__(self, taken_at: datetime, zone: tzinfo, name: str = "") -> None:
        local = taken_at.astimezone(zone)
        day = (local.year, local.month, local.day)
        self.taken_at = taken_at
        self.name = name
        self.periods = ((*day, local.hour), day, local.isocalendar()[:2], day[:2], day[:1])


def _judge(
    moments: Sequence[_Moment], policy: RetentionPolicy, held: frozenset[str]
) -> dict[_Moment, tuple[str, ...]]:
    """Say of each moment, newest first, why it stays; those that may go are missing."""
    ruled = _ruled(moments, policy)
    reasons: dict[_Moment, tuple[str, ...]] = {}
    for moment in moments:
        why: tuple[str, ...] = ("held",) if moment.name in held else ()
        if moment in ruled:
            rule, number = ruled[moment]
            why += (f"{rule} #{number}",)
        if why:
            reasons[moment] = why
    for moment in moments:
        if len(reasons) >= policy.floor:
            break
        reasons.setdefault(moment, ("floor",))
    return reasons


def _ruled(moments: Sequence[_Moment], policy: RetentionPolicy) -> dict[_Moment, tuple[str, int]]:
    """Give the rule, and the count within it, that keeps each moment; newest first comes in."""
    kept: dict[_Moment, tuple[str, int]] = {}
    for index, (rule, limit) in enumerate(zip(RULES, policy.limits, strict=True)):
        if limit:
            _apply(rule, limit, index, moments, kept)
    return kept


def _apply(
    rule: str,
    limit: int,
    index: int,
    moments: Sequence[_Moment],
    kept: dict[_Moment, tuple[str, int]],
) -> None:
    count = 0
    last: tuple[int, ...] = ()
    for moment in moments:
        period = moment.periods[index]
        if period == last:
            continue
        last = period
        if moment in kept:
            continue
        count += 1
        kept[moment] = (rule, count)
        if count == limit:
            return
    if moments and count < limit and moments[-1] not in kept:
        kept[moments[-1]] = (f"{rule}[oldest]", count + 1)


@dataclass(frozen=True, slots=True)
class _Forecast:
    """Plays the backups to come, to see which of them pushes a point out.

    It thins after each day's worth of backups, and goes through a day backup by backup only where
    one of today's points falls in it: months ahead cost milliseconds. A policy that keeps thousands
    of points is answered to the day, and only as far ahead as a second's work goes.
    """

    policy: RetentionPolicy
    zone: tzinfo
    held: frozenset[str]
    every: timedelta

    def ends(
        self, kept: Iterable[tuple[RestorePoint, tuple[str, ...]]], now: datetime
    ) -> Mapping[str, tuple[datetime, str]]:
        """Map the name of each kept point that will fall to when, and to its last reason.

        Args:
            kept: Points that are not in the future with their reasons, newest first.
            now: Backups are assumed to come after this moment only.
        """
        ends: dict[str, tuple[datetime, str]] = {}
        reasons = {_Moment(p.taken_at, self.zone, p.name): why for p, why in kept if why}
        if not reasons:
            return ends
        waiting = {moment for moment in reasons if moment.name not in self.held}
        steps = max(1, _DAY // self.every)
        newest = max(moment.taken_at for moment in reasons)
        at = newest.astimezone(UTC) + max(0, (now - newest) // self.every) * self.every
        visits = 0
        while waiting and visits < _FORESEEN_VISITS:
            coming = [_Moment(at + n * self.every, self.zone) for n in range(1, steps + 1)]
            after = self._thin(reasons, coming)
            visits += len(reasons) + steps
            if not waiting <= after.keys():
                singly = len(reasons) <= _PRECISE_POINTS
                batches = [[moment] for moment in coming] if singly else [coming]
                after = self._walk(reasons, batches, waiting, ends)
                visits += len(reasons) * len(batches)
            waiting -= self._eternal(after)
            reasons, at = after, coming[-1].taken_at
        return ends

    def _eternal(self, standing: Iterable[_Moment]) -> set[_Moment]:
        """Find what a rule without a limit keeps for good: the last of each period that is over."""
        eternal: set[_Moment] = set()
        for index, limit in enumerate(self.policy.limits):
            if limit < 0:
                newest: dict[tuple[int, ...], _Moment] = {}
                for moment in sorted(standing, key=lambda m: m.taken_at):
                    newest[moment.periods[index]] = moment
                eternal.update(list(newest.values())[:-1])
        return eternal

    def _walk(
        self,
        reasons: dict[_Moment, tuple[str, ...]],
        batches: Iterable[Sequence[_Moment]],
        waiting: set[_Moment],
        ends: dict[str, tuple[datetime, str]],
    ) -> dict[_Moment, tuple[str, ...]]:
        for batch in batches:
            after = self._thin(reasons, batch)
            for fallen in waiting - after.keys():
                ends[fallen.name] = (batch[-1].taken_at, reasons[fallen][-1])
                waiting.remove(fallen)
            reasons = after
        return reasons

    def _thin(
        self, standing: Iterable[_Moment], coming: Sequence[_Moment]
    ) -> dict[_Moment, tuple[str, ...]]:
        moments = sorted((*standing, *coming), key=lambda m: m.taken_at, reverse=True)
        return _judge(moments, self.policy, self.held)
