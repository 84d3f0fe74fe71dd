"""A whole mail server, onto an empty installation: plan first, then restore."""

from prefect import flow
from pydantic import ConfigDict

from flows.asking import AskedAsOf, plan_or_operate
from mailrewind.model.operations import OperationRequest
from tasks.policy import FLOW_TIMEOUT_SECONDS


class RestoreServerRequest(AskedAsOf):
    """Bring everything back onto an empty installation: mail, keys, database, settings."""

    model_config = ConfigDict(title="Restore the whole server")

    @property
    def wanted(self) -> OperationRequest:
        """What is asked for, in the domain's words."""
        return OperationRequest(
            operation="server",
            system=self.system,
            at=self.moment,
            reason=self.reason,
            tell=self.tell,
        )


@flow(
    name="restore-server",
    flow_run_name="{request.deed} as of {request.moment}",
    timeout_seconds=FLOW_TIMEOUT_SECONDS,
    persist_result=False,
)
def restore_server(request: RestoreServerRequest) -> str:
    """Bring a whole server back onto an empty installation.

    Returns:
        The id of the plan, or of the restore.
    """
    return plan_or_operate(request)
