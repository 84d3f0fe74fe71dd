"""The whole database of a mail system: plan first, then restore."""

from typing import Literal

from prefect import flow
from pydantic import ConfigDict, Field

from flows.asking import (
    AskedAsOf,
    from_another_field,
    newer_credentials_field,
    plan_or_operate,
)
from mailrewind.model.operations import OperationRequest, choices
from tasks.policy import FLOW_TIMEOUT_SECONDS


class RestoreDatabaseRequest(AskedAsOf):
    """Make the whole database what it was: accounts, aliases, settings, calendars."""

    model_config = ConfigDict(title="Restore the database")

    keep_newer_credentials: bool = newer_credentials_field()
    returning: Literal["disabled", "as then"] = Field(
        default="disabled",
        title="Accounts deleted since",
        description="How they come back: somebody deleted them, maybe for a reason.",
    )
    from_another: bool = from_another_field()

    @property
    def wanted(self) -> OperationRequest:
        """What is asked for, in the domain's words."""
        return OperationRequest(
            operation="database",
            system=self.system,
            at=self.moment,
            choices=choices(
                keep_newer_credentials=self.keep_newer_credentials,
                returning=self.returning,
                from_another=self.from_another,
            ),
            reason=self.reason,
            tell=self.tell,
        )


@flow(
    name="restore-database",
    flow_run_name="{request.deed} as of {request.moment}",
    timeout_seconds=FLOW_TIMEOUT_SECONDS,
    persist_result=False,
)
def restore_database(request: RestoreDatabaseRequest) -> str:
    """Put the whole database to what it was; the plan names each account that it would change.

    Returns:
        The id of the plan, or of the restore.
    """
    return plan_or_operate(request)
