"""Messages back into one mailbox: plan first, then restore."""

from typing import Literal

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from mailrewind.model.restores import RestoreRequest
from tasks.policy import FLOW_TIMEOUT_SECONDS
from tasks.restore import plan, restore, restore_by_plan


class RestoreMailboxRequest(BaseModel):
    """Bring back what is missing from a mailbox; nothing that is there is changed."""

    model_config = ConfigDict(title="Restore a mailbox")

    system: str = Field(title="Mail system", description="Its name in mailrewind.yaml.")
    mailbox: str = Field(
        title="Mailbox", description="Its address, such as ada@example.org.", min_length=1
    )
    reason: str = Field(
        title="Reason",
        description="Why, in your words, such as a ticket's number. It is kept in the audit.",
        min_length=1,
    )
    moment: str = Field(
        default="latest",
        title="As it was",
        description=(
            "latest, the name of a restore point, or a time in the zone of mailrewind.yaml such as "
            "2026-11-12 13:00: the newest restore point up to then is taken."
        ),
    )
    folders: list[str] = Field(
        default=[],
        title="Folders",
        description=(
            "Only these and what is below them, such as INBOX or Projects/2026. "
            "Without any: all but trash and junk."
        ),
    )
    messages: list[int] = Field(
        default=[],
        title="Messages",
        description="Only these numbers, as `mailrewind messages` shows them. Without any: all.",
    )
    into: Literal["same folders", "below Restored/<date>"] = Field(
        default="same folders", title="Into", description="Where the messages go."
    )
    also_moved: bool = Field(
        default=False,
        title="Also what was moved",
        description="Put a copy back into the old folder where a message now lies in another one.",
    )
    over_quota: bool = Field(
        default=False,
        title="Go over quota",
        description="Restore even if the mailbox's quota is exceeded then.",
    )
    action: Literal["plan", "restore"] = Field(
        default="plan",
        title="Action",
        description="plan shows what a restore would add, and changes nothing.",
    )
    plan_id: str = Field(
        default="",
        title="Plan",
        description="The plan to carry out; its page fills this in. Empty: what is missing now.",
    )

    tell: str = Field(
        default="",
        title="Tell",
        description="An address that is told of start and end, besides the operators.",
    )

    @property
    def deed(self) -> str:
        """What the run is about to do, for its name."""
        return "plan restore" if self.action == "plan" else "restore"

    @property
    def wanted(self) -> RestoreRequest:
        """What is asked for, in the domain's words."""
        return RestoreRequest(
            system=self.system,
            mailbox=self.mailbox,
            at=self.moment,
            folders=tuple(self.folders),
            messages=tuple(self.messages),
            into="same" if self.into == "same folders" else "restored",
            also_moved=self.also_moved,
            over_quota=self.over_quota,
            reason=self.reason,
            tell=self.tell,
        )


@flow(
    name="restore",
    flow_run_name="{request.deed} {request.mailbox} as of {request.moment}",
    timeout_seconds=FLOW_TIMEOUT_SECONDS,
    persist_result=False,
)
def restore_mailbox(request: RestoreMailboxRequest) -> str:
    """Bring messages back into one mailbox. Without "restore" it plans and changes nothing.

    Returns:
        The id of the plan, or of the restore.
    """
    if request.action == "plan":
        return plan(request.wanted).id
    if request.plan_id:
        return restore_by_plan(request.plan_id, request.wanted).id
    return restore(request.wanted).id
