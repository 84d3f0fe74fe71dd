"""Where things lie: relative paths, the machine's time zone, the data directory."""

import os
import re
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, ValidationInfo

SYSTEM_DATA_DIR = Path("/var/lib/mailrewind")

# borg's own rule: a URL, or host:path with the colon before the first slash, is elsewhere.
_REMOTE = re.compile(r"^([a-z]+://|[^/]+:)")


def _placed(path: Path, info: ValidationInfo) -> Path:
    """Read a relative path from the folder of the configuration file."""
    folder = (info.context or {}).get("folder")
    return path if folder is None else folder / path


PlacedPath = Annotated[Path, AfterValidator(_placed)]


def placed_location(location: str, info: ValidationInfo) -> str:
    """Make a repository's location absolute if it is a relative path of this machine."""
    if "{" in location or "}" in location:
        raise ValueError("a location without braces, which borg takes for placeholders")
    if _REMOTE.match(location):
        return location
    return str(_placed(Path(location), info))


def machine_zone() -> str:
    """Return the name of the machine's time zone, or UTC if it has none that is known."""
    candidates = [os.environ.get("TZ", "").lstrip(":")]
    localtime = Path("/etc/localtime").resolve()
    candidates.append(str(localtime).partition("zoneinfo/")[2])
    return next((name for name in candidates if is_zone(name)), "UTC")


def is_zone(name: str) -> bool:
    """Whether this is the IANA name of a time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, "" or "../x", a folder such as "Europe"
        return False
    return True


def default_data_dir(folder: Path | None = None) -> Path:
    """Return where our data lies if the configuration does not say it.

    Args:
        folder: The configuration file's; a checkout of this product keeps its data to itself.
    """
    folder = folder or Path.cwd()
    is_checkout = (folder / "prefect.yaml").is_file() and (folder / "mailrewind").is_dir()
    return folder / ".mailrewind" if is_checkout else SYSTEM_DATA_DIR
