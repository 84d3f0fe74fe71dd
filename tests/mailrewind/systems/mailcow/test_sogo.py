"""Exports of calendars, made and put back by SOGo's own tool."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from mailrewind.errors import (
    ExportDamaged,
    ExportIncomplete,
    MailServerFailed,
    MailServerUnreachable,
    MailSystemError,
)
from mailrewind.formats.sogo import read_export, with_user, write_export
from mailrewind.model.reports import Finding
from mailrewind.systems.mailcow.sogo_part import SogoPart
from mailrewind.systems.mailcow.sogo_tool import How, SogoTool
from tests.groupware_desk import Desk, event

pytest_plugins = ["tests.mailcow"]

NOBODY = "nobody@example.org"


@pytest.fixture(scope="module")
def shared_desk(mailcow, tmp_path_factory):
    with Desk(mailcow, tmp_path_factory.mktemp("data")) as opened:
        yield opened


@pytest.fixture
def desk(shared_desk):
    tool = shared_desk.calendars._tool
    yield shared_desk
    shared_desk.calendars._tool = tool


@dataclass
class Meanwhile:
    """The real tool, beside which something happens."""

    tool: SogoTool
    before: Callable[[], object] = lambda: None
    after: Callable[[], object] = lambda: None
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def backup(self, users: Sequence[str]) -> Mapping[str, bytes]:
        self.calls.append(tuple(users))
        self.before()
        try:
            return self.tool.backup(users)
        finally:
            self.after()


def export_of(desk, user):
    (exported,) = desk.calendars.export([user])
    assert exported.problem == ""
    return exported.content


def records(content):
    return {
        (folder.path, record.name): record.content
        for folder in read_export(content).folders
        for record in folder.records
    }


def kept(desk, user):
    return (desk.root / "exports" / "office" / "sogo" / user).read_bytes()


def test_an_export_holds_what_caldav_shows(desk):
    user = desk.new_user()
    desk.put(user, meeting='Grüße 🎉 "quoted" back\\\\slash')
    exported = records(export_of(desk, user))
    assert exported == {
        ("Calendar/personal", name): content for name, content in desk.events(user).items()
    }


def test_a_user_without_calendars_has_an_empty_export(desk):
    user = desk.new_user()
    assert read_export(export_of(desk, user)).folders == ()


def test_a_user_unknown_to_sogo_does_not_spoil_the_export_of_another(desk):
    user = desk.new_user()
    desk.put(user, meeting="Here")
    unknown, known = desk.calendars.export([user, NOBODY])
    assert unknown.problem == (
        "SOGo does not know this user: the mailbox does not exist, or is not active"
    )
    assert list(records(known.content)) == [("Calendar/personal", "meeting.ics")]


@pytest.mark.parametrize("name", ["-F", ".hidden", "../../etc/passwd", "a/b@example.org", ""])
def test_a_name_that_would_mean_something_else_is_not_given_to_the_tool(desk, name):
    (exported,) = desk.calendars.export([name])
    assert exported.problem == "sogo-tool cannot be told such a name"


def test_every_change_shows_in_the_fingerprint(desk):
    user, other = desk.new_user(), desk.new_user()
    desk.put(user, meeting="First")
    desk.put(other, meeting="First")
    seen = [desk.calendars.users()[user]]

    def changed():
        seen.append(desk.calendars.users()[user])
        return seen[-1] not in seen[:-1]

    before = desk.calendars.users()[other]
    desk.put(user, meeting="Second")
    assert changed(), "an edited event"
    desk.put(user, party="Third")
    assert changed(), "a new event"
    desk.delete(user, "party")
    assert changed(), "a deleted event"
    desk.stack.share(user, "personal", other)
    assert changed(), "a share"
    desk.stack.groupware.rename(user, "Calendar/personal", "Mine")
    assert changed(), "a display name"
    desk.stack.make_calendar(user, "empty")
    assert changed(), "an empty calendar"
    desk.stack.sql(
        'UPDATE sogo_user_profile SET c_defaults = \'{"SOGoTimeZone":"UTC"}\' WHERE c_uid = %s',
        user,
    )
    assert changed(), "a preference"
    assert desk.calendars.users()[user] == seen[-1], "nothing"
    # SOGo remembers in his settings what was shared with a user, so only the events tell.
    assert before != ""


def test_a_change_during_the_export_leads_to_another_one(desk):
    user = desk.new_user()
    desk.put(user, first="First")
    rounds = iter([lambda: desk.put(user, second="Second"), lambda: None])
    tool = Meanwhile(desk.calendars._tool, after=lambda: next(rounds)())
    desk.calendars._tool = tool
    assert {name for _, name in records(export_of(desk, user))} == {"first.ics", "second.ics"}
    assert tool.calls == [(user,), (user,)]


def test_an_export_that_never_matches_is_no_export(desk):
    user = desk.new_user()
    desk.put(user, first="First")
    titles = iter(f"Title {number}" for number in range(100))
    desk.calendars._tool = Meanwhile(
        desk.calendars._tool, after=lambda: desk.put(user, first=next(titles))
    )
    with pytest.raises(ExportIncomplete) as raised:
        list(desk.calendars.export([user]))
    assert raised.value.retryable


def test_the_empty_export_of_an_outage_is_not_believed(desk):
    user = desk.new_user()
    desk.put(user, meeting="Here")
    desk.make_point()
    before = kept(desk, user)
    desk.put(user, party="There")

    def back():
        desk.stack.service("mysql").start()
        desk.stack.wait("mysql")

    tool = SogoTool(lambda: desk.installation.project)
    desk.stack.stop("mysql")
    try:
        made = tool.backup([user])
    finally:
        back()
    assert not made or read_export(made[user]).folders == (), "SOGo says that all went well"
    desk.calendars._tool = Meanwhile(tool, before=lambda: desk.stack.stop("mysql"), after=back)
    with desk.calendars.held() as exports:
        assert [finding.subject for finding in exports.findings] == [user]
    assert kept(desk, user) == before
    desk.stack.restart("memcached")
    desk.calendars._tool = tool
    with desk.calendars.held() as exports:
        assert (exports.renewed, exports.findings) == ((user,), ())


def test_only_users_whose_data_changed_are_exported_again_and_at_night_all(desk):
    one, other = desk.new_user(), desk.new_user()
    desk.put(one, meeting="One")
    desk.put(other, meeting="Other")
    with desk.calendars.held() as exports:
        everybody = exports.users
        assert {one, other} <= set(exports.renewed)
    desk.put(one, meeting="One, later")
    with desk.calendars.held() as exports:
        assert (exports.users, exports.renewed) == (everybody, (one,))
    with desk.calendars.held() as exports:
        assert (exports.users, exports.renewed) == (everybody, ())
    with desk.calendars.held(renew=[other]) as exports:
        assert exports.renewed == (other,)
    desk.now += timedelta(days=1)
    with desk.calendars.held() as exports:
        assert exports.renewed == everybody


def test_exports_can_be_read_by_their_owner_alone(desk):
    user = desk.new_user()
    desk.put(user, meeting="Here")
    with desk.calendars.held():
        root = desk.root / "exports" / "office"
        modes = {path.name: path.stat().st_mode & 0o777 for path in (root, *root.rglob("*"))}
    directories = {"office": 0o700, "sogo": 0o700}
    assert modes == dict.fromkeys(modes, 0o600) | directories


def test_a_damaged_file_is_exported_again(desk):
    user = desk.new_user()
    desk.put(user, meeting="Here")
    desk.make_point()
    whole = kept(desk, user)
    (desk.root / "exports" / "office" / "sogo" / user).write_bytes(whole[:100])
    desk.make_point()
    assert kept(desk, user) == whole


def test_the_export_of_an_inactive_mailbox_stays_and_its_age_is_told(desk):
    user = desk.new_user()
    desk.put(user, meeting="Here")
    desk.make_point()
    before = kept(desk, user)
    desk.stack.sql("DELETE FROM _sogo_static_view WHERE c_uid = %s", user)
    desk.stack.restart("memcached")
    with desk.calendars.held(renew=[user]) as exports:
        assert user in exports.users
        assert [f for f in exports.findings if f.subject == user] == [
            Finding(
                user,
                "SOGo does not know this user: the mailbox does not exist, or is not active; "
                "the export of before is kept, and nothing has changed since",
            )
        ]
    assert kept(desk, user) == before


def test_a_user_without_data_leaves_the_directory_and_stays_in_older_points(desk):
    user = desk.new_user()
    desk.put(user, meeting="Here")
    point = desk.make_point()
    desk.stack.delete_mailbox(user)
    later = desk.make_point()
    assert not (desk.root / "exports" / "office" / "sogo" / user).exists()
    paths = [f"sogo/{user}"]
    assert [path for path, _ in desk.archives.read(f"{point}-sogo", paths)] == paths
    assert list(desk.archives.read(f"{later}-sogo", paths)) == []


def test_a_point_holds_all_users_although_few_were_exported(desk):
    one, other = desk.new_user(), desk.new_user()
    desk.put(one, meeting="One")
    desk.put(other, meeting="Other")
    desk.make_point()
    desk.put(one, meeting="Later")
    point = desk.make_point()
    found = dict(desk.archives.read(f"{point}-sogo", [f"sogo/{one}", f"sogo/{other}"]))
    titles = {path: list(records(content).values()) for path, content in found.items()}
    assert titles == {
        f"sogo/{one}": [event("Later", "meeting")],
        f"sogo/{other}": [event("Other", "meeting")],
    }


@pytest.mark.parametrize("service", ["sogo", "mysql"])
def test_a_service_that_is_away_fails_the_part_and_loses_nothing(desk, service):
    user = desk.new_user()
    desk.put(user, meeting="Here")
    desk.make_point()
    before = kept(desk, user)
    desk.put(user, party="There")
    desk.stack.stop(service)
    try:
        with pytest.raises(MailServerUnreachable) as raised:
            SogoPart(desk.calendars).archive(desk.archives, "office-x-sogo")
    finally:
        desk.stack.service(service).start()
        desk.stack.wait(service)
    assert raised.value.retryable
    assert "office-x-sogo" not in desk.archives.names()
    assert kept(desk, user) == before
    desk.stack.restart("memcached")
    desk.make_point()
    assert {name for _, name in records(kept(desk, user))} == {"meeting.ics", "party.ics"}


def test_an_export_of_another_user_is_refused_before_sogo_writes_into_that_one(desk):
    one, other = desk.new_user(), desk.new_user()
    desk.put(one, meeting="One")
    export = export_of(desk, one)
    desk.delete(one, "meeting")
    with pytest.raises(ExportDamaged, match=f"one of {one}, not of {other}"):
        desk.calendars.merge(other, export)
    assert desk.events(one) == {}


@pytest.mark.parametrize("content", [b"", b"{", b"no export", b'{ "tables" = { }; } more'])
def test_what_is_no_export_is_refused(desk, content):
    with pytest.raises(ExportDamaged):
        desk.calendars.reset(desk.new_user(), content)


def test_a_truncated_export_is_refused(desk):
    user = desk.new_user()
    desk.put(user, meeting="Here")
    with pytest.raises(ExportDamaged):
        desk.calendars.merge(user, export_of(desk, user)[:-20])


def test_a_user_unknown_to_sogo_gets_nothing(desk):
    user = desk.new_user()
    desk.put(user, meeting="Here")
    export = write_export(with_user(read_export(export_of(desk, user)), NOBODY))
    with pytest.raises(MailServerFailed, match=r"nobody@example\.org"):
        desk.calendars.merge(NOBODY, export)


def test_nothing_of_an_export_stays_in_the_container(desk):
    user = desk.new_user()
    desk.put(user, meeting="Here")
    export = export_of(desk, user)
    desk.calendars.merge(user, export)
    desk.calendars.reset(user, export)
    with pytest.raises(MailServerFailed):
        SogoTool(lambda: desk.installation.project).restore(
            How.MERGE, NOBODY, write_export(with_user(read_export(export), NOBODY))
        )
    assert desk.left_in_container() == []


def test_what_a_killed_run_left_in_the_container_goes_later(desk):
    desk.stack.run("sogo", "mkdir", "/tmp/mailrewind-left", "/tmp/mailrewind-fresh")
    desk.stack.run("sogo", "touch", "-d", "3 hours ago", "/tmp/mailrewind-left")
    SogoTool(lambda: desk.installation.project).backup([NOBODY])
    assert desk.left_in_container() == ["/tmp/mailrewind-fresh"]
    desk.stack.run("sogo", "rmdir", "/tmp/mailrewind-fresh")


def test_memcached_runs_after_a_reset_that_found_it_stopped(desk):
    user = desk.new_user()
    desk.put(user, meeting="Here")
    export = export_of(desk, user)
    desk.stack.stop("memcached")
    desk.calendars.reset(user, export)
    assert desk.installation.project.service("memcached-mailcow").state == "running"
    assert list(desk.events(user)) == ["meeting.ics"]


def test_a_reset_without_sogo_fails_clearly(desk):
    user = desk.new_user()
    desk.put(user, meeting="Here")
    export = export_of(desk, user)
    desk.stack.stop("sogo")
    try:
        with pytest.raises(MailServerUnreachable):
            desk.calendars.reset(user, export)
    finally:
        desk.stack.service("sogo").start()
        desk.stack.wait("sogo")
    assert list(desk.events(user)) == ["meeting.ics"]


def test_errors_do_not_tell_the_password_of_the_database(desk):
    user = desk.new_user()
    desk.put(user, meeting="Here")
    export = export_of(desk, user)
    desk.stack.stop("mysql")
    try:
        with pytest.raises(MailSystemError) as raised:
            desk.calendars.merge(user, export)
    finally:
        desk.stack.service("mysql").start()
        desk.stack.wait("mysql")
        desk.stack.restart("memcached")
    assert desk.stack.configuration["DBPASS"] not in f"{raised.value}{raised.value.advice}"


def test_the_index_names_no_content(desk):
    user = desk.new_user()
    desk.put(user, meeting="Secret title")
    with desk.calendars.held():
        index = Path(desk.root / "exports" / "office" / "index.json").read_text()
    assert set(json.loads(index)["users"][user]) == {"fingerprint", "exported_at", "size_bytes"}
