from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrewind.errors import ConfigurationInvalid
from mailrewind.services.schedules import interval, is_overdue, next_run, previous_run

BERLIN = ZoneInfo("Europe/Berlin")  # 2026: forward on 29 March at 01:00 UTC, back on 25 October
HOURLY = "14 * * * *"
NIGHTLY = "30 2 * * *"


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def runs(cron, since, count):
    found = []
    for _ in range(count):
        since = next_run(cron, BERLIN, since)
        found.append(since)
    return found


def test_next_run_is_read_in_the_operators_zone():
    assert next_run("0 3 * * *", BERLIN, utc("2026-11-20T12:00")) == utc("2026-11-21T02:00")


def test_run_at_this_very_moment_is_the_previous_one():
    at = utc("2026-11-20T12:14")
    assert previous_run(HOURLY, BERLIN, at) == at
    assert next_run(HOURLY, BERLIN, at) == utc("2026-11-20T13:14")


@pytest.mark.parametrize("night", ["2026-03-28T23:00", "2026-10-24T22:00"])
def test_hourly_runs_keep_their_distance_when_the_clock_changes(night):
    begin = utc(night)
    assert runs(HOURLY, begin, 6) == [begin + timedelta(minutes=14, hours=n) for n in range(6)]


def test_skipped_run_comes_right_after_the_gap():
    assert runs(NIGHTLY, utc("2026-03-28T12:00"), 2) == [
        utc("2026-03-29T01:00"),
        utc("2026-03-30T00:30"),
    ]


@pytest.mark.parametrize("now", ["2026-03-29T01:00", "2026-03-29T01:10", "2026-03-30T00:29"])
def test_skipped_run_is_remembered_where_it_came(now):
    assert previous_run(NIGHTLY, BERLIN, utc(now)) == utc("2026-03-29T01:00")


def test_repeated_hour_runs_once():
    assert runs(NIGHTLY, utc("2026-10-24T12:00"), 2) == [
        utc("2026-10-25T00:30"),
        utc("2026-10-26T01:30"),
    ]


@pytest.mark.parametrize("now", ["2026-10-25T00:30", "2026-10-25T01:10", "2026-10-25T01:45"])
def test_second_pass_of_a_repeated_hour_knows_the_run_of_the_first(now):
    assert previous_run(NIGHTLY, BERLIN, utc(now)) == utc("2026-10-25T00:30")
    assert next_run(NIGHTLY, BERLIN, utc(now)) == utc("2026-10-26T01:30")


def test_interval_spans_the_weekend():
    weekdays = "0 8,18 * * 1-5"
    assert interval(weekdays, BERLIN, utc("2026-11-21T12:00")) == timedelta(hours=62)
    assert interval(weekdays, BERLIN, utc("2026-11-19T12:00")) == timedelta(hours=10)


SINCE_2020 = datetime(2020, 1, 1, tzinfo=UTC)
ZONES = ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Antarctica/Troll", "UTC"]
CRONS = [HOURLY, NIGHTLY, "*/5 * * * *", "0 */4 * * *", "15 1-3 * * *", "0 0 1 * *", "5 2 * * 0"]


@given(
    moment=st.integers(0, 10 * 366 * 86400).map(lambda s: SINCE_2020 + timedelta(seconds=s)),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    cron=st.sampled_from(CRONS),
)
def test_runs_around_any_moment_are_neighbours(moment, zone, cron):
    before, after = previous_run(cron, zone, moment), next_run(cron, zone, moment)
    assert before <= moment < after
    assert next_run(cron, zone, before) == after
    assert previous_run(cron, zone, after - timedelta(seconds=1)) == before


def test_no_point_at_all_is_overdue():
    assert is_overdue(None, HOURLY, BERLIN, utc("2026-11-20T12:00"), factor=2)


@pytest.mark.parametrize(
    ("now", "once", "twice"),
    [
        ("2026-11-20T12:20", False, False),
        ("2026-11-20T13:15", False, False),  # the next run is only beginning
        ("2026-11-20T13:17", True, False),
        ("2026-11-20T14:15", True, False),
        ("2026-11-20T14:17", True, True),
        ("2026-11-29T14:17", True, True),
    ],
)
def test_overdue_counts_the_runs_that_left_no_point(now, once, twice):
    newest = utc("2026-11-20T12:14:05")
    assert is_overdue(newest, HOURLY, BERLIN, utc(now), factor=1) is once
    assert is_overdue(newest, HOURLY, BERLIN, utc(now), factor=2) is twice


def test_nothing_is_overdue_over_a_weekend_without_runs():
    friday = utc("2026-11-20T17:00:03")
    assert not is_overdue(friday, "0 8,18 * * 1-5", BERLIN, utc("2026-11-23T06:59"), factor=1)
    assert is_overdue(friday, "0 8,18 * * 1-5", BERLIN, utc("2026-11-23T07:03"), factor=1)


@pytest.mark.parametrize(
    "cron", ["", "hourly", "14 * * *", "61 * * * *", "0 14 * * * *", "x * * * *"]
)
def test_what_is_no_schedule_is_refused(cron):
    with pytest.raises(ConfigurationInvalid, match="schedule"):
        next_run(cron, BERLIN, utc("2026-11-20T12:00"))


def test_schedule_that_never_comes_is_refused():
    with pytest.raises(ConfigurationInvalid, match="schedule"):
        previous_run("0 0 31 2 *", BERLIN, utc("2026-11-20T12:00"))
