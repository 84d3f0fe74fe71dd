from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from prefect import flow
from prefect.context import FlowRunContext

import tasks.policy
from flows.backup import BackupRequest
from mailrewind.errors import MailboxNotFound, RepositoryLocked
from tasks.policy import RETRY_BUDGET, step
from tasks.services import services
from tests.office import Office
from tests.prefect_server import PrefectServer

pytest_plugins = ["tests.prefect_fixture"]


@pytest.fixture(autouse=True)
def _at_once(
    prefect_server: PrefectServer, office: Office, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setattr(tasks.policy, "RETRY_DELAYS_SECONDS", [0.0, 0.0, 0.0])
    monkeypatch.setenv("MAILREWIND_CONFIG", str(office.configuration))
    services.cache_clear()
    yield
    services.cache_clear()


def failing(*errors: Exception) -> tuple[Callable[[], str], list[int]]:
    """Return a step that raises these one after the other, and the record of its attempts."""
    attempts: list[int] = []
    waiting: Iterator[Exception] = iter(errors)

    @step("busy")
    def busy() -> str:
        attempts.append(len(attempts) + 1)
        for error in waiting:
            raise error
        return "done"

    return busy, attempts


def test_what_may_pass_by_itself_is_tried_again() -> None:
    busy, attempts = failing(RepositoryLocked("held"), RepositoryLocked("held"))
    assert flow(busy_flow(busy))() == "done"
    assert attempts == [1, 2, 3]


def test_what_needs_an_operator_is_tried_once_and_says_what_to_do() -> None:
    busy, attempts = failing(MailboxNotFound("no such mailbox: ada"), MailboxNotFound("never"))
    state = flow(busy_flow(busy))(return_state=True)
    assert attempts == [1]
    assert state.name == "Failed"
    assert state.message == (
        "Flow run encountered an exception: MailboxNotFound: No such mailbox: ada. "
        "See `mailrewind mailboxes SYSTEM` for the addresses."
    )


def test_a_programming_error_is_tried_once() -> None:
    busy, attempts = failing(ValueError("oh"), ValueError("never"))
    assert flow(busy_flow(busy))(return_state=True).is_failed()
    assert attempts == [1]


def test_nothing_is_tried_again_when_the_next_run_is_near() -> None:
    assert attempts_after(RETRY_BUDGET - timedelta(minutes=1), "office") == [1, 2]
    assert attempts_after(RETRY_BUDGET, "office") == [1]


def test_a_system_that_is_backed_up_more_often_has_less_time_for_retries(office: Office) -> None:
    text = office.configuration.read_text()
    office.configuration.write_text(f"{text}    schedule: '*/10 * * * *'\n")
    assert attempts_after(timedelta(minutes=7), "office") == [1, 2]
    assert attempts_after(timedelta(minutes=8), "office") == [1]


def attempts_after(elapsed: timedelta, system: str) -> list[int]:
    """Let a step fail once, so long after its run began, and return its attempts."""
    busy, attempts = failing(RepositoryLocked("held"))

    def long_ago(request: BackupRequest) -> None:
        context = FlowRunContext.get()
        assert context is not None
        with context.model_copy(update={"start_time": datetime.now(UTC) - elapsed}):
            busy()

    flow(long_ago)(BackupRequest(system=system), return_state=True)
    return attempts


def busy_flow(busy: Callable[[], str]) -> Callable[[], str]:
    def trip() -> str:
        return busy()

    return trip
