"""A backup of mail that is mounted read-only, as a careful operator mounts it into a container."""

import logging
import os
import subprocess
from collections.abc import Iterator
from errno import EROFS
from pathlib import Path

import pytest

from mailrewind.model.points import PointStatus
from tests.office import ADA, Office


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Office]:
    """An office whose mail nobody may write, and some of which is archived in a second pass."""
    office = Office(tmp_path / "office")
    office.add_many(20)
    uidlist = "3 V1700000000 N2 G00000000000000000000000000000000\n"
    (office.maildir(ADA) / "dovecot-uidlist").write_text(uidlist)
    mail = str(office.root / "mail")
    subprocess.run(["mount", "--bind", mail, mail], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", mail], check=True)
    yield office
    subprocess.run(["umount", "--lazy", mail], check=True)


def test_mail_that_is_mounted_read_only_is_backed_up_whole(
    read_only: Office, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(OSError, match=os.strerror(EROFS)):
        (read_only.root / "mail" / "new").touch()

    with caplog.at_level(logging.WARNING):
        name = read_only.back_up()

    (point,) = read_only.services.state.points("office")
    assert (point.name, point.status) == (name, PointStatus.COMPLETE)
    assert point.parts == ("mail", "late1")
    index = read_only.services.state.backup_report(name).index
    assert index is not None
    assert index.messages == 20
    assert "messages cannot be held still" in caplog.text
