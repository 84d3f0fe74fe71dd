"""prefect.yaml, and what it means for the configured systems."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mailrewind.config import Config
from mailrewind.errors import StackError

from .minutes import spread
from .runs import SYSTEM_TAG

Json = dict[str, Any]

OURS = "mailrewind"
_DIGEST = "decl:"


@dataclass(frozen=True, slots=True)
class Schedule:
    """One schedule of a deployment.

    Attributes:
        slug: Its name within the deployment, which it keeps for ever.
        cron: Five fields.
        time_zone: Where the fields are read.
        active: Whether it makes runs.
        parameters: What its runs get, on top of the deployment's parameters.
    """

    slug: str
    cron: str
    time_zone: str
    active: bool
    parameters: Json


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment, as we want it or as the server has it.

    Attributes:
        flow: Name of its flow.
        name: Its own name.
        entrypoint: Module path of the flow.
        description: For the operator.
        tags: Sorted; one of them is ``OURS``, one holds the digest of all the rest.
        pool: Name of the work pool.
        queue: Name of the work queue.
        limit: How many of its runs may run at once.
        collision: What happens to the others.
        schema: The form: JSON schema of the parameters.
        parameters: What a run gets unless the form says otherwise.
        schedules: By slug.
        enforces_schema: Whether the server refuses parameters that do not fit.
        is_paused: Whether nothing of it runs.
        pull_steps: What a worker would do before a run: nothing.
        job_variables: What a run would change in the pool's template: nothing.
        path: Where a worker would change to: nowhere.
        blocks: Ids of storage and infrastructure blocks, which would bring their own code: none.
    """

    flow: str
    name: str
    entrypoint: str
    description: str
    tags: tuple[str, ...]
    pool: str
    queue: str
    limit: int | None
    collision: str
    schema: Json
    parameters: Json
    schedules: tuple[Schedule, ...]
    enforces_schema: bool = True
    is_paused: bool = False
    pull_steps: Sequence[Json] = ()
    job_variables: Json = field(default_factory=dict)
    path: str = ""
    blocks: Sequence[str] = ()

    @property
    def full_name(self) -> str:
        """Prefect's name of it, "flow/deployment"."""
        return f"{self.flow}/{self.name}"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Schedule(_Model):
    slug: str
    cron: str
    active: bool = True
    parameters: Json = {}


class _WorkPool(_Model):
    name: str
    work_queue_name: str


class _Limit(_Model):
    limit: int
    collision_strategy: Literal["CANCEL_NEW", "ENQUEUE"]


class _Entry(_Model):
    name: str
    entrypoint: str
    description: str
    tags: list[str]
    work_pool: _WorkPool
    concurrency_limit: _Limit
    for_each: Literal["system"] | None = None
    kinds: list[str] | None = None
    schedules: list[_Schedule] = []


class _File(_Model):
    name: str
    definitions: Json = {}
    pull: list[Json] = Field(max_length=0)
    deployments: list[_Entry]


def declared(config: Config, path: Path | None = None) -> list[Deployment]:
    """Return the deployments that prefect.yaml asks for, with the configured systems.

    Raises:
        StackError: prefect.yaml is missing, or not what this version can read.
    """
    return [
        _signed(deployment)
        for entry in _read(path or _beside_us()).deployments
        for deployment in _rendered(entry, config)
    ]


def declared_flows(path: Path | None = None) -> list[str]:
    """Return the names of all flows of prefect.yaml, also of those that no system needs now.

    Raises:
        StackError: prefect.yaml is missing, or not what this version can read.
    """
    return [_flow(entry).name for entry in _read(path or _beside_us()).deployments]


def _beside_us() -> Path:
    """Find prefect.yaml: within this package in a wheel, above it in a checkout."""
    within = Path(__file__).with_name("prefect.yaml")
    return within if within.is_file() else Path(__file__).parents[1] / "prefect.yaml"


def _read(path: Path) -> _File:
    try:
        return _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise StackError(
            f"{path} cannot be read as a declaration: {error}",
            advice="Put the file back as it was installed.",
        ) from error


def _rendered(entry: _Entry, config: Config) -> Iterator[Deployment]:
    systems = sorted(config.systems if entry.kinds is None else config.names_of(entry.kinds))
    if not systems:
        return
    if entry.for_each is None:
        yield _deployment(entry, config, systems)
        return
    minutes_spread = spread({name: config.systems[name].schedule for name in systems})
    for system in systems:
        schedules = [
            schedule.model_copy(update={"cron": minutes_spread[system], "active": True})
            for schedule in entry.schedules
        ]
        single = entry.model_copy(
            update={
                "name": system,
                "tags": [*entry.tags, f"{SYSTEM_TAG}{system}"],
                "schedules": schedules,
            }
        )
        yield replace(
            _deployment(single, config, [system]), parameters={"request": {"system": system}}
        )


def _deployment(entry: _Entry, config: Config, systems: Sequence[str]) -> Deployment:
    flow = _flow(entry)
    schema = parameter_schema(flow).model_dump_for_openapi()
    also = sorted(
        schedule.parameters["request"]["system"]
        for schedule in entry.schedules
        if "system" in schedule.parameters.get("request", {})
    )
    return Deployment(
        flow=flow.name,
        name=entry.name,
        entrypoint=entry.entrypoint,
        description=entry.description,
        tags=tuple(sorted(entry.tags)),
        pool=config.prefect.pool,
        queue=entry.work_pool.work_queue_name,
        limit=entry.concurrency_limit.limit,
        collision=entry.concurrency_limit.collision_strategy,
        schema=_with_choice(schema, [*also, *systems]),
        parameters={},
        schedules=tuple(
            Schedule(
                slug=schedule.slug,
                cron=schedule.cron,
                time_zone=config.time_zone,
                active=schedule.active,
                parameters=schedule.parameters,
            )
            for schedule in sorted(entry.schedules, key=lambda schedule: schedule.slug)
        ),
    )


def _flow(entry: _Entry) -> Flow[..., Any]:
    flow: Flow[..., Any] = load_flow_from_entrypoint(entry.entrypoint)
    return flow


def _with_choice(schema: Json, systems: Sequence[str]) -> Json:
    """Return the schema with a drop-down of systems where the form asks for one."""
    definitions: Mapping[str, Json] = schema.get("definitions", {})
    return schema | {
        "definitions": {
            name: model | {"properties": _properties(model.get("properties", {}), systems)}
            for name, model in definitions.items()
        }
    }


def _properties(properties: Mapping[str, Json], systems: Sequence[str]) -> Json:
    return {
        name: field | {"enum": list(systems)} if name == "system" else field
        for name, field in properties.items()
    }


def _signed(deployment: Deployment) -> Deployment:
    """Return the deployment with a tag that holds the digest of everything it declares."""
    told = json.dumps(asdict(deployment), sort_keys=True).encode()
    digest = hashlib.sha256(told).hexdigest()[:12]
    return replace(deployment, tags=tuple(sorted([*deployment.tags, f"{_DIGEST}{digest}"])))
