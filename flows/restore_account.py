"""One account's rows of the database: plan first, then restore."""

from typing import Literal

from prefect import flow
from pydantic import ConfigDict, Field

from flows.asking import (
    AskedAsOf,
    from_another_field,
    mailbox_field,
    newer_credentials_field,
    plan_or_operate,
)
from mailrewind.model.operations import OperationRequest, choices
from tasks.policy import FLOW_TIMEOUT_SECONDS

AccountPart = Literal["mailbox", "aliases", "filters", "quota", "sogo profile"]


class RestoreAccountRequest(AskedAsOf):
    """Bring the settings of one account back; everybody else's stay."""

    model_config = ConfigDict(title="Restore an account")

    mailbox: str = mailbox_field()
    what: list[AccountPart] = Field(
        default=["mailbox", "aliases", "filters", "quota", "sogo profile"],
        title="What",
        description="Which of its settings.",
    )
    keep_newer_credentials: bool = newer_credentials_field()
    from_another: bool = from_another_field()

    @property
    def wanted(self) -> OperationRequest:
        """What is asked for, in the domain's words."""
        return OperationRequest(
            operation="account",
            system=self.system,
            target=self.mailbox.strip(),
            at=self.moment,
            choices=choices(
                what=self.what,
                keep_newer_credentials=self.keep_newer_credentials,
                from_another=self.from_another,
            ),
            reason=self.reason,
            tell=self.tell,
        )


@flow(
    name="restore-account",
    flow_run_name="{request.deed} as of {request.moment}",
    timeout_seconds=FLOW_TIMEOUT_SECONDS,
    persist_result=False,
)
def restore_account(request: RestoreAccountRequest) -> str:
    """Put one account's rows to what they were.

    Returns:
        The id of the plan, or of the restore.
    """
    return plan_or_operate(request)
