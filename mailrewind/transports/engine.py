"""The Docker engine's API: how it is reached, and what its errors mean.

No other module knows the Docker SDK.
"""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import docker
import requests
from docker.errors import APIError, DockerException, NotFound
from docker.utils import kwargs_from_env

from mailrewind.errors import ContainerMissing, MailServerFailed, MailServerUnreachable

Engine = docker.APIClient

_LOCAL_SOCKET = "unix:///var/run/docker.sock"
_CONFLICT = 409
# The engine names containers by numbers that tell nobody anything; we name their services.
_NUMBERED = re.compile(r"\bcontainer:? [0-9a-f]{12,64}\b", re.IGNORECASE)


def connected(base_url: str | None) -> Engine:
    """Connect to an engine; the caller closes the connection.

    Args:
        base_url: Where it is; None for what DOCKER_HOST says, else the local socket.
    """
    settings = {"base_url": base_url} if base_url else kwargs_from_env()
    place = settings.get("base_url", _LOCAL_SOCKET)
    if place.startswith("unix://"):
        # The SDK forgets to close the socket with which it could not connect.
        with socket.socket(socket.AF_UNIX) as trial:
            trial.connect(place.removeprefix("unix://"))
    return docker.APIClient(version="auto", **settings)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what the SDK and the library below it raise into errors of ours.

    Args:
        doing: What was tried, as in "starting dovecot-mailcow".

    Raises:
        ContainerMissing: There is no such thing.
        MailServerUnreachable: The engine, or a container, does not run.
        MailServerFailed: The engine refuses.
    """
    try:
        yield
    except NotFound as error:
        raise ContainerMissing(f"{doing}: {_said(error)}") from error
    except APIError as error:
        text = f"{doing}: {_said(error)}"
        if error.status_code == _CONFLICT:
            raise MailServerUnreachable(text) from error
        raise MailServerFailed(text) from error
    except (DockerException, requests.RequestException, OSError) as error:
        raise MailServerUnreachable(
            f"{doing}: the Docker engine does not answer: {error}",
            advice="Check that Docker runs, and that this user may use its socket.",
        ) from error


def _said(error: APIError) -> str:
    return _NUMBERED.sub("the container", str(error.explanation or error))
