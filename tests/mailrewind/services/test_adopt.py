"""Restore points of a repository that the state does not know, on real borg and a real state."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from mailrewind.errors import ArchiveExists, ConfigurationInvalid, RepositoryMissing
from mailrewind.model.points import PointStatus, point_name
from mailrewind.model.reports import AdoptReport, Finding
from mailrewind.ports import Capture
from mailrewind.services.adopt import Adopt
from tests.office import BOB, NOON, Office, remove


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """An office with three restore points; a letter was lost between the last two."""
    office = Office(tmp_path / "office")
    office.add_many(3)
    office.back_up()
    lost = office.add(BOB, text="lost")
    office.back_up()
    remove([lost])
    office.back_up()
    return office


@pytest.fixture
def bare(office: Office) -> Office:
    """The same office on a machine that has only the repository and its passphrase."""
    shutil.rmtree(office.root / "data")
    office.services = office.wire()
    return office


def adopt(office: Office) -> AdoptReport:
    return office.services.adopt.run("office")


def points_of(office: Office) -> list[str]:
    return [point.name for point in office.services.state.points("office")]


NAMES = tuple(point_name("office", NOON + timedelta(hours=hour)) for hour in range(3))


def test_bare_machine_knows_every_point_as_it_was(office: Office) -> None:
    before = office.services.state.points("office")
    shutil.rmtree(office.root / "data")
    office.services = office.wire()

    assert adopt(office) == AdoptReport("office", NAMES, 0, ())

    assert office.services.state.points("office") == before


def test_lost_letter_comes_back_from_an_adopted_point(bare: Office) -> None:
    newest = adopt(bare).adopted[-1]
    bare.services.back_up.index(newest)

    restore = bare.services.restore
    plan = restore.plan(bare.ask(BOB, at=NAMES[1]))
    done = restore.execute(plan.id, initiator="test")

    assert [addition.message.folder for addition in plan.selection.additions] == ["INBOX"]
    assert len(done.added) == 1
    assert len(bare.snapshot(BOB)) == 1


def test_adopting_twice_is_adopting_once(bare: Office) -> None:
    adopt(bare)
    before = bare.services.state.points("office")

    assert adopt(bare) == AdoptReport("office", (), 3, ())
    assert bare.services.state.points("office") == before


def test_what_is_known_stays_in_whatever_status(office: Office) -> None:
    state = office.services.state
    state.end_point(NAMES[0], PointStatus.REMOVED, NOON)
    state.end_point(NAMES[1], PointStatus.FAILED, NOON)

    assert adopt(office) == AdoptReport("office", (), 3, ())
    assert points_of(office) == [NAMES[2]]


def test_backup_after_adopting_leaves_the_adopted_points_alone(bare: Office) -> None:
    adopt(bare)

    added = bare.back_up()

    assert points_of(bare) == [*NAMES, added]
    assert list(bare.services.archives("main").names()) == [
        f"{name}-mail" for name in (*NAMES, added)
    ]


def test_point_without_all_its_parts_is_a_finding(bare: Office) -> None:
    report = bare.services.adopt.run("office", required=("mail", "sql", "server"))

    assert report.adopted == ()
    assert report.findings == tuple(
        Finding(name, "was not adopted: its run has not made sql, server") for name in NAMES
    )
    assert points_of(bare) == []


def test_parts_are_kept_in_the_order_in_which_they_were_made(bare: Office) -> None:
    repository = bare.services.archives("main")
    for part in ("late1", "database"):
        repository.create(f"{NAMES[0]}-{part}", Capture((bare.root / "mail",), ()))

    adopt(bare)

    first = bare.services.state.points("office")[0]
    assert first.parts == ("mail", "late1", "database")


def test_repository_of_another_prefix_is_refused_and_the_right_one_named(bare: Office) -> None:
    text = bare.configuration.read_text()
    bare.configuration.write_text(text + "    archive_prefix: bureau\n")
    renamed = bare.wire()

    with pytest.raises(ConfigurationInvalid, match="points of office, and none of bureau") as e:
        renamed.adopt.run("office")

    assert "archive_prefix: office" in e.value.advice
    assert renamed.state.points("office", tuple(PointStatus)) == []


def test_archives_of_others_beside_ours_are_findings(bare: Office) -> None:
    repository = bare.services.archives("main")
    for name in ("bureau-2026-11-20T12:00:00Z-mail", "mailcow-2026", "office-sogo-2026-11-20"):
        repository.create(name, Capture((bare.root / "mail" / "example.org",), ()))

    assert adopt(bare) == AdoptReport(
        "office", NAMES, 0, (Finding("bureau", "is the prefix of 1 archive of another system"),)
    )


def test_missing_repository_is_told_and_not_created(bare: Office) -> None:
    (bare.root / "repository").rename(bare.root / "elsewhere")

    with pytest.raises(RepositoryMissing):
        adopt(bare)

    assert not (bare.root / "repository").exists()


def test_empty_repository_has_nothing_to_adopt(tmp_path: Path) -> None:
    office = Office(tmp_path / "new office")
    office.services.archives("main").prepare()

    assert adopt(office) == AdoptReport("office", (), 0, ())


def test_adopting_that_breaks_off_has_made_no_half_point(bare: Office) -> None:
    class Enough(Exception):
        pass

    state = bare.services.state
    enter = state.enter_point
    entered: list[str] = []

    class BreakingState:
        """The state itself, which breaks off at the second point."""

        def __getattr__(self, name: str) -> object:
            return getattr(state, name)

        def enter_point(self, point) -> None:
            if entered:
                raise Enough
            enter(point)
            entered.append(point.name)

    broken = Adopt(bare.services.connect, BreakingState(), clock=bare.clock)
    with pytest.raises(Enough):
        broken.run("office")

    assert state.points("office", (PointStatus.MAKING, PointStatus.FAILED)) == []
    assert points_of(bare) == [NAMES[0]]
    assert adopt(bare).adopted == NAMES[1:]


def test_point_that_is_known_is_not_entered_again(bare: Office) -> None:
    adopt(bare)
    point = bare.services.state.points("office")[0]

    with pytest.raises(ArchiveExists, match="known to office already"):
        bare.services.state.enter_point(point)
