"""Restores beyond messages, from their forms, on a real Prefect server."""

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import State
from prefect.utilities.callables import parameter_schema

from flows.export_sogo import ALL_SYSTEMS, ExportSogoRequest, export_sogo
from flows.replace_mailbox import ReplaceMailboxRequest, replace_mailbox
from flows.restore_account import RestoreAccountRequest, restore_account
from flows.restore_calendars import RestoreCalendarsRequest, restore_calendars
from flows.restore_database import RestoreDatabaseRequest, restore_database
from flows.restore_deleted_mailbox import RestoreDeletedMailboxRequest, restore_deleted_mailbox
from flows.restore_server import RestoreServerRequest, restore_server
from flows.undo import UndoRequest, undo_restore
from mailrewind.model.operations import OperationRequest
from tasks.services import services
from tests.doubles_operations import NoticeBoard
from tests.office import ADA, Office
from tests.prefect_server import PrefectServer

pytest_plugins = ["tests.prefect_fixture"]
pytestmark = pytest.mark.usefixtures("configured")


@pytest.fixture
def board(configured: Office, tmp_path: Path) -> NoticeBoard:
    """A board in the place of calendars."""
    (tmp_path / "copy").write_text("fire drill\nlost cat\nchoir")
    (tmp_path / "board").write_text("choir\nparty")
    board = NoticeBoard(tmp_path / "board", tmp_path / "copy", name="calendars")
    services().connect("office").operations["calendars"] = board
    return board


def asked(**wishes: object) -> RestoreCalendarsRequest:
    form = {"system": "office", "user": ADA, "reason": "ticket 17", **wishes}
    return RestoreCalendarsRequest.model_validate(form)


def notices(board: NoticeBoard) -> list[str]:
    return board.board.read_text().split("\n")


def page(server: PrefectServer, key: str) -> str:
    text: str = server.api.get(f"/artifacts/{key}/latest")["data"]
    return text


def message_of(state: State[object]) -> str:
    assert state.is_failed()
    return (state.message or "").removeprefix("Flow run encountered an exception: ")


def test_plan_is_refused_without_the_typed_name_carried_out_with_it_and_undone(
    board: NoticeBoard, prefect_server: PrefectServer
) -> None:
    plan_id = restore_calendars(asked(mode="reset"))
    assert notices(board) == ["choir", "party"]
    text = page(prefect_server, f"plan-{plan_id}")
    assert "| **Would be lost** | **1** |" in text
    assert "| party | was put up later |" in text
    assert "**What is there would be lost or reverted.**" in text

    by_plan = {"mode": "reset", "action": "restore", "plan_id": plan_id}
    refused = restore_calendars(asked(**by_plan), return_state=True)
    assert message_of(refused) == (
        f"ConfirmationMissing: Plan {plan_id} would restore the calendars and contacts of {ADA} on "
        f"office: 2 added, 1 lost. Read the plan, give its id {plan_id}, and type the system's "
        "name: office"
    )
    wrong = restore_calendars(asked(**by_plan, type_the_system_name="Office"), return_state=True)
    assert message_of(wrong).startswith("ConfirmationMissing: ")
    assert notices(board) == ["choir", "party"]

    done = restore_calendars(asked(**by_plan, type_the_system_name="office"))
    assert notices(board) == ["choir", "fire drill", "lost cat"]
    report = page(prefect_server, f"restore-{done}")
    assert "| **Notices put up** | **2** |" in report
    assert f"| To undo | run *undo* with the restore {done} |" in report

    assert undo_restore(UndoRequest(restore_id=done, reason="no")) == done
    assert notices(board) == ["choir", "party"]
    assert "| Taken back | notices as before: 2 |" in page(prefect_server, f"restore-{done}")


def test_what_destroys_nothing_is_restored_at_once(board: NoticeBoard) -> None:
    done = restore_calendars(asked(action="restore", records=["lost cat"]))
    assert notices(board) == ["choir", "party", "lost cat"]
    request = services().operations.report(done).plan.request
    assert request.initiator.startswith("prefect:")
    assert (request.target, request.reason) == (ADA, "ticket 17")


def test_what_destroys_something_is_not_restored_at_once_but_planned(
    board: NoticeBoard, prefect_server: PrefectServer
) -> None:
    state = restore_calendars(
        asked(mode="reset", action="restore", type_the_system_name="office"), return_state=True
    )
    kind, _, plan_id, *_ = message_of(state).split()
    assert kind == "ConfirmationMissing:"
    assert "| **Would be lost** | **1** |" in page(prefect_server, f"plan-{plan_id}")
    assert notices(board) == ["choir", "party"]


def test_runs_are_named_for_what_they_do(board: NoticeBoard, prefect_server: PrefectServer) -> None:
    restore_calendars(asked())
    restore_calendars(asked(action="restore"))
    wanted = {"flows": {"name": {"any_": ["restore-calendars"]}}}
    deed = f"restore the calendars and contacts of {ADA} on office as of latest"
    names = {run["name"] for run in prefect_server.api.post("/flow_runs/filter", wanted)}
    assert names >= {deed, f"plan to {deed}"}


def test_the_plan_s_page_links_to_its_form_but_does_not_type_the_name(
    board: NoticeBoard, prefect_server: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = str(uuid4())
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", deployment)
    plan_id = restore_calendars(asked(mode="reset", folders=["Calendar/personal"]))
    text = page(prefect_server, f"plan-{plan_id}")
    link = urlsplit(text.partition("**[Do it](")[2].partition(")**")[0])
    assert link.path == f"/v2/deployments/deployment/{deployment}/run"
    assert json.loads(parse_qs(link.query)["parameters"][0])["request"] == {
        "system": "office",
        "user": ADA,
        "moment": "latest",
        "mode": "reset",
        "folders": ["Calendar/personal"],
        "records": [],
        "into_user": "",
        "preferences": False,
        "reason": "ticket 17",
        "action": "restore",
        "plan_id": plan_id,
        "type_the_system_name": "",
        "tell": "",
    }


def test_a_plan_is_refused_for_anything_but_what_was_planned(board: NoticeBoard) -> None:
    plan_id = restore_calendars(asked())
    edited = asked(action="restore", plan_id=plan_id, mode="reset", type_the_system_name="office")
    assert message_of(restore_calendars(edited, return_state=True)) == (
        f"PlanOutdated: Plan {plan_id} is not the plan of what this form asks for. "
        "Plan again, or leave the form as the plan's page filled it in."
    )
    assert notices(board) == ["choir", "party"]


def test_a_restore_that_fails_half_way_leaves_its_page(
    board: NoticeBoard, prefect_server: PrefectServer
) -> None:
    board.torn = {"lost cat"}
    failed = message_of(restore_calendars(asked(action="restore"), return_state=True))
    assert failed.startswith("VerificationFailed: Not everything is as it was meant to be")
    (report,) = services().operations.reports()
    assert "| lost cat | it fell off |" in page(prefect_server, f"restore-{report.id}")


def test_a_system_without_it_is_refused_whatever_the_form_let_through() -> None:
    assert message_of(restore_calendars(asked(), return_state=True)).startswith(
        "OperationUnknown: The system office has no restore called 'calendars'"
    )


def test_export_is_refused_where_there_are_no_calendars_and_passes_such_systems_by() -> None:
    state = export_sogo(ExportSogoRequest(system="office"), return_state=True)
    assert message_of(state).startswith(
        "OperationUnknown: The system office has no calendars and contacts."
    )
    assert export_sogo(ExportSogoRequest(system=ALL_SYSTEMS), return_state=True).is_completed()


MOST = {"system": "office", "reason": "ticket 17"}


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        (
            RestoreCalendarsRequest(
                **MOST,
                user=f" {ADA} ",
                moment="yesterday",
                mode="reset",
                folders=["Calendar/personal"],
                records=["1.ics", " "],
                into_user="bob@example.org",
                preferences=True,
                tell="ada@example.org",
            ),
            OperationRequest(
                "calendars",
                "office",
                ADA,
                "yesterday",
                {
                    "mode": ("reset",),
                    "folders": ("Calendar/personal",),
                    "records": ("1.ics",),
                    "into_user": ("bob@example.org",),
                    "preferences": ("yes",),
                },
                "ticket 17",
                tell="ada@example.org",
            ),
        ),
        (
            RestoreCalendarsRequest(**MOST, user=ADA),
            OperationRequest(
                "calendars",
                "office",
                ADA,
                choices={"mode": ("merge",), "preferences": ("no",)},
                reason="ticket 17",
            ),
        ),
        (
            ReplaceMailboxRequest(**MOST, mailbox=ADA),
            OperationRequest(
                "replace", "office", ADA, choices={"newer": ("lose",)}, reason="ticket 17"
            ),
        ),
        (
            RestoreDeletedMailboxRequest(**MOST, mailbox=ADA, candidate="1_a", create=True),
            OperationRequest(
                "deleted",
                "office",
                ADA,
                choices={
                    "source": ("garbage",),
                    "candidate": ("1_a",),
                    "whatever_it_holds": ("no",),
                    "create": ("yes",),
                },
                reason="ticket 17",
            ),
        ),
        (
            RestoreDatabaseRequest(**MOST),
            OperationRequest(
                "database",
                "office",
                choices={
                    "keep_newer_credentials": ("yes",),
                    "returning": ("disabled",),
                    "from_another": ("no",),
                },
                reason="ticket 17",
            ),
        ),
        (
            RestoreAccountRequest(
                **MOST, mailbox=ADA, what=["quota"], keep_newer_credentials=False
            ),
            OperationRequest(
                "account",
                "office",
                ADA,
                choices={
                    "what": ("quota",),
                    "keep_newer_credentials": ("no",),
                    "from_another": ("no",),
                },
                reason="ticket 17",
            ),
        ),
        (
            RestoreServerRequest(**MOST, moment="latest"),
            OperationRequest("server", "office", reason="ticket 17"),
        ),
    ],
    ids=lambda each: each.operation if isinstance(each, OperationRequest) else "form",
)
def test_form_asks_for_what_it_says(form: object, wanted: OperationRequest) -> None:
    assert form.wanted == wanted


COMMON = ["reason", "action", "plan_id", "type_the_system_name", "tell"]


@pytest.mark.parametrize(
    ("flow", "fields"),
    [
        (
            restore_calendars,
            ["user", "moment", "mode", "folders", "records", "into_user", "preferences"],
        ),
        (replace_mailbox, ["mailbox", "moment", "newer"]),
        (
            restore_deleted_mailbox,
            ["mailbox", "moment", "source", "candidate", "whatever_it_holds", "create"],
        ),
        (restore_database, ["moment", "keep_newer_credentials", "returning", "from_another"]),
        (
            restore_account,
            ["mailbox", "moment", "what", "keep_newer_credentials", "from_another"],
        ),
        (restore_server, ["moment"]),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_form_asks_for_its_subject_first_for_the_deed_last_and_plans_by_default(
    flow: object, fields: list[str]
) -> None:
    schema = parameter_schema(flow).model_dump_for_openapi()
    (model,) = schema["definitions"].values()
    properties = model["properties"]
    assert list(properties) == ["system", *fields, *COMMON]
    assert properties["action"]["default"] == "plan"
    assert sorted(model["required"]) == sorted(
        {"system", "reason", "user", "mailbox"}.intersection(properties)
    )
    assert all(each.get("title") and each.get("description") for each in properties.values())


def test_choices_of_a_form_are_drop_downs() -> None:
    schema = parameter_schema(restore_account).model_dump_for_openapi()
    (model,) = schema["definitions"].values()
    what = model["properties"]["what"]
    assert what["items"]["enum"] == ["mailbox", "aliases", "filters", "quota", "sogo profile"]
    assert what["default"] == what["items"]["enum"]
    (form,) = parameter_schema(export_sogo).model_dump_for_openapi()["definitions"].values()
    assert list(form["properties"]) == ["system", "users"]
