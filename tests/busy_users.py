"""Users who flag and unflag their messages all the time, in a process of their own.

Run as ``python -m tests.busy_users DIRECTORY``: renames every message of a Maildir's ``cur`` from
seen to flagged and back until its standard input ends, then prints how often it did.
"""

import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAUSE_SECONDS = 0.001
_RENAMES_BETWEEN_PAUSES = 10


@contextmanager
def busy_users(maildir: Path) -> Iterator[None]:
    """Keep users busy until the block ends.

    Raises:
        AssertionError: They did next to nothing, so that the block has proven nothing.
    """
    users = subprocess.Popen(
        [sys.executable, "-m", "tests.busy_users", str(maildir / "cur")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    try:
        yield
    finally:
        renames, _ = users.communicate(b"stop")
    assert int(renames) > 1000, f"only {int(renames)} renames"


def _rename_until_stopped(directory: Path) -> int:
    names = [path.name for path in directory.iterdir()]
    count = 0
    while True:
        for place, name in enumerate(names):
            base, _, flags = name.partition(":2,")
            other = f"{base}:2,{'S' if flags != 'S' else 'FS'}"
            (directory / name).rename(directory / other)
            names[place] = other
            count += 1
            if count % _RENAMES_BETWEEN_PAUSES == 0:
                stopped, _, _ = select.select([sys.stdin], [], [], _PAUSE_SECONDS)
                if stopped:
                    return count


if __name__ == "__main__":
    print(_rename_until_stopped(Path(sys.argv[1])))
