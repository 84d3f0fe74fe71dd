"""Look at a borg repository, and the rare deeds that it may need."""

from collections.abc import Sequence
from pathlib import Path

import click

from mailrewind.cli import options, shapes, show
from mailrewind.cli.bar import bar
from mailrewind.cli.grammar import Group
from mailrewind.cli.invocation import Invocation
from mailrewind.errors import RepositoryMissing
from mailrewind.model.points import PointStatus, RestorePoint


@click.group(cls=Group)
def repository() -> None:
    """Look at the borg repository NAME, as the configuration calls it."""


@repository.command(name="list")
@click.argument("name")
@click.option(
    "--accept-moved", is_flag=True, help="First take it for the one that lay elsewhere before."
)
@click.pass_obj
def list_(invocation: Invocation, name: str, *, accept_moved: bool) -> None:
    """List the archives, and the restore points that they belong to."""
    names = _accepted(invocation, name) if accept_moved else _names(invocation, name)
    owners = _owners(invocation, name)
    if invocation.as_json:
        rows = [
            {
                "archive": archive,
                "point": owners[archive].name if archive in owners else None,
                "status": owners[archive].status.value if archive in owners else None,
            }
            for archive in names
        ]
        invocation.print_json(rows)
        return
    show.table(
        ("Archive", "Restore point", "Status"),
        [
            (archive, owners[archive].name, owners[archive].status.value)
            if archive in owners
            else (archive, "none of ours", "")
            for archive in names
        ],
    )


@repository.command()
@click.argument("name")
@click.pass_obj
def info(invocation: Invocation, name: str) -> None:
    """Show size, encryption and identity."""
    info = invocation.services.archives(name).info()
    if invocation.as_json:
        invocation.print_json(
            {
                "name": name,
                "id": info.id,
                "location": info.location,
                "encryption": info.encryption,
                "modified": shapes.moment(info.modified),
                "original_bytes": info.original_bytes,
                "stored_bytes": info.stored_bytes,
            }
        )
        return
    modified = show.moment(info.modified, invocation.zone)
    show.facts(
        [
            ("Repository", name),
            ("Location", info.location),
            ("Identity", info.id),
            ("Encryption", info.encryption),
            ("Last written", f"{modified}, {show.age(info.modified, invocation.now)}"),
            ("All archives", show.size(info.original_bytes)),
            ("On the disk", show.size(info.stored_bytes)),
        ]
    )


@repository.command(name="break-lock")
@click.argument("name")
@options.yes
@click.pass_obj
def break_lock(invocation: Invocation, name: str, *, yes: bool) -> None:
    """Remove the lock that a dead process has left; a living one on this machine keeps its own."""
    location = invocation.config.repository(name).location
    if not yes:
        show.line(f"Would remove the locks of {name}: {location}")
        show.line("Make sure that no borg works on it anywhere: two writers at once damage it.")
        command = invocation.command("repository", "break-lock", name, "--yes")
        show.line(f"Nothing has been changed. Do it with: {command}")
        return
    invocation.services.archives(name).break_lock()
    show.line(f"{name} is unlocked.")


@repository.command(name="export-key")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def export_key(invocation: Invocation, name: str, file: Path) -> None:
    """Write a copy of the encryption key into a new FILE; without key or passphrase all is lost."""
    invocation.services.archives(name).export_key(file.absolute())
    show.line(f"The key of {name} is in {file}. Keep it away from this machine, with a copy of")
    show.line("the passphrase: neither opens the repository without the other.")


@repository.command()
@click.argument("name")
@click.option("--verify-data", is_flag=True, help="Read all content as well; takes long.")
@click.pass_obj
def check(invocation: Invocation, name: str, *, verify_data: bool) -> None:
    """Look for damage; nothing is repaired."""
    with bar() as report:
        invocation.services.archives(name).check(verify_data=verify_data, report=report)
    if invocation.as_json:
        invocation.print_json({"name": name, "is_sound": True, "data_verified": verify_data})
        return
    show.line(f"{name} is sound{', with all content' if verify_data else ''}.")


def _names(invocation: Invocation, name: str) -> Sequence[str]:
    return invocation.services.archives(name).names()


def _accepted(invocation: Invocation, name: str) -> Sequence[str]:
    """Take what is there, be it nothing, for ours from now on, and return its archives."""
    invocation.services.archives(name).accept_moved()
    try:
        return _names(invocation, name)
    except RepositoryMissing as error:
        click.echo(f"{error} The next backup makes a new one.", err=True)
        return ()


def _owners(invocation: Invocation, repository: str) -> dict[str, RestorePoint]:
    """Map each archive that belongs to a restore point to that point."""
    state = invocation.services.state
    return {
        archive: point
        for system, configured in invocation.config.systems.items()
        if configured.repository == repository
        for point in state.points(system, tuple(PointStatus))
        for archive in point.archives
    }
