from pathlib import Path

from tools.bench_dump import main, write_dumps


def test_dumps_are_the_same_each_time_and_differ_in_so_many_rows(tmp_path: Path) -> None:
    places = [tmp_path / "one", tmp_path / "two"]
    for place in places:
        place.mkdir()
    one, two = (write_dumps(place, size_bytes=2_000_000, changed=7) for place in places)

    assert [dump.read_text() for dump in one] == [dump.read_text() for dump in two]
    first, second = (dump.read_text().splitlines() for dump in one)
    assert sum(a != b for a, b in zip(first, second, strict=True)) == 7
    assert first[-1] == "-- Dump completed"


def test_comparison_is_printed(capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["bench_dump", "--megabytes", "8", "--changed-rows", "3"])

    assert main() == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("3 changed rows")
    assert float(lines[-1].rpartition(" ")[2]) > 5
