"""How far the restore of a whole server has come: what a second run need not do again."""

import json
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from mailrewind.model.reports import Finding


class Progressed:
    """A file that names the steps that are done.

    Args:
        place: The file; it is there from the first step until all is done.
    """

    def __init__(self, place: Path) -> None:
        self._place = place

    @property
    def point(self) -> str:
        """Name of the restore point that is being restored; "" when none is."""
        return str(self._read().get("point", ""))

    @property
    def done(self) -> Collection[str]:
        """Names of the steps that are done."""
        return frozenset(map(str, self._read().get("done", [])))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found while these steps were done, by whichever run."""
        return tuple(Finding(subject, text) for subject, text in self._read().get("findings", []))

    def begin(self, point: str) -> None:
        """Note which point is being restored; a beginning that was made before is kept."""
        if self.point != point:
            self._write({"point": point, "done": []})

    def note(self, step: str, findings: Iterable[Finding]) -> None:
        """Note that a step is done, and what was found: a run that goes on tells it in its end."""
        found = [[finding.subject, finding.text] for finding in (*self.findings, *findings)]
        self._write({"point": self.point, "done": sorted({*self.done, step}), "findings": found})

    def end(self) -> None:
        """Forget it: all is done."""
        self._place.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._place.read_bytes())
        except FileNotFoundError:
            return {}
        return found

    def _write(self, content: object) -> None:
        self._place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self._place.with_suffix(".partial")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with os.fdopen(os.open(partial, flags, 0o600), "w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._place)
