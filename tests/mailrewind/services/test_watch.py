import pytest

from mailrewind.errors import NotificationFailed, SourceMissing
from mailrewind.services.watch import Watch
from tests.office import Office


@pytest.fixture
def office(office: Office) -> Office:
    return office.keep_archives_in_memory()


class Inbox:
    """A notifier that keeps what it is told, and can be out of order."""

    def __init__(self):
        self.subjects = []
        self.works = True

    def tell(self, subject: str, text: str) -> None:
        if not self.works:
            raise NotificationFailed("out of order")
        self.subjects.append(subject)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def watch(office: Office, inbox: Inbox) -> Watch:
    services = office.services
    return Watch(
        ("office",),
        services.connect,
        services.state,
        inbox,
        zone=services.config.zone,
        clock=office.clock,
    )


def back_up_on_time(office: Office) -> str:
    """Make the point of 12:14, and look at 12:44."""
    office.clock.pass_(minutes=14)
    point = office.services.back_up.run("office", initiator="test").point
    office.clock.pass_(minutes=30)
    return point


def test_fresh_point_leaves_nothing_to_say(office, watch, inbox):
    office.add()
    back_up_on_time(office)
    assert (watch.check(), inbox.subjects, watch.overdue()) == ((), [], [])


def test_system_without_any_point_is_overdue(watch):
    assert watch.overdue() == ["office"]


def test_new_system_has_two_intervals_for_its_first_point(office, watch, inbox):
    watch.check()
    office.clock.pass_(hours=1)
    watch.check()
    assert inbox.subjects == []
    office.clock.pass_(hours=1)
    watch.check()
    assert inbox.subjects == ["mailrewind: office has no restore point yet"]


def test_first_backup_may_take_as_long_as_it_needs(office, watch, inbox):
    watch.check()
    office.services.back_up._begin(office.services.connect("office"))
    office.clock.pass_(hours=30)
    assert (watch.check(), inbox.subjects) == ((), [])


def test_missed_run_is_caught_up_before_it_is_an_alarm(office, watch, inbox):
    office.add()
    back_up_on_time(office)
    office.clock.pass_(minutes=70)
    assert (watch.overdue(), watch.check()) == (["office"], ())


def test_missing_backup_is_told_once_and_its_end_too(office, watch, inbox):
    office.add()
    office.back_up()
    office.clock.pass_(hours=5)
    watch.check()
    watch.check()
    office.back_up()
    watch.check()
    text = "office has no restore point since 2026-11-20 14:00 EET"
    assert inbox.subjects == [f"mailrewind: {text}", f"mailrewind: over: {text}"]


def test_failed_run_is_told_until_one_succeeds(office, watch, inbox):
    office.add()
    office.back_up()
    (office.root / "mail").rename(office.root / "elsewhere")
    with pytest.raises(SourceMissing):
        office.back_up()
    watch.check()
    (office.root / "elsewhere").rename(office.root / "mail")
    office.clock.pass_(minutes=1)
    office.back_up()
    watch.check()
    text = "the backup of office failed (office-2026-11-20T13:00:00Z)"
    assert inbox.subjects == [f"mailrewind: {text}", f"mailrewind: over: {text}"]


def test_damaged_catalogue_silences_no_alarm(office, inbox):
    office.add()
    office.back_up()
    office.lose_catalogue(to=b"something else")
    wired = office.wire()
    zone = wired.config.zone
    watch = Watch(("office",), wired.connect, wired.state, inbox, zone=zone, clock=office.clock)
    office.clock.pass_(hours=5)

    assert [alarm.key for alarm in watch.check()] == ["overdue:office"]


def test_alarm_that_reached_nobody_is_tried_again(office, watch, inbox):
    watch.check()
    office.clock.pass_(hours=3)
    inbox.works = False
    with pytest.raises(NotificationFailed):
        watch.check()
    inbox.works = True
    watch.check()
    assert inbox.subjects == ["mailrewind: office has no restore point yet"]


def test_overview_is_one_screen_of_truth(office, watch):
    office.add()
    name = back_up_on_time(office)
    (system,) = watch.overview().systems
    assert (system.name, system.newest.name, system.points) == ("office", name, 1)
    assert (system.is_overdue, system.running, system.last_failure) == (False, None, None)
