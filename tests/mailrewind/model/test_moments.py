from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrewind.errors import MomentInFuture, MomentTooEarly, MomentUnclear, RestorePointNotFound
from mailrewind.model.moments import parse_moment
from mailrewind.model.points import PointStatus, RestorePoint, point_name

BERLIN = ZoneInfo("Europe/Berlin")  # 2026: forward on 29 March at 01:00 UTC, back on 25 October


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def point(taken_at, status=PointStatus.COMPLETE):
    return RestorePoint(
        name=point_name("office", taken_at),
        system="office",
        taken_at=taken_at,
        status=status,
        parts=("mail",),
        repository="main",
    )


NOW = utc("2026-11-20T14:20:10")
HOURLY = [point(utc("2026-11-20T14:14:05") - timedelta(hours=n)) for n in range(24 * 400)]
OLDEST = HOURLY[-1]


def found(text, *, points=HOURLY, now=NOW, zone=BERLIN):
    return parse_moment(text, points=points, now=now, zone=zone).name


@pytest.mark.parametrize(
    ("text", "taken_at"),
    [
        ("latest", "2026-11-20T14:14:05"),
        ("  Latest ", "2026-11-20T14:14:05"),
        ("office-2026-11-12T12:14:05Z", "2026-11-12T12:14:05"),
        (" office-2026-11-12T12:14:05Z\n", "2026-11-12T12:14:05"),
        ("2026-11-12", "2026-11-12T22:14:05"),
        ("today", "2026-11-20T14:14:05"),
        ("2026-11-20", "2026-11-20T14:14:05"),
        ("yesterday", "2026-11-19T22:14:05"),
        ("Yesterday  13:00", "2026-11-19T11:14:05"),
        ("today 0:00", "2026-11-19T22:14:05"),
        ("2026-11-12 13:00", "2026-11-12T11:14:05"),
        ("2026-11-12 9:00", "2026-11-12T07:14:05"),
        ("2026-11-12 13:14", "2026-11-12T12:14:05"),
        ("2026-11-12 13:14:05", "2026-11-12T12:14:05"),
        ("2026-11-12 13:14:04", "2026-11-12T11:14:05"),
        ("2026-11-12T13:14:05", "2026-11-12T12:14:05"),
        ("2026-11-12T13:14:05Z", "2026-11-12T13:14:05"),
        ("2026-11-12T13:14:05.250Z", "2026-11-12T13:14:05"),
        ("2026-11-12t13:14z", "2026-11-12T13:14:05"),
        ("2026-11-12 13:14:04Z", "2026-11-12T12:14:05"),
        ("2026-11-12T13:14:05+02:00", "2026-11-12T11:14:05"),
        ("2026-11-12 13:14 -0530", "2026-11-12T18:14:05"),
        ("2026-11-20 15:20", "2026-11-20T14:14:05"),  # the minute that is not over yet
        ("3 hours ago", "2026-11-20T11:14:05"),
        ("1 hour ago", "2026-11-20T13:14:05"),
        ("7 minutes ago", "2026-11-20T13:14:05"),
        ("2 days ago", "2026-11-18T14:14:05"),
        ("4 weeks ago", "2026-10-23T14:14:05"),
    ],
)
def test_moment_finds_the_newest_point_at_or_before_it(text, taken_at):
    assert found(text) == point(utc(taken_at)).name


@pytest.mark.parametrize(
    ("text", "taken_at"),
    [
        ("2026-07-01 13:14", "2026-07-01T11:14:05"),  # summer time, asked for in winter
        ("2026-10-25 02:14", "2026-10-25T00:14:05"),  # comes twice: the first is meant
        ("2026-10-25 02:59:59", "2026-10-25T00:14:05"),
        ("2026-10-25 03:00", "2026-10-25T01:14:05"),
        ("2026-10-25", "2026-10-25T22:14:05"),  # a day of 25 hours
        ("2026-10-24", "2026-10-24T21:14:05"),
        ("2026-03-29 02:30", "2026-03-29T01:14:05"),  # never came: 03:30 is meant
        ("2026-03-29 02:10", "2026-03-29T00:14:05"),
        ("2026-03-29", "2026-03-29T21:14:05"),  # a day of 23 hours
    ],
)
def test_local_times_hold_through_clock_changes(text, taken_at):
    assert found(text) == point(utc(taken_at)).name


def test_day_that_begins_in_a_gap_is_read():
    beirut = ZoneInfo("Asia/Beirut")  # forward on 29 March 2026 at midnight
    assert found("2026-03-28", zone=beirut) == point(utc("2026-03-28T21:14:05")).name
    assert found("2026-03-29", zone=beirut) == point(utc("2026-03-29T20:14:05")).name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "newest",
        "tomorrow",
        "13:00",
        "9:00",
        "12.11.2026",
        "11/12/2026",
        "2026-11",
        "2026-W46-4",
        "20261112",
        "2026-02-30",
        "2026-13-01",
        "0000-01-01",
        "2026-11-12 24:00",
        "2026-11-12 13:60",
        "2026-11-12 13",
        "2026-11-12 13:00 CET",
        "2026-11-12T13:00+99:00",
        "2026-11-12 13:00; rm -rf /",
        "-3 hours ago",
        "3.5 hours ago",
        "3 months ago",
        "999999 weeks ago",
        "2026-11-1\u0662",
        "latest\x00",
        "9999-12-31",
    ],
)
def test_what_names_no_moment_is_refused(text):
    with pytest.raises(MomentUnclear, match="does not name a moment"):
        found(text)


@pytest.mark.parametrize(
    "text", ["2026-11-21", "2026-11-20 15:21", "2026-11-20T14:20:11Z", "2036-01-01", "today 23:00"]
)
def test_moment_to_come_is_refused_with_both_times(text):
    with pytest.raises(MomentInFuture, match=r"has not come yet; it is 2026-11-20 15:20:10 CET"):
        found(text)


@pytest.mark.parametrize(
    "text", ["2025-10-15", "2025-10-16 17:13", "1999-12-31 23:59", "100 weeks ago"]
)
def test_moment_before_the_first_point_names_the_oldest(text):
    with pytest.raises(MomentTooEarly, match=OLDEST.name):
        found(text)


@pytest.mark.parametrize(
    "text", ["office-2026-11-12T12:15:00Z", "shop-2026-11-12T12:14:05Z", "a-b-2026-11-12T12:14:05Z"]
)
def test_unknown_point_is_refused_by_name(text):
    with pytest.raises(RestorePointNotFound, match=text):
        found(text)


@pytest.mark.parametrize("status", [PointStatus.MAKING, PointStatus.FAILED, PointStatus.REMOVED])
def test_point_that_is_not_complete_is_passed_over(status):
    unfinished = point(utc("2026-11-20T14:19:00"), status)
    with pytest.raises(RestorePointNotFound, match=f"{unfinished.name} is {status}"):
        found(unfinished.name, points=[unfinished, *HOURLY])
    for text in ("latest", "today", "1 minute ago"):
        assert found(text, points=[unfinished, *HOURLY]) == HOURLY[0].name


@pytest.mark.parametrize("text", ["latest", "yesterday", "2026-11-12 13:00"])
def test_system_without_points_says_so(text):
    with pytest.raises(RestorePointNotFound, match="no complete restore point yet"):
        found(text, points=[])


@given(st.sampled_from(HOURLY[:5000]))
def test_time_copied_from_a_list_finds_its_point(wanted):
    local = wanted.taken_at.astimezone(BERLIN)
    first, second = local.replace(fold=0), local.replace(fold=1)
    if first.utcoffset() == second.utcoffset():  # the time comes only once
        assert found(f"{local:%Y-%m-%d %H:%M}") == wanted.name
    assert found(local.isoformat()) == wanted.name
    assert found(wanted.taken_at.isoformat(timespec="minutes")) == wanted.name


@given(st.text(max_size=30).filter(lambda text: text.strip().casefold() != "latest"))
def test_text_at_random_is_refused_with_advice(text):
    with pytest.raises(
        (MomentUnclear, MomentInFuture, MomentTooEarly, RestorePointNotFound)
    ) as refusal:
        found(text)
    assert refusal.value.advice
