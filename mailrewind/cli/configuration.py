"""Check the configuration file, describe it to editors, show what it means."""

import click

from mailrewind.cli import show
from mailrewind.cli.grammar import Group
from mailrewind.cli.invocation import Invocation


@click.group(cls=Group)
def config() -> None:
    """Look at the configuration."""


@config.command()
@click.pass_obj
def check(invocation: Invocation) -> None:
    """Say whether the configuration file can be used; secrets are not fetched."""
    loaded = invocation.config
    systems, repositories = len(loaded.systems), len(loaded.repositories)
    if invocation.as_json:
        invocation.print_json(
            {"path": str(loaded.path), "systems": systems, "repositories": repositories}
        )
        return
    show.line(
        f"{loaded.path} is good: {show.count(systems, 'system')}, "
        f"{show.count(repositories, 'repository', 'repositories')}, time zone {loaded.time_zone}."
    )


@config.command()
@click.pass_obj
def schema(invocation: Invocation) -> None:
    """Print the JSON schema of the configuration file, for editors."""
    from mailrewind.config import schema

    invocation.print_json(schema())


@config.command(name="show")
@click.pass_obj
def show_(invocation: Invocation) -> None:
    """Print the configuration with all defaults filled in; of secrets only where they are."""
    import yaml

    loaded = invocation.config
    values = loaded.model_dump(mode="json", exclude_none=True)
    if invocation.as_json:
        invocation.print_json(values)
        return
    show.line(f"# {loaded.path}")
    click.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), nl=False)
