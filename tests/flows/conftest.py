from collections.abc import Iterator

import pytest

from tasks.services import services
from tests.office import Office


@pytest.fixture
def configured(office: Office, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """The office, as the configuration that flows of this process find."""
    monkeypatch.setenv("MAILREWIND_CONFIG", str(office.configuration))
    services.cache_clear()
    yield office
    services.cache_clear()
