"""Sizes, ages and text of unknown origin."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from mailrewind.cli import show

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("size_bytes", "said"),
    [
        (1, "1 byte"),
        (1023, "1,023 bytes"),
        (1024, "1.0 KiB"),
        (1_500_000, "1.4 MiB"),
        (2**61, "2,048.0 PiB"),
    ],
)
def test_size_is_said_in_its_unit(size_bytes: int, said: str) -> None:
    assert show.size(size_bytes) == said


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (timedelta(0), "now"),
        (timedelta(seconds=59), "59 seconds ago"),
        (timedelta(minutes=42, seconds=59), "42 minutes ago"),
        (timedelta(hours=1, minutes=59), "1 hour ago"),
        (timedelta(days=400), "400 days ago"),
        (timedelta(minutes=-5), "in 5 minutes"),
    ],
)
def test_age_is_said_in_its_largest_unit(ago: timedelta, said: str) -> None:
    assert show.age(NOON - ago, NOON) == said


def test_moment_is_said_in_the_operators_zone() -> None:
    assert show.moment(NOON, ZoneInfo("Europe/Berlin")) == "2026-07-01 14:00 CEST"


def test_terminal_codes_in_a_subject_are_shown_and_not_obeyed() -> None:
    assert show.plain("\x1b[31mred\r\n\udcff\u202eok") == r"\x1b[31mred\r\n\udcff\u202eok"


def test_table_in_a_pipe_cuts_nothing_off(capsys: pytest.CaptureFixture[str]) -> None:
    show.table(("Subject", "Size"), [("x" * 300, "1"), ("[red]y", "22")], right=(1,))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "Subject" + " " * 295 + "Size",
        "x" * 300 + " " * 5 + "1",
        "[red]y" + " " * 298 + "22",
    ]


def test_names_stand_on_one_line_in_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # taken for a terminal, a plain one of 80 columns
    monkeypatch.setenv("TERM", "dumb")
    name = "office-2026-11-20T18:48:59Z"
    show.table(("Restore point", "Why"), [(name, "word " * 16), ("x", "")])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["Restore", name, "x"]
    assert max(map(len, lines)) <= 80
