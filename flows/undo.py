"""A restore taken back, of messages or of anything else."""

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from tasks.policy import FLOW_TIMEOUT_SECONDS
from tasks.undo import undo


class UndoRequest(BaseModel):
    """Take back what a restore did: messages, as far as nobody has touched them since, or more."""

    model_config = ConfigDict(title="Undo a restore")

    restore_id: str = Field(
        title="Restore", description="Its eight characters, as on its page.", min_length=1
    )
    reason: str = Field(
        title="Reason", description="Why, in your words. It is kept in the audit.", min_length=1
    )


@flow(
    name="undo-restore",
    flow_run_name="undo restore {request.restore_id}",
    timeout_seconds=FLOW_TIMEOUT_SECONDS,
    persist_result=False,
)
def undo_restore(request: UndoRequest) -> str:
    """Take back what a restore did, as far as it is as the restore left it.

    Returns:
        The restore's id.
    """
    return undo(request.restore_id, request.reason)
