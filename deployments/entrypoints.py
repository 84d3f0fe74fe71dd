"""Which code a flow run may name: a flow of ours, by its module path, and nothing else.

Prefect's API can be told to run any importable function, with any parameters, and to run shell
commands first ("pull steps"). Whoever reaches the API must not thereby be root on the worker, so
the worker and the process of a run both ask here, and load the answer, never the server's words.
"""

import ast
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mailrewind.errors import StackError

_ENTRYPOINT = re.compile(r"flows\.(?P<module>[a-z][a-z0-9_]*)\.(?P<flow>[a-z][a-z0-9_]*)")


class RunRefused(StackError):
    """This run asks for something that is not ours to run."""

    default_advice = "Run `mailrewind deploy` to put the deployments back as they should be."


def permitted(run: Mapping[str, Any], deployment: Mapping[str, Any] | None) -> str:
    """Return the entrypoint that a run may use.

    Args:
        run: The flow run, as the API returns it.
        deployment: Its deployment, as the API returns it, or None.

    Raises:
        RunRefused: It wants more than the parameters of one of our flows.
    """
    if deployment is None:
        raise RunRefused("Refused: this run belongs to no deployment.")
    name = deployment.get("name")
    if deployment.get("pull_steps"):
        raise RunRefused(f"Refused: the deployment {name} has pull steps; ours have none.")
    if deployment.get("storage_document_id") or deployment.get("infrastructure_document_id"):
        raise RunRefused(f"Refused: the deployment {name} has a storage block; ours have none.")
    for source, variables in (
        ("run", run.get("job_variables")),
        (f"deployment {name}", deployment.get("job_variables")),
    ):
        if variables:
            raise RunRefused(
                f"Refused: the {source} sets job variables ({', '.join(sorted(variables))}); "
                "the pool allows none."
            )
    entrypoint = deployment.get("entrypoint") or ""
    if not _is_ours(entrypoint):
        raise RunRefused(
            f"Refused: the deployment {name} names {entrypoint!r}, which is none of our flows."
        )
    return str(entrypoint)


def _is_ours(entrypoint: str) -> bool:
    match = _ENTRYPOINT.fullmatch(entrypoint)
    if match is None:
        return False
    source = _folder_of_flows() / f"{match['module']}.py"
    if not source.is_file():
        return False
    return match["flow"] in _flows_in(source)


def _folder_of_flows() -> Path:
    spec = importlib.util.find_spec("flows")
    if spec is None or spec.origin is None:
        raise StackError("The package of flows is not installed beside this one.")
    return Path(spec.origin).parent


def _flows_in(source: Path) -> set[str]:
    """Return the functions that a module defines and decorates with `flow`, without importing it.

    Prefect would turn any function that a module merely imports into a flow.
    """
    tree = ast.parse(source.read_text(encoding="utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(_is_flow(decorator) for decorator in node.decorator_list)
    }


def _is_flow(decorator: ast.expr) -> bool:
    call = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(call, ast.Name) and call.id == "flow"
