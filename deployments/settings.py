"""Prefect's settings, all of them, as functions of our configuration.

The values and their traps were measured on Prefect 3.8.8: a bare number as the retention of events
stops every Prefect process, so does a retention of runs of one hour or less, and without
PREFECT_UI_API_URL the pages talk to port 4200 whatever the port is.
"""

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from mailrewind.config import Config
from mailrewind.errors import StackError

HOST = "127.0.0.1"
_PASSED_TO_SERVER = frozenset({"HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "USER"})


def home(config: Config) -> Path:
    """Return where Prefect's database, our logs and our notes about processes lie."""
    return config.data_dir / "prefect"


def address(config: Config) -> str:
    """Return where an operator's browser finds the pages."""
    return f"http://{HOST}:{config.prefect.port}"


def api_url(config: Config) -> str:
    """Return where Prefect's API listens."""
    return f"{address(config)}/api"


def prefect_settings(config: Config) -> dict[str, str]:
    """Return every setting that is no secret, for server, worker and flows alike."""
    place = home(config)
    port = config.prefect.port
    return {
        "PREFECT_HOME": str(place),
        "PREFECT_API_URL": api_url(config),
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_UI_API_URL": "/api",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://{HOST}:{port},http://localhost:{port}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_WORKER_QUERY_SECONDS": "5",
        "PREFECT_WORKER_PREFETCH_SECONDS": "10",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "PREFECT_LOCAL_STORAGE_PATH": str(place / "storage"),
        "PREFECT_LOGGING_LEVEL": "INFO",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_COLORS": "false",
        # What the domain says at INFO, ten lines a run, is worth reading on the run's page.
        "PREFECT_LOGGING_EXTRA_LOGGERS": "mailrewind",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(14 * 24 * 3600),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P1D",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_EVENT_RETENTION_OVERRIDES": (
            '{"prefect.flow-run.heartbeat":"PT2H"}'
        ),
        "PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS": "900",
    }


def server_environment(config: Config, auth: str, base: Mapping[str, str]) -> dict[str, str]:
    """Return the server's whole environment; no secret that `base` may hold reaches it."""
    passed = {name: value for name, value in base.items() if name in _PASSED_TO_SERVER}
    return {
        **passed,
        "PATH": _own_path(base),
        **prefect_settings(config),
        "PREFECT_SERVER_API_AUTH_STRING": auth,
        "PREFECT_API_AUTH_STRING": auth,
    }


def client_environment(config: Config, auth: str, base: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of the worker, and of whatever else talks to the server.

    What `base` says about Prefect is dropped: a variable left over in an operator's shell must not
    decide where backups run.
    """
    kept = {name: value for name, value in base.items() if not name.startswith("PREFECT_")}
    return {
        **kept,
        "PATH": _own_path(base),
        "MAILREWIND_CONFIG": str(config.path),
        **prefect_settings(config),
        "PREFECT_API_AUTH_STRING": auth,
    }


def auth_file(config: Config) -> Path:
    """Return where the API's user and password stand."""
    return home(config) / "auth"


def ensure_auth(config: Config) -> str:
    """Return the API's `user:password`; make one up, readable by its owner alone, if none is there.

    Raises:
        StackError: The data directory cannot be written.
    """
    path = auth_file(config)
    try:
        config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"operator:{secrets.token_urlsafe(24)}\n")
    except FileExistsError:
        pass
    except OSError as error:
        raise StackError(
            f"{path} cannot be written: {error.strerror}.",
            advice="Check the owner and the free space of the data directory.",
        ) from error
    return read_auth(config)


def read_auth(config: Config) -> str:
    """Return the API's `user:password`.

    Raises:
        StackError: There is none, or it may not be read.
    """
    path = auth_file(config)
    try:
        auth = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise StackError(
            f"{path} cannot be read: {error.strerror}.",
            advice="Run `mailrewind up` first, and as the same user.",
        ) from error
    if ":" not in auth:
        raise StackError(
            f"{path} does not hold user:password.", advice="Remove it; `mailrewind up` writes it."
        )
    return auth


def _own_path(base: Mapping[str, str]) -> str:
    """Return a PATH on which `python` and `borg` are those of this installation."""
    return os.pathsep.join([str(Path(sys.executable).parent), base.get("PATH", os.defpath)])
