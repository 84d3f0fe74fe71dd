"""The steps of restores beyond messages."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from mailrewind.errors import MailrewindError, PlanOutdated
from mailrewind.model.operations import OperationPlan, OperationReport, OperationRequest
from tasks.artifacts import publish
from tasks.form import filled_form
from tasks.initiator import initiator
from tasks.pages import operation_page, operation_plan_page
from tasks.policy import step
from tasks.progress import shown_progress
from tasks.services import services


@step("plan to {wanted.deed}")
def plan_operation(wanted: OperationRequest) -> OperationPlan:
    """Find out what would be done, and publish that with the way to do it."""
    made = services().operations.plan(replace(wanted, initiator=initiator()))
    page = operation_plan_page(
        made,
        zone=services().config.zone,
        now=datetime.now(UTC),
        form=filled_form(action="restore", plan_id=made.id),
    )
    publish(f"plan-{made.id}", page, description=f"To {wanted.deed}: {made.counted}")
    return made


@step("{wanted.deed}")
def operate(wanted: OperationRequest) -> OperationReport:
    """Plan and carry out at once what destroys nothing."""
    wanted = replace(wanted, initiator=initiator())
    with shown_progress(wanted.deed.capitalize()) as report:
        return _published(lambda: services().operations.run(wanted, report=report))


@step("{wanted.deed} by plan {plan_id}")
def operate_by_plan(plan_id: str, wanted: OperationRequest, system_typed: str) -> OperationReport:
    """Carry out a plan, if it is the plan of what is wanted."""
    _refuse_plan_of_something_else(plan_id, wanted)
    with shown_progress(wanted.deed.capitalize()) as report:
        return _published(
            lambda: services().operations.execute(
                plan_id,
                initiator=initiator(),
                reason=wanted.reason,
                system_typed=system_typed,
                report=report,
            )
        )


def publish_operation(done: OperationReport) -> None:
    """Publish the page of a report."""
    page = operation_page(done, zone=services().config.zone, now=datetime.now(UTC))
    result = done.outcome.counted if done.outcome else done.failure or "how it ended is not known"
    if done.undone_at is not None:
        result = "undone"
    publish(f"restore-{done.id}", page, description=f"{done.plan.request.deed}: {result}")


def _refuse_plan_of_something_else(plan_id: str, wanted: OperationRequest) -> None:
    """A form that was filled in from a plan's page may have been edited since."""
    planned = services().state.operation_plan(plan_id).request
    if _wish(planned) != _wish(wanted):
        raise PlanOutdated(
            f"Plan {plan_id} is not the plan of what this form asks for.",
            advice="Plan again, or leave the form as the plan's page filled it in.",
        )


def _wish(request: OperationRequest) -> OperationRequest:
    """Leave out who asks and why: that may change between a plan and its carrying out."""
    return replace(request, reason="", initiator="", tell="")


def _published(carry_out: Callable[[], OperationReport]) -> OperationReport:
    """Publish the report of what was carried out, also when it ended in an error."""
    try:
        done = carry_out()
    except MailrewindError:
        reports = services().operations.reports()
        mine = (each for each in reports if each.plan.request.initiator == initiator())
        if (unfinished := next(mine, None)) is not None:
            publish_operation(unfinished)
        raise
    publish_operation(done)
    return done
