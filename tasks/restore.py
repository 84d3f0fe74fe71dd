"""The steps of bringing messages back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from mailrewind.errors import MailrewindError, PlanOutdated
from mailrewind.model.restores import RestorePlan, RestoreReport, RestoreRequest
from tasks.artifacts import publish
from tasks.form import filled_form
from tasks.initiator import initiator
from tasks.pages import plan_page, restore_page
from tasks.policy import step
from tasks.progress import shown_progress
from tasks.services import services
from tasks.words import count


@step("plan {wanted.mailbox}")
def plan(wanted: RestoreRequest) -> RestorePlan:
    """Work out what a restore would do, and publish that with the way to the restore."""
    made = services().restore.plan(replace(wanted, initiator=initiator()))
    page = plan_page(
        made,
        zone=services().config.zone,
        now=datetime.now(UTC),
        form=filled_form(action="restore", plan_id=made.id),
    )
    number = count(len(made.selection.additions), "message")
    publish(f"plan-{made.id}", page, description=f"{number} to add to {wanted.mailbox}")
    return made


@step("restore {wanted.mailbox}")
def restore(wanted: RestoreRequest) -> RestoreReport:
    """Plan and carry out at once."""
    wanted = replace(wanted, initiator=initiator())
    with shown_progress(f"Restoring {wanted.mailbox}") as report:
        return _published(lambda: services().restore.run(wanted, report=report))


@step("restore {wanted.mailbox} by plan {plan_id}")
def restore_by_plan(plan_id: str, wanted: RestoreRequest) -> RestoreReport:
    """Carry out a plan, if it is the plan of what is wanted."""
    _refuse_plan_of_something_else(plan_id, wanted)
    by, reason = initiator(), wanted.reason
    with shown_progress(f"Restoring {wanted.mailbox}") as report:
        return _published(
            lambda: services().restore.execute(plan_id, initiator=by, reason=reason, report=report)
        )


def _refuse_plan_of_something_else(plan_id: str, wanted: RestoreRequest) -> None:
    """A form that was filled in from a plan's page may have been edited since."""
    planned = services().state.plan(plan_id).request
    if _wish(planned) != _wish(wanted):
        raise PlanOutdated(
            f"Plan {plan_id} is not the plan of what this form asks for.",
            advice="Plan again, or leave the form as the plan's page filled it in.",
        )


def _wish(request: RestoreRequest) -> RestoreRequest:
    """Leave out who asks and why: that may change between a plan and its carrying out."""
    return replace(request, reason="", initiator="", tell="")


def _published(carry_out: Callable[[], RestoreReport]) -> RestoreReport:
    """Publish the report of what was carried out, also when it ended in an error."""
    try:
        done = carry_out()
    except MailrewindError:
        reports = services().state.restore_reports()
        mine = (report for report in reports if report.plan.request.initiator == initiator())
        if (unfinished := next(mine, None)) is not None:
            publish_restore(unfinished)
        raise
    publish_restore(done)
    return done


def publish_restore(report: RestoreReport) -> None:
    """Publish the page of a report."""
    page = restore_page(report, zone=services().config.zone, now=datetime.now(UTC))
    number, mailbox = count(len(report.added), "message"), report.plan.request.mailbox
    done = "added to" if report.undone_at is None else "had been added to"
    publish(f"restore-{report.id}", page, description=f"{number} {done} {mailbox}")
