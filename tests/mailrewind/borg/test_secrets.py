import contextlib
import logging
import os
from pathlib import Path

import pytest

from mailrewind.borg.process import run_borg
from mailrewind.errors import MailrewindError
from mailrewind.ports import Capture, Progress
from tests.mailrewind.borg.conftest import PASSPHRASE


def places_in_proc(secret: bytes) -> list[str]:
    """Every process that shows the secret in its command line or its environment."""
    own = f"/proc/{os.getpid()}/"
    found = []
    for kind in ("cmdline", "environ"):
        for path in Path("/proc").glob(f"[0-9]*/{kind}"):
            with contextlib.suppress(OSError):
                if secret in path.read_bytes() and not str(path).startswith(own):
                    found.append(str(path))
    return found


def test_passphrase_shows_nowhere(slow, repository, large, mail, caplog, tmp_path, monkeypatch):
    monkeypatch.setenv("OUR_PASSPHRASE", PASSPHRASE)
    caplog.set_level(logging.DEBUG)
    looked: list[list[str]] = []

    def look(_: Progress) -> None:
        looked.append(places_in_proc(PASSPHRASE.encode()))
        if len(looked) == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        slow.create("slow", Capture((large,), ()), report=look)
    repository.create("first", Capture((mail,), ()))
    with pytest.raises(MailrewindError) as raised:
        run_borg(repository.settings, ["create", "--no-such-option", "--", "x"])

    assert looked == [[], [], []]
    assert "running" in caplog.text
    assert "borg: TAM-verified" in caplog.text
    assert PASSPHRASE not in caplog.text + str(raised.value)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if PASSPHRASE.encode() in path.read_bytes()] == []
