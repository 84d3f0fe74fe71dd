"""Flows on real mail, real borg and a real Prefect server."""

import json
import logging
import time
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import State

from flows.backup import BackupRequest, backup
from flows.restore_mailbox import RestoreMailboxRequest, restore_mailbox
from flows.retain import ALL_SYSTEMS, RetainRequest, retain_points
from flows.undo import UndoRequest, undo_restore
from tests.office import ADA, Office, remove
from tests.prefect_server import PrefectServer

pytest_plugins = ["tests.prefect_fixture"]
pytestmark = pytest.mark.usefixtures("configured")

OFFICE = BackupRequest(system="office")


def asked(**wishes: object) -> RestoreMailboxRequest:
    form = {"system": "office", "mailbox": ADA, "reason": "ticket 17", **wishes}
    return RestoreMailboxRequest.model_validate(form)


def page(server: PrefectServer, key: str) -> str:
    text: str = server.api.get(f"/artifacts/{key}/latest")["data"]
    return text


def run_names(server: PrefectServer, flow: str) -> Sequence[str]:
    runs = server.api.post("/flow_runs/filter", {"flows": {"name": {"any_": [flow]}}})
    return [run["name"] for run in runs]


def test_backup_leaves_a_restore_point_and_a_page(
    office: Office, prefect_server: PrefectServer
) -> None:
    office.add_many(3)
    report = backup(OFFICE)
    points = office.services.state.points("office")
    assert [point.name for point in points] == [report.point]
    assert [row[:2] for row in office.services.browse.mailboxes("office")] == [
        (ADA, 3),
        ("bob@example.org", 0),
    ]
    assert f"# Restore point {report.point}" in page(prefect_server, "backup-office")
    assert "backup office" in run_names(prefect_server, "backup")


def test_plan_changes_nothing_its_restore_brings_all_back_and_a_second_adds_nothing(
    office: Office, prefect_server: PrefectServer
) -> None:
    lost = [*office.add_many(5), *office.add_many(4, folder=".Work")]
    office.add_many(2)
    before = office.snapshot()
    backup(OFFICE)
    remove(lost)
    without = office.snapshot()

    plan_id = restore_mailbox(asked())
    assert office.snapshot() == without
    assert "**9 messages**" in page(prefect_server, f"plan-{plan_id}")

    done = restore_mailbox(asked(action="restore", plan_id=plan_id))
    assert office.snapshot() == before
    assert "| **Added and read back** | **9 messages** |" in page(prefect_server, f"restore-{done}")

    again = restore_mailbox(asked(action="restore"))
    assert office.snapshot() == before
    assert office.services.state.restore_report(again).added == ()
    assert {f"plan restore {ADA} as of latest", f"restore {ADA} as of latest"} <= set(
        run_names(prefect_server, "restore")
    )


def test_restore_is_undone_from_its_form(office: Office) -> None:
    lost = office.add_many(3)
    backup(OFFICE)
    remove(lost)
    without = office.snapshot()
    done = restore_mailbox(asked(action="restore"))
    undo_restore(UndoRequest(restore_id=done, reason="the wrong mailbox"))
    assert office.snapshot() == without


def test_form_asks_who_is_told_besides() -> None:
    assert asked(tell="ada@example.org").wanted.tell == "ada@example.org"


def test_messages_go_below_restored_when_asked(office: Office) -> None:
    lost = office.add_many(2)
    backup(OFFICE)
    remove(lost)
    done = restore_mailbox(asked(action="restore", into="below Restored/<date>"))
    added = office.services.state.restore_report(done).added
    point = office.services.browse.resolve("office")
    day = point.taken_at.astimezone(office.services.config.zone).date()
    assert {each.folder for each in added} == {f"Restored/{day}/INBOX"}


def test_the_plan_s_page_links_to_its_form_filled_in_for_the_restore(
    office: Office, prefect_server: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = office.add_many(1, folder=".A (1) &- B")
    backup(OFFICE)
    remove(lost)
    deployment = str(uuid4())
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", deployment)
    plan_id = restore_mailbox(asked(folders=["A (1) & B"], reason='"why" <not>?'))
    text = page(prefect_server, f"plan-{plan_id}")
    link = urlsplit(text.partition("**[Restore 1 message](")[2].partition(")**")[0])
    assert link.path == f"/v2/deployments/deployment/{deployment}/run"
    assert json.loads(parse_qs(link.query)["parameters"][0]) == {
        "request": {
            "system": "office",
            "mailbox": ADA,
            "reason": '"why" <not>?',
            "moment": "latest",
            "folders": ["A (1) & B"],
            "messages": [],
            "into": "same folders",
            "also_moved": False,
            "over_quota": False,
            "action": "restore",
            "plan_id": plan_id,
            "tell": "",
        }
    }


def test_a_plan_is_refused_for_anything_but_what_was_planned(office: Office) -> None:
    lost = office.add_many(1)
    backup(OFFICE)
    remove(lost)
    without = office.snapshot()
    plan_id = restore_mailbox(asked())
    edited = asked(action="restore", plan_id=plan_id, mailbox="bob@example.org")
    state = restore_mailbox(edited, return_state=True)
    assert message_of(state) == (
        f"PlanOutdated: Plan {plan_id} is not the plan of what this form asks for. "
        "Plan again, or leave the form as the plan's page filled it in."
    )
    assert office.snapshot() == without


@pytest.mark.parametrize(
    "run",
    [
        lambda: backup(BackupRequest(system="elsewhere"), return_state=True),
        lambda: restore_mailbox(asked(system="elsewhere"), return_state=True),
        lambda: restore_mailbox(asked(system="elsewhere", action="restore"), return_state=True),
        lambda: retain_points(
            RetainRequest(system="elsewhere", action="remove"), return_state=True
        ),
    ],
    ids=["backup", "plan", "restore", "retain"],
)
def test_an_unknown_system_is_refused_whatever_the_form_let_through(run: object) -> None:
    assert callable(run)
    assert message_of(run()) == (
        "UnknownSystem: No system is called 'elsewhere'. See `mailrewind systems` for the names."
    )


def test_retention_shows_by_default_and_removes_nothing_that_is_kept(
    office: Office, prefect_server: PrefectServer
) -> None:
    backup(OFFICE)
    point = office.services.browse.resolve("office").name
    retain_points(RetainRequest(system="office"))
    assert f"| {point} |" in page(prefect_server, "points-office")
    retain_points(RetainRequest(system=ALL_SYSTEMS, action="remove"))
    assert office.services.browse.resolve("office").name == point


def test_neither_passphrase_nor_subject_nor_body_reaches_prefect(
    office: Office, prefect_server: PrefectServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    lost = [office.add(text="Zeitgeist-4711") for _ in range(3)]
    backup(OFFICE)
    remove(lost)
    restore_mailbox(asked(action="restore", plan_id=restore_mailbox(asked())))
    retain_points(RetainRequest(system="office", action="remove"))
    office.passphrase.write_text("wrong battery staple\n")
    assert backup(OFFICE, return_state=True).is_failed()
    wait_for_logs(prefect_server)
    kept = b"".join(
        path.read_bytes()
        for path in prefect_server.database.parent.glob(f"{prefect_server.database.name}*")
    )
    assert b"ticket 17" in kept  # what may be there is found by this search
    for secret in (b"correct horse", b"battery staple", b"Zeitgeist"):
        assert secret not in kept


def wait_for_logs(server: PrefectServer) -> None:
    """Logs are sent in batches; wait until the last flow's end has arrived."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        logs = server.api.post("/logs/filter", {"sort": "TIMESTAMP_DESC", "limit": 200})
        if any("PassphraseWrong" in log["message"] for log in logs):
            return
        time.sleep(0.2)
    raise AssertionError("the logs did not arrive")


def message_of(state: State[object]) -> str:
    assert state.is_failed()
    return (state.message or "").removeprefix("Flow run encountered an exception: ")
