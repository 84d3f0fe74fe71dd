"""Calendars of a mailcow, from its three lines of configuration to a restore by the command."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mailrewind.config import load
from mailrewind.formats.sogo import read_export
from mailrewind.model.exports import export_name
from mailrewind.model.points import PointStatus, read_archive_name
from mailrewind.wiring import Services, now_utc, wire
from tests.command import Call
from tests.groupware_desk import contact, event
from tests.stacks.mailcow.stack import MailcowStack

pytest_plugins = ["tests.mailcow"]

ADA = "ada@example.org"
JOHN_DOE = "john.doe@example.org"

CONFIGURATION = """\
time_zone: Europe/Athens
data_dir: {root}/data
repositories:
  main:
    location: {root}/repository
    passphrase: {{file: {root}/passphrase}}
systems:
  office:
    kind: mailcow
    directory: {directory}
    repository: main
    sogo_exports: {{daily: 1, weekly: 0, monthly: 0, floor: 1}}
"""


@dataclass
class House:
    """A mailcow with some calendars, and the command."""

    stack: MailcowStack
    root: Path

    def __post_init__(self) -> None:
        (self.root / "passphrase").write_text("correct horse\n")
        (self.root / "passphrase").chmod(0o600)
        self.configuration.write_text(
            CONFIGURATION.format(root=self.root, directory=self.stack.directory)
        )
        self.stack.put_event(ADA, "personal", "dentist.ics", event("Dentist", "dentist"))
        self.stack.put_event(ADA, "personal", "lunch.ics", event("Lunch", "lunch"))
        self.stack.put_contact(ADA, "personal", "grace.vcf", contact("Grace Hopper"))
        self.stack.put_event(JOHN_DOE, "personal", "review.ics", event("Review", "review"))
        self.stack.share(ADA, "personal", JOHN_DOE)

    @property
    def configuration(self) -> Path:
        return self.root / "mailrewind.yaml"

    def services(self) -> Services:
        return wire(load(self.configuration))

    def said(self, *words: str) -> str:
        result = Call(self.configuration)(*words)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.said(*words, "--json"))


@pytest.fixture(scope="module")
def house(mailcow: MailcowStack, tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(mailcow, tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="module")
def point(house: House) -> str:
    return str(house.json("backup", "office", "--yes")["point"])


def archived(house: House, archive: str) -> dict[str, bytes]:
    archives = house.services().archives("main")
    paths = [file.path for file in archives.files(archive) if file.kind == "-"]
    return dict(archives.read(archive, paths))


def titles(content: bytes) -> dict[str, list[str]]:
    folders = read_export(content).folders
    return {folder.path: sorted(record.name for record in folder.records) for folder in folders}


def test_a_restore_point_holds_an_export_of_each_user(house: House, point: str) -> None:
    found = {path: titles(content) for path, content in archived(house, f"{point}-sogo").items()}
    assert found == {
        f"sogo/{ADA}": {
            "Calendar/personal": ["dentist.ics", "lunch.ics"],
            "Contacts/personal": ["grace.vcf"],
        },
        f"sogo/{JOHN_DOE}": {"Calendar/personal": ["review.ics"]},
    }


def test_calendars_are_listed_as_they_were(house: House, point: str) -> None:
    folders = house.json("calendars", "office", ADA, "--at", point)
    assert folders == [
        {
            "path": "Calendar/personal",
            "display_name": "Personal Calendar",
            "counts": {"events": 2},
            "shared_with": [JOHN_DOE],
        },
        {
            "path": "Contacts/personal",
            "display_name": "Personal Address Book",
            "counts": {"contacts": 1},
            "shared_with": [],
        },
    ]
    assert "Personal Address Book" in house.said("calendars", "office", ADA)


def test_what_a_calendar_held_is_listed_by_start_and_title(house: House, point: str) -> None:
    items = house.json("calendars", "office", ADA, "Personal Calendar", "--at", point)
    assert items == [
        {"name": f"{name}.ics", "kind": "event", "title": title, "start": "2026-11-12 10:00 UTC"}
        for name, title in (("dentist", "Dentist"), ("lunch", "Lunch"))
    ]
    assert "Grace Hopper" in house.said("calendars", "office", ADA, "Contacts/personal")


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ((ADA, "Calendar/nowhere"), 10, "had no calendar or address book"),
        (("nobody@example.org",), 10, "holds no calendars of nobody@example.org"),
        ((ADA, "--at", "1999-01-01"), 40, "1999-01-01"),
    ],
)
def test_what_was_not_there_is_said(
    house: House, point: str, words: tuple[str, ...], code: int, text: str
) -> None:
    result = Call(house.configuration)("calendars", "office", *words)
    assert result.exit_code == code
    assert text in result.stderr


def test_an_export_of_some_users_holds_all(house: House, point: str) -> None:
    done = house.json("exports", "office", ADA, "--yes")
    assert (done["users"], done["renewed"]) == ([ADA, JOHN_DOE], [ADA])
    assert sorted(archived(house, done["name"])) == [f"sogo/{ADA}", f"sogo/{JOHN_DOE}"]


def test_an_export_without_names_is_one_of_everybody(house: House, point: str) -> None:
    assert house.json("exports", "office", "--yes")["renewed"] == [ADA, JOHN_DOE]


def test_exports_are_kept_by_their_own_retention(house: House, point: str) -> None:
    first = house.json("exports", "office", "--yes")
    second = house.json("exports", "office", "--yes")
    assert first["name"] in second["removed"]
    assert [kept["name"] for kept in house.json("exports", "office")] == [second["name"]]
    assert second["name"] in house.said("exports", "office")


def test_an_export_is_no_restore_point_to_anybody(house: House, point: str) -> None:
    kept = house.json("exports", "office", "--yes")["name"]
    services = house.services()
    assert kept == export_name("office", services.exports.kept("office")[0].taken_at)
    assert read_archive_name(kept) is None
    services.state.end_point(point, PointStatus.FAILED, now_utc())
    later = house.json("backup", "office", "--yes")["point"]
    house.said("retain", "office", "--yes")
    names = services.archives("main").names()
    assert kept in names
    assert f"{point}-sogo" not in names
    assert [row["name"] for row in house.json("points", "office")] == [later]


def test_a_system_without_calendars_says_so(house: House) -> None:
    other = house.root / "other.yaml"
    text = house.configuration.read_text()
    maildir = f"    kind: maildir\n    mailboxes: {house.root}/{{domain}}/{{local}}\n"
    kept = text.split("    kind: mailcow\n")[0] + maildir + "    repository: main\n"
    other.write_text(kept)
    result = Call(other)("exports", "office")
    assert "has no calendars" in result.stderr
