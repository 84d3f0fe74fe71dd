"""What is there and what is lacking."""

import json
from typing import Any

from mailrewind.model.points import PointStatus, RestorePoint, point_name
from mailrewind.transports.processes import this_process
from tests.command import Call
from tests.dovecot import running_dovecot
from tests.office import NOON, Office


def examined(call: Call) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in json.loads(call("doctor", "--json").stdout)}


def test_house_in_order_is_called_so(call: Call, office: Office, healthy_port: int) -> None:
    secret = office.root / "url"
    secret.write_text("json://127.0.0.1/")
    secret.chmod(0o600)
    with office.configuration.open("a") as file:
        file.write(f"prefect: {{port: {healthy_port}}}\n")
        file.write(f"notify: {{apprise: [{{file: {secret}}}]}}\n")
    call("backup", "office", "--yes")
    result = call("doctor", "--json")
    found = {each["name"]: each for each in json.loads(result.stdout)}
    assert {name: each["text"] for name, each in found.items() if not each["is_good"]} == {}
    assert result.exit_code == 0
    assert found["borg"]["text"].startswith("borg 1.4.")
    assert found["mail of office"]["text"] == (f"2 mailboxes below {office.root / 'mail'}.")
    assert f"{office.root / 'repository'} opens, 1 archive." in found["repository main"]["text"]


def test_everything_that_is_lacking_is_named_at_once(call: Call, office: Office) -> None:
    office.services.archives("main").prepare()
    office.passphrase.write_text("wrong horse\n")
    (office.root / "mail").rename(office.root / "elsewhere")
    (office.root / "data").chmod(0o755)
    with office.configuration.open("a") as file:
        file.write("prefect: {port: 1}\n")
    result = call("doctor")
    found = examined(call)
    bad = {name for name, each in found.items() if not each["is_good"]}
    assert bad >= {"data directory", "repository main", "mail of office", "alarms", "Prefect"}
    assert found["repository main"]["exit_code"] == 20
    assert found["mail of office"]["exit_code"] == 10
    assert result.exit_code == 20
    assert "Start it with `mailrewind up`." in result.stdout


def test_open_secret_is_named(call: Call, office: Office) -> None:
    office.passphrase.chmod(0o644)
    repository = examined(call)["repository main"]
    assert repository["exit_code"] == 2
    assert "can be read by others" in repository["text"]


def test_repository_that_is_gone_is_bad_where_points_should_be_in_it(
    call: Call, office: Office
) -> None:
    assert examined(call)["repository main"]["is_good"]
    point = RestorePoint(point_name("office", NOON), "office", NOON, PointStatus.MAKING, (), "main")
    office.services.state.begin_point(point, this_process())
    office.services.state.end_point(point.name, PointStatus.COMPLETE, NOON)
    assert examined(call)["repository main"]["exit_code"] == 20


def test_dovecot_is_asked_whom_it_serves(call: Call, office: Office) -> None:
    assert examined(call)["Dovecot of office"]["text"] == (
        "dovecot is no: messages come back as files."
    )
    with running_dovecot() as dovecot:
        dovecot.add_user("ada@example.org")
        text = office.configuration.read_text()
        text = text.replace(f"{office.root}/mail/{{domain}}/{{local}}/Maildir", dovecot.template)
        settings = f"{{doveadm: {dovecot.doveadm.doveadm}, config: {dovecot.config}}}"
        office.configuration.write_text(text.replace("dovecot: no", f"dovecot: {settings}"))
        found = examined(call)["Dovecot of office"]
        assert (found["is_good"], found["text"]) == (
            True,
            f"answers; messages come back by {dovecot.doveadm.doveadm}.",
        )
        dovecot.stop()
        assert examined(call)["Dovecot of office"]["exit_code"] == 10
