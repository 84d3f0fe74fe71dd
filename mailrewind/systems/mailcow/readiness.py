"""Find out whether a service answers: mailcow's containers have hardly a health check.

A container that runs is none that works: Dovecot waits for the database, SOGo for both. So each is
asked from within, by a program that its image has anyway; where that is missing, running must do.
"""

import time
from collections.abc import Mapping

from mailrewind.errors import MailServerFailed, MailServerUnreachable
from mailrewind.transports.containers import Project
from mailrewind.transports.processes import Completed

__all__ = ["start_and_await"]

_POLL_SECONDS = 0.2
_ANSWER_SECONDS = 10.0
_SOGO = "http://127.0.0.1:20000/SOGo/"
_QUESTIONS: Mapping[str, tuple[str, ...]] = {
    # Whoever has no password is told so, by a server that runs.
    "mysql-mailcow": ("mariadb-admin", "--connect-timeout=5", "ping"),
    "redis-mailcow": ("redis-cli", "ping"),
    "dovecot-mailcow": ("doveadm", "service", "status", "auth"),
    "sogo-mailcow": ("curl", "--silent", "--output", "/dev/null", "--max-time", "5", _SOGO),
}


def start_and_await(project: Project, service: str, *, wait_seconds: float) -> None:
    """Start a service, unless it runs, and wait until it answers.

    Raises:
        ContainerMissing: It has no container.
        MailServerUnreachable: It did not answer in time.
    """
    last = time.monotonic() + wait_seconds
    project.start(service, wait_seconds=wait_seconds)
    question = _QUESTIONS.get(service)
    while question is not None:
        said = _ask(project, service, question)
        if said is None:
            return
        if time.monotonic() > last:
            raise MailServerUnreachable(
                f"{service} runs and does not answer after {wait_seconds:g} s: {said}",
                advice=f"See `docker logs` of {service} for the reason.",
            )
        time.sleep(_POLL_SECONDS)


def _ask(project: Project, service: str, question: tuple[str, ...]) -> str | None:
    """Return why a service does not work yet, None if it does."""
    try:
        done = project.execute(service, question, timeout_seconds=_ANSWER_SECONDS)
    except MailServerFailed:
        return None
    except MailServerUnreachable as error:
        return str(error)
    return None if done.returncode == 0 else _said(done)


def _said(done: Completed) -> str:
    text = f"{done.stderr} {done.stdout.decode(errors='replace')}".strip()
    return text[-300:] or f"exit code {done.returncode}"
