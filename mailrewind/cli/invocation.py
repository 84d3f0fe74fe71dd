"""One call of the command: its global options, and what they lead to once it is needed."""

import getpass
import json
import os
import shlex
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

if TYPE_CHECKING:
    from mailrewind.config import Config
    from mailrewind.wiring import Services


class Invocation:
    """What was asked for beside the verb.

    Configuration and services are imported and built when a command first touches them: pydantic,
    SQLAlchemy and apprise take most of a second, which `--help` and a mistyped option need not.

    Attributes:
        config_path: As given with --config.
        as_json: Whether to print JSON instead of tables.
        is_verbose: Whether to show tracebacks and the log.
    """

    def __init__(self) -> None:
        self.config_path: Path | None = None
        self.as_json = False
        self.is_verbose = False

    @cached_property
    def config(self) -> "Config":
        """The configuration; raises ConfigurationError."""
        from mailrewind.config import load

        return load(self.config_path)

    @cached_property
    def services(self) -> "Services":
        """The wired services; raises ConfigurationError or RecordsError."""
        from mailrewind.wiring import wire

        return wire(self.config)

    @property
    def zone(self) -> ZoneInfo:
        """The operator's time zone."""
        return self.config.zone

    @property
    def now(self) -> datetime:
        """The present moment, UTC."""
        return datetime.now(UTC)

    @property
    def initiator(self) -> str:
        """Who calls, for the audit line."""
        try:
            return f"cli:{getpass.getuser()}"
        except (KeyError, OSError):  # a container's user that has no name
            return f"cli:uid {os.getuid()}"

    def command(self, *words: str) -> str:
        """Return a command line that calls this program with the same configuration."""
        named = ("--config", str(self.config_path)) if self.config_path else ()
        return shlex.join(["mailrewind", *named, *words])

    def print_json(self, value: Any) -> None:
        """Print a value of plain types; characters beyond ASCII as they are."""
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))
