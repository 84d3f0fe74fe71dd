"""One screen of how things stand, and the watch."""

import json
import socket
import threading

from mailrewind.model.points import PointStatus, RestorePoint, point_name
from mailrewind.transports.processes import this_process
from tests.command import Call
from tests.office import ADA, NOON, Office, remove


def test_status_shows_points_restores_and_what_is_wrong(call: Call, office: Office) -> None:
    lost = office.add_many(2)
    point = office.back_up()
    remove(lost)
    report = json.loads(call("restore", "mailbox", "office", ADA, "--yes", "--json").stdout)
    shown = call("status").stdout
    assert "2026-11-20 14:00 EET" in shown
    assert report["id"] in shown
    overview = json.loads(call("status", "--json").stdout)
    (system,) = overview["systems"]
    assert (system["name"], system["newest"]["name"], system["points"]) == ("office", point, 1)
    assert [restore["id"] for restore in overview["restores"]] == [report["id"]]
    assert (overview["leases"], overview["alarms"]) == ([], [])


def test_status_of_an_empty_house_fits_on_a_line(call: Call) -> None:
    result = call("status")
    assert result.exit_code == 0
    assert "office  none" in result.stdout


def test_failed_backup_is_on_the_screen(call: Call, office: Office) -> None:
    point = RestorePoint(point_name("office", NOON), "office", NOON, PointStatus.MAKING, (), "main")
    office.services.state.begin_point(point, this_process())
    assert "backing up now (pid " in call("status").stdout
    office.services.state.end_point(point.name, PointStatus.FAILED, NOON)
    assert "FAILED " in call("status").stdout


def test_watch_tells_what_is_wrong_and_keeps_saying_it(call: Call, office: Office) -> None:
    point = RestorePoint(point_name("office", NOON), "office", NOON, PointStatus.MAKING, (), "main")
    office.services.state.begin_point(point, this_process())
    office.services.state.end_point(point.name, PointStatus.FAILED, NOON)
    first, second = call("watch").stdout, call("watch").stdout
    assert first.startswith("ALARM since ")
    assert "the backup of office failed" in first
    assert second == first
    (alarm,) = json.loads(call("watch", "--json").stdout)
    assert alarm["key"] == "failed:office"


def test_trial_that_reaches_nobody_says_how_to_change_that(call: Call) -> None:
    result = call("watch", "--try")
    assert result.exit_code == 60
    assert result.stderr.splitlines() == [
        "Error: Nobody is configured to be told.",
        "Write `notify` into the configuration: `mail`, `apprise` or both.",
    ]


def test_status_says_whether_prefect_runs(call: Call, office: Office, healthy_port: int) -> None:
    address = f"http://127.0.0.1:{healthy_port}"
    text = office.configuration.read_text()
    office.configuration.write_text(f"{text}prefect: {{port: {healthy_port}}}\n")
    assert f"Prefect runs: {address}\n" in call("status").stdout
    overview = json.loads(call("status", "--json").stdout)
    assert overview["prefect"] == {"address": address, "answers": True}

    office.configuration.write_text(f"{text}prefect: {{port: 1}}\n")
    assert "Prefect does not answer at http://127.0.0.1:1: " in call("status").stdout
    overview = json.loads(call("status", "--json").stdout)
    assert overview["prefect"] == {"address": "http://127.0.0.1:1", "answers": False}


def test_another_program_on_the_port_is_not_taken_for_prefect(call: Call, office: Office) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with office.configuration.open("a") as file:
            file.write(f"prefect: {{port: {port}}}\n")
        greeter = threading.Thread(target=_greet_as_sshd, args=(server,))
        greeter.start()
        shown = call("status").stdout
        greeter.join()
    assert f"Prefect does not answer at http://127.0.0.1:{port}: " in shown


def _greet_as_sshd(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(1000)
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
