from datetime import UTC, datetime, timedelta
from pathlib import Path

from deployments.alarms import tell_failures
from mailrewind.config import load
from mailrewind.wiring import wire
from tests.deployments.running import deployment_id, end_of, request, start
from tests.stack import RunningStack, write_config

MINUTE = timedelta(minutes=1)


def test_a_failed_run_is_told_once_and_over_when_the_next_one_succeeds(
    stack: RunningStack, tmp_path: Path
) -> None:
    api = stack.api
    services = wire(load(write_config(tmp_path, port=1)))
    backup = deployment_id(api, "backup/post")

    def tell() -> dict[str, str]:
        tell_failures(api, "mail", services.watch, services.state, now=datetime.now(UTC) + MINUTE)
        return {key: text for key, (text, _) in services.state.alarms().items()}

    failed = end_of(
        api, start(api, backup, parameters=request("nobody"), enforce_parameter_schema=False)
    )
    key = f"run:{failed.id}"
    assert tell()[key].startswith("backup nobody failed: ")
    since = services.state.alarms()[key]
    assert tell()[key]
    assert services.state.alarms()[key] == since

    assert end_of(api, start(api, backup, parameters=request("post"))).state == "COMPLETED"
    assert key not in tell()
