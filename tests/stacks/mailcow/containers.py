"""A compose project without compose: network, volumes and containers, made through the Docker SDK.

Everything carries the labels that compose sets, and one of ours that names the process it was made
for. What a killed process left behind is removed by the next one.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from tests.stacks.mailcow.services import SERVICES, VOLUMES, Service

OWNER = "org.mailrewind.test-stack.owner"
PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
DIRECTORY = "com.docker.compose.project.working_dir"

# How the directories begin that are made for a stack, and go with it.
SCRATCH = "mailrewind-mailcow-"
_PATIENCE = 100


class Project:
    """The containers, volumes and the network of one mailcow.

    Attributes:
        name: The compose project's name.
        directory: mailcow's directory.
    """

    def __init__(self, client: docker.DockerClient, name: str, directory: Path) -> None:
        self.client = client
        self.name = name
        self.directory = directory

    @property
    def network(self) -> str:
        return f"{self.name}_mailcow-network"

    def make_network(self) -> None:
        labels = self._labels() | {"com.docker.compose.network": "mailcow-network"}
        self.client.networks.create(self.network, driver="bridge", labels=labels)

    def make_volumes(self) -> None:
        for volume in VOLUMES:
            labels = self._labels() | {"com.docker.compose.volume": volume}
            self.client.volumes.create(f"{self.name}_{volume}", labels=labels)

    def make_containers(self, images: Mapping[str, str], configuration: Mapping[str, str]) -> None:
        """Create all containers; none of them runs yet."""
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda one: self._make(one, images[one.recipe], configuration), SERVICES))

    def start(self, names: Iterable[str]) -> None:
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda name: self.container(name).start(), names))

    def container(self, service: str) -> Container:
        """Return the container of a service, as it is now."""
        return self.client.containers.get(f"{self.name}-{service}-1")

    def address(self, service: str) -> str:
        """Return where a running container is reached from the host."""
        networks = self.container(service).attrs["NetworkSettings"]["Networks"]
        return str(networks[self.network]["IPAddress"])

    def volume(self, name: str) -> Path:
        """Return where a volume lies on the host."""
        return Path(self.client.volumes.get(f"{self.name}_{name}").attrs["Mountpoint"])

    def remove_containers(self) -> None:
        _remove_containers(self.client, f"{PROJECT}={self.name}")

    def remove(self) -> None:
        """Remove all that carries the project's label, and leave the directory."""
        _remove(self.client, f"{PROJECT}={self.name}")

    def _make(self, service: Service, image: str, configuration: Mapping[str, str]) -> None:
        host = self.client.api.create_host_config(
            binds=service.binds(self.name, self.directory),
            port_bindings=_published(service, configuration),
            restart_policy={"Name": "always"},
            network_mode=self.network,
        )
        endpoint = self.client.api.create_endpoint_config(aliases=[service.alias, service.name])
        environment = service.environment_of(configuration)
        if service.recipe == "mysql":
            environment |= {
                "MYSQL_ROOT_PASSWORD": configuration["DBROOT"],
                "MYSQL_DATABASE": configuration["DBNAME"],
                "MYSQL_USER": configuration["DBUSER"],
                "MYSQL_PASSWORD": configuration["DBPASS"],
            }
        self.client.api.create_container(
            image,
            command=list(service.command) or None,
            name=f"{self.name}-{service.name}-1",
            environment=environment,
            ports=[tuple(str(port).split("/")) for port in _published(service, configuration)],
            labels=self._labels()
            | {
                SERVICE: service.name,
                "com.docker.compose.container-number": "1",
                "com.docker.compose.oneoff": "False",
                DIRECTORY: str(self.directory),
                "com.docker.compose.project.config_files": str(
                    self.directory / "docker-compose.yml"
                ),
            },
            host_config=host,
            # The stubs take the mapping of networks for the end of one.
            networking_config=self.client.api.create_networking_config({self.network: endpoint}),
        )

    def _labels(self) -> dict[str, str]:
        return {PROJECT: self.name, OWNER: this_process()}


def this_process() -> str:
    """Return the value of the label `OWNER` for what this process makes."""
    return f"{os.getpid()}:{_started(os.getpid())}:{_processes()}"


def remove_project(client: docker.DockerClient, name: str) -> None:
    """Remove a stack by its name, the directory that was made for it, too."""
    _remove_directories(client, f"{PROJECT}={name}")
    _remove(client, f"{PROJECT}={name}")


def remove_leftovers(client: docker.DockerClient) -> None:
    """Remove the stacks of test processes that were killed before they could do so themselves."""
    held = [
        *client.containers.list(all=True, filters={"label": OWNER}, ignore_removed=True),
        *client.volumes.list(filters={"label": OWNER}),
        *client.networks.list(filters={"label": OWNER}),
    ]
    for owner in {_labels_of(thing)[OWNER] for thing in held}:
        if _has_ended(owner):
            _remove_directories(client, f"{OWNER}={owner}")
            _remove(client, f"{OWNER}={owner}")


def _has_ended(owner: str) -> bool:
    """Whether a process is no more; of one in another container nobody here can say."""
    pid, _, rest = owner.partition(":")
    started, _, processes = rest.partition(":")
    return processes == _processes() and _started(int(pid)) != started


def _labels_of(thing: object) -> dict[str, str]:
    attributes = thing.attrs
    labels = attributes.get("Labels") or attributes.get("Config", {}).get("Labels") or {}
    return dict(labels)


def _started(pid: int) -> str:
    """Return when a process was started, in the kernel's ticks; "" if it is no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _processes() -> str:
    """Return which numbering of processes this one has its number from."""
    return str(Path("/proc/self/ns/pid").stat().st_ino)


def _published(service: Service, configuration: Mapping[str, str]) -> dict[int | str, Any]:
    published: dict[int | str, Any] = {}
    for inside, name in service.ports.items():
        address, _, port = configuration[name].rpartition(":")
        published[inside] = (address, int(port))
    if "HTTP_PORT" in service.settings:
        port = configuration["HTTP_PORT"]
        published[f"{port}/tcp"] = (configuration["HTTP_BIND"], int(port))
    return published


def _remove(client: docker.DockerClient, label: str) -> None:
    _remove_containers(client, label)
    for volume in client.volumes.list(filters={"label": label}):
        _without(volume.remove)
    for network in client.networks.list(filters={"label": label}):
        _without(network.remove)


def _remove_directories(client: docker.DockerClient, label: str) -> None:
    found = client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
    for name in {container.labels[DIRECTORY] for container in found}:
        if Path(name).parent.name.startswith(SCRATCH):
            shutil.rmtree(Path(name).parent, ignore_errors=True)


def _remove_containers(client: docker.DockerClient, label: str) -> None:
    def remove(container: Container) -> None:
        _without(lambda: container.remove(force=True, v=True))

    with ThreadPoolExecutor(max_workers=4) as pool:
        found = client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        list(pool.map(remove, found))


def _without(remove: Callable[[], object]) -> None:
    """Remove a thing, and wait for its end where another process is removing it, too."""
    for _ in range(_PATIENCE):
        try:
            remove()
        except NotFound:
            return
        except APIError as error:
            if error.status_code != HTTPStatus.CONFLICT:
                raise
            time.sleep(0.1)
        else:
            return
    remove()
