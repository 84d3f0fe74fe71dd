from pathlib import Path

import pytest

from mailrewind.borg import commands


def test_delete_without_names_would_delete_the_repository_and_is_refused():
    with pytest.raises(ValueError, match="whole repository"):
        commands.delete("/srv/repository", [])


def test_export_without_paths_would_give_everything_and_is_refused():
    with pytest.raises(ValueError, match="whole archive"):
        commands.export_tar("/srv/repository", "a", [], patterns=Path("/dev/null"))


def test_create_names_its_options_before_the_paths():
    command = commands.create(
        "/srv/repository",
        "office-2026-11-20T12:14:00Z-mail",
        [Path("/var/vmail")],
        excludes=["fm:*/tmp/*", "-x"],
        compression="zstd,3",
    )

    assert command == [
        "create",
        "--json",
        "--comment=mailrewind",
        "--files-cache=ctime,size,inode",
        "--progress",
        "--checkpoint-interval=600",
        "--compression=zstd,3",
        "--exclude=fm:*/tmp/*",
        "--exclude=-x",
        "--",
        "/srv/repository::office-2026-11-20T12:14:00Z-mail",
        "/var/vmail",
    ]


@pytest.mark.parametrize(
    "command",
    [
        commands.init("-x", "none"),
        commands.set_segment_size("-x", 5),
        commands.create("-x", "a", [Path("-x")], excludes=(), compression="lz4"),
        commands.create_from_stdin("-x", "a", compression="lz4"),
        commands.list_archives("-x"),
        commands.list_files("-x", "a"),
        commands.export_tar("-x", "a", ["-x"], patterns=Path("/dev/fd/5")),
        commands.extract("-x", "a", ["-x"], strip=0, progress=True),
        commands.extract_to_stdout("-x", "a", "-x"),
        commands.create_from_command("-x", "a", ["-x"], path="a", compression="lz4"),
        commands.info("-x"),
        commands.delete("-x", ["-x"]),
        commands.compact("-x"),
        commands.check("-x", verify_data=True),
        commands.break_lock("-x"),
        commands.key_export("-x", Path("-x"), form="paper"),
        commands.key_import("-x", Path("-x")),
    ],
    ids=lambda command: command[0],
)
def test_nothing_from_outside_can_become_an_option(command):
    assert not [a for a in command[: command.index("--")] if a.endswith("-x")]


@pytest.mark.parametrize("path", ["a b", " a", "#a", "+ pf:a", "é\U0001f4e8", "-", "{now}", "*"])
def test_literal_path_stands_in_a_pattern_line(path):
    assert commands.fits_pattern_line(path)
    assert commands.pattern_line(path) == f"+ pf:{path}\n"


@pytest.mark.parametrize("path", ["a\nb", "a\rb", "a ", "a\u3000", "a\t", "\udcff", ""])
def test_path_that_a_pattern_line_would_change_does_not_fit(path):
    assert not commands.fits_pattern_line(path) or not path
