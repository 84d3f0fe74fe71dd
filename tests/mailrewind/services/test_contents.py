from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailrewind.errors import RepositoryDamaged
from mailrewind.model.points import PointStatus, RestorePoint
from mailrewind.services.contents import contents
from tests.doubles import MemoryArchives

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
POINT = RestorePoint("p", "office", NOON, PointStatus.COMPLETE, ("mail",), "main")


class DamagedArchives(MemoryArchives):
    """Some messages, and perhaps the list itself, cannot be read; counts its readings."""

    bad = frozenset()
    is_list_bad = False
    readings = 0

    def files(self, archive):
        if self.is_list_bad:
            raise RepositoryDamaged("the list is damaged")
        return super().files(archive)

    def read(self, archive, paths):
        self.readings += 1
        for path, content in super().read(archive, paths):
            if path in self.bad:
                raise RepositoryDamaged("a chunk is missing")
            yield path, content


@pytest.fixture
def archives(tmp_path):
    paths = [f"{tmp_path}/{number:03}"[1:] for number in range(200)]
    for path in paths:
        Path("/", path).write_text(path[-3:])
    archives = DamagedArchives()
    archives.create_from_paths("p-mail", paths)
    archives.paths = paths
    return archives


def test_damaged_messages_cost_no_others(archives):
    archives.bad = frozenset(archives.paths[50:53] + archives.paths[199:])

    read = dict(contents(archives, POINT, archives.paths))

    assert read.keys() == set(archives.paths) - archives.bad


def test_archive_whose_list_is_damaged_is_not_read_again_and_again(archives):
    archives.bad, archives.is_list_bad = frozenset(archives.paths[50:]), True

    read = [path for path, _ in contents(archives, POINT, archives.paths)]

    assert (read, archives.readings) == (archives.paths[:50], 1)
