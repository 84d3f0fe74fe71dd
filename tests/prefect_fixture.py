"""The fixture of a Prefect server, one for the whole session.

A module of its own, named by `pytest_plugins` where it is needed: the other tests do not wait the
two seconds that importing Prefect takes.
"""

from collections.abc import Iterator

import pytest

from tests.prefect_server import PrefectServer, running_server


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[PrefectServer]:
    with running_server() as server:
        yield server
