"""A user whose mail program changes flags without a pause."""

import subprocess
import sys
from contextlib import contextmanager

FLIP = """
import os, random, sys
os.chdir(sys.argv[1])
names = os.listdir()
print("flipping", flush=True)
while True:
    for place, old in enumerate(names):
        new = old.split(":2,")[0] + ":2," + random.choice(["", "S", "RS", "FS", "FRS"])
        if new != old:
            os.rename(old, new)
            names[place] = new
"""


@contextmanager
def flags_flipping(directory):
    """Rename every message of a directory, as fast as one process can, all the time."""
    argv = [sys.executable, "-c", FLIP, str(directory)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as flipper:
        flipper.stdout.readline()
        try:
            yield
        finally:
            flipper.kill()
