"""`make stack-mailcow`: run the mailcow of the tests until Ctrl-C, with some mail to try things on.

`make stack-mailcow-down` ends it from another terminal, or removes what a killed one left.
"""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import docker

from tests.stacks.mailcow import images
from tests.stacks.mailcow.containers import PROJECT, remove_project
from tests.stacks.mailcow.samples import contact, event, message
from tests.stacks.mailcow.stack import MailcowStack

NAME = "mailrewindmailcow"
PASSWORD = "mailrewind"
ADA = "ada@example.org"
ADDRESSES = (ADA, "john.doe@example.org", "johndoe@example.org")


def main(arguments: list[str]) -> int:
    """Run the stack ("up"), remove it ("down"), or only build its images; return the exit code."""
    try:
        return {"up": _up, "down": _down, "images": _images}[arguments[0]]()
    except images.NoStack as error:
        print(error, file=sys.stderr)
        return 1


def _up() -> int:
    images.ensure_engine()
    if _is_running():
        print("It runs already; make stack-mailcow-down ends it.", file=sys.stderr)
        return 1
    _images()
    with _until_told(), MailcowStack(project=NAME) as stack:
        _fill(stack)
        print(_told(stack))
        while _is_running():
            time.sleep(1)
    return 0


def _down() -> int:
    with _engine() as client:
        remove_project(client, NAME)
    return 0


def _images() -> int:
    images.ensure_engine()
    with _engine() as client:
        if not images.are_there(client):
            print("Building the images of the test mailcow, once; it takes some minutes …")
            images.ensure_images(client)
    return 0


def _is_running() -> bool:
    with _engine() as client:
        label: dict[str, str | list[str] | bool] = {"label": f"{PROJECT}={NAME}"}
        return bool(client.containers.list(filters=label, ignore_removed=True))


def _fill(stack: MailcowStack) -> None:
    for address in ADDRESSES:
        stack.add_mailbox(address, PASSWORD)
        inbox = [message(f"Letter {number} to {address}") for number in range(1, 21)]
        stack.deliver(address, "INBOX", inbox)
        offers = [message(f"Offer {number}", size=4000) for number in range(1, 11)]
        stack.deliver(address, "Projects/ACME", offers, flags=("\\Seen", "urgent"))
        stack.put_event(address, "personal", "lunch.ics", event("lunch", "Lunch with Zoë"))
        stack.put_contact(address, "personal", "zoe.vcf", contact("zoe", "Zoë Quinn"))


def _told(stack: MailcowStack) -> str:
    settings = stack.configuration
    return f"""
A mailcow runs, and holds three mailboxes with mail, an event and a contact each.

  directory   {stack.directory}
  project     {stack.project}
  mailboxes   {", ".join(ADDRESSES)}; password: {PASSWORD}
  IMAP        {settings["IMAP_PORT"]}
  API         http://{settings["HTTP_BIND"]}:{settings["HTTP_PORT"]}/api/v1/, key in mailcow.conf
  SOGo's DAV  http://{stack.groupware.address}:20000/SOGo/dav/, user in x-webobjects-remote-user

Three lines for the `systems:` of a mailrewind.yaml:

  office:
    kind: mailcow
    directory: {stack.directory}
    repository: main

Ctrl-C, or make stack-mailcow-down, removes it with all it holds."""


@contextmanager
def _engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _until_told() -> Iterator[None]:
    """Leave the block quietly when the user says so."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        print("\nRemoved.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
