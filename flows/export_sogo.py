"""Calendars, contacts and preferences of SOGo's users exported, once a day."""

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from tasks.export import export_sogo_of, systems_with_sogo
from tasks.policy import FLOW_TIMEOUT_SECONDS

ALL_SYSTEMS = "all systems"  # no system's name: those hold no space


class ExportSogoRequest(BaseModel):
    """Export calendars, contacts and preferences now, and keep that beside the restore points."""

    model_config = ConfigDict(title="Export SOGo")

    system: str = Field(
        title="Mail system", description=f'Its name in mailrewind.yaml, or "{ALL_SYSTEMS}".'
    )
    users: list[str] = Field(
        default=[],
        title="Users",
        description="Only these addresses are exported anew. Without any: all.",
    )


@flow(
    name="export-sogo",
    flow_run_name="export calendars of {request.system}",
    timeout_seconds=FLOW_TIMEOUT_SECONDS,
    persist_result=False,
)
def export_sogo(request: ExportSogoRequest) -> None:
    """Export users; one failure leaves the other systems their turn."""
    systems = systems_with_sogo() if request.system == ALL_SYSTEMS else [request.system]
    states = [export_sogo_of(system, request.users, return_state=True) for system in systems]
    for state in states:
        state.result()
