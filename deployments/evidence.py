"""Which process runs which flow run: one small file each, written by the run's own process.

A run whose process was killed stays RUNNING in Prefect for ever. The file is what the reaper
judges by; it outlives the process on purpose and is removed once Prefect knows how the run ended.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from mailrewind.ports import Process
from mailrewind.transports.processes import is_alive, this_process

from .children import process_of


@dataclass(frozen=True, slots=True)
class Evidence:
    """The processes of one flow run.

    Attributes:
        run_id: Prefect's id of the run.
        engine: The process that runs the flow.
        worker: The process that started it, and that carries out a cancellation.
    """

    run_id: str
    engine: Process
    worker: Process | None

    @property
    def is_alive(self) -> bool:
        """Whether the flow still runs."""
        return is_alive(self.engine)

    @property
    def is_orphan(self) -> bool:
        """Whether the flow runs on without the worker that started it."""
        return self.is_alive and (self.worker is None or not is_alive(self.worker))


def directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the files lie: below PREFECT_HOME, which worker and flows share."""
    home = environment.get("PREFECT_HOME")
    return (Path(home) if home else Path.home() / ".prefect") / "runs"


def note(place: Path, run_id: str) -> None:
    """Note that this process runs a flow run."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    worker = process_of(os.getppid())
    noted = Evidence(run_id, this_process(), worker)
    unfinished = place / f".{run_id}.{os.getpid()}"
    unfinished.write_text(json.dumps(asdict(noted)), encoding="utf-8")
    unfinished.rename(place / f"{run_id}.json")


def all_noted(place: Path) -> Iterator[Evidence]:
    """Yield what is noted; a file that cannot be read says nothing."""
    for path in sorted(place.glob("*.json")):
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            worker = Process(**raw["worker"]) if raw["worker"] else None
            yield Evidence(raw["run_id"], Process(**raw["engine"]), worker)
        except (OSError, ValueError, KeyError, TypeError):
            continue


def forget(place: Path, run_id: str) -> None:
    """Remove what is noted about a run."""
    (place / f"{run_id}.json").unlink(missing_ok=True)
