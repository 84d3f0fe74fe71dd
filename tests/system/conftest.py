"""The product as its users have it: the wheel alone, in an environment and a folder of its own."""

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tools import sample_mail
from tools.demo_stage import Stage

ROOT = Path(__file__).parents[2]


def _uv(*arguments: str | Path, **environment: str) -> None:
    subprocess.run(
        [ROOT / "tools" / "uv", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    _uv("build", "--wheel", "--out-dir", place)
    (wheel,) = place.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and the locked versions of what it needs, nothing else."""
    place = tmp_path_factory.mktemp("an environment") / "venv"
    without = ("--no-dev", "--no-install-project")
    _uv("sync", "--frozen", *without, UV_PROJECT_ENVIRONMENT=str(place))
    _uv("pip", "install", "--python", place, "--no-deps", wheel)
    return place


@pytest.fixture(scope="session")
def stage(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The demo's stage, played with the wheel alone, far from the checkout."""
    place = tmp_path_factory.mktemp("elsewhere") / "demo"
    stage = Stage(place, port=0, program=installed / "bin" / "mailrewind")
    stage.clear()
    sample_mail.make(stage.mail, now=datetime.now(UTC))
    try:
        stage.up()
        yield stage
    finally:
        stage.down()
