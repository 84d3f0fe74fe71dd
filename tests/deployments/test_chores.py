"""What is looked after every minute goes on whatever an operator writes."""

import os

from deployments.chores import Wired
from tests.office import Office


def test_a_configuration_with_a_typo_does_not_silence_the_alarms(office: Office) -> None:
    wired = Wired(office.configuration)
    before, text = wired.services(), office.configuration.read_text()
    _write(office, text.replace("kind:", "knid:"), at=1)
    assert wired.services() is before
    office.configuration.unlink()
    assert wired.services() is before
    _write(office, text.replace("Europe/Athens", "Europe/Berlin"), at=2)
    assert wired.services().config.time_zone == "Europe/Berlin"


def _write(office: Office, text: str, *, at: float) -> None:
    office.configuration.write_text(text)
    os.utime(office.configuration, (at, at))
