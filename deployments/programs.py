"""How the children of the supervisor are started: server, worker, and what tells deployments."""

import hashlib
import json
import os
import sys
from collections.abc import Sequence

from mailrewind.config import Config

from . import pool, settings
from .children import Program


def server(config: Config, auth: str) -> Program:
    """Return Prefect's server."""
    place = settings.home(config)
    return Program(
        name="server",
        argv=[sys.executable, "-P", "-m", "deployments.server"],
        environment=settings.server_environment(config, auth, os.environ),
        cwd=place,
        log=place / "server.log",
    )


def worker(config: Config, auth: str) -> Program:
    """Return our worker, for whom the supervisor looks for dead runs."""
    limit = str(pool.worker_limit(config))
    module = ["deployments.worker", "--supervised", "--pool", config.prefect.pool, "--limit", limit]
    return _client(config, auth, "worker", module)


def apply(config: Config, auth: str) -> Program:
    """Return what brings the deployments to what is declared, and ends."""
    return _client(config, auth, "apply", ["deployments.apply"])


def fingerprint(*programs: Program) -> str:
    """Return a digest of how programs are started, apart from what differs between shells."""
    known = [
        (program.argv, sorted((k, v) for k, v in program.environment.items() if "PREFECT" in k))
        for program in programs
    ]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def _client(config: Config, auth: str, name: str, module: Sequence[str]) -> Program:
    place = settings.home(config)
    return Program(
        name=name,
        argv=[sys.executable, "-P", "-m", *module],
        environment=settings.client_environment(config, auth, os.environ),
        cwd=place,
        log=place / f"{name}.log",
    )
