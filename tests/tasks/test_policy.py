from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from prefect import flow
from prefect.context import FlowRunContext

import tasks.policy
from mailrewind.errors import MailboxNotFound, RepositoryLocked
from tasks.policy import RETRY_BUDGET, step
from tests.prefect_server import PrefectServer

pytest_plugins = ["tests.prefect_fixture"]


@pytest.fixture(autouse=True)
def _at_once(prefect_server: PrefectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.policy, "RETRY_DELAYS_SECONDS", [0.0, 0.0, 0.0])


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
        "Flow run encountered an exception: MailboxNotFound: no such mailbox: ada "
        "See `mailrewind mailboxes SYSTEM` for the addresses."
    )


def test_a_programming_error_is_tried_once() -> None:
    busy, attempts = failing(ValueError("oh"), ValueError("never"))
    assert flow(busy_flow(busy))(return_state=True).is_failed()
    assert attempts == [1]


def test_nothing_is_tried_again_when_the_next_run_is_near() -> None:
    busy, attempts = failing(RepositoryLocked("held"), RepositoryLocked("never"))

    def long_ago() -> str:
        context = FlowRunContext.get()
        assert context is not None
        started = datetime.now(UTC) - RETRY_BUDGET - timedelta(seconds=1)
        with context.model_copy(update={"start_time": started}):
            return busy()

    assert flow(long_ago)(return_state=True).is_failed()
    assert attempts == [1]


def busy_flow(busy: Callable[[], str]) -> Callable[[], str]:
    def trip() -> str:
        return busy()

    return trip
