"""What a rebuilding that was broken off leaves for the run that goes on with it."""

from pathlib import Path

from mailrewind.model.reports import Finding
from mailrewind.services.rebuilt import Progressed

POINT = "office-2026-11-20T12:00:00Z"


def test_what_was_told_of_a_step_is_known_to_the_run_that_does_not_do_it_again(
    tmp_path: Path,
) -> None:
    place = tmp_path / "rebuilding" / "office.json"
    first = Progressed(place)
    first.begin(POINT)
    first.note("volume crypt-vol-1", [Finding("crypt-vol-1", "is not in the restore point")])
    first.note("volume vmail-vol-1", [])
    again = Progressed(place)
    again.begin(POINT)
    assert again.done == {"volume crypt-vol-1", "volume vmail-vol-1"}
    assert again.findings == (Finding("crypt-vol-1", "is not in the restore point"),)
    assert place.stat().st_mode & 0o777 == 0o600


def test_progress_that_was_noted_without_findings_is_read(tmp_path: Path) -> None:
    place = tmp_path / "office.json"
    place.write_text(f'{{"point": "{POINT}", "done": ["settings"]}}')
    assert Progressed(place).findings == ()
    assert Progressed(place).done == {"settings"}
