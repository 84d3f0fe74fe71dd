from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mailrewind.cli.app import cli
from tests.office import Office

Call = Callable[..., Result]


@pytest.fixture
def call(office: Office) -> Call:
    """Run the command as an operator of the office would."""

    def call(*words: str, config: Path = office.configuration, answers: str = "") -> Result:
        result = CliRunner().invoke(cli, ["--config", str(config), *words], input=answers)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call
