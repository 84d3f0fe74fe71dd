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


def watch(client, patience):
    down_since = {}
    while True:
        mine = {"label": f"{PROJECT}={os.environ['COMPOSE_PROJECT_NAME']}"}
        for container in client.containers.list(all=True, filters=mine, ignore_removed=True):
            if container.labels.get(SERVICE) not in WATCHED:
                continue
            if container.status == "running":
                down_since.pop(container.id, None)
                continue
            since = down_since.setdefault(container.id, time.monotonic())
            if time.monotonic() - since >= patience:
                print(f"{container.labels[SERVICE]} is down: starting it", flush=True)
                container.start()
                down_since.pop(container.id)
        time.sleep(1)


if __name__ == "__main__":
    # As process 1 it would not end by the signal's default.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    watch(docker.from_env(version="auto"), float(os.environ.get("WATCHDOG_SECONDS", "5")))
