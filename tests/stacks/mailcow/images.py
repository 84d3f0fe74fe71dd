"""The images of the stack: Debian bookworm with the servers' packages, built when a recipe changed.

An image is named by a digest of its recipe. So a second start finds what the first one built, and a
changed file builds anew. Two test processes that want the same image wait for each other.
"""

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import docker
from docker.errors import BuildError, ImageNotFound

HERE = Path(__file__).parent
RECIPES = ("dovecot", "sogo", "mysql", "stores")
_TOOL = HERE.parents[2] / "tools" / "docker"


class NoStack(Exception):
    """The machine can't run the stack; the text says what it lacks."""


def ensure_engine() -> None:
    """Bring up a Docker engine if none answers; fail, never skip, if that can't be done."""
    done = subprocess.run([_TOOL, "engine"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoStack(f"the test stack needs a Docker engine:\n{done.stderr}")


def ensure_images(client: docker.DockerClient) -> dict[str, str]:
    """Return the images' names by recipe, after building those that are not there."""
    names = {recipe: _name(recipe) for recipe in RECIPES}
    if are_there(client):
        return names
    with _alone(), ThreadPoolExecutor(max_workers=2) as pool:
        base = _base_image()
        missing = [recipe for recipe in RECIPES if not _exists(client, names[recipe])]
        # Apt unpacks on one core while another image loads its packages.
        list(pool.map(lambda recipe: _build(client, recipe, names[recipe], base), missing))
    return names


def are_there(client: docker.DockerClient) -> bool:
    """Whether nothing has to be built."""
    return all(_exists(client, _name(recipe)) for recipe in RECIPES)


def _name(recipe: str) -> str:
    digest = hashlib.sha256()
    for path in sorted((HERE / recipe).iterdir()):
        if path.is_file():
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return f"mailrewind-mailcow-{recipe}:{digest.hexdigest()[:16]}"


def _exists(client: docker.DockerClient, name: str) -> bool:
    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    return True


def _build(client: docker.DockerClient, recipe: str, name: str, base: str) -> None:
    try:
        client.images.build(
            path=str(HERE / recipe),
            tag=name,
            rm=True,
            forcerm=True,
            # The build reaches Debian's mirror as this machine does.
            network_mode="host",
            buildargs={"BASE": base} | _proxies(),
        )
    except BuildError as error:
        lines = "".join(str(line.get("stream", "")) for line in error.build_log)
        raise NoStack(f"the image {name} can't be built: {error}\n{lines[-2000:]}") from error


def _proxies() -> dict[str, str]:
    names = ("http_proxy", "https_proxy", "no_proxy")
    return {name: os.environ[name] for name in names if name in os.environ}


def _base_image() -> str:
    done = subprocess.run([_TOOL, "image", "bookworm"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoStack(f"no Debian image can be had:\n{done.stderr}")
    return done.stdout.strip()


@contextmanager
def _alone() -> Iterator[None]:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mailrewind"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
