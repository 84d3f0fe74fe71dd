"""Calendars, contacts and preferences back into one user: plan first, then restore."""

from typing import Literal

from prefect import flow
from pydantic import ConfigDict, Field

from flows.asking import AskedAsOf, plan_or_operate
from mailrewind.model.operations import OperationRequest, choices
from tasks.policy import FLOW_TIMEOUT_SECONDS


class RestoreCalendarsRequest(AskedAsOf):
    """Bring back events, contacts and whole folders of one user."""

    model_config = ConfigDict(title="Restore calendars and contacts")

    user: str = Field(
        title="User", description="The address, such as ada@example.org.", min_length=1
    )
    mode: Literal["merge", "reset"] = Field(
        default="merge",
        title="Mode",
        description=(
            "merge adds what is missing and touches nothing else; reset makes the folders what "
            "they were, and loses what came since."
        ),
    )
    folders: list[str] = Field(
        default=[],
        title="Folders",
        description="Only these, such as Calendar/personal or Contacts/personal. Without any: all.",
    )
    records: list[str] = Field(
        default=[],
        title="Events and contacts",
        description=(
            "Only these: names of items as the plan shows them, or words of their titles. "
            "Without any: all."
        ),
    )
    into_user: str = Field(
        default="",
        title="Into another user",
        description="The address of who gets them instead. Empty: who had them.",
    )
    preferences: bool = Field(
        default=False,
        title="Preferences too",
        description="Also signatures, filters, colours and other settings, as they were.",
    )

    @property
    def wanted(self) -> OperationRequest:
        """What is asked for, in the domain's words."""
        return OperationRequest(
            operation="calendars",
            system=self.system,
            target=self.user.strip(),
            at=self.moment,
            choices=choices(
                mode=self.mode,
                folders=self.folders,
                records=self.records,
                into_user=self.into_user,
                preferences=self.preferences,
            ),
            reason=self.reason,
            tell=self.tell,
        )


@flow(
    name="restore-calendars",
    flow_run_name="{request.deed} as of {request.moment}",
    timeout_seconds=FLOW_TIMEOUT_SECONDS,
    persist_result=False,
)
def restore_calendars(request: RestoreCalendarsRequest) -> str:
    """Bring calendars and contacts back; reset is destructive and needs a confirmed plan.

    Returns:
        The id of the plan, or of the restore.
    """
    return plan_or_operate(request)
