"""A check that cannot fail is a defect: each is shown violations, in a copy of the tree."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORMAT = ".venv/bin/ruff format --check --quiet ."
LINT = ".venv/bin/ruff check --quiet ."
TYPES = ".venv/bin/mypy"
LAYERS = ".venv/bin/lint-imports --no-cache"
LOCK = "tools/uv lock --check --quiet"
MODEL = "mailrewind/model/planted.py"


@dataclass(frozen=True)
class Violation:
    """What is added to a file, the check that must refuse it, and what it says."""

    path: str
    text: str
    check: str
    says: str


VIOLATIONS = {
    "quotes": Violation(MODEL, "NAME = 'planted'", FORMAT, "planted.py"),
    "unused import": Violation(MODEL, "import os", LINT, "F401"),
    "no docstring": Violation(MODEL, "def planted() -> None:\n    pass", LINT, "D103"),
    "a shell": Violation(
        MODEL, 'import subprocess\n\nsubprocess.run("ls", shell=True)', LINT, "S602"
    ),
    "wrong type": Violation(MODEL, 'NUMBER: int = "one"', TYPES, "[assignment]"),
    "no types": Violation(MODEL, "def planted(x):\n    return x", TYPES, "[no-untyped-def]"),
    "flow imports a deployment": Violation(
        "flows/planted.py", "import deployments.api", LAYERS, "lie upon one another BROKEN"
    ),
    "model imports the wiring": Violation(
        MODEL, "import mailrewind.wiring", LAYERS, "the domain's layers;"
    ),
    "sibling": Violation(
        "mailrewind/state/planted.py", "import mailrewind.catalog", LAYERS, "the domain's layers;"
    ),
    "room without a place": Violation(
        "mailrewind/planted.py", "PLANTED = 1", LAYERS, "the domain's layers;"
    ),
    "domain imports Prefect": Violation(
        MODEL, "import prefect", LAYERS, "never heard of Prefect BROKEN"
    ),
    "borg elsewhere": Violation(
        "mailrewind/services/planted.py", "import borg.archive", LAYERS, "borgbackup package BROKEN"
    ),
    "flow imports an adapter": Violation(
        "flows/planted.py", "import mailrewind.systems", LAYERS, "through services only BROKEN"
    ),
    "the wheel needs tests": Violation(
        "deployments/planted.py", "import tests.office", LAYERS, "needs nothing beside it BROKEN"
    ),
    "lock file": Violation("uv.lock", "[[package]]", LOCK, "uv.lock"),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git knows or would know, with the checkout's environment."""
    copy = tmp_path_factory.mktemp("a copy") / "tree"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    return copy


@contextmanager
def _planted(tree: Path, violation: Violation) -> Iterator[None]:
    path = tree / violation.path
    before = path.read_bytes() if path.exists() else None
    path.write_bytes((before or b'"""Planted."""\n\n') + violation.text.encode() + b"\n")
    yield
    if before is None:
        path.unlink()
    else:
        path.write_bytes(before)


def _run(command: list[str], tree: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command,
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_the_tree_is_clean(tree: Path) -> None:
    done = _run(["tools/check"], tree)

    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "check: all clean"), done.stdout


@pytest.mark.parametrize("violation", VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_a_planted_violation_is_refused(tree: Path, violation: Violation) -> None:
    with _planted(tree, violation):
        done = _run(shlex.split(violation.check), tree)

    assert done.returncode != 0, done.stdout
    assert violation.says in done.stdout


def test_make_check_names_every_check_that_failed(tree: Path) -> None:
    with ExitStack() as planted:
        for name in ("quotes", "wrong type", "sibling", "lock file"):
            planted.enter_context(_planted(tree, VIOLATIONS[name]))
        done = _run(["tools/check"], tree)

    failed = [line for line in done.stdout.splitlines() if line.startswith("check: FAILED: ")]
    assert (done.returncode, failed) == (
        1,
        [f"check: FAILED: {check}" for check in (FORMAT, LINT, TYPES, LAYERS, LOCK)],
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("def test_one(): pytest.skip('no server')", id="test"),
        pytest.param("pytest.skip('no server', allow_module_level=True)", id="module"),
        pytest.param("@pytest.mark.xfail\ndef test_one(): assert False", id="expected to fail"),
    ],
)
@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_skipped_test_fails_the_suite(tmp_path: Path, text: str, processes: str) -> None:
    (tmp_path / "test_planted.py").write_text(f"import pytest\n{text}\n")
    (tmp_path / "test_good.py").write_text("def test_good(): pass\n")
    python = str(ROOT / ".venv" / "bin" / "python")
    plugin = ["-p", "tools.no_skips", "--noconftest", "-n", processes]

    done = _run([python, "-m", "pytest", *plugin, str(tmp_path)], ROOT)

    assert done.returncode == 1, done.stdout
    assert "SKIPPED, and that is a failure here:" in done.stdout
