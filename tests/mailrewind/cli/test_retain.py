"""Thinning out old restore points from the command line."""

import json
from datetime import timedelta

from mailrewind.model.points import PointStatus, RestorePoint, point_name
from mailrewind.transports.processes import this_process
from tests.command import Call
from tests.office import Office


def keep_only_hourly(office: Office, number: int) -> None:
    with office.configuration.open("a") as file:
        file.write(
            f"    retention: {{hourly: {number}, daily: 0, weekly: 0, monthly: 0, floor: 1}}\n"
        )


def pretend_points(office: Office, number: int) -> list[str]:
    """Write points into the state, oldest first, without any archive."""
    state, points = office.services.state, []
    for hours in range(number, 0, -1):
        taken_at = office.clock.now - timedelta(hours=hours)
        name = point_name("office", taken_at)
        state.begin_point(
            RestorePoint(name, "office", taken_at, PointStatus.MAKING, (), "main"), this_process()
        )
        state.end_point(name, PointStatus.COMPLETE, taken_at)
        points.append(name)
    return points


def test_without_yes_nothing_is_removed(call: Call, office: Office) -> None:
    keep_only_hourly(office, 1)
    points = pretend_points(office, 3)
    result = call("retain", "office")
    assert result.stdout.splitlines()[0] == "office: 1 of 3 restore points stay."
    assert points[0] in result.stdout
    assert points[2] not in result.stdout
    assert result.stdout.splitlines()[-1].endswith("retain office --yes")
    assert [point.name for point in office.services.state.points("office")] == points


def test_with_yes_only_what_the_rules_keep_is_left(call: Call, office: Office) -> None:
    keep_only_hourly(office, 1)
    points = [office.back_up() for _ in range(2)]
    (done,) = json.loads(call("retain", "--all", "--yes", "--json").stdout)
    assert (done["system"], sorted(done["removed"]), done["kept"]) == ("office", points[:1], 1)
    assert list(office.services.archives("main").names()) == [f"{points[1]}-mail"]
    assert call("retain", "office").stdout == (
        "office: 1 of 1 restore point stay.\nNothing would be removed.\n"
    )


def test_system_and_all_exclude_each_other(call: Call) -> None:
    assert call("retain", "office", "--all").exit_code == 2
