from pathlib import Path

import pytest
from hypothesis import settings

from tests.office import Office

# How long an example takes says more about the machine's other work than about the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path / "office")
