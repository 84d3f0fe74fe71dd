"""Double of mailcow's watchdog: starts again what a restore stopped and forgot to hold.

mailcow's own counts failed probes of each service and restarts its container when a threshold is
passed, which takes a minute or more. The contract of this double, *unverified against mailcow's
own*: a container of dovecot-mailcow, sogo-mailcow or mysql-mailcow that is seen not running for
WATCHDOG_SECONDS (5) is started. It is quicker than the original, so that a test meets it when the
watchdog was not stopped first. It does not look at services that run and do not answer.
"""

import os
import signal
import sys
import time

import docker

WATCHED = ("dovecot-mailcow", "sogo-mailcow", "mysql-mailcow")
PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"


def watch(engine, patience):
    down_since = {}
    mine = {"label": f"{PROJECT}={os.environ['COMPOSE_PROJECT_NAME']}"}
    while True:
        # One question for all: many of these watch on the same engine.
        for container in engine.containers(all=True, filters=mine):
            name, identity = container["Labels"].get(SERVICE), container["Id"]
            if name not in WATCHED:
                continue
            if container["State"] == "running":
                down_since.pop(identity, None)
                continue
            since = down_since.setdefault(identity, time.monotonic())
            if time.monotonic() - since >= patience:
                print(f"{name} is down: starting it", flush=True)
                engine.start(identity)
                down_since.pop(identity)
        time.sleep(1)


if __name__ == "__main__":
    # As process 1 it would not end by the signal's default.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    watch(docker.APIClient(version="auto"), float(os.environ.get("WATCHDOG_SECONDS", "5")))
