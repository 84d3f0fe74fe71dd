"""One mailbox put to what it was: plan first, then replace."""

from typing import Literal

from prefect import flow
from pydantic import ConfigDict, Field

from flows.asking import AskedAsOf, mailbox_field, plan_or_operate
from mailrewind.model.operations import OperationRequest, choices
from tasks.policy import FLOW_TIMEOUT_SECONDS


class ReplaceMailboxRequest(AskedAsOf):
    """Make a mailbox what it was; what came since goes into a safety copy."""

    model_config = ConfigDict(title="Replace a mailbox")

    mailbox: str = mailbox_field()
    newer: Literal["lose", "keep"] = Field(
        default="lose",
        title="What came since the newest restore point",
        description="lose it, or keep it beside what was: no archive has it.",
    )

    @property
    def wanted(self) -> OperationRequest:
        """What is asked for, in the domain's words."""
        return OperationRequest(
            operation="replace",
            system=self.system,
            target=self.mailbox.strip(),
            at=self.moment,
            choices=choices(newer=self.newer),
            reason=self.reason,
            tell=self.tell,
        )


@flow(
    name="replace-mailbox",
    flow_run_name="{request.deed} as of {request.moment}",
    timeout_seconds=FLOW_TIMEOUT_SECONDS,
    persist_result=False,
)
def replace_mailbox(request: ReplaceMailboxRequest) -> str:
    """Put a whole mailbox to what it was, with a safety copy of what it is.

    Returns:
        The id of the plan, or of the restore.
    """
    return plan_or_operate(request)
