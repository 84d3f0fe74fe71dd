"""Secrets are references; the secret itself is fetched at the last moment and kept nowhere."""

import os
import stat
import subprocess
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from mailrewind.config.places import PlacedPath
from mailrewind.errors import SecretUnavailable

COMMAND_TIMEOUT_SECONDS = 30


class SecretRef(BaseModel):
    """Where a secret is found: exactly one of an environment variable, a file or a command."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = Field(
        None, description="Name of the environment variable that holds the secret."
    )
    file: PlacedPath | None = Field(
        None, description="File that holds the secret, mode 0600 or 0400."
    )
    command: Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="Program and arguments that print the secret; no shell is involved."
    )

    @model_validator(mode="after")
    def _has_exactly_one(self) -> Self:
        if sum(value is not None for value in (self.env, self.file, self.command)) != 1:
            raise ValueError("exactly one of env, file, command")
        return self

    def resolve(self) -> str:
        """Fetch the secret, without the one newline that files and commands end with.

        Raises:
            SecretUnavailable: The reference leads nowhere, to nothing, or to an open file.
        """
        if self.env is not None:
            return _from_environment(self.env)
        if self.file is not None:
            return _from_file(self.file)
        return _from_command(self.command or [])


def _from_environment(name: str) -> str:
    secret = os.environ.get(name, "")
    if not secret:
        raise SecretUnavailable(
            f"The environment variable {name} is not set.",
            advice=f"Set {name} for the process that runs mailrewind, or name a file instead.",
        )
    return secret


def _from_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise SecretUnavailable(
                    f"The secret file {path} can be read by others (mode {mode:04o}).",
                    advice=f"Run `chmod 600 {path}`, and change the secret if others were there.",
                )
            return _without_newline(file.read(), f"The secret file {path}")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SecretUnavailable(f"The secret file {path} cannot be read: {reason}.") from None


def _from_command(argv: list[str]) -> str:
    # The arguments and what the program prints may hold secrets: only its name is shown.
    name = f"The secret's command {argv[0]}"
    try:
        result = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_TIMEOUT_SECONDS
        )
        if result.returncode != 0:
            raise SecretUnavailable(
                f"{name} ended with code {result.returncode}.",
                advice="Run it by hand as the same user to see why.",
            )
        return _without_newline(result.stdout.decode(), name)
    except subprocess.TimeoutExpired:
        raise SecretUnavailable(f"{name} ran longer than {COMMAND_TIMEOUT_SECONDS} s.") from None
    except UnicodeDecodeError:
        raise SecretUnavailable(f"{name} did not print UTF-8 text.") from None
    except OSError as error:
        raise SecretUnavailable(f"{name} cannot be started: {error.strerror}.") from None


def _without_newline(text: str, source: str) -> str:
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise SecretUnavailable(f"{source} gives an empty secret.")
    return secret
