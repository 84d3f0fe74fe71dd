import pytest

from tests.command import Call
from tests.office import Office


@pytest.fixture
def call(office: Office) -> Call:
    return Call(office.configuration)
