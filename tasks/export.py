"""The steps of exporting calendars and contacts."""

from tasks.artifacts import publish
from tasks.initiator import initiator
from tasks.pages import export_page
from tasks.policy import step
from tasks.progress import shown_progress
from tasks.services import services
from tasks.words import count


@step("systems with SOGo")
def systems_with_sogo() -> list[str]:
    """Return the names of the configured systems that have SOGo."""
    return services().config.names_of(["mailcow"])


@step("export calendars of {system}")
def export_sogo_of(system: str, users: list[str]) -> str:
    """Export users, all without any; return the name of what is kept."""
    with shown_progress(f"Exporting calendars of {system}") as report:
        done = services().exports.run(system, users, initiator=initiator(), report=report)
    page = export_page(done, services().exports.kept(system), zone=services().config.zone)
    exported = f"{count(len(done.renewed), 'user')} of {len(done.users):,} exported anew"
    publish(f"export-{system}", page, description=exported)
    return done.name
