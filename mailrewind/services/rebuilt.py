"""How far the restore of a whole server has come: what a second run need not do again."""

import json
import os
from collections.abc import Collection
from pathlib import Path


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

    def begin(self, point: str) -> None:
        """Note which point is being restored; a beginning that was made before is kept."""
        if self.point != point:
            self._write({"point": point, "done": []})

    def note(self, step: str) -> None:
        """Note that a step is done."""
        self._write({"point": self.point, "done": sorted({*self.done, step})})

    def end(self) -> None:
        """Forget it: all is done."""
        self._place.unlink(missing_ok=True)

    def _read(self) -> dict[str, list[str] | str]:
        try:
            found: dict[str, list[str] | str] = json.loads(self._place.read_bytes())
        except FileNotFoundError:
            return {}
        return found

    def _write(self, content: object) -> None:
        self._place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self._place.with_suffix(".partial")
        with partial.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._place)
