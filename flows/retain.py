"""Old restore points let go, once a day."""

from typing import Literal

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from tasks.policy import FLOW_TIMEOUT_SECONDS
from tasks.retain import configured_systems, retain, show_points

ALL_SYSTEMS = "all systems"  # no system's name: those hold no space


class RetainRequest(BaseModel):
    """Thin out restore points as the retention policy says."""

    model_config = ConfigDict(title="Retention")

    system: str = Field(
        title="Mail system", description=f'Its name in mailrewind.yaml, or "{ALL_SYSTEMS}".'
    )
    action: Literal["show", "remove"] = Field(
        default="show",
        title="Action",
        description="show lists until when each restore point is kept, and changes nothing.",
    )


@flow(
    name="retain",
    flow_run_name="{request.action} restore points of {request.system}",
    timeout_seconds=FLOW_TIMEOUT_SECONDS,
    persist_result=False,
)
def retain_points(request: RetainRequest) -> None:
    """Let restore points go that no rule keeps; one failure leaves the other systems their turn."""
    act = retain if request.action == "remove" else show_points
    systems = configured_systems() if request.system == ALL_SYSTEMS else [request.system]
    states = [act(system, return_state=True) for system in systems]
    for state in states:
        state.result()
