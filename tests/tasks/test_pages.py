from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mailrewind.model.exports import ExportReport, KeptExport
from mailrewind.model.mail import Message, Quota
from mailrewind.model.operations import (
    Change,
    Draft,
    Effect,
    OperationPlan,
    OperationReport,
    OperationRequest,
    Outcome,
)
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
from tasks.pages import (
    backup_page,
    export_page,
    operation_page,
    operation_plan_page,
    plan_page,
    points_page,
    restore_page,
)
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


OPERATION = OperationPlan(
    id="5d41402a",
    request=OperationRequest(
        "database", "post", reason="ticket 17", choices={"keep_newer_credentials": ("yes",)}
    ),
    made_at=NOON,
    draft=Draft(
        point="post-2026-11-20T10:14:00Z",
        moment=datetime(2026, 11, 20, 10, 14, tzinfo=UTC),
        changes=(
            Change(Effect.KEEP, "ada@example.org", "its newer password"),
            Change(Effect.LOSE, "eve_*@example.org", "was made later"),
            Change(Effect.ADD, "aliases", "", 1204),
        ),
        facts="",
        findings=(Finding("schema", "is the same"),),
        is_destructive=True,
    ),
)
FORM = "/v2/form"


def test_a_plan_of_an_operation_tells_what_is_lost_first_and_what_to_type() -> None:
    assert (
        operation_plan_page(OPERATION, zone=ATHENS, now=NOON, form=FORM)
        == """\
# Plan 5d41402a: restore the database of post

Nothing has been changed.

|  |  |
| --- | --- |
| Mail system | post |
| As it was | 2026-11-20 12:14:00 EET, 1 hour 46 minutes ago |
| Restore point | post-2026-11-20T10:14:00Z |
| Keep newer credentials | yes |
| **Would be lost** | **1** |
| **Would be added** | **1,204** |
| **Kept as it is** | **1** |
| Planned | 2026-11-20 14:00:00 EET |

**What is there would be lost or reverted.** Read on before you go on. **[Do it](/v2/form)** \
opens the form, filled in for this plan but for the system's name, which is yours to type: post.

## Would be lost

| What |  |
| --- | --- |
| eve\\_\\*@example.org | was made later |

## Would be added

| What | Count |  |
| --- | --- | --- |
| aliases | 1,204 |  |

## Kept as it is

| What |  |
| --- | --- |
| ada@example.org | its newer password |

## Findings

| What | Finding |
| --- | --- |
| schema | is the same |"""
    )


def test_a_plan_without_a_form_says_what_to_give_it() -> None:
    shown = operation_plan_page(OPERATION, zone=ATHENS, now=NOON, form="")
    assert (
        "To do it, choose *restore* in the form, give it the plan 5d41402a, and type the system's "
        "name: post."
    ) in shown
    harmless = replace(OPERATION, draft=replace(OPERATION.draft, is_destructive=False))
    assert f"**[Do it]({FORM})** opens the form, filled in for this plan." in operation_plan_page(
        harmless, zone=ATHENS, now=NOON, form=FORM
    )


def test_a_plan_that_would_change_nothing_leads_nowhere() -> None:
    kept = Draft("", None, (Change(Effect.KEEP, "login", "as now"),), "")
    shown = operation_plan_page(replace(OPERATION, draft=kept), zone=ATHENS, now=NOON, form=FORM)
    assert "\n\nAs it stands, nothing would change.\n\n" in shown
    assert FORM not in shown


def test_choices_have_the_names_that_they_have_on_the_form() -> None:
    request = replace(OPERATION.request, choices={"returning": ("as then",)})
    shown = operation_plan_page(
        replace(OPERATION, request=request), zone=ATHENS, now=NOON, form=FORM
    )
    assert "\n| Accounts deleted since | as then |\n" in shown


def test_a_report_of_an_operation_says_what_was_done_and_how_to_undo_it() -> None:
    outcome = Outcome(
        counts=(("accounts brought back", 1204), ("accounts removed", 1)),
        failed=(Finding("bob@example.org", "its row is not there"),),
        findings=(Finding("quota", "was counted anew"),),
        undo="safety/5d41402a",
    )
    done = OperationReport("5d41402a", OPERATION, NOON, NOON + timedelta(minutes=2), outcome)
    assert (
        operation_page(done, zone=ATHENS, now=NOON)
        == """\
# Restore 5d41402a: restore the database of post

|  |  |
| --- | --- |
| Mail system | post |
| As it was | 2026-11-20 12:14:00 EET, 1 hour 46 minutes ago |
| Restore point | post-2026-11-20T10:14:00Z |
| Keep newer credentials | yes |
| **Accounts brought back** | **1,204** |
| **Accounts removed** | **1** |
| Failed | 1 |
| Began | 2026-11-20 14:00:00 EET |
| Took | 2 minutes |
| Reason | ticket 17 |
| To undo | run *undo* with the restore 5d41402a |

## Failed

| What | Finding |
| --- | --- |
| bob@example.org | its row is not there |

## Findings

| What | Finding |
| --- | --- |
| quota | was counted anew |

## Findings of the plan

| What | Finding |
| --- | --- |
| schema | is the same |"""
    )


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"undone_at": NOON}, "| **Undone** | 2026-11-20 14:00:00 EET |"),
        ({"outcome": Outcome(())}, "| To undo | it cannot be taken back |"),
        (
            {"outcome": None, "failure": "It was cancelled."},
            "| **Ended early** | It was cancelled. |",
        ),
        ({"outcome": None}, "| To undo | run *undo* with the restore 5d41402a |"),
        ({"outcome": None, "finished_at": None}, "| **Ended** | **not known** |"),
        (
            {"taken_back": Outcome((("rows", 3),), (Finding("a", "b"),))},
            "| Taken back | rows: 3, failed: 1 |",
        ),
    ],
)
def test_a_report_of_an_operation_says_how_it_ended(changed: dict[str, Any], line: str) -> None:
    done = OperationReport("5d41402a", OPERATION, NOON, NOON, Outcome((), undo="x"))
    assert line in operation_page(replace(done, **changed), zone=ATHENS, now=NOON).split("\n")


def test_an_export_says_who_is_in_it_and_what_is_kept() -> None:
    done = ExportReport(
        "post", "post-sogo-2026-11-20T12:00:00Z", NOON, ("a@x", "b@x"), ("a@x",), MIB, ("old",), ()
    )
    kept = [KeptExport(done.name, NOON, ("daily #1",)), KeptExport("post-sogo-x", NOON)]
    assert (
        export_page(done, kept, zone=ATHENS)
        == """\
# Export post-sogo-2026-11-20T12:00:00Z

|  |  |
| --- | --- |
| Mail system | post |
| Moment | 2026-11-20 14:00:00 EET |
| Holds | 2 users |
| **Exported anew** | **1 user** |
| New in the repository | 1.0 MiB |
| Old exports removed | 1 |

## Kept

| Export | Moment | Why |
| --- | --- | --- |
| post-sogo-2026-11-20T12:00:00Z | 2026-11-20 14:00:00 EET | daily \\#1 |
| post-sogo-x | 2026-11-20 14:00:00 EET | nothing keeps it |"""
    )
