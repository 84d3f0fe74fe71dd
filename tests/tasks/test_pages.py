from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from mailrewind.model.mail import Message, Quota
from mailrewind.model.points import PointStatus, RestorePoint
from mailrewind.model.reports import ArchiveStatistics, BackupReport, Finding, IndexChanges
from mailrewind.model.restores import (
    Added,
    Addition,
    RestorePlan,
    RestoreReport,
    RestoreRequest,
    Selection,
)
from mailrewind.model.retention import KeepDecision
from tasks.pages import backup_page, plan_page, points_page, restore_page
from tasks.pages.markdown import MOST_ROWS, literal, table

ATHENS = ZoneInfo("Europe/Athens")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MIB = 1024 * 1024


def addition(number: int, folder: str, vanished_at: datetime | None) -> Addition:
    message = Message(
        mailbox="ada@example.org",
        folder=folder,
        guid=str(number),
        flags=frozenset(),
        received=NOON,
        size_bytes=MIB,
        path=f"mail/{number}",
    )
    return Addition(number, message, folder, vanished_at)


PLAN = RestorePlan(
    id="3f9a1c20",
    request=RestoreRequest("office", "ada@example.org", reason="ticket 17"),
    point="office-2026-11-20T10:14:00Z",
    moment=datetime(2026, 11, 20, 10, 14, tzinfo=UTC),
    made_at=NOON,
    selection=Selection(
        additions=(
            addition(1, "INBOX", NOON - timedelta(hours=1)),
            addition(2, "INBOX", NOON - timedelta(hours=1)),
            addition(3, "Work|2026", None),
        ),
        present=1204,
        moved=(("Archive", 2), ("Trash", 1)),
    ),
    unreadable=(Finding("INBOX #9", "the archive does not give its content"),),
    quota=Quota(7 * MIB, 20 * MIB, 1207, None),
    free_bytes=5 * 1024 * MIB,
    findings=(),
)


def test_a_plan_says_all_that_a_decision_needs() -> None:
    assert plan_page(PLAN, zone=ATHENS, now=NOON, form="/v2/form") == (
        r"""# Plan 3f9a1c20: ada@example.org

Nothing has been changed.

|  |  |
| --- | --- |
| Mail system | office |
| Mailbox | ada@example.org |
| As it was | 2026-11-20 12:14:00 EET, 1 hour 46 minutes ago |
| Restore point | office-2026-11-20T10:14:00Z |
| **To add** | **3 messages**, 3.0 MiB |
| Present | 1,204 messages |
| Moved | 3 messages: now 2 in Archive, 1 in Trash |
| Unreadable | 1 message |
| Space | 3.0 MiB needed, 5.0 GiB free |
| Quota afterwards | 10.0 MiB of 20.0 MiB, 1,210 messages |
| Planned | 2026-11-20 14:00:00 EET |

**[Restore 3 messages](/v2/form)** opens the form, filled in for this plan.

## To add

| Folder | Messages | Size | Vanished |
| --- | --- | --- | --- |
| INBOX | 2 | 2.0 MiB | by 2026-11-20 13:00:00 EET |
| Work\|2026 | 1 | 1.0 MiB | since the newest restore point |

## Unreadable

| What | Finding |
| --- | --- |
| INBOX \#9 | the archive does not give its content |"""
    )


def test_a_plan_over_quota_leads_to_no_restore() -> None:
    full = replace(PLAN, quota=Quota(19 * MIB, 20 * MIB, 1207, None))
    page = plan_page(full, zone=ATHENS, now=NOON, form="/v2/form")
    assert "22.0 MiB of 20.0 MiB, 1,210 messages — **over quota**" in page
    assert "/v2/form" not in page
    assert "plan again with *Go over quota* on" in page


def test_a_plan_without_additions_leads_to_no_restore() -> None:
    nothing = replace(PLAN, selection=Selection((), 1207, ()))
    page = plan_page(nothing, zone=ATHENS, now=NOON, form="/v2/form")
    assert "there is nothing to restore" in page
    assert "/v2/form" not in page


def test_a_report_says_what_was_done_and_how_to_take_it_back() -> None:
    done = RestoreReport(
        id="3f9a1c20",
        plan=PLAN,
        started_at=NOON,
        finished_at=NOON + timedelta(seconds=62),
        added=(Added("INBOX", "1", frozenset()), Added("INBOX", "2", frozenset())),
        failed=(Finding("Work|2026 #3", "its content differs"),),
        quota=None,
        findings=(),
    )
    assert restore_page(done, zone=ATHENS, now=NOON) == (
        r"""# Restore 3f9a1c20: ada@example.org

|  |  |
| --- | --- |
| Mail system | office |
| Mailbox | ada@example.org |
| As it was | 2026-11-20 12:14:00 EET, 1 hour 46 minutes ago |
| **Added and read back** | **2 messages** |
| Failed | 1 message |
| Present | 1,204 messages |
| Moved | 3 messages: now 2 in Archive, 1 in Trash |
| Quota | no quota |
| Took | 1 minute 2 seconds |
| Reason | ticket 17 |
| To undo | run *undo* with the restore 3f9a1c20 |

| Folder | Added |
| --- | --- |
| INBOX | 2 |

## Failed

| What | Finding |
| --- | --- |
| Work\|2026 \#3 | its content differs |"""
    )
    undone = restore_page(replace(done, undone_at=NOON), zone=ATHENS, now=NOON)
    assert "| **Undone** | 2026-11-20 14:00:00 EET |" in undone
    assert "To undo" not in undone


def test_a_backup_says_what_changed() -> None:
    report = BackupReport(
        point="office-2026-11-20T12:00:00Z",
        system="office",
        taken_at=NOON,
        finished_at=NOON + timedelta(seconds=9),
        archives=(
            ArchiveStatistics(
                "office-2026-11-20T12:00:00Z-mail", 2001, 70 * MIB, 1500, timedelta(seconds=4)
            ),
        ),
        index=IndexChanges(2000, 1, appeared=12, vanished=3, moved=2, flagged=1),
        late=1,
        findings=(),
    )
    assert backup_page(report, zone=ATHENS) == (
        """# Restore point office-2026-11-20T12:00:00Z

|  |  |
| --- | --- |
| Mail system | office |
| Moment | 2026-11-20 14:00:00 EET |
| Took | 9 seconds |
| New in the repository | 1.5 KiB |
| Holds | 2,000 messages in 1 mailbox |
| Since the point before | 12 appeared, 3 vanished, 2 moved, 1 changed flags |
| Caught by the second pass | 1 message |

## Archives

| Archive | Files | Size | New | Took |
| --- | --- | --- | --- | --- |
| office-2026-11-20T12:00:00Z-mail | 2,001 | 70.0 MiB | 1.5 KiB | 4 seconds |"""
    )


def test_points_say_until_when_they_are_kept_and_why() -> None:
    def decision(hour: int, *reasons: str, until: datetime | None = None) -> KeepDecision:
        taken_at = NOON.replace(hour=hour)
        name = f"office-2026-11-20T{hour:02}:00:00Z"
        point = RestorePoint(name, "office", taken_at, PointStatus.COMPLETE, ("mail",), "main")
        return KeepDecision(point, reasons, until)

    decisions = [
        decision(11, "hourly #1", until=NOON + timedelta(days=1)),
        decision(10, "held"),
        decision(9),
    ]
    assert points_page("office", decisions, removed=4, zone=ATHENS, now=NOON) == (
        r"""# Restore points of office

2 points kept, 4 removed, 1 more may go.

| Restore point | Age | Kept until | Why |
| --- | --- | --- | --- |
| office-2026-11-20T11:00:00Z | 1 hour ago | 2026-11-21 14:00:00 EET | hourly \#1 |
| office-2026-11-20T10:00:00Z | 2 hours ago | no end in sight | held |
| office-2026-11-20T09:00:00Z | 3 hours ago | may go | nothing keeps it |"""
    )


def test_foreign_text_stays_text() -> None:
    assert literal("a|b\n[x](http://evil) <img> `c` \u202e_") == (
        r"a\|b \[x\]\(http://evil\) \<img\> \`c\`  \_"
    )


def test_a_long_table_is_cut_and_says_so() -> None:
    drawn = table([(str(number),) for number in range(MOST_ROWS + 1234)], head=("N",))
    assert drawn.count("\n| ") == MOST_ROWS + 1
    assert drawn.endswith("\n\n… and 1,234 more.")
