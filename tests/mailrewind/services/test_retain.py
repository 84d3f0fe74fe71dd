import pytest

from mailrewind.errors import LeaseHeld
from mailrewind.model.points import PointStatus
from tests.office import ADA, Office


@pytest.fixture
def office(office: Office) -> Office:
    return office.keep_archives_in_memory()


def test_points_that_no_rule_wants_go_with_their_archives(office):
    office.add()
    names = [office.back_up() for _ in range(30)]

    report = office.services.retain.carry_out("office", initiator="test")

    kept = [point.name for point in office.services.state.points("office")]
    archives = office.services.connect("office").archives.names()
    assert set(report.removed) == set(names) - set(kept)
    assert report.removed
    assert sorted(archives) == sorted(f"{name}-mail" for name in kept)
    assert kept[-1] == names[-1]


def test_deciding_changes_nothing(office):
    office.add()
    names = [office.back_up() for _ in range(26)]

    decisions = office.services.retain.decide("office")

    assert [d.point.name for d in decisions] == names[::-1]
    assert [point.name for point in office.services.state.points("office")] == names


def test_second_run_removes_nothing(office):
    office.add()
    for _ in range(26):
        office.back_up()
    office.services.retain.carry_out("office", initiator="test")

    assert office.services.retain.carry_out("office", initiator="test").removed == ()


def test_what_an_interrupted_run_left_is_finished_by_the_next(office):
    office.add()
    for _ in range(26):
        office.back_up()
    doomed = [d.point for d in office.services.retain.decide("office") if not d.keep]
    office.services.connect("office").archives.delete(doomed[0].archives)

    office.services.retain.carry_out("office", initiator="test")

    removed = office.services.state.points("office", (PointStatus.REMOVED,))
    assert {point.name for point in removed} == {point.name for point in doomed}


def test_message_that_is_in_no_point_any_more_leaves_the_catalogue(office):
    lost = office.add()
    office.add()
    office.back_up()
    office.back_up()
    lost.unlink()
    for _ in range(24 * 3):
        office.clock.pass_(days=7)
        office.back_up()
    office.services.retain.carry_out("office", initiator="test")

    catalog = office.services.connect("office").catalog
    known = {
        entry.number
        for point in office.services.state.points("office")
        for entry in catalog.messages(ADA, point.taken_at)
    }
    assert known == {2}


def test_points_stay_with_the_repository_that_they_were_made_in(office):
    lost = office.add()
    names = [office.back_up() for _ in range(30)]
    before = office.services.connect("office").archives
    office.move_to_another_repository(before)
    lost.unlink()
    office.back_up()

    office.services.retain.carry_out("office", initiator="test")

    kept = {point.name for point in office.services.state.points("office")}
    assert set(before.names()) == {f"{name}-mail" for name in kept.intersection(names)}
    assert 3 < len(before.names()) < 30
    assert len(office.services.restore.run(office.ask(at=names[-1])).added) == 1


def test_retention_waits_for_a_running_restore(office):
    office.add()
    office.back_up()
    with (
        office.services.state.lease("office", ADA, "plan 00ff by somebody"),
        pytest.raises(LeaseHeld, match="plan 00ff"),
    ):
        office.services.retain.carry_out("office", initiator="test")
