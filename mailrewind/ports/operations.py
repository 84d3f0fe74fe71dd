"""What is asked of a restore beyond messages."""

from typing import Protocol

from mailrewind.model.operations import (
    Draft,
    OperationPlan,
    OperationReport,
    OperationRequest,
    Outcome,
)
from mailrewind.ports.archives import Report


class Operation(Protocol):
    """One kind of restore beyond messages, such as "calendars" or "server".

    ``services.operations`` does what all have in common: ids, confirmation, leases, holding off
    backup and pruning, telling people, reports and audit.

    Attributes:
        name: As in ``OperationRequest.operation``.
        holds_system: Whether it keeps backup, pruning and every other restore off the system even
            where its plan is not destructive; one that is always does.
    """

    name: str
    holds_system: bool

    def draft(self, request: OperationRequest) -> Draft:
        """Find out what would be done; changes nothing. This is the dry run.

        Raises:
            RestoreError: It cannot be done; says what to do instead.
        """
        ...

    def carry_out(self, plan: OperationPlan, *, report: Report | None = None) -> Outcome:
        """Do it, look whether it is done, and say so.

        Makes its safety copy first; starts what it has stopped, whatever happens.
        """
        ...

    def undo(self, done: OperationReport) -> Outcome:
        """Take it back, with what ``Outcome.undo`` says.

        The outcome of one that an error or a dead process has ended is not known (None): then its
        safety copy, found by ``done.id``, says what can be taken back.

        Raises:
            NothingToUndo: It cannot be taken back.
        """
        ...
