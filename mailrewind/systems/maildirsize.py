"""The file "maildirsize" of Maildir++, in which mail servers other than Dovecot keep a quota."""

import re

from mailrewind.model.mail import Quota

MAILDIRSIZE = "maildirsize"
_LIMIT = re.compile(r"(\d{1,18})([SC])")
_USE = re.compile(r"\s*(-?\d{1,18})\s+(-?\d{1,18})\s*")


def read_maildirsize(content: bytes) -> Quota | None:
    r"""Read a file such as "1000000S,500C\n1234 1\n-34 0\n": limits, then bytes and messages.

    Returns:
        None when there are no limits.
    """
    first, *lines = content.decode(errors="replace").split("\n")
    limits = {unit: int(number) or None for number, unit in _LIMIT.findall(first)}
    if not any(limits.values()):
        return None
    uses = [(int(use[1]), int(use[2])) for line in lines if (use := _USE.fullmatch(line))]
    return Quota(
        used_bytes=sum(use[0] for use in uses),
        limit_bytes=limits.get("S"),
        used_messages=sum(use[1] for use in uses),
        limit_messages=limits.get("C"),
    )
