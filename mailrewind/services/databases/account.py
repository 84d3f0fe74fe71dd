"""Put one account's rows of the database back: mailbox, aliases, filters, quota, SOGo profile."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mailrewind.errors import NothingToUndo
from mailrewind.model.databases import (
    AccountRows,
    Examination,
    RowStep,
    steps_from_json,
    steps_to_json,
)
from mailrewind.model.operations import (
    Draft,
    Effect,
    OperationPlan,
    OperationReport,
    OperationRequest,
    Outcome,
)
from mailrewind.model.reports import Finding
from mailrewind.ports import Database, Report
from mailrewind.services.databases.dumps import Dumps, refuse_another
from mailrewind.services.safety import SafetyCopy

_SAFETY = "account.json"


class RestoreAccount:
    """Put back what a dump says of one account; implements the port Operation.

    What is missing is added, what differs becomes as it was, what is newer stays. Nothing has to
    be stopped. What decides about the login of a living account stays as it is.

    Choices:
        what: Any of "mailbox", "aliases", "filters", "quota" and "sogo profile"; all by default.
        keep_newer_credentials: "no" puts password, app passwords, second factors and the disabled
            state back, too.
        from_another: "yes" takes the dump of another installation.

    Args:
        database: The system's.
        dumps: Where its dumps are.
        data_dir: Our data directory; safety copies lie below it.
    """

    name = "account"
    holds_system = False

    def __init__(self, database: Database, dumps: Dumps, *, data_dir: Path) -> None:
        self._database = database
        self._dumps = dumps
        self._data_dir = data_dir

    def draft(self, request: OperationRequest) -> Draft:
        """Compare the account's rows of then with those of now.

        Raises:
            MailboxNotFound: The account did not exist then.
            OtherInstallation: The dump is another's.
            MailrewindError: There is no such dump, or it cannot be read.
        """
        point = self._dumps.point(request.system, request.at)
        steps, found = self._compare(request, self._rows(request, point.name))
        from_another = request.is_chosen("from_another")
        findings = refuse_another(request.system, found, from_another=from_another)
        return Draft(
            point=point.name,
            moment=point.taken_at,
            changes=found.changes,
            facts=found.facts,
            findings=(*findings, *found.findings),
            is_destructive=any(step.key for step in steps),
        )

    def carry_out(self, plan: OperationPlan, *, report: Report | None = None) -> Outcome:
        """Put the rows back in one transaction, and compare again.

        Raises:
            MailServerFailed: A row was changed meanwhile; nothing was put back.
        """
        request = plan.request
        rows = self._rows(request, plan.draft.point)
        steps, _ = self._compare(request, rows)
        # Rows are known again by what is written in them, so this is right however far it comes.
        kept = steps_to_json(tuple(steps)).encode()
        SafetyCopy(self._data_dir, plan.id).write(_SAFETY, kept)
        done = self._database.put_back(steps)
        findings = self._database.settle(request.target)
        left, _ = self._compare(request, rows)
        failed = [Finding(step.table, "a row is not as it was then") for step in left]
        number = Counter(Effect.REVERT if step.before else Effect.ADD for step in done)
        counts = tuple((f"rows {effect}", number[effect]) for effect in (Effect.ADD, Effect.REVERT))
        return Outcome(counts, tuple(failed), tuple(findings), undo=_SAFETY if done else "")

    def undo(self, done: OperationReport) -> Outcome:
        """Take the rows back, as far as nobody has changed them since.

        Raises:
            NothingToUndo: There is no safety copy, or nothing that is as it was left.
        """
        kept = SafetyCopy(self._data_dir, done.id).read(_SAFETY)
        steps = steps_from_json(kept.decode())
        taken, findings = self._database.take_back(steps)
        if not taken:
            raise NothingToUndo(f"Nothing of restore {done.id} is as it was left.")
        told = self._database.settle(done.plan.request.target)
        return Outcome((("rows taken back", taken),), findings=(*findings, *told))

    def _rows(self, request: OperationRequest, point: str) -> AccountRows:
        found = self._dumps.point(request.system, point)
        with self._dumps.open(found) as pieces:
            return self._database.account_in(pieces, request.target)

    def _compare(
        self, request: OperationRequest, rows: AccountRows
    ) -> tuple[Sequence[RowStep], Examination]:
        return self._database.plan_account(
            request.target,
            rows,
            keeps_credentials=request.chosen("keep_newer_credentials", "yes") != "no",
            parts=request.choices.get("what", ()),
        )
