"""Do what an operator does in Prefect's pages: start a deployment, wait, read what it left."""

import time

from deployments import runs
from deployments.api import Api
from mailrewind.model.reports import BackupReport
from mailrewind.model.restores import RestorePlan, RestoreReport
from mailrewind.wiring import wire
from tools.demo_stage import SYSTEM, Stage

RUN_SECONDS = 300
POLL_SECONDS = 0.5
ENDED = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


class DemoFailed(Exception):
    """The demo did not show what it should."""


class Operator:
    """Somebody who is signed in to Prefect."""

    def __init__(self, stage: Stage) -> None:
        self._api = Api.of(stage.config)
        self._state = wire(stage.config).state

    def back_up(self) -> BackupReport:
        """Run the backup; return its report."""
        run = self.run(f"backup/{SYSTEM}", {"system": SYSTEM})
        while run.state == "CANCELLED":  # its schedule came first: two at once are one too many
            time.sleep(POLL_SECONDS)
            run = self.run(f"backup/{SYSTEM}", {"system": SYSTEM})
        _demand_completed(run)
        return self._state.backup_reports(SYSTEM, limit=1)[0]

    def plan(self, mailbox: str, point: str) -> RestorePlan:
        """Fill in the restore form and leave its action at "plan"."""
        run = self.run("restore/mailbox", _form(mailbox, point))
        _demand_completed(run)
        return self._state.plan(self._left_by(run, "plan-"))

    def restore(self, mailbox: str, point: str, *, plan_id: str = "") -> RestoreReport:
        """Fill in the form for the restore; with a plan's id, as the plan's link does."""
        form = _form(mailbox, point) | {"action": "restore", "plan_id": plan_id}
        run = self.run("restore/mailbox", form)
        _demand_completed(run)
        return self._state.restore_report(self._left_by(run, "restore-"))

    def run(self, deployment: str, request: dict[str, str]) -> runs.Run:
        """Start a deployment and return its run once that has ended."""
        found = self._api.get(f"/deployments/name/{deployment}")
        created = self._api.post(
            f"/deployments/{found['id']}/create_flow_run",
            {"parameters": {"request": request}, "state": {"type": "SCHEDULED"}},
        )
        deadline = time.monotonic() + RUN_SECONDS
        while (run := runs.read(self._api, created["id"])).state not in ENDED:
            if time.monotonic() > deadline:
                raise DemoFailed(f"{run.name} is still {run.state} after {RUN_SECONDS} seconds.")
            time.sleep(POLL_SECONDS)
        return run

    def _left_by(self, run: runs.Run, prefix: str) -> str:
        """Return the id in the key of the page that a run left."""
        pages = self._api.post(
            "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run.id]}}}
        )
        for page in pages:
            if (page["key"] or "").startswith(prefix):
                return str(page["key"]).removeprefix(prefix)
        raise DemoFailed(f"{run.name} left no page {prefix}….")


def _demand_completed(run: runs.Run) -> None:
    if run.state != "COMPLETED":
        raise DemoFailed(f"{run.name} ended as {run.state}: {run.message}")


def _form(mailbox: str, point: str) -> dict[str, str]:
    return {"system": SYSTEM, "mailbox": mailbox, "moment": point, "reason": "make demo"}
