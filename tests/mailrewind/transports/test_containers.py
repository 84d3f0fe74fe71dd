"""Containers of a compose project, through a real Docker engine."""

import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from mailrewind.errors import ContainerMissing, MailServerFailed, MailServerUnreachable
from mailrewind.transports.containers import Project, find_project
from mailrewind.transports.processes import Completed
from tests.stacks.mailcow import images
from tests.stacks.mailcow.containers import (
    OWNER,
    PROJECT,
    SERVICE,
    remove_leftovers,
    this_process,
)

HEALTHY = {"test": ["CMD", "test", "-e", "/tmp/well"], "interval": 200_000_000, "retries": 100}


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    images.ensure_engine()
    client = docker.from_env()
    remove_leftovers(client)
    yield client
    client.close()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
def name(client: docker.DockerClient, directory: Path) -> Iterator[str]:
    """A project of two services: "one" runs, "two" becomes healthy when it has a certain file."""
    name = f"mailrewind{secrets.token_hex(4)}"
    image = images.ensure_images(client)["stores"]
    volume = client.volumes.create(
        f"{name}_data", labels={PROJECT: name, "com.docker.compose.volume": "data-vol-1"}
    )
    labels = {
        PROJECT: name,
        OWNER: this_process(),
        "com.docker.compose.project.working_dir": str(directory),
    }
    containers: list[Container] = []
    try:
        for service, check in (("one", None), ("two", HEALTHY)):
            containers.append(
                client.containers.run(
                    image,
                    ["sleep", "3600"],
                    detach=True,
                    init=True,
                    labels=labels | {SERVICE: service},
                    healthcheck=check,
                    volumes=[f"{volume.name}:/data"],
                )
            )
        yield name
    finally:
        for container in containers:
            container.remove(force=True)
        volume.remove(force=True)


@pytest.fixture
def project(name: str) -> Iterator[Project]:
    with Project(name) as project:
        yield project


def processes(project: Project) -> list[str]:
    """Return what runs in "one" besides its first processes and this very look."""
    said = project.execute("one", ["ps", "-eo", "args="]).stdout.decode().splitlines()
    return sorted(set(said) - {"/sbin/docker-init -- sleep 3600", "sleep 3600", "ps -eo args="})


def test_both_outputs_and_the_exit_code_are_kept_apart(project):
    script = "import sys; print('out'); print('bad', file=sys.stderr); sys.exit(7)"
    done = project.execute("one", ["python3", "-c", script])
    assert done == Completed(7, b"out\n", "bad")


def test_no_output_is_lost_however_soon_it_comes(project):
    said = {project.execute("one", ["echo", "soon"]).stdout for _ in range(200)}
    assert said == {b"soon\n"}


def test_words_meet_no_shell(project):
    words = ["$HOME", "*", "a b", "`x`", "'", '"', "ä", ""]
    done = project.execute("one", ["printf", "%s|", *words])
    assert done.stdout.decode() == "".join(f"{word}|" for word in words)


def test_what_is_sent_and_what_comes_back_may_be_large(project):
    sent = os.urandom(5_000_000)
    assert project.execute("one", ["cat"], stdin=sent).stdout == sent


def test_environment_and_user_are_those_that_were_asked_for(project):
    argv = ["sh", "-c", 'echo "$SECRET $(id -u)"']
    done = project.execute("one", argv, user="nobody", environment={"SECRET": "x"})
    assert done.stdout == b"x 65534\n"


def test_a_stream_is_read_and_fed_in_pieces(project):
    pieces = (bytes([n % 256]) * 65536 for n in range(1600))
    with project.stream("one", ["sha256sum"], stdin=pieces) as stream:
        said = b"".join(stream)
        assert stream.finish() == Completed(0, b"", "")
    assert said == project.execute(
        "one", ["python3", "-c", "import hashlib,sys\nh=hashlib.sha256()\n"
                "for n in range(1600): h.update(bytes([n%256])*65536)\n"
                "print(h.hexdigest()+'  -')"],
    ).stdout  # fmt: skip


def test_an_error_in_what_is_sent_ends_the_command(project):
    def pieces() -> Iterator[bytes]:
        yield b"some"
        raise ValueError("the source broke")

    with (
        pytest.raises(ValueError, match="the source broke"),
        project.stream("one", ["sh", "-c", "cat; sleep 200"], stdin=pieces()) as stream,
    ):
        list(stream)
    assert processes(project) == []


def test_a_command_that_does_not_read_its_input_ends_well(project):
    assert project.execute("one", ["true"], stdin=bytes(3_000_000)).returncode == 0


def test_a_command_that_takes_too_long_is_ended_with_its_children(project):
    began = time.monotonic()
    with pytest.raises(MailServerUnreachable) as caught:
        project.execute("one", ["sh", "-c", "sleep 300 & sleep 301; true"], timeout_seconds=0.5)
    assert str(caught.value) == "The command sh in one did not end within 0.5 s."
    assert time.monotonic() - began < 10
    assert processes(project) == []


def test_a_command_that_does_not_heed_sigterm_is_killed(project):
    script = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
    with pytest.raises(MailServerUnreachable):
        project.execute("one", ["python3", "-c", script], timeout_seconds=1)
    assert processes(project) == []


def test_leaving_a_stream_early_ends_the_command(project):
    with project.stream("one", ["yes"]) as stream:
        assert next(iter(stream)).startswith(b"y\ny\n")
    assert processes(project) == []


def test_ctrl_c_ends_the_command(project):
    timer = threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        project.execute("one", ["sleep", "300"])
    timer.join()
    assert processes(project) == []


@pytest.mark.parametrize("user", ["root", "nobody-knows-him"])
def test_a_missing_program_or_user_is_said(project, user):
    argv = ["no-such-program"] if user == "root" else ["true"]
    with pytest.raises(MailServerFailed) as caught:
        project.execute("one", argv, user=user)
    assert str(caught.value).startswith(f"The command {argv[0]} in one cannot be run: ")
    assert not caught.value.retryable


def test_a_container_that_dies_under_a_command_is_not_taken_for_its_exit_code(project, client):
    (container,) = client.containers.list(
        filters={"label": [f"{PROJECT}={project.name}", f"{SERVICE}=one"]}
    )
    timer = threading.Timer(1, container.kill)
    timer.start()
    with pytest.raises(MailServerUnreachable) as caught:
        project.execute("one", ["sleep", "300"])
    timer.join()
    assert str(caught.value) == "One stopped while the command sleep in one ran."
    with pytest.raises(MailServerUnreachable):
        project.execute("one", ["true"])
    project.start("one")


def test_a_container_that_is_restarted_under_a_command_is_not_taken_for_its_exit_code(
    project, client
):
    container = client.containers.get(project.service("one").container_id)
    timer = threading.Timer(1, container.restart, kwargs={"timeout": 0})
    timer.start()
    with pytest.raises(MailServerUnreachable) as caught:
        project.execute("one", ["sleep", "300"])
    timer.join()
    assert str(caught.value) == "One stopped while the command sleep in one ran."
    assert project.service("one").is_ready


def test_a_paused_container_is_worth_waiting_for(project, client):
    (container,) = client.containers.list(
        filters={"label": [f"{PROJECT}={project.name}", f"{SERVICE}=one"]}
    )
    container.pause()
    try:
        assert project.service("one").state == "paused"
        with pytest.raises(MailServerUnreachable) as caught:
            project.execute("one", ["true"])
        assert caught.value.retryable
    finally:
        container.unpause()


def test_files_come_and_go(project):
    project.write_file("one", "/tmp/x", b"\0content", uid=65534, gid=7, mode=0o600)
    about = project.execute("one", ["stat", "-c", "%a %u %g", "/tmp/x"]).stdout
    assert (about, project.read_file("one", "/tmp/x")) == (b"600 65534 7\n", b"\0content")
    project.write_file("one", "/tmp/x", b"other", uid=0, gid=0, mode=0o644)
    assert project.read_file("one", "/tmp/x") == b"other"
    project.remove_file("one", "/tmp/x")
    project.remove_file("one", "/tmp/x")
    with pytest.raises(MailServerFailed) as caught:
        project.read_file("one", "/tmp/x")
    assert str(caught.value) == "One holds no file /tmp/x."


def test_volumes_and_mounts_are_places_of_this_host(project):
    project.execute("one", ["sh", "-c", "echo here > /data/file"])
    assert (project.volume("data-vol-1") / "file").read_text() == "here\n"
    assert project.mount_of("one", "/data/") == project.volume("data-vol-1")
    assert project.mount_of("one", "/nowhere") is None
    with pytest.raises(ContainerMissing):
        project.volume("other-vol-1")


def test_starting_waits_for_health_and_no_longer_than_told(project):
    project.stop("two", grace_seconds=1)
    assert project.service("two").state == "exited"
    with pytest.raises(MailServerUnreachable) as caught:
        project.start("two", wait_seconds=1)
    assert str(caught.value) == "Two is running and starting after 1 s."
    project.execute("two", ["touch", "/tmp/well"])
    project.start("two", wait_seconds=30)
    state = project.service("two")
    assert (state.state, state.health, state.is_ready) == ("running", "healthy", True)
    before = state.started_at
    project.restart("two", grace_seconds=1, wait_seconds=30)
    assert project.service("two").started_at > before


def test_a_missing_service_is_known_as_such(project):
    assert project.service("three").state == "missing"
    with pytest.raises(ContainerMissing) as caught:
        project.execute("three", ["true"])
    assert str(caught.value) == f"The project {project.name} has no container of three."


def test_a_project_is_found_by_its_directory_also_through_a_link(name, directory, tmp_path):
    assert find_project(directory).name == name
    (tmp_path / "link").symlink_to(directory)
    found = find_project(tmp_path / "link")
    assert sorted(found.services()) == ["one", "two"]
    found.close()
    with pytest.raises(ContainerMissing):
        find_project(tmp_path)


def test_an_engine_that_is_not_there_is_worth_waiting_for(tmp_path):
    with pytest.raises(MailServerUnreachable) as caught:
        Project("x", base_url=f"unix://{tmp_path}/docker.sock").services()
    assert "the Docker engine does not answer" in str(caught.value)
    assert caught.value.retryable
