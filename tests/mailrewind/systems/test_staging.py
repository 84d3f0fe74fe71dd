import subprocess
import sys

from mailrewind.systems.staging import stage_below

HOLD = """
import sys
from pathlib import Path
from mailrewind.systems.staging import stage_below
with stage_below(Path(sys.argv[1])) as stage:
    print("staged", flush=True)
    sys.stdin.read()
"""


def names(staging):
    return {entry.name for entry in staging.iterdir()}


def test_what_a_killed_run_left_is_removed_by_the_next_and_a_living_one_is_not(tmp_path):
    staging = tmp_path / "staging"

    def hold():
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(staging)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        holder.stdout.readline()
        return holder

    with hold() as killed:
        left = names(staging)
        killed.kill()
    with hold() as living:
        held = names(staging)
        assert not left & held
        with stage_below(staging):
            assert held < names(staging)
        assert names(staging) == held
        living.stdin.close()
    assert names(staging) == set()


def test_remains_without_a_lock_are_removed(tmp_path):
    staging = tmp_path / "staging"
    staging.mkdir()
    (staging / "0123/known-flat-0/cur").mkdir(parents=True)
    (staging / "4567.lock").touch()
    with stage_below(staging):
        assert not {"0123", "4567.lock"} & names(staging)
