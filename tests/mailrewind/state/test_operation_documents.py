import json
from dataclasses import fields
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrewind.errors import RecordsUnreadable
from mailrewind.model.operations import (
    Change,
    Draft,
    Effect,
    OperationPlan,
    OperationReport,
    OperationRequest,
    Outcome,
)
from mailrewind.model.reports import Finding
from mailrewind.state.operation_documents import (
    read_operation_plan,
    read_operation_report,
    write_operation_plan,
    write_operation_report,
)
from tests.mailrewind.state.test_documents import (
    findings,
    moments,
    nouns_below,
    numbers,
    several,
    texts,
)

changes = st.builds(Change, st.sampled_from(Effect), texts, texts, numbers)
choices = st.dictionaries(texts, several(texts), max_size=3)
requests = st.builds(OperationRequest, texts, texts, texts, texts, choices, texts, texts, texts)
drafts = st.builds(
    Draft,
    texts,
    st.none() | moments,
    several(changes),
    texts,
    several(findings),
    st.booleans(),
)
plans = st.builds(OperationPlan, texts, requests, moments, drafts)
outcomes = st.builds(
    Outcome, several(st.tuples(texts, numbers)), several(findings), several(findings), texts
)
reports = st.builds(
    OperationReport,
    texts,
    plans,
    moments,
    st.none() | moments,
    st.none() | outcomes,
    st.none() | moments,
    texts,
    st.none() | outcomes,
    st.none() | moments,
)

OPERATION_PLAN = OperationPlan(
    id="5d41402a",
    request=OperationRequest("database", "office", choices={"keep_newer_credentials": ("yes",)}),
    made_at=datetime(2026, 11, 20, 12, tzinfo=UTC),
    draft=Draft("", None, (), "", is_destructive=True),
)


@settings(max_examples=60)
@given(plan=plans)
def test_plan_of_an_operation_comes_back_as_it_was_kept(plan: OperationPlan) -> None:
    assert read_operation_plan(write_operation_plan(plan)) == plan


@settings(max_examples=60)
@given(report=reports)
def test_report_of_an_operation_comes_back_as_it_was_kept(report: OperationReport) -> None:
    document = write_operation_report(report)
    assert document.isascii()
    assert read_operation_report(document) == report


def test_every_field_of_an_operation_is_drawn_here_with_no_default_left_out() -> None:
    """A new field with a default would pass the round trips above without being kept."""
    drawn = {
        Change: 4,
        Draft: 6,
        Finding: 2,
        OperationPlan: 4,
        OperationReport: 9,
        OperationRequest: 8,
        Outcome: 4,
    }

    assert {kind: len(fields(kind)) for kind in drawn} == drawn
    assert nouns_below(OperationReport) == set(drawn)


def test_plan_of_a_restore_of_messages_is_not_read_as_one_of_an_operation() -> None:
    document = json.loads(write_operation_plan(OPERATION_PLAN)) | {"kind": "plan"}
    with pytest.raises(
        RecordsUnreadable, match="Found a stored plan, wanted a stored operation plan"
    ):
        read_operation_plan(json.dumps(document))


def test_effect_that_nobody_knows_is_told_as_damage() -> None:
    plan = json.loads(write_operation_plan(OPERATION_PLAN))
    plan["draft"]["changes"] = [{"effect": "vanished", "subject": "", "text": "", "count": 1}]
    with pytest.raises(RecordsUnreadable, match="A stored operation plan is damaged"):
        read_operation_plan(json.dumps(plan))
