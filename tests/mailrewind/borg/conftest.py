import os
from dataclasses import replace
from pathlib import Path

import pytest

from mailrewind.borg.repository import BorgRepository, RepositorySettings

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def settings(tmp_path: Path) -> RepositorySettings:
    return RepositorySettings(
        location=str(tmp_path / "borg repository"),
        encryption="repokey-blake2",
        compression="lz4",
        passphrase=lambda: PASSPHRASE,
        lock_wait_seconds=1,
        ssh_command=None,
        remote_path=None,
        base_dir=tmp_path / "base",
    )


@pytest.fixture
def repository(settings: RepositorySettings) -> BorgRepository:
    repository = BorgRepository(settings)
    repository.prepare()
    return repository


@pytest.fixture
def slow(settings: RepositorySettings, repository: BorgRepository) -> BorgRepository:
    """The same repository, whose backups of ``large`` take ten seconds."""
    return BorgRepository(replace(settings, compression="lzma,9"))


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    root = tmp_path / "mail"
    (root / "cur").mkdir(parents=True)
    (root / "cur" / "letter").write_bytes(b"Subject: hi\n\nhello\n")
    return root


@pytest.fixture
def large(tmp_path: Path) -> Path:
    root = tmp_path / "large"
    root.mkdir()
    for number in range(30):
        (root / f"attachment {number}").write_bytes(os.urandom(1_000_000))
    return root
