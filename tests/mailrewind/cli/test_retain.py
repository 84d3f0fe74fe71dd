"""Thinning out old restore points from the command line."""

import json

from tests.command import Call
from tests.office import Office


def keep_only_hourly(office: Office, number: int) -> None:
    with office.configuration.open("a") as file:
        file.write(
            f"    retention: {{hourly: {number}, daily: 0, weekly: 0, monthly: 0, floor: 1}}\n"
        )


def test_without_yes_nothing_is_removed(call: Call, office: Office) -> None:
    keep_only_hourly(office, 1)
    points = [office.back_up() for _ in range(3)]
    result = call("retain", "office")
    assert result.stdout.splitlines()[0] == "office: 1 of 3 restore points stay."
    assert points[0] in result.stdout
    assert points[2] not in result.stdout
    assert result.stdout.splitlines()[-1].endswith("retain office --yes")
    assert [point.name for point in office.services.state.points("office")] == points


def test_with_yes_only_what_the_rules_keep_is_left(call: Call, office: Office) -> None:
    keep_only_hourly(office, 1)
    points = [office.back_up() for _ in range(3)]
    (done,) = json.loads(call("retain", "--all", "--yes", "--json").stdout)
    assert (done["system"], sorted(done["removed"]), done["kept"]) == ("office", points[:2], 1)
    assert list(office.services.archives("main").names()) == [f"{points[2]}-mail"]
    assert call("retain", "office").stdout == (
        "office: 1 of 1 restore point stay.\nNothing would be removed.\n"
    )


def test_system_and_all_exclude_each_other(call: Call) -> None:
    assert call("retain", "office", "--all").exit_code == 2
