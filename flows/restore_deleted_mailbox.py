"""A mailbox that was deleted: its candidates first, then its mail back."""

from typing import Literal

from prefect import flow
from pydantic import ConfigDict, Field

from flows.asking import AskedAsOf, mailbox_field, plan_or_operate
from mailrewind.model.operations import OperationRequest, choices
from tasks.policy import FLOW_TIMEOUT_SECONDS


class RestoreDeletedMailboxRequest(AskedAsOf):
    """Bring a deleted mailbox back, from the mail server's own garbage or a restore point."""

    model_config = ConfigDict(title="Restore a deleted mailbox")

    mailbox: str = mailbox_field()
    source: Literal["garbage", "restore point"] = Field(
        default="garbage",
        title="From",
        description=(
            "garbage is what the mail server keeps of deleted mailboxes for some days; a restore "
            "point is what was backed up, as it was at the moment above."
        ),
    )
    candidate: str = Field(
        default="",
        title="Candidate",
        description=(
            "Which one of the garbage, by its name: the plan lists them with date and size. "
            "Empty: the one whose mail tells that it was this mailbox's."
        ),
    )
    whatever_it_holds: bool = Field(
        default=False,
        title="Whoever's mail it is",
        description="Take the candidate although its mail tells of another owner.",
    )
    create: bool = Field(
        default=False,
        title="Create the mailbox",
        description="Create it if it does not exist; this needs a key to the mail server's API.",
    )

    @property
    def wanted(self) -> OperationRequest:
        """What is asked for, in the domain's words."""
        return OperationRequest(
            operation="deleted",
            system=self.system,
            target=self.mailbox.strip(),
            at=self.moment,
            choices=choices(
                source=self.source,
                candidate=self.candidate,
                whatever_it_holds=self.whatever_it_holds,
                create=self.create,
            ),
            reason=self.reason,
            tell=self.tell,
        )


@flow(
    name="restore-deleted-mailbox",
    flow_run_name="{request.deed} as of {request.moment}",
    timeout_seconds=FLOW_TIMEOUT_SECONDS,
    persist_result=False,
)
def restore_deleted_mailbox(request: RestoreDeletedMailboxRequest) -> str:
    """Bring a deleted mailbox back; the plan lists what could be meant, with date and size.

    Returns:
        The id of the plan, or of the restore.
    """
    return plan_or_operate(request)
