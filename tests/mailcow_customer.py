"""A customer of a mailcow host: three lines of configuration, `up`, and the forms of Prefect."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deployments import runs, settings
from deployments.api import Api
from deployments.runs import Run
from deployments.stack import down, up
from mailrewind.config import Config, load
from mailrewind.wiring import Services, wire
from tests.deployments.running import await_state, deployment_id, end_of, eventually, start
from tests.stack import free_port
from tests.stacks.mailcow.stack import MailcowStack

SYSTEM = "office"
PASSPHRASE = "horse-battery-4711"
REASON = "ticket 4711"
RUN_SECONDS = 300  # what a busy machine may need

_CONFIGURATION = """\
data_dir: data
repositories:
  main: {{location: repository, passphrase: {{file: passphrase}}}}
systems:
  {system}:
    kind: mailcow
    directory: {directory}
    repository: main
prefect: {{port: {port}}}
"""


@dataclass(frozen=True)
class Ran:
    """A run that has ended, and the pages that it left, by key."""

    run: Run
    pages: Mapping[str, str]

    @property
    def plan_id(self) -> str:
        return self._id("plan-")

    @property
    def restore_id(self) -> str:
        return self._id("restore-")

    @property
    def page(self) -> str:
        (page,) = self.pages.values()
        return page

    def _id(self, prefix: str) -> str:
        (key,) = self.pages
        assert key.startswith(prefix)
        return key.removeprefix(prefix)


@dataclass
class Customer:
    """Somebody who has installed the product beside a mailcow.

    Attributes:
        stack: The mailcow.
        folder: Where the configuration and everything of ours lies.
        services: As the shell has them.
    """

    stack: MailcowStack
    folder: Path
    services: Services = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        passphrase = self.folder / "passphrase"
        passphrase.touch(mode=0o600)
        passphrase.write_text(f"{PASSPHRASE}\n")
        self.configuration.write_text(
            _CONFIGURATION.format(system=SYSTEM, directory=self.stack.directory, port=free_port())
        )
        self.services = wire(self.config)

    @property
    def configuration(self) -> Path:
        return self.folder / "mailrewind.yaml"

    @property
    def config(self) -> Config:
        return load(self.configuration)

    @property
    def api(self) -> Api:
        return Api.of(self.config)

    @property
    def home(self) -> Path:
        """Where Prefect's side keeps its database and logs."""
        return settings.home(self.config)

    def first_backup(self) -> Run:
        """Wait for the end of the backup that nobody asked for."""
        deployment = deployment_id(self.api, f"backup/{SYSTEM}")
        begun = ["PENDING", "RUNNING", *("COMPLETED", "FAILED", "CRASHED")]
        found = eventually(
            lambda: runs.of_deployment(self.api, deployment, begun),
            seconds=RUN_SECONDS,
            what="a first backup",
        )
        return end_of(self.api, found[0].id, seconds=RUN_SECONDS)

    def start(self, deployment: str, **form: object) -> str:
        """Send a form; return the run's id."""
        request = {"system": SYSTEM} if deployment.startswith("backup/") else form
        found = deployment_id(self.api, deployment)
        return start(self.api, found, parameters={"request": request})

    def run(self, deployment: str, **form: object) -> Ran:
        """Send a form, wait for the run's end, and look at what it left."""
        return self.ended(self.start(deployment, **form))

    def restore(self, deployment: str, **form: object) -> Ran:
        """Send the form of a restore that is for the system and has a reason."""
        return self.run(deployment, system=SYSTEM, reason=REASON, **form)

    def by_plan(self, deployment: str, **form: object) -> tuple[Ran, Ran]:
        """Plan, then carry the plan out with the system's name typed."""
        planned = self.restore(deployment, **form)
        assert planned.run.state == "COMPLETED", planned.run.message
        more = {"action": "restore", "plan_id": planned.plan_id, "type_the_system_name": SYSTEM}
        done = self.restore(deployment, **form, **more)
        assert done.run.state == "COMPLETED", done.run.message
        return planned, done

    def ended(self, run_id: str) -> Ran:
        run = end_of(self.api, run_id, seconds=RUN_SECONDS)
        return Ran(run, {str(key): page for key, page in self._pages(run_id) if key})

    def await_state(self, run_id: str, *states: str) -> Run:
        return await_state(self.api, run_id, frozenset(states), seconds=RUN_SECONDS)

    def _pages(self, run_id: str) -> Iterator[tuple[str | None, str]]:
        """Yield keys and texts; what shows progress has no key."""
        wanted = {"artifacts": {"flow_run_id": {"any_": [run_id]}}}
        for artifact in self.api.post("/artifacts/filter", wanted):
            yield artifact["key"], artifact["data"]


@contextmanager
def customer_of(stack: MailcowStack, folder: Path) -> Iterator[Customer]:
    """Bring everything up, and take it down at once afterwards."""
    customer = Customer(stack, folder)
    try:
        up(customer.config, say=lambda line: None)
        yield customer
    finally:
        down(customer.config, now=True, say=lambda line: None)


def states(stack: MailcowStack) -> dict[str, str]:
    """Return how each service of the mailcow stands, as Docker says."""
    label = f"com.docker.compose.project={stack.project}"
    found = stack.client.api.containers(all=True, filters={"label": label})
    return {each["Labels"]["com.docker.compose.service"]: each["State"] for each in found}


def await_services(stack: MailcowStack, meant: Mapping[str, str], *, seconds: float) -> float:
    """Wait until services stand as they are meant to; return how long that took."""
    began = time.monotonic()
    eventually(lambda: states(stack) == meant, seconds=seconds, what=f"services are {meant}")
    return time.monotonic() - began
