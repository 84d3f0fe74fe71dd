import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployments import settings
from mailrewind.config import Config, load
from mailrewind.errors import StackError
from tests.stack import write_config

SHELL = {
    "PATH": "/usr/bin",
    "HOME": "/root",
    "BORG_PASSPHRASE": "hunter2",
    "PREFECT_API_URL": "https://elsewhere.example/api",
    "PREFECT_SERVER_API_HOST": "0.0.0.0",
}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load(write_config(tmp_path, port=4287))


def test_prefect_itself_accepts_every_setting(config: Config) -> None:
    auth = settings.ensure_auth(config)
    answer = subprocess.run(
        [
            sys.executable,
            "-c",
            "from prefect.settings import get_current_settings as s\n"
            "s = s()\n"
            "print(s.api.url, s.server.api.host, s.server.api.port, s.server.api.auth_string"
            ".get_secret_value(), s.server.api.csrf_protection_enabled, s.server.ui.api_url,"
            " s.server.analytics_enabled, s.server.ui.show_promotional_content,"
            " s.flows.heartbeat_frequency, sorted(s.server.services.db_vacuum.enabled),"
            " s.server.services.db_vacuum.retention_period, s.server.events.retention_period,"
            " s.results.persist_by_default, s.server.api.cors_allowed_origins, sep='\\n')",
        ],
        env=settings.server_environment(config, auth, os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.splitlines() == [
        "http://127.0.0.1:4287/api",
        "127.0.0.1",
        "4287",
        auth,
        "True",
        "/api",
        "False",
        "False",
        "30",
        "['events', 'flow_runs']",
        "14 days, 0:00:00",
        "1 day, 0:00:00",
        "False",
        "http://127.0.0.1:4287,http://localhost:4287",
    ]


def test_what_a_shell_says_about_prefect_is_dropped(config: Config) -> None:
    client = settings.client_environment(config, "operator:x", SHELL)
    assert client["PREFECT_API_URL"] == "http://127.0.0.1:4287/api"
    assert client["PREFECT_SERVER_API_HOST"] == "127.0.0.1"
    assert client["MAILREWIND_CONFIG"] == str(config.path)


def test_this_installation_comes_first_on_the_workers_path(config: Config) -> None:
    client = settings.client_environment(config, "operator:x", SHELL)
    assert client["PATH"] == f"{Path(sys.executable).parent}:/usr/bin"


def test_the_server_gets_no_secret_but_its_own(config: Config) -> None:
    environment = settings.server_environment(config, "operator:x", SHELL)
    assert {name for name in environment if not name.startswith("PREFECT_")} == {
        "PATH",
        "HOME",
        "DO_NOT_TRACK",
    }


def test_the_auth_string_is_made_once_and_readable_by_its_owner_alone(config: Config) -> None:
    first = settings.ensure_auth(config)
    assert settings.ensure_auth(config) == first
    assert settings.read_auth(config) == first
    assert settings.auth_file(config).stat().st_mode & 0o777 == 0o600
    assert config.data_dir.stat().st_mode & 0o777 == 0o700
    assert len(first) > 30


def test_no_auth_string_is_an_error_with_advice(config: Config) -> None:
    with pytest.raises(StackError, match="auth cannot be read") as error:
        settings.read_auth(config)
    assert error.value.advice == "Run `mailrewind up` first, and as the same user."
