import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailrewind.systems import renaming

Exchange = Callable[[int, str, int, str], None]


@contextmanager
def opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    for name, content in (("living/ada", "now"), ("copies/then", "then")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "mail").write_text(content)
    return tmp_path / "living", tmp_path / "copies"


@pytest.mark.parametrize(
    "exchange",
    [renaming.exchange, renaming._exchange_slowly],  # the second is for file systems like NFS
    ids=["at once", "by three renames"],
)
def test_each_directory_gets_the_others_place(exchange: Exchange, two: tuple[Path, Path]) -> None:
    living, copies = two
    with opened(living) as one, opened(copies) as other:
        exchange(one, "ada", other, "then")
    assert (living / "ada" / "mail").read_text() == "then"
    assert (copies / "then" / "mail").read_text() == "now"
    assert [path.name for path in (*living.iterdir(), *copies.iterdir())] == ["ada", "then"]


@pytest.mark.parametrize("exchange", [renaming.exchange, renaming._exchange_slowly])
def test_without_the_second_the_first_stays(exchange: Exchange, two: tuple[Path, Path]) -> None:
    living, copies = two
    with opened(living) as one, opened(copies) as other, pytest.raises(FileNotFoundError):
        exchange(one, "ada", other, "gone")
    assert (living / "ada" / "mail").read_text() == "now"
