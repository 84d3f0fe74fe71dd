"""A restore of something smaller than a mail system, with a real effect and a real undo."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mailrewind.errors import NothingToUndo
from mailrewind.model.operations import (
    Change,
    Draft,
    Effect,
    OperationPlan,
    OperationReport,
    OperationRequest,
    Outcome,
)
from mailrewind.model.reports import Finding
from mailrewind.ports import Progress, Report


@dataclass
class NoticeBoard:
    """Puts the notices of a board, the lines of a file, back to what a copy of it says.

    Attributes:
        board: The file.
        copy: What it is put back to.
        holds_system: As operations say.
        name: As operations say.
        on_the_way: Called when half of it is done.
        when_undone: Called when half of it is undone.
        torn: Notices that do not stay where they are put.
    """

    board: Path
    copy: Path
    holds_system: bool = False
    name: str = "notices"
    on_the_way: Callable[[], None] = lambda: None
    when_undone: Callable[[], None] = lambda: None
    torn: set[str] = field(default_factory=set)

    def draft(self, request: OperationRequest) -> Draft:
        then, now = _lines(self.copy), _lines(self.board)
        wanted = request.choices.get("records", ())
        lost = (
            [] if request.chosen("mode") == "merge" else [each for each in now if each not in then]
        )
        missing = [each for each in then if each not in now and (not wanted or each in wanted)]
        changes = [Change(Effect.ADD, each) for each in missing]
        changes += [Change(Effect.LOSE, each, "was put up later") for each in lost]
        return Draft(
            point="",
            moment=None,
            changes=tuple(changes),
            facts="\n".join([*now, "", *then]),
            findings=(Finding(self.board.name, "hangs outside"),),
            is_destructive=bool(lost),
        )

    def carry_out(self, plan: OperationPlan, *, report: Report | None = None) -> Outcome:
        before = _lines(self.board)
        self._safety(plan.id).write_text("\n".join(before))
        by_effect = {
            effect: [each.subject for each in plan.draft.changes if each.effect is effect]
            for effect in Effect
        }
        kept = [each for each in before if each not in by_effect[Effect.LOSE]]
        self.board.write_text("\n".join(kept))
        if report:
            report(Progress(1, 2, "points", "taking down"))
        self.on_the_way()
        kept += [each for each in by_effect[Effect.ADD] if each not in self.torn]
        self.board.write_text("\n".join(kept))
        failed = [each for each in by_effect[Effect.ADD] if each not in _lines(self.board)]
        return Outcome(
            counts=(
                ("notices put up", len(by_effect[Effect.ADD]) - len(failed)),
                ("notices taken down", len(by_effect[Effect.LOSE])),
            ),
            failed=tuple(Finding(each, "it fell off") for each in failed),
            undo=str(self._safety(plan.id)),
        )

    def undo(self, done: OperationReport) -> Outcome:
        safety = self._safety(done.id)
        if not safety.exists():
            raise NothingToUndo(f"Restore {done.id} had not changed anything yet.")
        self.when_undone()
        self.board.write_text(safety.read_text())
        return Outcome((("notices as before", len(_lines(self.board))),))

    def _safety(self, plan_id: str) -> Path:
        return self.board.with_name(f"safety-{plan_id}")


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text().split("\n") if line]
