"""Which failures are told, and how often; the runs are planted on a real server."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deployments import runs
from deployments.alarms import tell_failures
from deployments.api import Api
from mailrewind.model.points import PointStatus, RestorePoint, point_name
from mailrewind.services.watch import Watch
from mailrewind.transports.processes import this_process
from tests.deployments.running import plant, start
from tests.office import Office
from tests.prefect_server import PrefectServer

pytest_plugins = ["tests.prefect_fixture"]


class Inbox:
    """A notifier that keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def tell(self, subject: str, text: str) -> None:
        self.texts.append(text)


class House:
    """A pool of its own, with a deployment for backups and one for restores."""

    def __init__(self, api: Api, office: Office) -> None:
        self.api = api
        self.inbox = Inbox()
        self.services = office.services
        self.pool = f"alarms-{uuid.uuid4().hex[:8]}"
        api.post("/work_pools/", {"name": self.pool, "type": "process"})
        self.backup = plant(api, work_pool_name=self.pool, tags=["backup", "system:office"])
        self.restore = plant(api, work_pool_name=self.pool, tags=["restore"])
        config = office.services.config
        self.watch = Watch(
            ("office",),
            office.services.connect,
            office.services.state,
            self.inbox,
            zone=config.zone,
            clock=lambda: datetime.now(UTC),
        )

    def run(self, deployment: str, name: str, end: str, message: str = "") -> str:
        run_id = start(self.api, deployment, name=name)
        runs.set_state(self.api, run_id, "RUNNING", "", force=True)
        runs.set_state(self.api, run_id, end, message, force=True)
        return run_id

    def point(self, status: PointStatus, *, ago: timedelta = timedelta(0)) -> None:
        """Leave a point as a run that began so long ago would; one in the making lost its maker."""
        at = datetime.now(UTC).replace(microsecond=0) - ago
        point = RestorePoint(point_name("office", at), "office", at, PointStatus.MAKING, (), "main")
        dead = replace(this_process(), started=1)
        self.services.state.begin_point(point, dead)
        if status is not PointStatus.MAKING:
            self.services.state.end_point(point.name, status, at)

    def look(self, *, later: timedelta = timedelta(minutes=1)) -> list[str]:
        """Look as the supervisor does every minute; return all that was told up to now."""
        now = datetime.now(UTC) + later
        tell_failures(self.api, self.pool, self.watch, self.services.state, now=now)
        self.watch.check()
        return self.inbox.texts


@pytest.fixture
def house(prefect_server: PrefectServer, office: Office) -> House:
    house = House(prefect_server.api, office)
    house.point(PointStatus.COMPLETE, ago=timedelta(minutes=1))
    return house


@pytest.mark.parametrize("left", [PointStatus.FAILED, PointStatus.MAKING])
def test_backup_that_failed_as_run_and_as_point_is_told_once_with_its_reason(
    house: House, left: PointStatus
) -> None:
    message = "Flow run encountered an exception: SourceMissing: There is no mail. Mount it."
    run_id = start(house.api, house.backup, name="backup office")
    runs.set_state(house.api, run_id, "RUNNING", "", force=True)
    house.point(left)
    runs.set_state(house.api, run_id, "FAILED", message, force=True)
    told = ["backup office failed: There is no mail. Mount it."]
    assert house.look() == told
    assert house.look() == told


def test_backup_that_died_before_there_was_a_point_is_told_until_one_completes(
    house: House,
) -> None:
    house.run(house.backup, "brave-otter", "CRASHED", "The process of this run is gone.")
    told = ["the backup of office crashed: The process of this run is gone."]
    assert house.look() == told
    house.run(house.backup, "calm-heron", "CRASHED", "The process of this run is gone.")
    assert house.look() == told  # tried again and failed again: the operators know
    house.run(house.backup, "backup office", "COMPLETED")
    assert house.look() == [*told, f"This is over: {told[0]}"]


def test_failed_restore_is_told_although_another_mailbox_was_restored_since(house: House) -> None:
    ada = "restore ada@example.org as of latest"
    house.run(house.restore, ada, "FAILED", "It does not fit. Raise the quota.")
    house.run(house.restore, "restore bob@example.org as of latest", "COMPLETED")
    assert house.look() == [f"{ada} failed: It does not fit. Raise the quota."]
    house.run(house.restore, ada, "FAILED", "It does not fit. Raise the quota.")
    assert len(house.look()) == 2  # a deed of its own


def test_failed_restore_is_history_after_a_day(house: House) -> None:
    run_id = house.run(house.restore, "restore ada@example.org as of latest", "FAILED", "No.")
    house.look()
    assert f"run:{run_id}" in house.services.state.alarms()
    house.look(later=timedelta(hours=25))
    assert f"run:{run_id}" not in house.services.state.alarms()
