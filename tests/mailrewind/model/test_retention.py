import json
import os
import random
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo

import pytest
from borg.helpers import PRUNING_PATTERNS, ArchiveInfo, prune_split

from mailrewind.errors import RetentionRefused
from mailrewind.model.points import PointStatus, RestorePoint, point_name
from mailrewind.model.retention import RULES, RetentionPolicy, decide, reasons_to_keep

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

# Whole hours, half hours, two hours; clocks changed at midnight, at one minute past, over a day.
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Apia",
    "Africa/Casablanca",
]
CLOCK_CHANGES = [
    datetime(2024, 3, 31, 1, tzinfo=UTC),
    datetime(2024, 10, 27, 1, tzinfo=UTC),
    datetime(2024, 2, 29, 0, tzinfo=UTC),
    datetime(2020, 12, 31, 23, tzinfo=UTC),  # ISO week 53
    datetime(2011, 12, 30, 10, tzinfo=UTC),  # Samoa leaves a day out
    datetime(2010, 11, 7, 2, tzinfo=UTC),  # Newfoundland goes back over midnight
]


def point(taken_at, status=PointStatus.COMPLETE):
    return RestorePoint(
        name=point_name("office", taken_at),
        system="office",
        taken_at=taken_at,
        status=status,
        parts=("mail",),
        repository="main",
    )


def hours_ago(*hours):
    return [point(NOON - hour * HOUR) for hour in hours]


def reasons(points, policy, *, now=NOON, zone=UTC, held=frozenset()):
    decisions = decide(points, policy, now=now, zone=zone, held=held)
    return {decision.point.name: decision.reasons for decision in decisions}


def policy_of(hourly=0, daily=0, weekly=0, monthly=0, yearly=0, floor=0):
    return RetentionPolicy(hourly, daily, weekly, monthly, yearly, floor)


def random_policy(dice):
    limits = [dice.choice([0, 0, 1, 2, 3, dice.randint(4, 40)]) for _ in RULES]
    if dice.random() < 0.1:
        limits[dice.randrange(len(RULES))] = -1
    return policy_of(*limits) if any(limits) else RetentionPolicy(floor=0)


def random_history(dice, *, most=90):
    """Draw moments, newest last, around a date where calendars are difficult."""
    spread = dice.choice([2, 6, 24, 24 * 30, 24 * 365]) * 3600
    moments = set()
    if dice.random() < 0.5:
        at = dice.choice(CLOCK_CHANGES) - timedelta(seconds=dice.randrange(4 * 86400))
    else:
        at = datetime(2010, 1, 1, tzinfo=UTC) + timedelta(seconds=dice.randrange(16 * 365 * 86400))
    for _ in range(dice.randint(0, most)):
        moments.add(at)
        step = dice.choice([60, 600, 3600, 3600, 3600, 3600, dice.randrange(1, spread)])
        at += timedelta(seconds=step)
    return sorted(moments)


@contextmanager
def local_time(zone):
    """Let borg, which asks the C library, live in this zone."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


def kept_by_borg(moments, policy, zone):
    """Do what ``do_prune`` of borg/archiver.py does with its rules; moment -> reason."""
    archives = [ArchiveInfo(str(n), sha256(b"%d" % n).digest(), at) for n, at in enumerate(moments)]
    kept_because = {}
    limits = dict(zip(RULES, policy.limits, strict=True))
    with local_time(zone):
        for rule in PRUNING_PATTERNS:
            prune_split(archives, rule, limits.get(rule, 0), kept_because)
    because = {archive.ts: kept_because.get(archive.id) for archive in archives}
    return {at: f"{why[0]} #{why[1]}" for at, why in because.items() if why}


def kept_by_us(moments, policy, zone):
    now = moments[-1] if moments else NOON
    found = reasons_to_keep(map(point, moments), policy, now=now, zone=ZoneInfo(zone))
    return {point.taken_at: ", ".join(why) for point, why in found if why}


def test_a_thousand_random_histories_are_decided_as_borg_decides():
    dice = random.Random(20261120)
    for _ in range(1000):
        moments, policy, zone = random_history(dice), random_policy(dice), dice.choice(ZONES)
        assert kept_by_us(moments, policy, zone) == kept_by_borg(moments, policy, zone), (
            policy,
            zone,
        )


# One interpreter has borg loaded and forks for each command: many archives in little time.
RUN_BORG = """
import json, os, sys
os.fsync = os.fdatasync = lambda descriptor: None  # no power fails in this test
import borg.archiver
for argv, zone, output in json.load(sys.stdin):
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0, argv
    else:
        os.environ["TZ"] = zone
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.argv = ["borg", *argv]
        borg.archiver.main()
"""
FATE = re.compile(r"(?:Keeping archive \(rule: (.+)\)|Would prune): +office-(\S+)Z ")


def borg_commands(moments, policy, zone, place):
    """Return commands that make a repository with such archives and say what prune would do."""
    archives = [at.strftime("%Y-%m-%dT%H:%M:%S") for at in moments]
    limits = [f"--keep-{rule}={n}" for rule, n in zip(RULES, policy.limits, strict=True) if n]
    return [
        (argv, zone, str(place / "output"))
        for argv in (
            ["init", "-e", "none", f"{place}/repository"],
            *(
                ["create", "--timestamp", at, f"{place}/repository::office-{at}Z", f"{place}/mail"]
                for at in archives
            ),
            ["prune", "--dry-run", "--list", *limits, f"{place}/repository"],
        )
    ]


def run_borg(commands, base):
    environment = {
        "BORG_BASE_DIR": str(base),
        "BORG_SELFTEST": "disabled",
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    }
    argv = [sys.executable, "-c", RUN_BORG]
    subprocess.run(argv, env=environment, input=json.dumps(commands), check=True, text=True)


def fates(place):
    """Read what prune said: moment -> the rule that keeps it, or ""."""
    found = FATE.findall((place / "output").read_text())
    return {datetime.fromisoformat(stamp).replace(tzinfo=UTC): rule for rule, stamp in found}


def test_borg_prune_would_do_the_same_in_twenty_repositories(tmp_path):
    dice = random.Random(20)
    cases, commands = [], []
    for number in range(20):
        place = tmp_path / str(number)
        (place / "mail").mkdir(parents=True)
        case = (random_history(dice, most=9) or [NOON], random_policy(dice), dice.choice(ZONES))
        cases.append((case, place))
        commands += borg_commands(*case, place)
    run_borg(commands, tmp_path)
    for (moments, policy, zone), place in cases:
        ours = kept_by_us(moments, policy, zone)
        assert fates(place) == {at: ours.get(at, "") for at in moments}, (policy, zone)


def test_rules_count_only_what_no_rule_before_them_keeps():
    assert reasons(hours_ago(0, 1, 2, 25, 26, 49), policy_of(2, 2)) == {
        "office-2026-11-20T12:00:00Z": ("hourly #1",),
        "office-2026-11-20T11:00:00Z": ("hourly #2",),
        "office-2026-11-20T10:00:00Z": (),
        "office-2026-11-19T11:00:00Z": ("daily #1",),
        "office-2026-11-19T10:00:00Z": (),
        "office-2026-11-18T11:00:00Z": ("daily #2",),
    }


def test_oldest_point_stays_while_a_rule_is_short_of_points():
    assert reasons(hours_ago(0, 1, 5), policy_of(0, 0, 0, 6)) == {
        "office-2026-11-20T12:00:00Z": ("monthly #1",),
        "office-2026-11-20T11:00:00Z": (),
        "office-2026-11-20T07:00:00Z": ("monthly[oldest] #2",),
    }


def test_repeated_hour_counts_once():
    night = [datetime(2026, 10, 25, hour, 14, tzinfo=UTC) for hour in range(3)]
    assert list(
        reasons([point(at) for at in night], policy_of(2), zone=BERLIN, now=NOON).values()
    ) == [("hourly #1",), ("hourly #2",), ()]  # 03:14, then 02:14 for the second time


def test_days_begin_at_midnight_of_the_zone():
    late, early = datetime(2026, 11, 18, 22, 59, tzinfo=UTC), datetime(2026, 11, 18, 23, tzinfo=UTC)
    points = [point(late), point(early)]
    assert [why for why in reasons(points, policy_of(0, 2)).values() if why] == [
        ("daily #1",),
        ("daily[oldest] #2",),
    ]
    assert list(reasons(points, policy_of(0, 2), zone=BERLIN).values()) == [
        ("daily #1",),
        ("daily #2",),
    ]


def test_held_point_stays_and_counts_for_its_rule():
    held = frozenset({"office-2026-11-20T11:00:00Z", "office-2026-11-18T11:00:00Z"})
    assert reasons(hours_ago(0, 1, 2, 49), policy_of(3), held=held) == {
        "office-2026-11-20T12:00:00Z": ("hourly #1",),
        "office-2026-11-20T11:00:00Z": ("held", "hourly #2"),
        "office-2026-11-20T10:00:00Z": ("hourly #3",),
        "office-2026-11-18T11:00:00Z": ("held",),
    }


def test_floor_keeps_the_newest_that_no_rule_keeps():
    minutes = [point(NOON - timedelta(minutes=minute)) for minute in range(5)]
    assert list(reasons(minutes, policy_of(1, floor=3)).values()) == [
        ("hourly #1",),
        ("floor",),
        ("floor",),
        (),
        (),
    ]


def test_floor_is_satisfied_by_what_the_rules_keep():
    assert list(reasons(hours_ago(0, 1, 2, 3), policy_of(3, floor=3)).values())[3] == ()


def test_point_of_the_future_is_kept_and_pushes_none_out():
    ahead = [point(NOON + timedelta(days=400) + n * HOUR) for n in range(5)]
    policy = policy_of(2)
    assert reasons(ahead, policy) == {each.name: ("future",) for each in reversed(ahead)}
    here = reasons(hours_ago(0, 1, 2), policy)
    assert reasons([*ahead, *hours_ago(0, 1, 2)], policy) == reasons(ahead, policy) | here


def test_held_point_of_the_future_says_both():
    ahead = point(NOON + HOUR)
    assert reasons([ahead], policy_of(1), held=frozenset({ahead.name})) == {
        ahead.name: ("held", "future")
    }


def test_points_that_are_not_complete_are_left_out():
    others = [point(NOON - HOUR, status) for status in PointStatus if status != "complete"]
    assert reasons([*hours_ago(0), *others], policy_of(1)) == {
        "office-2026-11-20T12:00:00Z": ("hourly #1",)
    }


def test_no_points_need_no_decision():
    assert decide([], RetentionPolicy(), now=NOON, zone=UTC) == []


@pytest.mark.parametrize("floor", [0, 3])
def test_policy_that_keeps_nothing_is_refused(floor):
    with pytest.raises(RetentionRefused, match="keeps nothing"):
        decide(hours_ago(0, 1), policy_of(0, 0, 0, 0, 0, floor=floor), now=NOON, zone=UTC)


def test_decision_says_until_when_and_what_keeps_it_last():
    points = [point(NOON - n * HOUR) for n in range(50)]
    decisions = decide(points, policy_of(2, 2), now=NOON, zone=UTC)
    kept = {each.point.taken_at: each for each in decisions if each.keep}
    assert {at: (each.kept_until, each.final_reason) for at, each in kept.items()} == {
        NOON: (NOON + 2 * HOUR, "hourly #2"),
        NOON - HOUR: (NOON + HOUR, "hourly #2"),
        datetime(2026, 11, 19, 23, tzinfo=UTC): (datetime(2026, 11, 22, 1, tzinfo=UTC), "daily #2"),
        datetime(2026, 11, 18, 23, tzinfo=UTC): (datetime(2026, 11, 21, 1, tzinfo=UTC), "daily #2"),
    }
    assert [each.kept_until for each in decisions if not each.keep] == [None] * 46


def test_no_end_is_in_sight_for_holds_and_the_future_and_rules_without_limit():
    points = [point(NOON + HOUR), *hours_ago(0, 30, 60)]
    decisions = decide(
        points, policy_of(1, -1), now=NOON, zone=UTC, held=frozenset({points[1].name})
    )
    assert [(each.reasons, each.kept_until) for each in decisions] == [
        (("future",), None),
        (("held", "hourly #1"), None),
        (("daily #1",), None),
        (("daily #2",), None),
    ]


def test_after_an_outage_backups_are_assumed_from_now_on():
    [newest, _] = decide(
        hours_ago(100, 101), policy_of(2), now=NOON + timedelta(minutes=10), zone=UTC
    )
    assert (newest.kept_until, newest.final_reason) == (NOON + 2 * HOUR, "hourly #2")


def test_other_distance_of_backups_moves_the_end():
    [newest, _] = decide(hours_ago(0, 6), policy_of(2), now=NOON, zone=UTC, every=6 * HOUR)
    assert newest.kept_until == NOON + 12 * HOUR


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe"])
def test_a_year_of_daily_retention_keeps_what_one_look_at_everything_keeps(zone):
    """Each seventh day foretells; every point goes with the first retention after its end."""
    policy = RetentionPolicy()
    begin = datetime(2023, 12, 20, 0, 14, tzinfo=UTC)
    ever, standing, foretold = [], [], {}
    for day in range(366):
        today = [point(begin + timedelta(days=day) + n * HOUR) for n in range(24)]
        ever += today
        standing += today
        now = today[-1].taken_at + timedelta(minutes=16)
        found = reasons_to_keep(standing, policy, now=now, zone=ZoneInfo(zone))
        for each, why in found:
            due = [run for run in foretold.get(each.name, ()) if run <= now]
            assert not (why and due), f"{each.name} was to go by {due[0]}"
            early = [run for run in foretold.get(each.name, ()) if run > now]
            assert why or not early, f"{each.name} was to stay until {early[0]}"
        standing = [each for each, why in found if why]
        if day % 30 == 29:
            everything = kept_by_us([each.taken_at for each in ever], policy, zone)
            assert {each.taken_at for each in standing} == set(everything)
        if day % 7 == 0:
            for decision in decide(standing, policy, now=now, zone=ZoneInfo(zone)):
                assert decision.kept_until, decision
                foretold.setdefault(decision.point.name, []).append(decision.kept_until)
    assert len(standing) == 41
