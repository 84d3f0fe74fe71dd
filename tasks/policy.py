"""What all steps have in common: when one is tried again, and what its failure says."""

import functools
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext

from mailrewind.errors import MailrewindError
from mailrewind.services.schedules import interval
from tasks.services import services

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

RETRY_DELAYS_SECONDS: list[float] = [30, 120, 300]

# No retry begins later than this after its run did, nor later than this part of the time between
# two backups: the next run repairs by itself what this one could not.
RETRY_BUDGET = timedelta(minutes=45)
_PART_OF_INTERVAL = 0.75

# A guard against a disk or a network that hangs for ever, not a bound on honest work: the first
# backup of a large system lasts many hours.
FLOW_TIMEOUT_SECONDS = 24 * 60 * 60


def step(run_name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a function a step: tried again where waiting helps, never cached, never stored.

    Args:
        run_name: The task run's name, a template over the parameters.
    """

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        make: Callable[[Callable[P, R]], Task[P, R]] = task(
            task_run_name=run_name,
            retries=len(RETRY_DELAYS_SECONDS),
            retry_delay_seconds=RETRY_DELAYS_SECONDS,
            retry_jitter_factor=0.3,
            retry_condition_fn=retry_where_waiting_helps,
            cache_policy=NO_CACHE,
            persist_result=False,
        )
        return make(_with_advice(function))

    return decorate


def retry_where_waiting_helps(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Retry what may pass by itself while time is left; never what needs an operator."""
    error = state.result(raise_on_failure=False)
    if not isinstance(error, MailrewindError) or not error.retryable:
        return False
    context = FlowRunContext.get()
    if context is None:
        return True
    delay = timedelta(
        seconds=RETRY_DELAYS_SECONDS[min(run.run_count, len(RETRY_DELAYS_SECONDS)) - 1]
    )
    return datetime.now(UTC) + delay < context.start_time + _budget(context)


def _budget(context: FlowRunContext) -> timedelta:
    request = (context.parameters or {}).get("request")
    config = services().config
    system = config.systems.get(getattr(request, "system", ""))
    if system is None:
        return RETRY_BUDGET
    between = interval(system.schedule, config.zone, datetime.now(UTC))
    return min(RETRY_BUDGET, between * _PART_OF_INTERVAL)


def _with_advice(function: Callable[P, R]) -> Callable[P, R]:
    """Let an error's text end with its advice: the text is all that Prefect's state shows."""

    @functools.wraps(function)
    def advised(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except MailrewindError as error:
            if error.advice and not str(error).endswith(error.advice):
                error.args = (f"{str(error).rstrip('.')}. {error.advice}",)
            raise

    return advised
