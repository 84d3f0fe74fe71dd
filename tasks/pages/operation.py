"""The pages of restores beyond messages: of a plan, and of what was done."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from mailrewind.model.operations import (
    Change,
    Effect,
    OperationPlan,
    OperationReport,
    Outcome,
    title_of_choice,
)
from tasks.pages.markdown import Row, facts, findings, literal, page, table
from tasks.words import age, duration, moment

_TITLES = {
    Effect.LOSE: "Would be lost",
    Effect.REVERT: "Would be reverted",
    Effect.REPLACE: "Would be replaced",
    Effect.ADD: "Would be added",
    Effect.STOP: "Stopped meanwhile",
    Effect.KEEP: "Kept as it is",
}


def operation_plan_page(plan: OperationPlan, *, zone: ZoneInfo, now: datetime, form: str) -> str:
    """Say what would be done, what is lost by it first.

    Args:
        plan: The plan.
        zone: The operator's.
        now: Aware.
        form: Address of the form filled in for carrying it out, or "".
    """
    return page(
        f"# Plan {plan.id}: {literal(plan.request.deed)}",
        "Nothing has been changed.",
        facts(
            [
                *_subject(plan, zone, now),
                *(
                    (f"**{title}**", f"**{plan.number(effect):,}**")
                    for effect, title in _TITLES.items()
                    if plan.number(effect)
                ),
                ("Planned", moment(plan.made_at, zone)),
            ]
        ),
        _way_on(plan, form),
        *(_chapter(plan, effect) for effect in _TITLES),
        findings("Findings", plan.draft.findings),
    )


def operation_page(report: OperationReport, *, zone: ZoneInfo, now: datetime) -> str:
    """Say what was done, and whether it was taken back."""
    outcome, taken_back = report.outcome, report.taken_back
    return page(
        f"# Restore {report.id}: {literal(report.plan.request.deed)}",
        facts(
            [
                *_subject(report.plan, zone, now),
                *_done(outcome),
                *((("**Ended early**", literal(report.failure)),) if report.failure else ()),
                ("Began", moment(report.started_at, zone)),
                *_end(report),
                ("Reason", literal(report.plan.request.reason) or "none given"),
                *_undone(report, zone),
            ]
        ),
        findings("Failed", outcome.failed if outcome else ()),
        findings("Findings", outcome.findings if outcome else ()),
        findings("Failed when taken back", taken_back.failed if taken_back else ()),
        findings("Findings when taken back", taken_back.findings if taken_back else ()),
        findings("Findings of the plan", report.plan.draft.findings),
    )


def _subject(plan: OperationPlan, zone: ZoneInfo, now: datetime) -> Iterator[Row]:
    yield "Mail system", literal(plan.request.system)
    if plan.request.target:
        yield "Mailbox", literal(plan.request.target)
    if plan.draft.moment is not None:
        yield "As it was", f"{moment(plan.draft.moment, zone)}, {age(plan.draft.moment, now)}"
    if plan.draft.point:
        yield "Restore point", literal(plan.draft.point)
    for name, values in plan.request.choices.items():
        yield literal(title_of_choice(name)), literal(", ".join(values))


def _way_on(plan: OperationPlan, form: str) -> str:
    if not plan.does_something:
        return "As it stands, nothing would change."
    if not plan.draft.is_destructive:
        if not form:
            return f"To do it, choose *restore* in the form and give it the plan {plan.id}."
        return f"**[Do it]({form})** opens the form, filled in for this plan."
    name = literal(plan.request.system)
    warning = "**What is there would be lost or reverted.** Read on before you go on."
    if not form:
        return (
            f"{warning} To do it, choose *restore* in the form, give it the plan {plan.id}, and "
            f"type the system's name: {name}."
        )
    return (
        f"{warning} **[Do it]({form})** opens the form, filled in for this plan but for the "
        f"system's name, which is yours to type: {name}."
    )


def _chapter(plan: OperationPlan, effect: Effect) -> str:
    changes = [change for change in plan.draft.changes if change.effect is effect]
    return page(f"## {_TITLES[effect]}", _changes(changes)) if changes else ""


def _changes(changes: Sequence[Change]) -> str:
    """List changes; their numbers only where there are any to speak of."""
    if all(each.count == 1 for each in changes):
        rows = [(literal(each.subject), literal(each.text)) for each in changes]
        return table(rows, head=("What", ""))
    counted = [(literal(each.subject), f"{each.count:,}", literal(each.text)) for each in changes]
    return table(counted, head=("What", "Count", ""))


def _done(outcome: Outcome | None) -> Iterator[Row]:
    if outcome is None:
        return
    for what, number in outcome.counts:
        yield f"**{literal(what.capitalize())}**", f"**{number:,}**"
    yield "Failed", f"{len(outcome.failed):,}"


def _end(report: OperationReport) -> tuple[Row, ...]:
    if report.finished_at is None:
        return (("**Ended**", "**not known**"),)
    return (("Took", duration(report.finished_at - report.started_at)),)


def _undone(report: OperationReport, zone: ZoneInfo) -> Iterator[Row]:
    if report.taken_back is not None:
        yield "Taken back", literal(report.taken_back.counted)
    if report.undone_at is not None:
        yield "**Undone**", moment(report.undone_at, zone)
    elif report.outcome is None or report.outcome.undo:
        yield "To undo", f"run *undo* with the restore {report.id}"
    else:
        yield "To undo", "it cannot be taken back"
