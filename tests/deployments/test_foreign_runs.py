"""Whoever reaches Prefect's API must not thereby be root on the worker."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.api import Api, ApiRefused
from deployments.pool import template
from deployments.runs import Run
from tests.deployments.running import deployment_id, end_of, plant, request, start
from tests.stack import RunningStack

SHELL = "prefect.deployments.steps.run_shell_script"


@pytest.fixture(scope="module")
def api(stack: RunningStack) -> Api:
    return stack.api


@dataclass(frozen=True)
class Attacks:
    """How each planted run ended, and which files their commands left."""

    runs: dict[str, Run]
    files: list[str]


@pytest.fixture(scope="module")
def attacks(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Attacks:
    """Several attacks at once, so that the worker's polling is waited for once."""
    folder = tmp_path_factory.mktemp("planted")
    ours = {"entrypoint": "flows.backup.backup", "parameters": request("post")}
    step = {SHELL: {"script": f"touch {folder}/pull-step"}}
    started = {
        "pull step": start(api, plant(api, **ours, pull_steps=[step])),
        "function": start(
            api,
            plant(api, entrypoint="os.system", parameters={"command": f"touch {folder}/function"}),
        ),
        "file": start(api, plant(api, entrypoint=f"{folder}/elsewhere.py:main")),
        "unchecked form": start(
            api,
            deployment_id(api, "backup/post"),
            parameters=request("nobody"),
            enforce_parameter_schema=False,
        ),
        "no deployment": _without_deployment(api),
        "later job variables": _with_later_job_variables(api, folder),
    }
    ended = {name: end_of(api, run_id) for name, run_id in started.items()}
    return Attacks(ended, sorted(path.name for path in folder.iterdir()))


def test_no_planted_command_was_carried_out(attacks: Attacks) -> None:
    assert attacks.files == []


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        ("pull step", "Refused: the deployment planted has pull steps; ours have none."),
        (
            "function",
            "Refused: the deployment planted names 'os.system', which is none of our flows.",
        ),
        ("no deployment", "Refused: this run belongs to no deployment."),
        ("later job variables", "Refused: the deployment planted sets job variables (command)"),
    ],
)
def test_a_run_that_brings_more_than_parameters_fails_and_says_why(
    attacks: Attacks, attack: str, message: str
) -> None:
    run = attacks.runs[attack]
    assert run.state == "FAILED"
    assert run.message.startswith(message)


def test_code_in_a_file_is_refused(attacks: Attacks) -> None:
    run = attacks.runs["file"]
    assert run.state == "FAILED"
    assert "elsewhere.py:main', which is none of our flows" in run.message


def test_an_unknown_system_is_refused_even_if_the_form_is_not_checked(attacks: Attacks) -> None:
    run = attacks.runs["unchecked form"]
    assert run.state == "FAILED"
    assert "nobody" in run.message


@pytest.mark.parametrize(
    "variables",
    [
        {"command": "touch /tmp/no"},
        {"env": {"PYTHONPATH": "/tmp"}},
        {"env.PYTHONPATH": "/tmp"},
        {"working_dir": "/tmp"},
        {"stream_output": True},
    ],
)
def test_job_variables_are_refused_by_the_server(api: Api, variables: dict[str, object]) -> None:
    backup = deployment_id(api, "backup/post")
    with pytest.raises(ApiRefused, match="Additional properties are not allowed") as refused:
        start(api, backup, parameters=request("post"), job_variables=variables)
    assert refused.value.status == 422


def test_a_template_rewritten_through_the_api_starts_our_engine_all_the_same(
    api: Api, tmp_path: Path
) -> None:
    planted = tmp_path / "planted"
    evil = {
        "job_configuration": {
            "command": f"touch {planted}",
            "env": {"PREFECT__FLOW_ENTRYPOINT": "os.system", "PYTHONPATH": str(tmp_path)},
            "working_dir": str(tmp_path),
        },
        "variables": {"type": "object", "properties": {}},
    }
    api.patch("/work_pools/mail", {"base_job_template": evil})
    try:
        deployment = plant(api, entrypoint="flows.backup.backup", parameters=request("nobody"))
        run = end_of(api, start(api, deployment))
    finally:
        api.patch("/work_pools/mail", {"base_job_template": template()})
    assert (run.state, planted.exists()) == ("FAILED", False)
    assert "nobody" in run.message


def _without_deployment(api: Api) -> str:
    flow = api.post("/flows/", {"name": "adrift"})
    body = {"flow_id": flow["id"], "state": {"type": "SCHEDULED"}, "work_pool_name": "mail"}
    return str(api.post("/flow_runs/", body)["id"])


def _with_later_job_variables(api: Api, folder: Path) -> str:
    """The server checks a run's variables when it is made, not those patched in afterwards."""
    deployment = plant(api, entrypoint="flows.backup.backup", parameters=request("post"))
    due = datetime.now(UTC) + timedelta(seconds=13)  # later than a worker looks ahead
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due.isoformat()}}
    run_id = start(api, deployment, state=state)
    later = {"job_variables": {"command": f"touch {folder}/job-variables"}}
    api.patch(f"/deployments/{deployment}", later)
    return run_id
