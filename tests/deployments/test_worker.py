"""What the worker itself does with what the API says."""

import asyncio
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from deployments.entrypoints import RunRefused
from deployments.worker import _own_flow
from tests.deployments.running import plant, request, start
from tests.stack import RunningStack


def test_hooks_are_not_loaded_from_a_deployment_with_pull_steps(
    stack: RunningStack, tmp_path: Path
) -> None:
    planted = tmp_path / "planted"
    step = {"prefect.deployments.steps.run_shell_script": {"script": f"touch {planted}"}}
    deployment = plant(
        stack.api,
        entrypoint="flows.backup.backup",
        parameters=request("post"),
        pull_steps=[step],
    )
    run_id = UUID(start(stack.api, deployment, state={"type": "PAUSED"}))

    async def load() -> None:
        async with get_client() as client:
            run = await client.read_flow_run(run_id)
        await _own_flow(run)

    told = {PREFECT_API_URL: stack.url, PREFECT_API_AUTH_STRING: stack.auth}
    with temporary_settings(told), pytest.raises(RunRefused, match="has pull steps"):
        asyncio.run(load())
    assert not planted.exists()
