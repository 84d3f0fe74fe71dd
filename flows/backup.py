"""The hourly backup of one mail system."""

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from mailrewind.model.reports import BackupReport
from tasks.archive import archive
from tasks.index import index
from tasks.policy import FLOW_TIMEOUT_SECONDS
from tasks.report import report


class BackupRequest(BaseModel):
    """Make one restore point now."""

    model_config = ConfigDict(title="Backup")

    system: str = Field(title="Mail system", description="Its name in mailrewind.yaml.")


@flow(
    name="backup",
    flow_run_name="backup {request.system}",
    timeout_seconds=FLOW_TIMEOUT_SECONDS,
    persist_result=False,
)
def backup(request: BackupRequest) -> BackupReport:
    """Archive a mail system, index its messages, report what changed."""
    point = archive(request.system)
    index(point)
    return report(point)
