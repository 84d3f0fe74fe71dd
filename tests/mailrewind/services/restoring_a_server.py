"""A process that carries a plan out and is killed; its arguments name configuration and plan."""

import logging
import sys
from pathlib import Path

from mailrewind.config import load
from mailrewind.wiring import wire

if __name__ == "__main__":
    configuration, plan = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    services = wire(load(Path(configuration)))
    services.operations.execute(plan, initiator="test", system_typed="office")
