"""Take back whatever was restored, by the id of its report."""

from mailrewind.errors import NothingToUndo
from mailrewind.model.operations import OperationReport
from mailrewind.model.restores import RestoreReport
from mailrewind.ports import State
from mailrewind.services.operations import Operations
from mailrewind.services.restore import Restore


class Undo:
    """Undo restores of messages and of everything else; one id names one of either kind."""

    def __init__(self, restore: Restore, operations: Operations, state: State) -> None:
        self._restore = restore
        self._operations = operations
        self._state = state

    def report(self, report_id: str) -> RestoreReport | OperationReport:
        """Return what was restored.

        Raises:
            NothingToUndo: Nothing has this id.
        """
        try:
            return self._state.restore_report(report_id)
        except NothingToUndo:
            return self._state.operation_report(report_id)

    def undo(
        self, report_id: str, *, initiator: str, reason: str = ""
    ) -> RestoreReport | OperationReport:
        """Take back what was restored.

        Raises:
            NothingToUndo: Nothing has this id, it is undone already, or it cannot be taken back.
            MailrewindError: Whatever undoing it raises.
        """
        if isinstance(self.report(report_id), RestoreReport):
            return self._restore.undo(report_id, initiator=initiator, reason=reason)
        return self._operations.undo(report_id, initiator=initiator, reason=reason)
