"""Put the whole database back: a security event, so logins stay as they are unless chosen."""

import gzip
import logging
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from mailrewind.errors import ChoiceNeeded, DumpDamaged, MailrewindError, NothingToUndo
from mailrewind.model.databases import Returning
from mailrewind.model.operations import (
    Draft,
    Effect,
    OperationPlan,
    OperationReport,
    OperationRequest,
    Outcome,
)
from mailrewind.model.reports import Finding
from mailrewind.ports import Database, Progress, Report
from mailrewind.services.databases.dumps import Dumps, refuse_another, refuse_newer_schema
from mailrewind.services.safety import SafetyCopy

logger = logging.getLogger(__name__)

_SAFETY = "database.sql.gz"
_SAFETY_OF_UNDO = "database before undo.sql.gz"
_PIECE_BYTES = 1024 * 1024


class RestoreDatabase:
    """Replace the whole database by a dump; implements the port Operation.

    The dump is loaded beside the living database while everything runs. Only for the exchange are
    the services stopped that use it; whatever fails before leaves the living one as it was.

    Choices:
        keep_newer_credentials: "yes" (default): what decides about logins stays as it is now.
        returning: What becomes of accounts that were deleted since: "disabled" (default) or
            "as then".
        from_another: "yes" takes the dump of another installation.

    Args:
        database: The system's.
        dumps: Where its dumps are.
        data_dir: Our data directory; safety dumps lie below it.
    """

    name = "database"
    holds_system = True

    def __init__(self, database: Database, dumps: Dumps, *, data_dir: Path) -> None:
        self._database = database
        self._dumps = dumps
        self._data_dir = data_dir

    def draft(self, request: OperationRequest) -> Draft:
        """Find out which accounts would vanish, return or change.

        Raises:
            SchemaTooNew: The dump is of a newer version.
            OtherInstallation: The dump is another's.
            MailrewindError: There is no such dump, or it cannot be read.
        """
        returning = _returning(request)
        point = self._dumps.point(request.system, request.at)
        with self._dumps.open(point) as pieces:
            found = self._database.examine(pieces, returning)
        findings = (
            *refuse_newer_schema(request.system, found),
            *refuse_another(request.system, found, from_another=request.is_chosen("from_another")),
            *found.findings,
        )
        return Draft(
            point=point.name,
            moment=point.taken_at,
            changes=found.changes,
            facts=found.facts,
            findings=findings,
            is_destructive=True,
        )

    def carry_out(self, plan: OperationPlan, *, report: Report | None = None) -> Outcome:
        """Load the dump, put it in the living one's place, and count.

        Raises:
            MailrewindError: The database is as it was, unless the error says otherwise.
        """
        request = plan.request
        point = self._dumps.point(request.system, plan.draft.point)
        _tell(report, "loading the dump")
        with self._dumps.open(point) as pieces:
            self._database.load(plan.id, pieces)
            # Leaving the block checks the rest of the archive.
        safety = SafetyCopy(self._data_dir, plan.id).directory / _SAFETY
        outcome = self._exchange(plan.id, _returning(request), safety, report)
        kept, returned, vanished = (
            sum(_is_account(change.subject) for change in plan.draft.changes if change.effect is e)
            for e in (Effect.KEEP, Effect.ADD, Effect.LOSE)
        )
        counts = (
            *outcome.counts,
            ("logins kept as they were", kept),
            ("accounts returned", returned),
            ("accounts gone", vanished),
        )
        return Outcome(counts=counts, findings=outcome.findings, undo=_SAFETY)

    def undo(self, done: OperationReport) -> Outcome:
        """Put the database back that was there before; newer logins stay here, too.

        Raises:
            NothingToUndo: There is no safety dump.
        """
        safety = SafetyCopy(self._data_dir, done.id).directory / _SAFETY
        if not safety.exists():
            raise NothingToUndo(
                f"There is no safety dump of restore {done.id}: it was broken off before it "
                "changed anything, or is older than 30 days."
            )
        request = done.plan.request
        keeps = _returning(request).keeps_credentials
        name = f"{done.id}undo"
        self._database.load(name, _unpacked(safety))
        # Those that the restore has removed were living: they come back as they were.
        returning = Returning(keeps_credentials=keeps, disables_returning=False)
        return self._exchange(name, returning, safety.with_name(_SAFETY_OF_UNDO), None)

    def _exchange(
        self, name: str, returning: Returning, safety: Path, report: Report | None
    ) -> Outcome:
        try:
            with self._database.alone(holder=f"restore {name}"):
                _tell(report, "making the safety dump")
                self._database.dump_to(safety)
                _tell(report, "exchanging the databases")
                rows = self._database.exchange(name, returning)
        except BaseException:
            with suppress(MailrewindError):  # the next load removes it as well
                self._database.discard(name)
            raise
        _tell(report, "counting the quota of every mailbox")
        findings: tuple[Finding, ...] = tuple(self._database.settle())
        return Outcome((("tables", len(rows)), ("rows", sum(rows.values()))), findings=findings)


def _returning(request: OperationRequest) -> Returning:
    keeps = request.chosen("keep_newer_credentials", "yes")
    returning = request.chosen("returning", "disabled")
    if keeps not in {"yes", "no"} or returning not in {"disabled", "as then"}:
        raise ChoiceNeeded(
            f"keep_newer_credentials is yes or no, returning is disabled or as then: not {keeps!r}"
            f" and {returning!r}"
        )
    return Returning(keeps_credentials=keeps == "yes", disables_returning=returning == "disabled")


def _is_account(subject: str) -> bool:
    return "@" in subject


def _unpacked(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) as file:
            yield from iter(partial(file.read, _PIECE_BYTES), b"")
    except (OSError, EOFError) as error:
        raise DumpDamaged(f"the safety dump {path} cannot be read: {error}") from error


def _tell(report: Report | None, text: str) -> None:
    logger.info("%s", text)
    if report:
        report(Progress(0, None, "bytes", text))
