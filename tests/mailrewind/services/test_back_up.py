import threading
from datetime import timedelta

import pytest

from mailrewind.errors import PassphraseWrong, SourceMissing
from mailrewind.model.points import PointStatus
from tests.office import ADA, BOB, NOON, remove


def test_backup_is_a_complete_point_that_knows_its_messages(office):
    office.add_many(2)
    office.add(BOB)

    report = office.services.back_up.run("office", initiator="test")

    assert report.point == "office-2026-11-20T12:00:00Z"
    assert (report.index.messages, report.index.mailboxes, report.index.appeared) == (3, 2, 3)
    (point,) = office.services.state.points("office")
    assert (point.name, point.taken_at, point.status) == (report.point, NOON, PointStatus.COMPLETE)


def test_second_backup_says_what_changed(office):
    stays, goes, moves = office.add(), office.add(), office.add()
    office.back_up()
    goes.unlink()
    office.add_folder(ADA, ".Archive")
    moves.rename(office.maildir(ADA, ".Archive") / "cur" / moves.name)
    stays.rename(stays.with_name(stays.name + "T"))
    office.add()

    index = office.services.back_up.run("office", initiator="test").index

    assert (index.appeared, index.vanished, index.moved, index.flagged) == (1, 1, 1, 1)


def test_two_backups_in_one_second_are_two_points(office):
    office.add()
    names = [office.services.back_up.run("office", initiator="test").point for _ in range(2)]
    assert names == ["office-2026-11-20T12:00:00Z", "office-2026-11-20T12:00:01Z"]


def test_no_message_is_lost_to_renames_while_borg_reads(office):
    paths = [office.add(text="x" * 4000) for _ in range(1500)]
    with _constant_flag_changes(paths) as changes:
        for _ in range(3):
            point = office.services.back_up.run("office", initiator="test")
            then = office.services.connect("office").catalog.messages(ADA, point.taken_at)
            assert len({entry.message.guid for entry in then}) == len(paths)
            office.clock.pass_(hours=1)
    assert changes.count > 1000


def test_without_the_second_pass_some_would_be_lost(office):
    paths = [office.add(text="x" * 4000) for _ in range(1500)]
    connected = office.services.connect("office")
    connected.archives.prepare()
    lost = 0
    with _constant_flag_changes(paths), connected.mail.capture() as capture:
        for number in range(10):
            connected.archives.create(f"bare{number}", capture)
            keys = {
                connected.mail.key_of(f.path) for f in connected.archives.files(f"bare{number}")
            }
            lost += len(paths) - len(keys - {None})
            if lost:
                break
    assert lost > 0


def test_missing_root_fails_and_leaves_a_failed_point(office):
    office.add()
    (office.root / "mail").rename(office.root / "elsewhere")

    with pytest.raises(SourceMissing):
        office.services.back_up.run("office", initiator="test")

    (point,) = office.services.state.points("office", (PointStatus.FAILED,))
    assert point.parts == ()


def test_wrong_passphrase_is_named_and_the_right_one_works_afterwards(office):
    office.add()
    office.back_up()
    office.passphrase.write_text("battery staple\n")
    with pytest.raises(PassphraseWrong):
        office.wire().back_up.run("office", initiator="test")

    office.passphrase.write_text("correct horse\n")

    assert office.wire().back_up.run("office", initiator="test").index.messages == 1


def test_archives_of_a_failed_run_are_removed_by_the_next(office):
    office.add()
    state = office.services.state
    connected = office.services.connect("office")
    office.back_up()
    point = office.services.back_up._begin(connected)
    with connected.mail.capture() as capture:
        connected.archives.create(f"{point.name}-mail", capture)
    state.end_point(point.name, PointStatus.FAILED, office.clock())
    office.clock.pass_(hours=1)

    office.back_up()

    names = connected.archives.names()
    assert not [name for name in names if name.startswith(point.name)]
    assert len(names) == 2


def test_step_that_is_tried_again_takes_the_archive_that_stands(office):
    office.add()
    connected = office.services.connect("office")
    connected.archives.prepare()
    point = office.services.back_up._begin(connected)
    with connected.mail.capture() as capture:
        connected.archives.create(f"{point.name}-mail", capture)

    assert office.services.back_up.archive("office", initiator="test") == point.name
    assert connected.archives.names() == [f"{point.name}-mail"]


def test_clock_that_jumps_back_still_makes_newer_points(office):
    office.add()
    first = office.back_up()
    office.clock.now = NOON - timedelta(days=1)
    assert office.back_up() > first


def test_index_catches_up_with_points_it_missed(office):
    office.add()
    first = office.services.back_up.archive("office", initiator="test")
    office.clock.pass_(hours=1)
    remove([office.add()])
    second = office.services.back_up.archive("office", initiator="test")

    office.services.back_up.index(second)

    reports = [office.services.back_up.report(point) for point in (first, second)]
    assert [report.index.messages for report in reports] == [1, 1]


class _constant_flag_changes:  # reads as a sentence in a with statement
    """Rename messages from seen to flagged and back, as busy users do, until the block ends."""

    def __init__(self, paths):
        self._paths = list(paths)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.count = 0

    def _run(self):
        while not self._stop.is_set():
            for number, path in enumerate(self._paths):
                base, _, flags = path.name.partition(":2,")
                other = path.with_name(f"{base}:2,{'S' if flags != 'S' else 'FS'}")
                path.rename(other)
                self._paths[number] = other
                self.count += 1
                if self.count % 50 == 0 and self._stop.wait(0.002):
                    return

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
