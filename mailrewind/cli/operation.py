"""What the commands of all restores beyond messages share: plan, confirmation, report."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import click
from click.core import ParameterSource

from mailrewind.cli import operation_shapes, options, show
from mailrewind.cli.bar import bar
from mailrewind.cli.invocation import Invocation
from mailrewind.model.operations import (
    Effect,
    OperationPlan,
    OperationReport,
    OperationRequest,
    Outcome,
    title_of_choice,
)
from mailrewind.model.reports import Finding
from mailrewind.ports import WHOLE_SYSTEM

_ORDER = (Effect.LOSE, Effect.REVERT, Effect.REPLACE, Effect.ADD, Effect.STOP, Effect.KEEP)


_system_name = click.option(
    "--system-name",
    default="",
    metavar="NAME",
    help="The system's name once more; only where something would be lost or reverted.",
)
_HOW = (options.yes, options.tell, options.reason, _system_name, options.plan_id)


@dataclass(frozen=True, slots=True)
class How:
    """How something is asked for, whatever it is.

    Attributes:
        plan_id: Of a plan that was made before, which is carried out as it is.
        system_name: As typed.
        reason: Why.
        tell: Who is told besides.
        yes: Whether to carry out.
    """

    plan_id: str | None
    system_name: str
    reason: str
    tell: str
    yes: bool


def confirmed(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of ``How``, as one argument of this name."""

    @functools.wraps(command)
    def with_how(
        *given: Any,
        plan_id: str | None,
        system_name: str,
        reason: str,
        tell: str,
        yes: bool,
        **wishes: Any,
    ) -> None:
        command(*given, how=How(plan_id, system_name, reason, tell, yes), **wishes)

    made: Callable[..., None] = with_how
    for option in _HOW:
        made = option(made)
    return made


def go(invocation: Invocation, request: OperationRequest, words: tuple[str, ...], how: How) -> None:
    """Show the plan of a request, or carry it out.

    Args:
        invocation: The call.
        request: What is asked for.
        words: The command that asks for it, without options.
        how: How it is asked for.
    """
    request = replace(request, reason=how.reason, initiator=invocation.initiator, tell=how.tell)
    operations = invocation.services.operations
    if how.plan_id is None:
        if not how.yes:
            _show_plan(invocation, operations.plan(request), words)
            return
        _say_who_is_waited_for(invocation, request, is_destructive=False)
        with bar() as report:
            done = operations.run(request, report=report)
        show_report(invocation, done)
        return
    plan = _planned(invocation, how.plan_id, request)
    if not how.yes:
        _show_plan(invocation, plan, words)
        return
    _say_who_is_waited_for(invocation, request, is_destructive=plan.draft.is_destructive)
    with bar() as report:
        done = operations.execute(
            plan.id,
            initiator=request.initiator,
            reason=how.reason,
            system_typed=how.system_name,
            report=report,
        )
    show_report(invocation, done)


def show_report(invocation: Invocation, done: OperationReport) -> None:
    """Show what was done, and how to take it back."""
    command = invocation.command("undo", done.id, "--yes")
    can_be_undone = done.undone_at is None and (done.outcome is None or bool(done.outcome.undo))
    if invocation.as_json:
        undo = command if can_be_undone else None
        invocation.print_json(operation_shapes.operation_report(done) | {"undo": undo})
        return
    show.facts(
        [
            ("Report", done.id),
            ("Done", done.plan.request.deed),
            *((("From", done.plan.draft.point),) if done.plan.draft.point else ()),
            *_counts(done.outcome),
            *((("Ended early", done.failure),) if done.failure else ()),
            *_end(invocation, done),
            *((("Taken back", done.taken_back.counted),) if done.taken_back else ()),
        ]
    )
    for outcome in (done.outcome, done.taken_back):
        if outcome is not None:
            _show_findings((*outcome.failed, *outcome.findings))
    if can_be_undone:
        show.line(f"Take it back with: {command}")


def show_undo_plan(invocation: Invocation, done: OperationReport) -> None:
    """Show what would be taken back."""
    command = invocation.command("undo", done.id, "--yes")
    if invocation.as_json:
        invocation.print_json(operation_shapes.operation_report(done) | {"command": command})
        return
    show.facts(
        [
            ("Restore", done.id),
            ("Did", done.plan.request.deed),
            ("Began", show.moment(done.started_at, invocation.zone)),
            *_counts(done.outcome),
        ]
    )
    if done.undone_at is not None:
        show.line(f"It was undone at {show.moment(done.undone_at, invocation.zone)} already.")
    elif done.outcome is not None and not done.outcome.undo:
        show.line("It cannot be taken back.")
    else:
        show.line(f"Do it with: {command}")


def _planned(invocation: Invocation, plan_id: str, request: OperationRequest) -> OperationPlan:
    """Return a plan, if it is one of what is asked for."""
    if _has_wishes(click.get_current_context()):
        raise click.UsageError("A plan is carried out as it is: give --plan without other wishes.")
    plan = invocation.services.state.operation_plan(plan_id)
    planned = plan.request
    named = (planned.operation, planned.system, planned.target)
    if named != (request.operation, request.system, request.target):
        raise click.UsageError(f"Plan {plan_id} is to {planned.deed}.")
    return plan


def _has_wishes(context: click.Context) -> bool:
    """Whether options say what is wanted, besides those that say how."""
    how = {field.name for field in fields(How)}
    return any(
        isinstance(parameter, click.Option)
        and parameter.expose_value
        and parameter.name not in how
        and context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        for parameter in context.command.params
    )


def _say_who_is_waited_for(
    invocation: Invocation, request: OperationRequest, *, is_destructive: bool
) -> None:
    """Name what runs already: what is destructive waits for all that does on its system."""
    waits_for_all = is_destructive or not request.target
    state = invocation.services.state
    for lease in state.leases():
        is_in_the_way = waits_for_all or lease.mailbox in (request.target, WHOLE_SYSTEM)
        if lease.system == request.system and is_in_the_way:
            since = show.age(lease.since, invocation.now)
            click.echo(f"Waiting for {lease.holder}, which began {since}.", err=True)
    for point, _ in state.running_backups():
        if point.system == request.system and waits_for_all:
            since = show.age(point.taken_at, invocation.now)
            click.echo(f"Waiting for the backup {point.name}, which began {since}.", err=True)


def _show_plan(invocation: Invocation, plan: OperationPlan, words: tuple[str, ...]) -> None:
    typed = ("--system-name", "NAME") if plan.draft.is_destructive else ()
    command = invocation.command(*words, "--plan", plan.id, *typed, "--yes")
    if invocation.as_json:
        invocation.print_json(operation_shapes.operation_plan(plan) | {"command": command})
        return
    request = plan.request
    show.facts(
        [
            ("Plan", plan.id),
            ("Would", request.deed),
            *_moment(invocation, plan),
            *(
                (title_of_choice(name), ", ".join(values))
                for name, values in request.choices.items()
            ),
            ("In short", plan.counted),
        ]
    )
    if plan.draft.changes:
        show.line()
        show.table(("What", "Would be", "Count", ""), _changes(plan), right=(2,))
    _show_findings(plan.draft.findings)
    show.line()
    if not plan.does_something:
        show.line("As it stands, nothing would change.")
        return
    if not plan.draft.is_destructive:
        show.line(f"Nothing has been changed. Do it with: {command}")
        return
    show.line("Nothing has been changed. Doing it would lose or revert what is there now.")
    show.line(f"Do it with: {command}")
    show.line("where NAME is the system's name, typed by you.")


def _moment(invocation: Invocation, plan: OperationPlan) -> list[tuple[str, str]]:
    at = plan.draft.moment
    if at is None:
        return []
    as_it_was = f"{show.moment(at, invocation.zone)}, {show.age(at, invocation.now)}"
    return [("As it was", f"{as_it_was} ({plan.draft.point})")]


def _changes(plan: OperationPlan) -> list[tuple[str, str, str, str]]:
    return [
        (change.subject, change.effect.value, f"{change.count:,}", change.text)
        for effect in _ORDER
        for change in plan.draft.changes
        if change.effect is effect
    ]


def _counts(outcome: Outcome | None) -> list[tuple[str, str]]:
    if outcome is None:
        return []
    counts = [(what.capitalize(), f"{number:,}") for what, number in outcome.counts]
    return [*counts, ("Failed", f"{len(outcome.failed):,}")]


def _end(invocation: Invocation, done: OperationReport) -> list[tuple[str, str]]:
    if done.finished_at is None:
        began = show.moment(done.started_at, invocation.zone)
        return [("Began", f"{began}; how it ended is not known")]
    return [("Took", show.length(done.finished_at - done.started_at))]


def _show_findings(findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        show.line(f"Finding: {finding.subject}: {finding.text}")
