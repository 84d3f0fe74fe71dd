from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.entrypoints import RunRefused, permitted

RUN: dict[str, Any] = {"job_variables": {}}
DEPLOYMENT: dict[str, Any] = {
    "name": "post",
    "entrypoint": "flows.backup.backup",
    "pull_steps": [],
    "job_variables": {},
    "storage_document_id": None,
    "infrastructure_document_id": None,
}


FILE = Path(__file__).parents[2] / "prefect.yaml"
DECLARED = yaml.safe_load(FILE.read_text())["deployments"]


@pytest.mark.parametrize("entrypoint", [entry["entrypoint"] for entry in DECLARED])
def test_flows_of_ours_are_permitted(entrypoint: str) -> None:
    assert permitted(RUN, DEPLOYMENT | {"entrypoint": entrypoint}) == entrypoint


@pytest.mark.parametrize(
    "entrypoint",
    [
        "os.system",
        "subprocess.run",
        "flows.backup",
        "flows.backup.flow",
        "flows.backup.archive",
        "flows.backup.BackupRequest",
        "flows.backup.__builtins__",
        "flows.backup:backup",
        "flows/backup.py:backup",
        "/tmp/elsewhere.py:main",
        "flows.no_such_module.backup",
        "flows.backup.backup\n",
        "flows..backup",
        "tests.stack.up",
        "",
        None,
    ],
)
def test_anything_else_is_refused(entrypoint: str | None) -> None:
    with pytest.raises(RunRefused, match="which is none of our flows"):
        permitted(RUN, DEPLOYMENT | {"entrypoint": entrypoint})


@pytest.mark.parametrize(
    ("run", "deployment", "why"),
    [
        (RUN, None, "belongs to no deployment"),
        (RUN, DEPLOYMENT | {"pull_steps": [{"x": {}}]}, "has pull steps"),
        (RUN, DEPLOYMENT | {"storage_document_id": "8a"}, "has a storage block"),
        (RUN, DEPLOYMENT | {"infrastructure_document_id": "8a"}, "has a storage block"),
        (RUN, DEPLOYMENT | {"job_variables": {"env": {}}}, r"deployment post sets .*\(env\)"),
        ({"job_variables": {"command": "true"}}, DEPLOYMENT, r"run sets .*\(command\)"),
    ],
)
def test_a_run_that_brings_more_than_parameters_is_refused(
    run: dict[str, Any], deployment: dict[str, Any] | None, why: str
) -> None:
    with pytest.raises(RunRefused, match=why):
        permitted(run, deployment)
