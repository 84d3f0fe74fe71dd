import logging

import pytest
from prefect import flow

import tasks.progress
from mailrewind.ports import Progress
from tasks.progress import described, shown_progress
from tests.prefect_server import PrefectServer

pytest_plugins = ["tests.prefect_fixture"]


def artifacts(server: PrefectServer) -> list[tuple[float, str]]:
    found = server.api.post("/artifacts/filter", {"artifacts": {"type": {"any_": ["progress"]}}})
    return [(artifact["data"], artifact["description"]) for artifact in found]


def test_a_thousand_reports_in_a_moment_are_one_artifact_that_ends_as_done(
    prefect_server: PrefectServer,
) -> None:
    before = len(artifacts(prefect_server))
    seen: list[tuple[float, str]] = []

    @flow
    def trip() -> None:
        with shown_progress("Archiving office") as report:
            for done in range(1000):
                report(Progress(done, 4000, "messages", "reading"))
            seen.extend(artifacts(prefect_server))

    trip()
    assert len(artifacts(prefect_server)) == before + 1
    assert (0.0, "Archiving office: reading, 0 of 4,000 messages") in seen
    assert (100.0, "Archiving office: done") in artifacts(prefect_server)


def test_later_reports_are_shown(
    prefect_server: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.progress, "SECONDS_BETWEEN_UPDATES", 0.0)
    seen: list[tuple[float, str]] = []

    @flow
    def trip() -> None:
        with shown_progress("Archiving school") as report:
            report(Progress(0, None, "bytes", ""))
            report(Progress(3 * 2**30, 4 * 2**30, "bytes", "mail"))
            seen.extend(artifacts(prefect_server))

    trip()
    assert (75.0, "Archiving school: mail, 3.0 GiB of 4.0 GiB") in seen


def test_a_server_that_refuses_fails_nothing(
    prefect_server: PrefectServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(tasks.progress, "SECONDS_BETWEEN_UPDATES", 0.0)

    @flow
    def trip() -> str:
        with shown_progress("Archiving") as report:
            report(Progress(0, 3, "messages", "reading"))
            for artifact in prefect_server.api.post("/artifacts/filter", {}):
                prefect_server.api.delete(f"/artifacts/{artifact['id']}")
            report(Progress(1, 3, "messages", "reading"))
            report(Progress(2, 3, "messages", "reading"))
        return "done"

    assert trip() == "done"
    assert [record.levelno for record in caplog.records if record.name == "tasks.progress"] == [
        logging.WARNING
    ]


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(1, 2, "messages", "reading"), "reading, 1 of 2 messages"),
        (Progress(1200, None, "files", "reading"), "reading, 1,200 files"),
        (Progress(0, 0, "points", "deleting"), "deleting, 0 of 0 points"),
        (Progress(2**20, None, "bytes", ""), "1.0 MiB"),
        (Progress(2**20, 2**21, "bytes", "mail"), "mail, 1.0 MiB of 2.0 MiB"),
    ],
)
def test_progress_in_words(progress: Progress, text: str) -> None:
    assert described(progress) == text
