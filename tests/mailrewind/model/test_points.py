from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrewind.model.points import ArchiveName, point_name, read_archive_name

PREFIXES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}", fullmatch=True)
MOMENTS = st.integers(0, 32_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
PARTS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1) | st.builds(
    lambda moment: f"{point_name('x', moment)}-mail", MOMENTS
)


@given(PREFIXES, MOMENTS, PARTS)
def test_name_of_an_archive_says_all_that_went_into_it(prefix, taken_at, part):
    point = point_name(prefix, taken_at)

    read = read_archive_name(f"{point}-{part}")

    assert read == ArchiveName(prefix, taken_at, part)
    assert read is not None
    assert read.point == point


@given(st.text() | st.from_regex(r"[a-z]+-2026-[0-9]{2}-[0-9]{2}T[0-9]{2}:14:00Z-mail"))
def test_name_that_is_read_leads_back_to_itself(name):
    read = read_archive_name(name)

    assert read is None or f"{read.point}-{read.part}" == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "office",
        "office-2026-11-20T12:14:00Z",
        "office-2026-11-20T12:14:00Z-",
        "-2026-11-20T12:14:00Z-mail",
        "2026-11-20T12:14:00Z-mail",
        "office-2026-02-30T12:14:00Z-mail",
        "office-2026-11-20T24:00:00Z-mail",
        "office-2026-11-20T12:14:00-mail",
        "office-2026-11-20 12:14:00Z-mail",
        "office-sogo-2026-11-20T12:14:00Z",
        "my office-2026-11-20T12:14:00Z-mail",
        "office-٢٠٢٦-11-20T12:14:00Z-mail",
        "mailcow-2026-11-20T12:14:00.123456",
    ],
)
def test_other_names_are_none_of_a_restore_point(name):
    assert read_archive_name(name) is None
