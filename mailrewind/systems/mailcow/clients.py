"""MariaDB's own programs inside the database's container: what they are called, how they log in."""

from collections.abc import Sequence

from mailrewind.errors import MailServerFailed
from mailrewind.transports.containers import Project

SERVICE = "mysql-mailcow"
# One row may hold a message in quarantine.
LARGEST_ROW = "--max-allowed-packet=1G"
CHARACTERS = "--default-character-set=utf8mb4"


def program(project: Project, names: Sequence[str]) -> str:
    """Return the first of some names that the container has a program of.

    Images older than MariaDB 10.5 know the names of MySQL only, newer than 11 only their own.

    Raises:
        MailServerUnreachable: The container does not run.
        MailServerFailed: It has none of them.
    """
    *others, last = names
    for name in others:
        try:
            if project.execute(SERVICE, [name, "--version"]).returncode == 0:
                return name
        except MailServerFailed:  # no program of this name
            continue
    return last


def login(user: str, password: str) -> bytes:
    """Return an option file that logs a user in; it is read from the standard input.

    A password among the arguments, or in the environment, could be read by others in the container.
    """
    escaped = password.replace("\\", "\\\\").replace('"', '\\"')
    return f'[client]\nuser="{user}"\npassword="{escaped}"\n'.encode()
