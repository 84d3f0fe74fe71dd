"""Run the command as an operator of the office would."""

from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result

from mailrewind.cli.app import cli


@dataclass(frozen=True, slots=True)
class Call:
    """Calls the command in this process.

    Attributes:
        configuration: The file that is named with --config.
    """

    configuration: Path

    def __call__(self, *words: str, config: Path | None = None, answers: str = "") -> Result:
        argv = ["--config", str(config or self.configuration), *words]
        result = CliRunner().invoke(cli, argv, input=answers)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result
