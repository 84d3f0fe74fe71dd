import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.office import Office

# How long an example takes says more about the machine's other work than about the code. In CI
# the examples are always the same ones: it judges a change, not luck.
settings.register_profile("patient", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("patient")


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path / "office")
