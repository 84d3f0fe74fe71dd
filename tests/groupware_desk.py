"""Calendars and contacts of a mailcow that runs, with services over them."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn, Self
from zoneinfo import ZoneInfo

from mailrewind.formats.property_lists import Opaque
from mailrewind.formats.sogo import (
    SogoExport,
    SogoFolder,
    SogoRecord,
    read_export,
    write_export,
)
from mailrewind.model.operations import OperationPlan, OperationReport, OperationRequest
from mailrewind.model.points import PointStatus, RestorePoint, point_name
from mailrewind.model.retention import RetentionPolicy
from mailrewind.notify import Note
from mailrewind.ports import Archives
from mailrewind.services.calendars.archives import CalendarArchives
from mailrewind.services.calendars.exports import Exports
from mailrewind.services.calendars.restoring import RestoreCalendars
from mailrewind.services.connected import ConnectedSystem
from mailrewind.services.operations import Operations
from mailrewind.state.state import SqlState
from mailrewind.systems.mailcow.installation import Installation
from mailrewind.systems.mailcow.sogo import SogoCalendars
from mailrewind.systems.mailcow.sogo_part import SogoPart
from mailrewind.systems.mailcow.system import MailcowSystem
from mailrewind.transports.processes import is_alive, this_process
from tests.doubles import MemoryArchives
from tests.stacks.mailcow.stack import MailcowStack

SYSTEM = "office"
CALENDAR = "Calendar/personal"
BOOK = "Contacts/personal"

_NUMBERS = itertools.count(1)


def event(title: str, uid: str = "e") -> str:
    """Return an event as SOGo stores and returns it."""
    lines = (
        *("BEGIN:VCALENDAR", "PRODID:-//tests//calendars//EN", "VERSION:2.0", "BEGIN:VEVENT"),
        *(f"UID:{uid}", "DTSTAMP:20261101T100000Z", "DTSTART:20261112T100000Z"),
        "DTEND:20261112T110000Z",
        *(f"SUMMARY:{title}", "CLASS:PUBLIC", "END:VEVENT", "END:VCALENDAR"),
    )
    return "\r\n".join(lines)


def contact(name: str, uid: str = "c") -> str:
    """Return a contact as SOGo stores and returns it."""
    lines = ("BEGIN:VCARD", "VERSION:3.0", f"UID:{uid}", f"FN:{name}", f"N:{name}", "END:VCARD")
    return "\r\n".join(lines)


@dataclass
class Desk:
    """One mailcow with services for its calendars; users of their own for each test.

    Attributes:
        stack: The mailcow.
        root: Our data lie below it.
        archives: The repository.
        clock: Moves on by a second with each look.
    """

    stack: MailcowStack
    root: Path
    archives: Archives = field(default_factory=MemoryArchives)
    policy: RetentionPolicy = field(default_factory=RetentionPolicy)
    now: datetime = datetime(2026, 11, 20, 12, tzinfo=UTC)

    def __post_init__(self) -> None:
        self.installation = Installation(self.stack.directory, project=self.stack.project)
        self.calendars = SogoCalendars(
            self.installation, self.root / "exports" / SYSTEM, clock=self.clock
        )
        self.state = SqlState(
            self.root / "state.db", process=this_process(), is_alive=is_alive, clock=self.clock
        )
        rest = {"zone": ZoneInfo("Europe/Athens"), "clock": self.clock}
        self.source = CalendarArchives(self.connect, self.state, **rest)
        self.operation = RestoreCalendars(self.connect, self.source, data_dir=self.root)
        self.operations = Operations(self.connect, self.state, Note(), **rest)
        self.exports = Exports(self.connect, self.state, **rest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.installation.close()
        self.state.close()

    def clock(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def connect(self, system: str) -> ConnectedSystem:
        return ConnectedSystem(
            name=SYSTEM,
            prefix=SYSTEM,
            repository="main",
            cron="14 * * * *",
            policy=RetentionPolicy(),
            mail=MailcowSystem(SYSTEM, self.installation),
            archives=self.archives,
            repository_named={"main": self.archives}.get,
            open_catalog=_no_catalog,
            operations={"calendars": self.operation},
            calendars=self.calendars,
            export_policy=self.policy,
        )

    def new_user(self) -> str:
        """Add a mailbox that no other test knows."""
        address = f"user{next(_NUMBERS)}@example.org"
        self.stack.add_mailbox(address)
        return address

    def make_point(self) -> str:
        """Make a restore point of the calendars alone, and return its name."""
        taken_at = self.clock()
        name = point_name(SYSTEM, taken_at)
        point = RestorePoint(name, SYSTEM, taken_at, PointStatus.MAKING, (), "main")
        self.state.begin_point(point, this_process())
        SogoPart(self.calendars).archive(self.archives, f"{name}-sogo")
        self.state.add_part(name, "sogo")
        self.state.end_point(name, PointStatus.COMPLETE, self.clock())
        return name

    def plan(
        self, user: str, *, at: str = "latest", **choices: str | tuple[str, ...]
    ) -> OperationPlan:
        chosen = {
            name: (value,) if isinstance(value, str) else value for name, value in choices.items()
        }
        return self.operations.plan(
            OperationRequest("calendars", SYSTEM, user, at, chosen, initiator="test")
        )

    def execute(self, plan: OperationPlan) -> OperationReport:
        return self.operations.execute(plan.id, initiator="test", system_typed=SYSTEM)

    def restore(
        self, user: str, *, at: str = "latest", **choices: str | tuple[str, ...]
    ) -> Mapping[str, int]:
        """Plan and carry out; return what was counted."""
        return counted(self.execute(self.plan(user, at=at, **choices)))

    def put(self, user: str, **titles: str) -> None:
        """Write events into the user's calendar: name and title."""
        for name, title in titles.items():
            self.stack.put_event(user, "personal", f"{name}.ics", event(title, name))

    def delete(self, user: str, *names: str) -> None:
        for name in names:
            self.stack.delete_event(user, "personal", f"{name}.ics")

    def events(self, user: str, calendar: str = "personal") -> dict[str, str]:
        return self.stack.events(user, calendar)

    def exported(self, user: str) -> dict[str, dict[str, str]]:
        """Return what each folder of a user holds, by path and name."""
        (made,) = self.calendars.export([user])
        return {
            folder.path: {record.name: record.content for record in folder.records}
            for folder in read_export(made.content).folders
        }

    def holding(self, user: str, titles: Mapping[str, str]) -> bytes:
        """Return an export of a calendar with these events: name and title."""
        records = tuple(SogoRecord(name, event(title, name)) for name, title in titles.items())
        folder = SogoFolder(CALENDAR, "Personal Calendar", Opaque("{\n}"), records)
        return write_export(SogoExport(user, None, None, (folder,)))

    def shares(self, user: str, folder: str = CALENDAR) -> set[tuple[str, str]]:
        """Return (user, role) of those whom a folder is shared with."""
        rows = self.stack.sql(
            "SELECT c_uid, c_role FROM sogo_acl a JOIN sogo_folder_info f USING (c_folder_id) "
            "WHERE f.c_path = %s",
            f"/Users/{user}/{folder}",
        )
        return {(str(uid), str(role)) for uid, role in rows}

    def state_of(self, user: str) -> object:
        """Return all that a user sees of the own calendars and address books."""
        groupware = self.stack.groupware
        return {
            folder: (
                groupware.title(user, folder),
                groupware.items(user, folder),
                self.shares(user, folder),
            )
            for kind in ("Calendar", "Contacts")
            for folder in sorted(groupware.folders(user, kind))
        }

    def left_in_container(self) -> list[str]:
        """Return what of ours lies in SOGo's container."""
        _, out, _ = self.stack.run("sogo", "find", "/tmp", "-name", "mailrewind-*")
        return out.split()


def counted(report: OperationReport) -> Mapping[str, int]:
    """Return what an operation counted."""
    assert report.outcome is not None
    return dict(report.outcome.counts)


def _no_catalog() -> NoReturn:
    raise AssertionError("calendars need no catalogue")
