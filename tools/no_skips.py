"""A pytest plugin that fails a run in which a test was skipped or expected to fail.

A suite that skips what it cannot run says nothing about it; ``make test`` runs with this.
"""

import pytest

_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a skipped test; one that is expected to fail reports itself as skipped, too."""
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note a module that skips itself while it is collected."""
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn a run without failures red."""
    if _skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests the failure is about."""
    for node in _skipped:
        terminalreporter.write_line(f"SKIPPED, and that is a failure here: {node}", red=True)
