"""What was found where something was looked at."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Examined:
    """One thing that was looked at.

    Attributes:
        name: Of the thing.
        is_good: Whether it can stay as it is.
        text: What was found.
        advice: What to do, "" for nothing.
        exit_code: Of the error that this would become, 0 if backups and restores work with it.
    """

    name: str
    is_good: bool
    text: str
    advice: str = ""
    exit_code: int = 0
