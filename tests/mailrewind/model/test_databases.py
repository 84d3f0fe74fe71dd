import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrewind.model.databases import (
    RowStep,
    is_newer_schema,
    steps_from_json,
    steps_to_json,
)

cells = st.none() | st.text() | st.binary()
rows = st.dictionaries(st.text(), cells)


@given(st.lists(st.builds(RowStep, st.text(), rows, rows, rows)))
def test_steps_survive_being_written(steps):
    assert steps_from_json(steps_to_json(tuple(steps))) == tuple(steps)


@pytest.mark.parametrize(
    ("one", "other", "is_newer"),
    [
        ("19022026_1220", "19022026_1220", False),
        ("01032026_0000", "19022026_1220", True),
        ("19022026_1221", "19022026_1220", True),
        ("31122025_2359", "01012026_0000", False),
        ("01012026_0000", "31122025_2359", True),
        ("", "19022026_1220", None),
        ("tomorrow", "19022026_1220", None),
        ("", "", False),
    ],
)
def test_versions_of_tables_are_compared_as_the_days_that_they_are(one, other, is_newer):
    assert is_newer_schema(one, other) is is_newer
