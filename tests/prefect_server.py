"""A Prefect server for the tests of flows, steps and deployments, through its API and database."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOGGING_EXTRA_LOGGERS,
    PREFECT_SERVER_DATABASE_CONNECTION_URL,
    get_current_settings,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness

from deployments.api import Api


@dataclass(frozen=True)
class PrefectServer:
    """The server, seen through its API and its database."""

    api: Api
    database: Path

    def rows(self, *tables: str) -> dict[str, list[tuple[object, ...]]]:
        """Return everything that tables hold, their `updated` columns too."""
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            return {
                table: connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()
                for table in tables
            }
        finally:
            connection.close()


@contextmanager
def running_server() -> Iterator[PrefectServer]:
    """Run a server with an empty database, and send the flows of this process to it."""
    settings = {
        # With heartbeats a flow waits a second at its end for the thread that sends them.
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        PREFECT_LOGGING_EXTRA_LOGGERS: ["mailrewind"],
    }
    with temporary_settings(settings), prefect_test_harness(server_startup_timeout=120):
        url = get_current_settings().api.url
        database = PREFECT_SERVER_DATABASE_CONNECTION_URL.value()
        assert url is not None
        yield PrefectServer(Api(url, ""), Path(database.partition(":///")[2]))
