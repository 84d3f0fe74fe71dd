"""The self-test must be able to fail: it is what notices a server that never schedules."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployments import selftest, settings
from deployments.api import Api
from mailrewind.config import load
from mailrewind.errors import StackError
from tests.deployments.running import eventually
from tests.stack import RunningStack, free_port, write_config


def test_a_schedule_becomes_a_run_within_seconds_and_nothing_is_left(stack: RunningStack) -> None:
    selftest.plant(stack.api)  # broken off, as by Ctrl-C
    planted = selftest.plant(stack.api)
    assert selftest.harvest(stack.api, planted) < 30
    names = {flow["name"] for flow in stack.api.post("/flows/filter", {})}
    assert not {name for name in names if "self-test" in name}


def test_a_server_on_sqlalchemy_2_1_is_found_out(tmp_path: Path) -> None:
    with _server_with("sqlalchemy>=2.1,<2.2", tmp_path) as (api, version):
        planted = selftest.plant(api)
        with pytest.raises(StackError) as error:
            selftest.harvest(api, planted, patience_seconds=15)
    assert version.startswith("2.1.")
    assert str(error.value) == (
        "Prefect's server made no run of a schedule within 15 s, so no backup would ever start."
    )
    assert "SQLAlchemy 2.1" in error.value.advice


@contextmanager
def _server_with(requirement: str, folder: Path) -> Iterator[tuple[Api, str]]:
    """Run our server, healthy as ever, with another version of a library in front."""
    library = folder / "library"
    subprocess.run(
        [
            *(
                str(Path(__file__).parents[2] / "tools" / "uv"),
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--python",
                sys.executable,
            ),
            *("--target", str(library), requirement),
        ],
        check=True,
    )
    config = load(write_config(folder, port=free_port()))
    auth = settings.ensure_auth(config)
    environment = settings.server_environment(config, auth, os.environ) | {
        "PYTHONPATH": str(library)
    }
    version = subprocess.run(
        [sys.executable, "-P", "-c", "import sqlalchemy; print(sqlalchemy.__version__)"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    server = subprocess.Popen(
        [sys.executable, "-P", "-m", "deployments.server"],
        env=environment,
        cwd=settings.home(config),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        api = Api.of(config)
        eventually(lambda: _is_ready(api), seconds=90, what="the server is ready")
        yield api, version
    finally:
        server.kill()
        server.wait()


def _is_ready(api: Api) -> bool:
    try:
        api.get("/ready")
    except StackError:
        return False
    return True
