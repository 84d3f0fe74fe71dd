"""The form that started a run, as a link that fills it in again."""

import json
from urllib.parse import quote

import prefect.runtime.deployment
from prefect.context import FlowRunContext
from pydantic import BaseModel


def filled_form(**changes: str) -> str:
    """Return the address of this run's form, filled in as for this run but for some fields.

    The UI reads the search parameter "parameters" as JSON (the route "/deployments/deployment/$id
    /run" of its V2, the default since Prefect 3.8). The address has no host: it leads to the server
    that shows the page, behind a proxy too.

    Returns:
        The address, or "" when no deployment's form started this run.
    """
    context = FlowRunContext.get()
    deployment = prefect.runtime.deployment.id
    if context is None or context.parameters is None or not deployment:
        return ""
    request = context.parameters.get("request")
    if not isinstance(request, BaseModel):
        return ""
    parameters = {"request": request.model_dump(mode="json") | changes}
    return f"/v2/deployments/deployment/{deployment}/run?parameters={quote(json.dumps(parameters))}"
