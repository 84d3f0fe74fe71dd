"""Who asked, when a Prefect run did."""

import prefect.runtime.flow_run


def initiator() -> str:
    """Name the flow run, so that an audit line leads to its page in Prefect."""
    return f"prefect:{prefect.runtime.flow_run.id or 'no run'}"
