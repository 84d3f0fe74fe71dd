"""What a restore of calendars is about to do, found out anew for plan and execution alike."""

import json
from dataclasses import dataclass, replace

from mailrewind.formats.sogo import SogoExport
from mailrewind.services.calendars.archives import ExportSource
from mailrewind.services.calendars.likeness import fingerprint, fingerprint_of_preferences


@dataclass(frozen=True, slots=True)
class CalendarWork:
    """What is to be done.

    Attributes:
        source: Where it comes from.
        user: Into whose folders.
        then: The wished part of what was there, as folders of ``user``.
        living: What ``user`` has now.
        written: What SOGo is given; no folders when there is nothing to do.
        meant: What the written folders hold afterwards.
        moved: (path, name) of what a merge leaves where it was moved to since.
        is_reset: Whether folders are made what they were.
        preferences: What the preferences become; None to leave them alone.
    """

    source: ExportSource
    user: str
    then: SogoExport
    living: SogoExport
    written: SogoExport
    meant: SogoExport
    moved: frozenset[tuple[str, str]]
    is_reset: bool
    preferences: SogoExport | None


def facts(work: CalendarWork) -> str:
    """Say what must still be so: what would be written and, where it would be lost, what is there.

    The shares of a merge are left out: they are always those of the moment when it is done.
    """
    concerned = {folder.path for folder in work.written.folders}
    there = [folder for folder in work.living.folders if folder.path in concerned]
    preferences = ""
    if work.preferences is not None:
        preferences = fingerprint_of_preferences(work.preferences)
    said = {
        "user": work.user,
        "written": fingerprint(work.written, with_shares=work.is_reset),
        "living": fingerprint(replace(work.living, folders=tuple(there)), with_shares=True)
        if work.is_reset
        else "",
        "preferences": preferences,
    }
    return json.dumps(said, sort_keys=True)
