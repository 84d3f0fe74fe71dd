import os
from dataclasses import replace
from datetime import timedelta

import pytest

from mailrewind.errors import PassphraseWrong, SourceMissing
from mailrewind.model.points import PointStatus
from mailrewind.ports import Progress
from tests.busy_users import busy_users
from tests.doubles import MemoryArchives
from tests.office import ADA, BOB, NOON, Office, remove


@pytest.fixture
def quick(office: Office) -> Office:
    return office.keep_archives_in_memory()


def test_backup_is_a_complete_point_that_knows_its_messages(office):
    office.add_many(2)
    office.add(BOB)

    report = office.services.back_up.run("office", initiator="test")

    assert report.point == "office-2026-11-20T12:00:00Z"
    assert (report.index.messages, report.index.mailboxes, report.index.appeared) == (3, 2, 3)
    (point,) = office.services.state.points("office")
    assert (point.name, point.taken_at, point.status) == (report.point, NOON, PointStatus.COMPLETE)


def test_second_backup_says_what_changed(quick):
    stays, goes, moves = quick.add(), quick.add(), quick.add()
    quick.back_up()
    goes.unlink()
    quick.add_folder(ADA, ".Archive")
    moves.rename(quick.maildir(ADA, ".Archive") / "cur" / moves.name)
    stays.rename(stays.with_name(stays.name + "T"))
    quick.add()

    index = quick.services.back_up.run("office", initiator="test").index

    assert (index.appeared, index.vanished, index.moved, index.flagged) == (1, 1, 1, 1)


def test_two_backups_in_one_second_are_two_points(quick):
    quick.add()
    names = [quick.services.back_up.run("office", initiator="test").point for _ in range(2)]
    assert names == ["office-2026-11-20T12:00:00Z", "office-2026-11-20T12:00:01Z"]


def test_no_message_is_lost_to_renames_in_ten_backups(office):
    paths = [office.add(text="x" * 4000) for _ in range(800)]
    with busy_users(office.maildir(ADA)):
        for _ in range(10):
            point = office.services.back_up.run("office", initiator="test")
            then = office.services.connect("office").catalog.messages(ADA, point.taken_at)
            assert len({entry.message.guid for entry in then}) == len(paths)
            office.clock.pass_(hours=1)


def test_without_the_second_pass_some_would_be_lost(office):
    paths = [office.add(text="x" * 4000) for _ in range(800)]
    connected = office.services.connect("office")
    connected.archives.prepare()
    archived = []
    with busy_users(office.maildir(ADA)), connected.mail.capture() as capture:
        for number in range(3):
            name = f"bare{number}"
            connected.archives.create(name, capture)
            keys = {connected.mail.key_of(file.path) for file in connected.archives.files(name)}
            archived.append(len(keys - {None}))
    assert min(archived) < len(paths)


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


def test_cancelled_backup_is_no_failure(office):
    office.add()

    def cancel(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        office.services.back_up.run("office", initiator="test", report=cancel)

    state = office.services.state
    assert [point.status for point in state.points("office", tuple(PointStatus))] == ["cancelled"]
    assert state.points("office", (PointStatus.FAILED,)) == []


def test_step_that_is_tried_again_takes_the_archive_that_stands(office):
    office.add()
    connected = office.services.connect("office")
    connected.archives.prepare()
    point = office.services.back_up._begin(connected)
    with connected.mail.capture() as capture:
        connected.archives.create(f"{point.name}-mail", capture)

    assert office.services.back_up.archive("office", initiator="test") == point.name
    assert connected.archives.names() == [f"{point.name}-mail"]


def test_clock_that_jumps_back_still_makes_newer_points(quick):
    quick.add()
    first = quick.back_up()
    quick.clock.now = NOON - timedelta(days=1)
    assert quick.back_up() > first


def test_message_moved_while_borg_reads_is_one_message_of_the_point(quick):
    moves = quick.add()
    quick.add_folder(ADA, ".Archive")

    def move(_):
        if moves.exists():
            moves.rename(quick.maildir(ADA, ".Archive") / "cur" / moves.name)

    point = quick.services.back_up.run("office", initiator="test", report=move)

    then = quick.services.connect("office").catalog.messages(ADA, point.taken_at)
    assert [entry.message.folder for entry in then] == ["Archive"]
    assert quick.services.restore.run(quick.ask()).added == ()


def test_message_deleted_while_borg_reads_stays_in_the_point(quick):
    goes = quick.add()

    point = quick.services.back_up.run(
        "office", initiator="test", report=lambda _: goes.unlink(missing_ok=True)
    )

    assert point.index.messages == 1


def test_lists_written_between_two_tries_are_archived(quick):
    quick.add()
    connected = quick.services.connect("office")
    point = quick.services.back_up._begin(connected)
    with connected.mail.capture() as capture:
        connected.archives.create(f"{point.name}-mail", capture)
    keywords = quick.maildir(ADA) / "dovecot-keywords"
    keywords.write_text("0 important\n")
    between = (NOON + timedelta(minutes=1)).timestamp()
    os.utime(keywords, (between, between))
    quick.clock.pass_(minutes=5)

    quick.services.back_up.archive("office", initiator="test")

    late = [file.path for file in connected.archives.files(f"{point.name}-late1")]
    assert late == [str(keywords)[1:]]


class BlindArchives(MemoryArchives):
    """Meets one message in its second late archive only, as if it had been renamed each time.

    The first late archive is followed by a line in which Dovecot gives the message its GUID.
    """

    def create(self, archive, capture, *, report=None):
        done = super().create(archive, capture, report=report)
        items = self.archives[archive]
        self.archives[archive] = [item for item in items if "/cur/" not in item[0].path]
        return done

    def create_from_paths(self, archive, paths):
        if not archive.endswith("late1"):
            return super().create_from_paths(archive, paths)
        done = super().create_from_paths(archive, [])
        uidlist = self.maildir / "dovecot-uidlist"
        uidlist.write_text(f"3 V1 N2\n1 Gits-guid :{self.name}\n")
        later = (NOON + timedelta(minutes=1)).timestamp()
        os.utime(uidlist, (later, later))
        return done


def test_message_that_is_caught_late_has_the_guid_that_it_got_late(quick):
    archives = BlindArchives()
    archives.maildir, archives.name = quick.maildir(ADA), quick.add().name
    quick.keep_archives_in_memory(archives)

    point = quick.services.back_up.run("office", initiator="test")

    then = quick.services.connect("office").catalog.messages(ADA, point.taken_at)
    assert [entry.message.guid for entry in then] == ["its-guid"]
    assert point.late == 1


def test_lost_catalogue_is_filled_from_all_points_by_the_next_backup(quick):
    quick.add()
    names = [quick.back_up() for _ in range(2)]
    quick.lose_catalogue()
    quick.keep_archives_in_memory(quick.services.connect("office").archives)
    quick.add()
    names.append(quick.back_up())

    held = [quick.services.browse.mailboxes("office", name)[0][1] for name in names]
    assert held == [1, 1, 2]


def test_damaged_catalogue_is_in_the_way_of_no_archive(quick):
    quick.add()
    quick.back_up()
    quick.lose_catalogue(to=b"something else")
    quick.keep_archives_in_memory(quick.services.connect("office").archives)

    quick.services.back_up.archive("office", initiator="test")

    assert len(quick.services.state.points("office")) == 2


def test_point_whose_archives_were_deleted_does_not_keep_others_out_of_the_catalogue(quick):
    quick.add()
    first = quick.services.back_up.archive("office", initiator="test")
    quick.clock.pass_(hours=1)
    second = quick.services.back_up.archive("office", initiator="test")
    quick.services.connect("office").archives.delete([f"{first}-mail"])

    quick.services.back_up.index(second)

    assert quick.services.browse.resolve("office").name == second


def test_what_a_failed_run_left_is_told_from_a_system_whose_name_begins_alike(quick):
    quick.add()
    connected = quick.services.connect("office")
    failed = quick.services.back_up._begin(connected)
    quick.services.state.end_point(failed.name, PointStatus.FAILED, NOON)
    alike = [f"office-2-{NOON:%FT%TZ}-mail", f"{failed.name}0-mail"]
    connected.archives.archives |= {name: [] for name in [f"{failed.name}-mail", *alike]}
    quick.clock.pass_(hours=1)

    point = quick.back_up()

    assert connected.archives.names() == [*alike, f"{point}-mail"]


def test_points_outlive_another_archive_prefix(quick):
    lost = quick.add()
    first = quick.back_up()
    lost.unlink()
    connected = replace(quick.services.connect("office"), prefix="hall")
    quick.serve(quick.services, connected)

    second = quick.back_up()

    assert connected.archives.names() == [f"{first}-mail", f"{second}-mail"]
    assert second == "hall-2026-11-20T13:00:00Z"
    assert len(quick.services.restore.run(quick.ask(at=first)).added) == 1


def test_index_catches_up_with_points_it_missed(quick):
    quick.add()
    first = quick.services.back_up.archive("office", initiator="test")
    quick.clock.pass_(hours=1)
    remove([quick.add()])
    second = quick.services.back_up.archive("office", initiator="test")

    quick.services.back_up.index(second)

    reports = [quick.services.back_up.report(point) for point in (first, second)]
    assert [report.index.messages for report in reports] == [1, 1]


def test_what_lies_among_the_messages_and_is_no_file_is_in_no_backups_way(office):
    among = office.add().parent
    (among / "1700000000.stray").mkdir()
    (among / "1700000001.link:2,S").symlink_to("/etc/hostname")
    os.mkfifo(among / "1700000002.pipe:2,S")

    report = office.services.back_up.run("office", initiator="test")

    assert (report.index.messages, report.late) == (1, 0)
