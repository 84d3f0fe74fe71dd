from collections.abc import Iterator
from pathlib import Path

import pytest

from mailrewind.state import SqlState
from mailrewind.transports.processes import is_alive, this_process


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqlState]:
    state = SqlState(tmp_path / "state.db", process=this_process(), is_alive=is_alive)
    yield state
    state.close()
