import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _docker(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["tools/docker", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_engine_that_answers_is_left_alone() -> None:
    done = _docker("engine")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_second_engine_is_started_where_one_is_configured() -> None:
    done = _docker("engine", DOCKER_HOST="unix:///nowhere/docker.sock")

    said = "docker: no engine answers at DOCKER_HOST=unix:///nowhere/docker.sock\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_an_image_that_is_there_is_named() -> None:
    first, second = _docker("image", "bookworm"), _docker("image", "bookworm")

    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout == second.stdout
    assert first.stdout.strip() in {"debian:bookworm-slim", "mailrewind-bare:bookworm"}
