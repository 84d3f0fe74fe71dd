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


# Files whose tests last longest go first, so that none is left for one process in the end.
_LONG = (
    "tests/system/",
    "tests/mailrewind/systems/mailcow/",
    "test_server.py",
    "test_lifecycle.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not any(part in item.nodeid for part in _LONG))
