"""Do what an operator does in Prefect's pages: start a deployment, wait, read what it left."""

import time
from dataclasses import dataclass
from typing import Any

from deployments import runs
from deployments.api import Api
from mailrewind.errors import MailrewindError
from mailrewind.wiring import wire
from tools.demo_stage import SYSTEM, Stage

RUN_SECONDS = 300
ENDED = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


class DemoFailed(MailrewindError):
    """The demo did not show what it should."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the page of a plan says.

    Attributes:
        id: The plan's id.
        to_add: Messages that are missing.
        present: Messages that are there.
    """

    id: str
    to_add: int
    present: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What the page of a restore says.

    Attributes:
        id: The restore's id.
        added: Messages that were added.
    """

    id: str
    added: int


class Operator:
    """Somebody who is signed in to Prefect."""

    def __init__(self, stage: Stage) -> None:
        self._api = Api.of(stage.config)
        self._state = wire(stage.config).state

    def back_up(self) -> str:
        """Run the backup; return what its report says."""
        self._run(f"backup/{SYSTEM}", {"system": SYSTEM})
        report = self._state.backup_reports(SYSTEM, limit=1)[0]
        messages = report.index.messages if report.index else 0
        size = report.added_bytes / 1_000_000
        return f"{report.point}: {messages:,} messages, {size:.1f} MB in borg's repository"

    def plan(self, mailbox: str) -> Plan:
        """Fill in the restore form and leave its action at "plan"."""
        run = self._run("restore/mailbox", _form(mailbox))
        plan = self._state.plan(self._left_by(run, "plan-"))
        return Plan(plan.id, len(plan.selection.additions), plan.selection.present)

    def restore(self, mailbox: str, plan: Plan | None = None) -> Restored:
        """Fill in the form for the restore, with a plan's id or without."""
        more = {"action": "restore", "plan_id": plan.id if plan else ""}
        run = self._run("restore/mailbox", _form(mailbox) | more)
        report = self._state.restore_report(self._left_by(run, "restore-"))
        return Restored(report.id, len(report.added))

    def _run(self, deployment: str, request: dict[str, Any]) -> str:
        found = self._api.get(f"/deployments/name/{deployment}")
        created = self._api.post(
            f"/deployments/{found['id']}/create_flow_run",
            {"parameters": {"request": request}, "state": {"type": "SCHEDULED"}},
        )
        deadline = time.monotonic() + RUN_SECONDS
        while (run := runs.read(self._api, created["id"])).state not in ENDED:
            if time.monotonic() > deadline:
                raise DemoFailed(f"{run.name} is still {run.state} after {RUN_SECONDS} seconds.")
            time.sleep(0.5)
        if run.state != "COMPLETED":
            raise DemoFailed(f"{run.name} ended as {run.state}: {run.message}")
        return run.id

    def _left_by(self, run: str, prefix: str) -> str:
        """Return the id in the key of the page that a run left."""
        pages = self._api.post("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
        for page in pages:
            if (page["key"] or "").startswith(prefix):
                return str(page["key"]).removeprefix(prefix)
        raise DemoFailed(f"The run left no page {prefix}….")


def _form(mailbox: str) -> dict[str, Any]:
    return {"system": SYSTEM, "mailbox": mailbox, "reason": "make demo"}
