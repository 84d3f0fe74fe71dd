import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _setup(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["tools/setup", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("purpose", ["run", "check", "test"])
def test_setup_says_nothing_when_nothing_is_missing(purpose: str) -> None:
    _setup(purpose)

    done = _setup(purpose)

    assert (done.returncode, done.stdout) == (0, "")


def test_setup_refuses_an_unknown_purpose() -> None:
    done = _setup("everything")

    assert (done.returncode, done.stdout) == (
        1,
        "setup: unknown: everything\n       usage: tools/setup [run|check|test]\n",
    )
