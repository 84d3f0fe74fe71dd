"""Alarms in every configured way."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from mailrewind import errors
from mailrewind.notify import Log, Several


@dataclass
class Listener:
    """A way to tell that remembers what it was told."""

    told: list[tuple[str, str]] = field(default_factory=list)
    reached: Sequence[str] = ()

    def tell(self, subject: str, text: str, *, also: Sequence[str] = ()) -> Sequence[str]:
        self.told.append((subject, text))
        return [address for address in also if address not in self.reached]


@dataclass
class Broken:
    """A way to tell that does not work."""

    error: errors.MailrewindError

    def tell(self, subject: str, text: str, *, also: Sequence[str] = ()) -> Sequence[str]:
        raise self.error


def test_address_is_untold_that_no_way_reaches() -> None:
    ways = [
        Listener(),
        Broken(errors.NotificationFailed("The app is dead.")),
        Listener(reached=["a@x"]),
    ]
    assert Several(ways).tell("subject", "text", also=["a@x", "b@x"]) == ["b@x"]


def test_one_broken_way_does_not_silence_the_others(caplog: pytest.LogCaptureFixture) -> None:
    first, last = Listener(), Listener()
    broken = Broken(errors.SecretUnavailable("no token"))
    with caplog.at_level(logging.WARNING):
        Several([first, broken, last]).tell("subject", "text")
    assert (first.told, last.told) == ([("subject", "text")], [("subject", "text")])
    assert caplog.messages == ["one way to tell the operators failed: No token."]


def test_nobody_told_is_an_error_with_every_reason(caplog: pytest.LogCaptureFixture) -> None:
    ways = [Broken(errors.NotificationFailed(f"The {n} is dead.")) for n in ("mail", "app")]
    with pytest.raises(errors.NotificationFailed) as caught:
        Several(ways).tell("subject", "text")
    assert str(caught.value) == "The mail is dead. The app is dead."
    assert caplog.messages == []


def test_nobody_configured_is_an_error_with_advice() -> None:
    with pytest.raises(errors.NotificationFailed) as caught:
        Several([]).tell("subject", "text")
    assert caught.value.advice.startswith("Write `notify` into the configuration")


def test_log_takes_what_nobody_else_is_told(caplog: pytest.LogCaptureFixture) -> None:
    Log().tell("office is overdue", "text")
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", "office is overdue (nobody is configured to be told)")
    ]
