"""Prefect's side: it lives in programs of its own, which replace this one."""

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import click

from mailrewind.cli.grammar import Command
from mailrewind.cli.invocation import Invocation


@click.command(cls=Command)
@click.option("--foreground", is_flag=True, help="Stay, as a service manager wants it.")
@click.pass_obj
def up(invocation: Invocation, *, foreground: bool) -> None:
    """Start Prefect's server, the deployments, the worker and their supervisor."""
    _become(invocation, "deployments.stack", "up", *(["--foreground"] if foreground else []))


@click.command(cls=Command)
@click.option("--now", is_flag=True, help="Do not wait for running flows: end them.")
@click.option(
    "--wait",
    "wait_seconds",
    type=click.IntRange(min=0),
    default=900,
    show_default=True,
    metavar="SECONDS",
    help="End flows that run on after so long.",
)
@click.pass_obj
def down(invocation: Invocation, *, now: bool, wait_seconds: int) -> None:
    """Stop what `up` has started, once the running flows have ended."""
    wait = ["--wait", str(wait_seconds)]
    _become(invocation, "deployments.stack", "down", *(["--now"] if now else wait))


@click.command(cls=Command)
@click.option("--dry-run", is_flag=True, help="Only show the difference.")
@click.pass_obj
def deploy(invocation: Invocation, *, dry_run: bool) -> None:
    """Tell Prefect the deployments of the configured systems; only what differs is written."""
    _become(invocation, "deployments.apply", *(["--dry-run"] if dry_run else []))


def _become(invocation: Invocation, module: str, *words: str) -> NoReturn:
    """Replace this process: signals, terminal and exit code need nobody in between."""
    path: Path = invocation.config.path
    # A shell starts what it puts into the background with SIGINT ignored, that is inherited, and
    # a Prefect worker with SIGINT ignored cannot be stopped.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.stdout.flush()
    sys.stderr.flush()
    # -P: a folder named like one of our packages, where the operator stands, is none of ours.
    argv = [sys.executable, "-P", "-m", module, *words, "--config", str(path)]
    os.execv(sys.executable, argv)
