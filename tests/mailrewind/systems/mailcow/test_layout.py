"""Where a mailcow's mailboxes lie, in the living volume and in archives."""

from pathlib import Path

import pytest

from mailrewind.systems.mailcow.layout import Layout

ROOT = "var/lib/docker/volumes/mailcowdockerized_vmail-vol-1/_data"


@pytest.mark.parametrize("subdirectory", ["Maildir", ""])
@pytest.mark.parametrize(
    "root",
    [
        ROOT,
        "var/lib/docker/volumes/old-name_vmail-vol-1/_data",
        "srv/docker/volumes/mailcowdockerized_vmail-vol-1/_data",
    ],
)
def test_archived_mail_is_known_wherever_the_volume_lay(root: str, subdirectory: str) -> None:
    tree = Layout(Path("/", ROOT), subdirectory, "Dovecot").places.tree
    home = "/".join(filter(None, [root, "example.org/ada", subdirectory]))
    place = tree.locate(f"{home}/.Sent/cur/1.a:2,S")
    assert place is not None
    assert (place.mailbox, place.directory, place.rest) == (
        "ada@example.org",
        ".Sent",
        "cur/1.a:2,S",
    )
    for other in ("_garbage/17_exampleorgada", "sieve/ada", "_garbage/mailrewind-staging"):
        elsewhere = "/".join(filter(None, [root, other, subdirectory]))
        assert tree.locate(f"{elsewhere}/cur/1.a:2,S") is None


def test_mail_of_another_volume_is_none() -> None:
    tree = Layout(Path("/", ROOT), "Maildir", "Dovecot").places.tree
    index = ROOT.replace("vmail-vol-1", "vmail-index-vol-1")
    assert tree.locate(f"{index}/example.org/ada/Maildir/cur/1.a:2,S") is None
