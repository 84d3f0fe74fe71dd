"""The step of taking something back."""

from mailrewind.model.restores import RestoreReport
from tasks.initiator import initiator
from tasks.operation import publish_operation
from tasks.policy import step
from tasks.restore import publish_restore
from tasks.services import services


@step("undo restore {restore_id}")
def undo(restore_id: str, reason: str) -> str:
    """Take back what a restore did; return its id."""
    undone = services().undo.undo(restore_id, initiator=initiator(), reason=reason)
    if isinstance(undone, RestoreReport):
        publish_restore(undone)
    else:
        publish_operation(undone)
    return undone.id
