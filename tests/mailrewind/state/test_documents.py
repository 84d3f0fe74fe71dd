import json
import types
import typing
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrewind.errors import RecordsOutdated, RecordsUnreadable
from mailrewind.model.mail import Message, Quota
from mailrewind.model.reports import ArchiveStatistics, BackupReport, Finding, IndexChanges
from mailrewind.model.restores import (
    Added,
    Addition,
    RestorePlan,
    RestoreReport,
    RestoreRequest,
    Selection,
)
from mailrewind.state.documents import (
    read_backup_report,
    read_plan,
    read_restore_report,
    write_backup_report,
    write_plan,
    write_restore_report,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

# Every code point that a str can hold: lone surrogates are what undecodable file names become.
texts = st.text(st.characters(exclude_categories=()), max_size=8)
numbers = st.integers(0, 1 << 50)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001  # made aware
    lambda moment: moment.replace(tzinfo=UTC)
)
flags = st.frozensets(texts, max_size=3)


def several(values: st.SearchStrategy[typing.Any]) -> st.SearchStrategy[typing.Any]:
    return st.lists(values, max_size=3).map(tuple)


findings = st.builds(Finding, texts, texts)
quotas = st.none() | st.builds(Quota, numbers, st.none() | numbers, numbers, st.none() | numbers)
messages = st.builds(Message, texts, texts, texts, flags, moments, numbers, texts)
additions = st.builds(Addition, numbers, messages, texts, st.none() | moments)
requests = st.builds(
    RestoreRequest,
    texts,
    texts,
    texts,
    several(texts),
    several(numbers),
    st.sampled_from(["same", "restored"]),
    st.booleans(),
    st.booleans(),
    texts,
    texts,
    texts,
)
selections = st.builds(Selection, several(additions), numbers, several(st.tuples(texts, numbers)))
plans = st.builds(
    RestorePlan,
    texts,
    requests,
    texts,
    moments,
    moments,
    selections,
    several(findings),
    quotas,
    numbers,
    several(findings),
)
restore_reports = st.builds(
    RestoreReport,
    texts,
    plans,
    moments,
    moments,
    several(st.builds(Added, texts, texts, flags)),
    several(findings),
    quotas,
    several(findings),
    st.none() | moments,
)
archives = st.builds(
    ArchiveStatistics,
    texts,
    numbers,
    numbers,
    numbers,
    st.timedeltas(timedelta(0), timedelta(days=9)),
)
backup_reports = st.builds(
    BackupReport,
    texts,
    texts,
    moments,
    moments,
    several(archives),
    st.none() | st.builds(IndexChanges, *[numbers] * 6),
    numbers,
    several(findings),
    several(texts),
)


@settings(max_examples=60)
@given(plan=plans)
def test_plan_comes_back_as_it_was_kept(plan: RestorePlan) -> None:
    assert read_plan(write_plan(plan)) == plan


@settings(max_examples=60)
@given(report=restore_reports)
def test_restore_report_comes_back_as_it_was_kept(report: RestoreReport) -> None:
    assert read_restore_report(write_restore_report(report)) == report


@settings(max_examples=60)
@given(report=backup_reports)
def test_backup_report_comes_back_as_it_was_kept(report: BackupReport) -> None:
    assert read_backup_report(write_backup_report(report)) == report


@settings(max_examples=30)
@given(report=restore_reports)
def test_document_is_ascii_so_that_every_database_takes_it(report: RestoreReport) -> None:
    assert write_restore_report(report).isascii()


def test_report_of_before_keys_were_kept_is_read() -> None:
    report = BackupReport("p", "office", NOON, NOON, (), None, 0, ())
    document = json.loads(write_backup_report(report))
    del document["gone"]
    assert read_backup_report(json.dumps(document)) == report


def test_plan_of_before_somebody_could_be_told_is_read() -> None:
    document = json.loads(write_plan(PLAN))
    del document["request"]["tell"]
    assert read_plan(json.dumps(document)) == PLAN


def test_every_field_of_a_model_is_drawn_here_with_no_default_left_out() -> None:
    """A new field with a default would pass the round trips above without being kept."""
    drawn = {
        Message: 7,
        Quota: 4,
        Finding: 2,
        Addition: 4,
        RestoreRequest: 11,
        Selection: 3,
        RestorePlan: 10,
        RestoreReport: 9,
        Added: 3,
        ArchiveStatistics: 5,
        BackupReport: 9,
        IndexChanges: 6,
    }

    assert {kind: len(fields(kind)) for kind in drawn} == drawn
    assert nouns_below(RestoreReport) | nouns_below(BackupReport) == set(drawn)


def nouns_below(kind: type) -> set[type]:
    found = {kind}
    for hint in typing.get_type_hints(kind).values():
        for part in _parts(hint):
            if is_dataclass(part):
                found |= nouns_below(part)
    return found


def _parts(hint: object) -> list[typing.Any]:
    if isinstance(hint, types.UnionType | types.GenericAlias):
        return [part for argument in typing.get_args(hint) for part in _parts(argument)]
    return [hint]


PLAN = RestorePlan(
    id="3f9a1c20",
    request=RestoreRequest("office", "ada@example.org"),
    point="office-2026-11-12T12:14:00Z",
    moment=datetime(2026, 11, 12, 12, 14, tzinfo=UTC),
    made_at=datetime(2026, 11, 20, 12, tzinfo=UTC),
    selection=Selection((), 4, ()),
    unreadable=(),
    quota=None,
    free_bytes=10**9,
    findings=(),
)


def test_document_of_a_newer_version_is_refused() -> None:
    document = json.loads(write_plan(PLAN)) | {"version": 2}

    with pytest.raises(RecordsOutdated, match="A plan is in version 2 of its format, not 1"):
        read_plan(json.dumps(document))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"kind":"plan"}', '{"kind":"plan","version":1}'],
)
def test_damaged_document_is_told_apart_from_a_missing_one(text: str) -> None:
    with pytest.raises(RecordsUnreadable, match="A stored plan is damaged"):
        read_plan(text)


def test_document_of_another_kind_is_refused() -> None:
    with pytest.raises(
        RecordsUnreadable, match="Found a stored plan, wanted a stored restore report"
    ):
        read_restore_report(write_plan(replace(PLAN, id="x")))
