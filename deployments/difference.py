"""What the server has, what it should have, and the difference in words."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from .api import Api
from .declaration import OURS, Deployment, Json, Schedule

_PAGE = 200
_BLOCKS = ("storage_document_id", "infrastructure_document_id")


@dataclass(frozen=True, slots=True)
class Found:
    """One deployment on the server.

    Attributes:
        id: Prefect's id of it.
        deployment: What it is.
        schedule_ids: (slug, Prefect's id) of its schedules; a slug may be missing or doubled.
    """

    id: str
    deployment: Deployment
    schedule_ids: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What is to be done so that the server has what is declared.

    Attributes:
        new: To create.
        changed: To change, with what is there now.
        gone: To remove.
        unchanged: How many are as they should be.
    """

    new: tuple[Deployment, ...]
    changed: tuple[tuple[Found, Deployment], ...]
    gone: tuple[Found, ...]
    unchanged: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done."""
        return not (self.new or self.changed or self.gone)

    def lines(self) -> list[str]:
        """Say it, one deployment or one of its fields to a line."""
        said = [f"+ {deployment.full_name}{_when(deployment)}" for deployment in self.new]
        for found, wanted in self.changed:
            said.append(f"~ {wanted.full_name}")
            said += [f"    {line}" for line in changes(found.deployment, wanted)]
        said += [f"- {found.deployment.full_name}" for found in self.gone]
        return said


def difference(wanted: Sequence[Deployment], found: Iterable[Found], *, pool: str) -> Difference:
    """Compare field by field; nothing on the server is believed because a digest says so.

    Only what bears our tag and lies in our pool can be gone: another installation may share the
    server.
    """
    there = {each.deployment.full_name: each for each in found}
    names = {deployment.full_name for deployment in wanted}
    changed = [
        (there[each.full_name], each)
        for each in wanted
        if each.full_name in there and there[each.full_name].deployment != each
    ]
    new = tuple(each for each in wanted if each.full_name not in there)
    return Difference(
        new=new,
        changed=tuple(changed),
        gone=tuple(
            each
            for name, each in sorted(there.items())
            if name not in names and OURS in each.deployment.tags and each.deployment.pool == pool
        ),
        unchanged=len(wanted) - len(new) - len(changed),
    )


def changes(found: Deployment, wanted: Deployment) -> list[str]:
    """Say which fields differ, old and new."""
    said = []
    for field in fields(Deployment):
        old, new = getattr(found, field.name), getattr(wanted, field.name)
        if old == new:
            continue
        if field.name == "schedules":
            said += _schedule_changes(old, new)
        elif field.name == "tags":
            said += _tag_changes(old, new)
        elif field.name == "schema":
            said.append("form: differs from the flow's, or from the configured systems")
        else:
            said.append(f"{field.name.replace('_', ' ')}: {_shown(old)} -> {_shown(new)}")
    return said or ["declaration: written by another version"]


def read(api: Api, flows: Iterable[str]) -> list[Found]:
    """Return all deployments of flows of these names.

    Raises:
        ApiUnreachable: Nobody answers.
        ApiRefused: The answer is an error.
    """
    condition = {"flows": {"name": {"any_": sorted(set(flows))}}}
    names = {flow["id"]: flow["name"] for flow in _pages(api, "/flows/filter", condition)}
    return [
        _found(raw, names[raw["flow_id"]])
        for raw in _pages(api, "/deployments/filter", condition)
        if raw["flow_id"] in names
    ]


def _pages(api: Api, path: str, condition: Mapping[str, Any]) -> list[Json]:
    rows: list[Json] = []
    while True:
        page = api.post(path, {**condition, "limit": _PAGE, "offset": len(rows)})
        rows += page
        if len(page) < _PAGE:
            return rows


def _found(raw: Json, flow: str) -> Found:
    options = raw.get("concurrency_options") or {}
    limit = raw.get("global_concurrency_limit") or {}
    schedules = sorted(raw.get("schedules") or [], key=lambda each: each.get("slug") or "")
    return Found(
        id=raw["id"],
        schedule_ids=tuple((each.get("slug") or "", each["id"]) for each in schedules),
        deployment=Deployment(
            flow=flow,
            name=raw["name"],
            entrypoint=raw.get("entrypoint") or "",
            description=raw.get("description") or "",
            tags=tuple(sorted(raw.get("tags") or [])),
            pool=raw.get("work_pool_name") or "",
            queue=raw.get("work_queue_name") or "",
            limit=limit.get("limit") if limit.get("active", True) else None,
            collision=options.get("collision_strategy") or "",
            schema=raw.get("parameter_openapi_schema") or {},
            parameters=raw.get("parameters") or {},
            schedules=tuple(_schedule(each) for each in schedules),
            enforces_schema=bool(raw.get("enforce_parameter_schema")),
            is_paused=bool(raw.get("paused")),
            pull_steps=tuple(raw.get("pull_steps") or ()),
            job_variables=raw.get("job_variables") or {},
            path=raw.get("path") or "",
            blocks=tuple(raw[name] for name in _BLOCKS if raw.get(name)),
        ),
    )


def _schedule(raw: Json) -> Schedule:
    rule = raw.get("schedule") or {}
    return Schedule(
        slug=raw.get("slug") or "",
        # Whatever is no plain cron line differs from all that we declare.
        cron=rule["cron"] if "cron" in rule and rule.get("day_or", True) else json.dumps(rule),
        time_zone=rule.get("timezone") or "UTC",
        active=bool(raw.get("active")),
        parameters=raw.get("parameters") or {},
    )


def _schedule_changes(old: Sequence[Schedule], new: Sequence[Schedule]) -> list[str]:
    before = {schedule.slug: schedule for schedule in old}
    after = {schedule.slug: schedule for schedule in new}
    return [
        f"schedule {slug or 'without a name'}: "
        f"{_shown_schedule(before.get(slug))} -> {_shown_schedule(after.get(slug))}"
        for slug in sorted(before.keys() | after.keys())
        if before.get(slug) != after.get(slug)
    ] or [f"schedules: {len(old)} -> {len(new)}"]


def _shown_schedule(schedule: Schedule | None) -> str:
    if schedule is None:
        return "none"
    parameters = f" with {_shown(schedule.parameters)}" if schedule.parameters else ""
    off = "" if schedule.active else ", off"
    return f"{schedule.cron} {schedule.time_zone}{parameters}{off}"


def _tag_changes(old: Sequence[str], new: Sequence[str]) -> list[str]:
    removed = [tag for tag in old if tag not in new and not tag.startswith("decl:")]
    added = [tag for tag in new if tag not in old and not tag.startswith("decl:")]
    if not removed and not added:
        return []
    return ["tags: " + ", ".join([*(f"-{tag}" for tag in removed), *(f"+{tag}" for tag in added)])]


def _when(deployment: Deployment) -> str:
    active = [f"{each.cron} {each.time_zone}" for each in deployment.schedules if each.active]
    return f"  ({'; '.join(active)})" if active else ""


def _shown(value: object) -> str:
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, sort_keys=True)
    return str(value) if value not in ("", None) else "none"
