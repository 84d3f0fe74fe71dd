"""A process that stops services of a mailcow and waits to be ended; its arguments say which."""

import sys
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

from mailrewind.systems.mailcow.interruption import interrupted
from mailrewind.transports.containers import Project

if __name__ == "__main__":
    project_name, data_dir, at_most_seconds, *services = sys.argv[1:]
    with (
        Project(project_name) as project,
        interrupted(
            SimpleNamespace(project=project),
            services,
            system="office",
            data_dir=Path(data_dir),
            holder="plan 3f9a1c20",
            at_most=timedelta(seconds=float(at_most_seconds)),
        ),
    ):
        print("stopped", flush=True)
        time.sleep(600)
