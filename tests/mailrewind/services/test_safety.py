"""What is kept so that a restore can be taken back, and when it goes."""

import os
from contextlib import suppress
from datetime import timedelta

import pytest

from mailrewind.errors import NoSpace, NothingToUndo, SystemHeld
from mailrewind.ports import WHOLE_SYSTEM
from mailrewind.services.safety import SafetyCopy, forget_old_copies
from tests.office import NOON


def test_what_is_kept_comes_back_and_is_its_owners_alone(tmp_path):
    copy = SafetyCopy(tmp_path, "3f9a1c20")
    copy.write("before", b"first")
    copy.write("before", b"secret")
    assert SafetyCopy(tmp_path, "3f9a1c20").read("before") == b"secret"
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "safety").rglob("*")}
    assert modes == {"3f9a1c20": 0o700, "before": 0o600}


def test_what_is_not_there_cannot_be_undone(tmp_path):
    with pytest.raises(NothingToUndo):
        SafetyCopy(tmp_path, "3f9a1c20").read("before")


def test_a_copy_that_cannot_be_written_stops_the_restore(tmp_path):
    (tmp_path / "safety").write_text("in the way")
    with pytest.raises(NoSpace):
        SafetyCopy(tmp_path, "3f9a1c20").write("before", b"")


def test_copies_go_after_thirty_days(tmp_path):
    for name, days in (("old", 31), ("young", 29)):
        copy = SafetyCopy(tmp_path, name)
        copy.write("before", b"secret")
        moment = (NOON - timedelta(days=days)).timestamp()
        os.utime(copy.directory, (moment, moment))
    assert forget_old_copies(tmp_path, NOON) == 1
    assert [path.name for path in (tmp_path / "safety").iterdir()] == ["young"]


def test_without_any_copy_nothing_goes(tmp_path):
    assert forget_old_copies(tmp_path, NOON) == 0


def test_retention_lets_old_copies_go(office):
    office.add_many(1)
    office.back_up()
    data_dir = office.services.config.data_dir
    SafetyCopy(data_dir, "3f9a1c20").write("before", b"secret")
    office.clock.now = NOON + timedelta(days=100_000)
    office.wire().retain.carry_out("office", initiator="test")
    assert list((data_dir / "safety").iterdir()) == []


@pytest.mark.parametrize("system", ["office", "bureau"])
def test_what_an_undo_reads_at_this_moment_stays_however_old_it_is(office, system):
    office.add_many(1)
    office.back_up()
    copy = SafetyCopy(office.services.config.data_dir, "3f9a1c20")
    copy.write("before", b"what is put back")
    os.utime(copy.directory, (0, 0))
    retain = office.wire().retain
    with (
        office.services.state.lease(system, WHOLE_SYSTEM, "undo of 3f9a1c20 by somebody"),
        suppress(SystemHeld),
    ):
        retain.carry_out("office", initiator="test")

    assert copy.holds("before")
    retain.carry_out("office", initiator="test")
    assert not copy.holds("before")
