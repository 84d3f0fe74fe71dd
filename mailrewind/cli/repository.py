"""Look at a borg repository, and the rare deeds that it may need."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailrewind.cli import options, shapes, show
from mailrewind.cli.bar import bar
from mailrewind.cli.grammar import Group
from mailrewind.cli.invocation import Invocation
from mailrewind.errors import RepositoryMissing
from mailrewind.model.exports import exports_among
from mailrewind.model.points import PointStatus, RestorePoint

if TYPE_CHECKING:
    from mailrewind.borg.keys import KeyForm

_KEPT_APART = (
    "Keep a copy of the key away from this machine, and a copy of the passphrase elsewhere: "
    "neither opens the repository without the other."
)


@click.group(cls=Group)
def repository() -> None:
    """Create a borg repository, look at it and look after it; NAME is that of the configuration."""


@repository.command()
@click.argument("name")
@click.pass_obj
def init(invocation: Invocation, name: str) -> None:
    """Create the repository at its configured location; one that is there is left as it is."""
    archives = invocation.services.archives(name)
    try:
        archives.names()
        is_new = False
    except RepositoryMissing:
        archives.prepare()
        is_new = True
    location = archives.settings.location
    if invocation.as_json:
        invocation.print_json({"name": name, "location": location, "created": is_new})
        return
    show.line(f"{name} {'is created' if is_new else 'is there already'}: {location}")
    if is_new:
        _say_what_to_keep(invocation, name)


@repository.command()
@click.argument("system")
@click.pass_obj
def adopt(invocation: Invocation, system: str) -> None:
    """Know the restore points of SYSTEM that stand in its repository, as on a new machine.

    What is known already stays as it is; the catalogue catches up afterwards.
    """
    services = invocation.services
    done = services.adopt.run(system)
    points = services.state.points(system)
    if done.adopted:
        with bar() as report:
            services.back_up.index(points[-1].name, report=report)
    if invocation.as_json:
        invocation.print_json(shapes.adopt_report(done))
        return
    adopted = show.count(len(done.adopted), "restore point")
    show.line(f"{adopted} adopted, {done.known} known before.")
    for finding in done.findings:
        show.line(f"Finding: {finding.subject} {finding.text}")


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
    exports = _exports(invocation, name, names)
    show.table(
        ("Archive", "Belongs to", "Status"),
        [
            (archive, owners[archive].name, owners[archive].status.value)
            if archive in owners
            else (archive, "kept export" if archive in exports else "none of ours", "")
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
    """Remove the lock that a dead process has left; a living one on this machine keeps its own.

    Without --yes only the lock of a process that is known to be dead is removed.
    """
    archives = invocation.services.archives(name)
    holder = archives.lock_holder()
    if not yes and not (holder and holder.is_here):
        held = f" It is held by {holder}." if holder else ""
        show.line(f"Would remove the locks of {name}: {archives.settings.location}.{held}")
        show.line("Make sure that no borg works on it anywhere: two writers at once damage it.")
        command = invocation.command("repository", "break-lock", name, "--yes")
        show.line(f"Nothing has been changed. Do it with: {command}")
        return
    archives.break_lock()
    show.line(f"{name} is unlocked.")


@repository.command(name="export-key")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--paper", is_flag=True, help="Lines to print; without FILE they are shown.")
@click.option("--qr-html", is_flag=True, help="A page with QR codes, to open and print.")
@click.pass_obj
def export_key(
    invocation: Invocation, name: str, file: Path | None, *, paper: bool, qr_html: bool
) -> None:
    """Write a copy of the encryption key into a new FILE; without key or passphrase all is lost."""
    if paper and qr_html:
        raise click.UsageError("Either --paper or --qr-html.")
    if file is None and not paper:
        raise click.UsageError("Missing argument 'FILE'; only --paper can do without.")
    archives = invocation.services.archives(name)
    if file is None:
        click.echo(archives.key_on_paper())
    else:
        form: KeyForm = "paper" if paper else "qr-html" if qr_html else "file"
        archives.export_key(file.absolute(), form=form)
    # On standard error, so that it gets neither on the paper nor into a pipe.
    click.echo(f"The key of {name} is {f'in {file}' if file else 'above'}.", err=True)
    click.echo(_KEPT_APART, err=True)


@repository.command(name="import-key")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def import_key(invocation: Invocation, name: str, file: Path) -> None:
    """Bring the key back from FILE, which export-key wrote or somebody typed from the paper."""
    invocation.services.archives(name).import_key(file.absolute())
    show.line(f"The key of {name} is back, and the passphrase opens it.")


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


def _say_what_to_keep(invocation: Invocation, name: str) -> None:
    encryption = invocation.config.repository(name).encryption
    if encryption == "none":
        return
    is_here = encryption.startswith("keyfile")
    show.line(f"Its key lies {'on this machine only' if is_here else 'in the repository'}.")
    show.line(_KEPT_APART)
    command = invocation.command("repository", "export-key", name, f"{name}.borgkey")
    show.line(f"Export the key with: {command}")


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


def _exports(invocation: Invocation, repository: str, names: Sequence[str]) -> set[str]:
    """Return those of the archives that are exports of calendars and contacts."""
    return {
        export.name
        for system, configured in invocation.config.systems.items()
        if configured.repository == repository
        for export in exports_among(names, configured.archive_prefix or system)
    }


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
