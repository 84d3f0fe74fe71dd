"""What `mailrewind deploy` leaves on a real server."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from deployments.api import Api, ApiRefused
from deployments.apply import apply, main
from deployments.declaration import Json, declared
from deployments.difference import Difference
from deployments.pool import worker_limit
from mailrewind.config import Config, load
from mailrewind.errors import StackError
from tests.prefect_server import PrefectServer

pytest_plugins = ["tests.prefect_fixture"]

TABLES = ("deployment", "deployment_schedule", "flow", "work_pool", "work_queue")
NAMES = ["backup/office", "restore/mailbox", "retain/daily", "undo-restore/undo"]


@pytest.fixture
def api(prefect_server: PrefectServer) -> Api:
    """The API of a server with our pool and without deployments."""
    api = prefect_server.api
    for deployment in api.post("/deployments/filter", {}):
        api.delete(f"/deployments/{deployment['id']}")
    for pool in api.post("/work_pools/filter", {}):
        api.delete(f"/work_pools/{pool['name']}")
    api.post("/work_pools/", {"name": "mail", "type": "process"})
    return api


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., Config]:
    def configure(*systems: str, **schedules: str) -> Config:
        lines = [
            "time_zone: Europe/Athens",
            f"data_dir: {tmp_path}/data",
            "repositories:",
            *(
                f"  {name}: {{location: {tmp_path}/{name}, encryption: none}}"
                for name in [*systems, *schedules]
            ),
            "systems:",
            *(
                f"  {name}: {{kind: maildir, repository: {name}, "
                f'mailboxes: "{tmp_path}/{name}/{{domain}}/{{local}}", '
                f'schedule: "{schedules.get(name, "14 * * * *")}"}}'
                for name in [*systems, *schedules]
            ),
        ]
        path = tmp_path / "mailrewind.yaml"
        path.write_text("\n".join(lines))
        return load(path)

    return configure


def named(api: Api, name: str) -> Json:
    deployment: Json = api.get(f"/deployments/name/{name}")
    return deployment


def names(api: Api) -> list[str]:
    flows = {flow["id"]: flow["name"] for flow in api.post("/flows/filter", {})}
    return sorted(
        f"{flows[deployment['flow_id']]}/{deployment['name']}"
        for deployment in api.post("/deployments/filter", {})
    )


def choice(deployment: Json) -> Sequence[str]:
    (model,) = deployment["parameter_openapi_schema"]["definitions"].values()
    systems: Sequence[str] = model["properties"]["system"]["enum"]
    return systems


def did(difference: Difference) -> tuple[list[str], list[str], list[str], int]:
    return (
        [each.full_name for each in difference.new],
        [each.full_name for _, each in difference.changed],
        [each.deployment.full_name for each in difference.gone],
        difference.unchanged,
    )


def test_each_system_has_its_backup_and_the_forms_offer_all_systems(
    api: Api, configured: Callable[..., Config]
) -> None:
    apply(configured("office", school="20 2 * * *"), api)
    assert names(api) == sorted([*NAMES, "backup/school"])
    school = named(api, "backup/school")
    schedule = school["schedules"][0]
    assert (school["entrypoint"], school["pull_steps"], school["job_variables"]) == (
        "flows.backup.backup",
        [],
        {},
    )
    assert (schedule["schedule"], schedule["active"]) == (
        {"cron": "20 2 * * *", "timezone": "Europe/Athens", "day_or": True},
        True,
    )
    assert school["parameters"] == {"request": {"system": "school"}}
    assert (
        school["global_concurrency_limit"]["limit"],
        school["concurrency_options"]["collision_strategy"],
    ) == (1, "CANCEL_NEW")
    assert choice(school) == ["school"]
    assert choice(named(api, "restore/mailbox")) == ["office", "school"]
    assert choice(named(api, "retain/daily")) == ["all systems", "office", "school"]


OPERATIONS = [
    "export-sogo/sogo",
    "replace-mailbox/replace-mailbox",
    "restore-account/account",
    "restore-calendars/calendars",
    "restore-database/database",
    "restore-deleted-mailbox/deleted-mailbox",
    "restore-server/server",
]


def test_what_only_one_kind_of_system_can_is_offered_for_such_systems_alone(
    api: Api, configured: Callable[..., Config]
) -> None:
    config = configured("office", "post")
    post = config.systems["post"].model_copy(update={"kind": "mailcow"})
    mixed = config.model_copy(update={"systems": config.systems | {"post": post}})
    apply(mixed, api)
    assert names(api) == sorted([*NAMES, *OPERATIONS, "backup/post"])
    assert {name: choice(named(api, name)) for name in OPERATIONS} == {
        name: ["all systems", "post"] if name.startswith("export") else ["post"]
        for name in OPERATIONS
    }
    assert choice(named(api, "restore/mailbox")) == ["office", "post"]

    apply(config, api)
    assert names(api) == sorted([*NAMES, "backup/post"])


def test_second_apply_writes_nothing(
    api: Api, prefect_server: PrefectServer, configured: Callable[..., Config]
) -> None:
    config = configured("office", "school")
    apply(config, api)
    before = prefect_server.rows(*TABLES)
    assert did(apply(config, api)) == ([], [], [], 5)
    assert prefect_server.rows(*TABLES) == before


def test_a_changed_schedule_keeps_its_id_and_leaves_the_others_alone(
    api: Api, configured: Callable[..., Config]
) -> None:
    apply(configured(office="14 * * * *", school="14 * * * *"), api)
    office, school = named(api, "backup/office"), named(api, "backup/school")
    done = apply(configured(office="14 * * * *", school="44 * * * *"), api)
    assert done.lines() == [
        "~ backup/school",
        "    schedule backup: 14 * * * * Europe/Athens -> 44 * * * * Europe/Athens",
    ]
    assert named(api, "backup/office") == office
    changed = named(api, "backup/school")
    assert [each["id"] for each in changed["schedules"]] == [
        each["id"] for each in school["schedules"]
    ]
    assert changed["schedules"][0]["schedule"]["cron"] == "44 * * * *"


def test_a_new_system_enters_the_forms_and_one_that_is_gone_leaves_with_its_backup(
    api: Api, configured: Callable[..., Config]
) -> None:
    apply(configured("office", "old"), api)
    assert did(apply(configured("office", "school"), api)) == (
        ["backup/school"],
        ["restore/mailbox", "retain/daily"],
        ["backup/old"],
        2,
    )
    assert choice(named(api, "restore/mailbox")) == ["office", "school"]
    assert "backup/old" not in names(api)


def test_what_somebody_else_deployed_stays(api: Api, configured: Callable[..., Config]) -> None:
    apply(configured("office"), api)
    flow = api.post("/flows/", {"name": "backup"})["id"]
    api.post("/deployments/", {"name": "databases", "flow_id": flow, "tags": ["theirs"]})
    api.post("/work_pools/", {"name": "other", "type": "process"})
    theirs = {"name": "branch", "flow_id": flow, "tags": ["mailrewind"], "work_pool_name": "other"}
    api.post("/deployments/", theirs)
    assert apply(configured("office"), api).is_empty
    assert {"backup/databases", "backup/branch"} <= set(names(api))


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (
            {"pull_steps": [{"prefect.deployments.steps.run_shell_script": {"script": "id"}}]},
            'pull steps: [{"prefect.deployments.steps.run_shell_script": {"script": "id"}}] -> []',
        ),
        ({"entrypoint": "os.system"}, "entrypoint: os.system -> flows.backup.backup"),
        ({"path": "/tmp"}, "path: /tmp -> none"),
        ({"job_variables": {"command": "id"}}, 'job variables: {"command": "id"} -> {}'),
        ({"enforce_parameter_schema": False}, "enforces schema: False -> True"),
        ({"paused": True}, "is paused: True -> False"),
        ({"concurrency_limit": None}, "limit: none -> 1"),
        ({"tags": []}, "tags: +backup, +mailrewind, +system:office"),
        (
            {"parameters": {"request": {"system": "office"}, "more": 1}},
            'parameters: {"more": 1, "request": {"system": "office"}} -> '
            '{"request": {"system": "office"}}',
        ),
        (
            {"parameter_openapi_schema": {"type": "object", "properties": {}}},
            "form: differs from the flow's, or from the configured systems",
        ),
        (
            {"schedules": [{"slug": "backup", "active": False}]},
            "schedule backup: 14 * * * * Europe/Athens, off -> 14 * * * * Europe/Athens",
        ),
        (
            {"schedules": [{"slug": "extra", "schedule": {"interval": 60.0}}]},
            "schedule extra:",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_was_changed_through_the_api_is_named_and_put_back(
    api: Api, configured: Callable[..., Config], planted: Json, said: str
) -> None:
    config = configured("office")
    apply(config, api)
    deployment_id = named(api, "backup/office")["id"]
    # The schema is no part of most of these; a server that enforces it would refuse some.
    api.patch(f"/deployments/{deployment_id}", {"enforce_parameter_schema": False})
    api.patch(f"/deployments/{deployment_id}", {"enforce_parameter_schema": True} | planted)
    done = apply(config, api)
    assert any(line.strip().startswith(said) for line in done.lines()), done.lines()
    assert apply(config, api).is_empty


def test_a_limit_that_was_switched_off_is_on_again(
    api: Api, configured: Callable[..., Config]
) -> None:
    config = configured("office")
    apply(config, api)
    limit = named(api, "backup/office")["global_concurrency_limit"]["id"]
    api.patch(f"/v2/concurrency_limits/{limit}", {"active": False})
    assert did(apply(config, api))[1] == ["backup/office"]
    assert named(api, "backup/office")["global_concurrency_limit"]["active"]
    assert apply(config, api).is_empty


def test_the_form_refuses_a_system_that_is_not_configured(
    api: Api, configured: Callable[..., Config]
) -> None:
    apply(configured("office"), api)
    restore = named(api, "restore/mailbox")["id"]
    asked = {"request": {"system": "elsewhere", "mailbox": "ada@example.org", "reason": "test"}}
    with pytest.raises(ApiRefused) as refused:
        api.post(f"/deployments/{restore}/create_flow_run", {"parameters": asked})
    assert refused.value.status == 409
    assert "'elsewhere' is not one of ['office']" in str(refused.value)


def test_dry_run_tells_and_changes_nothing(api: Api, configured: Callable[..., Config]) -> None:
    told = apply(configured("office"), api, dry_run=True)
    assert [each.full_name for each in told.new] == [
        "backup/office",
        "restore/mailbox",
        "undo-restore/undo",
        "retain/daily",
    ]
    assert names(api) == []


def test_without_the_pool_nothing_is_written(api: Api, configured: Callable[..., Config]) -> None:
    api.delete("/work_pools/mail")
    with pytest.raises(StackError, match="no work pool 'mail'"):
        apply(configured("office"), api)
    assert names(api) == []


def test_restores_are_asked_for_before_backups_which_leave_them_a_place(
    api: Api, configured: Callable[..., Config]
) -> None:
    config = configured("office")
    apply(config, api)
    queues = api.post("/work_pools/mail/queues/filter", {})
    found = {queue["name"]: (queue["priority"], queue["concurrency_limit"]) for queue in queues}
    assert found["restore"] == (1, None)
    assert found["backup"] == (2, worker_limit(config) - 1)


def test_a_command_line_that_meets_a_bad_configuration_ends_with_its_family_s_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mailrewind.yaml"
    path.write_text("systems: []\n")
    assert main(["--config", str(path)]) == 2
    assert str(path) in capsys.readouterr().err


def test_many_systems_of_one_minute_are_spread_and_a_chosen_minute_stays(
    configured: Callable[..., Config],
) -> None:
    many = [f"host-{number}" for number in range(100)]
    config = configured(*many, **{"own": "5 * * * *", "daily": "30 2 * * *"})
    cron = {each.name: each.schedules[0].cron for each in declared(config) if each.flow == "backup"}
    minutes = {int(cron[name].split()[0]) for name in many}
    assert (cron["own"], cron["daily"]) == ("5 * * * *", "30 2 * * *")
    assert len(minutes) > 30
    assert minutes <= {minute % 60 for minute in range(14, 54)}
    assert cron == {
        each.name: each.schedules[0].cron for each in declared(config) if each.flow == "backup"
    }


def test_twenty_systems_keep_their_minute(configured: Callable[..., Config]) -> None:
    config = configured(*(f"host-{number}" for number in range(20)))
    crons = {each.schedules[0].cron for each in declared(config) if each.flow == "backup"}
    assert crons == {"14 * * * *"}
