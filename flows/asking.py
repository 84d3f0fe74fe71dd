"""What the forms of all restores beyond messages have in common, and what they lead to."""

from abc import abstractmethod
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mailrewind.model.operations import OperationRequest
from tasks.operation import operate, operate_by_plan, plan_operation

# In the form, what an operation asks of its own stands between these.
_FIRST = ("system", "user", "mailbox", "moment")
_LAST = ("reason", "action", "plan_id", "type_the_system_name", "tell")


def _in_reading_order(schema: dict[str, Any]) -> None:
    """Let the form ask for the subject first and for the deed last, whichever class has a field."""
    properties = schema["properties"]
    first = {name: properties[name] for name in _FIRST if name in properties}
    last = {name: properties[name] for name in _LAST if name in properties}
    own = {name: each for name, each in properties.items() if name not in (*_FIRST, *_LAST)}
    schema["properties"] = first | own | last


class Asked(BaseModel):
    """Fields that each of these forms has."""

    model_config = ConfigDict(json_schema_extra=_in_reading_order)

    system: str = Field(title="Mail system", description="Its name in mailrewind.yaml.")
    reason: str = Field(
        title="Reason",
        description="Why, in your words, such as a ticket's number. It is kept in the audit.",
        min_length=1,
    )
    action: Literal["plan", "restore"] = Field(
        default="plan",
        title="Action",
        description="plan shows what would be done, and changes nothing.",
    )
    plan_id: str = Field(
        default="",
        title="Plan",
        description=(
            "The plan to carry out; its page fills this in. Empty: what is to be done now; only "
            "where nothing would be lost or reverted."
        ),
    )
    type_the_system_name: str = Field(
        default="",
        title="Type the system's name",
        description=(
            "Only where the plan says that something would be lost or reverted: the mail system's "
            "name once more, by your own hand."
        ),
    )
    tell: str = Field(
        default="",
        title="Tell",
        description="An address that is told of start and end, besides the operators.",
    )

    @property
    @abstractmethod
    def wanted(self) -> OperationRequest:
        """What is asked for, in the domain's words."""

    @property
    def deed(self) -> str:
        """What the run is about to do, for its name."""
        deed = self.wanted.deed
        return f"plan to {deed}" if self.action == "plan" else deed


class AskedAsOf(Asked):
    """Fields of a form that goes back to a moment."""

    moment: str = Field(
        default="latest",
        title="As it was",
        description=(
            "latest, the name of a restore point, or a time in the zone of mailrewind.yaml such as "
            "2026-11-12 13:00: the newest restore point up to then is taken."
        ),
    )


def mailbox_field() -> Any:
    """Return the field of a mailbox's address."""
    return Field(title="Mailbox", description="Its address, such as ada@example.org.", min_length=1)


def newer_credentials_field() -> Any:
    """Return the field that says whether newer credentials stay."""
    return Field(
        default=True,
        title="Keep newer credentials",
        description=(
            "Passwords, app passwords, second factors and disabled states that were changed since "
            "stay as they are now. Without this, a password that was reset because somebody else "
            "knew it works again."
        ),
    )


def from_another_field() -> Any:
    """Return the field that says whether a dump of another installation is meant."""
    return Field(
        default=False,
        title="From another mailcow",
        description="Take the dump although another installation made it.",
    )


def plan_or_operate(asked: Asked) -> str:
    """Plan, or carry out; return the id of the plan, or of the restore."""
    if asked.action == "restore" and asked.plan_id:
        return operate_by_plan(asked.plan_id, asked.wanted, asked.type_the_system_name).id
    plan = plan_operation(asked.wanted)
    if asked.action == "plan":
        return plan.id
    if plan.draft.is_destructive:  # refused: nobody has read it yet
        return operate_by_plan(plan.id, asked.wanted, "").id
    return operate(asked.wanted).id
