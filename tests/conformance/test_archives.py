"""One suite for every kind of archives: an adapter adds a class with one fixture."""

import os
import stat
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailrewind.borg.repository import BorgRepository, RepositorySettings
from mailrewind.errors import (
    ArchiveExists,
    ArchiveMissing,
    ArchivePathMissing,
    DumpFailed,
    SourceMissing,
)
from mailrewind.model.reports import Finding
from mailrewind.ports import ArchivedFile, Archives, Capture, Progress
from tests.doubles import MemoryArchives

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NASTY_NAMES = [
    b"plain",
    b" leading blank",
    b"trailing blank ",
    "trailing ideographic space\u3000".encode(),
    b"two\nlines",
    b"carriage\rreturn",
    b"-dash",
    b"--bypass-lock",
    b"# comment",
    b"+ pf:plain",
    b"re:.*",
    b"*",
    b"{now}",
    b"quotes \"'` and $(id) ; & | > \\",
    b"1700000000.M1P1.host,S=5,W=6:2,FS",
    b"not utf-8 \xff\xfe\x80",
    "Gelöschte Objekte \U0001f4e8".encode(),
    b"n" * 255,
]


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    root = tmp_path / "mail tree"
    (root / "deep" / "er").mkdir(parents=True)
    for name in NASTY_NAMES:
        (root / os.fsdecode(name)).write_bytes(b"content of " + name)
    (root / "deep" / "er" / "empty").touch()
    (root / "deep" / "large").write_bytes(os.urandom(3_000_000))
    return root


def stored(path: Path) -> str:
    return str(path).lstrip("/")


def whole(*roots: Path) -> Capture:
    return Capture(roots, ())


def regular_files(root: Path) -> dict[str, bytes]:
    return {stored(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def as_listed(path: Path) -> ArchivedFile:
    status = path.lstat()
    modified = EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return ArchivedFile(stored(path), stat.filemode(status.st_mode)[0], size, modified)


class ArchivesContract:
    @pytest.fixture
    def archives(self, tmp_path: Path) -> Archives:
        """A prepared repository without archives."""
        raise NotImplementedError

    def test_what_was_written_reads_back_byte_for_byte(self, archives, mail):
        archives.create("first", whole(mail))

        expected = regular_files(mail)
        assert dict(archives.read("first", list(expected))) == expected

    def test_listing_shows_everything_as_it_lay(self, archives, mail):
        (mail / "link").symlink_to("plain")
        os.mkfifo(mail / "pipe")
        for microseconds, path in enumerate([mail, *mail.rglob("*")], 1_700_000_000_123_456):
            os.utime(path, ns=(0, microseconds * 1000), follow_symlinks=False)
        expected = [mail, *mail.rglob("*")]

        archives.create("first", whole(mail))

        listed = sorted(archives.files("first"), key=lambda file: file.path)
        assert listed == sorted(map(as_listed, expected), key=lambda file: file.path)

    def test_statistics_count_files_and_bytes(self, archives, mail):
        statistics, findings = archives.create("first", whole(mail))

        assert statistics.archive == "first"
        assert statistics.files == len(NASTY_NAMES) + 2
        assert statistics.original_bytes > 3_000_000
        assert findings == []

    def test_progress_is_reported_in_bytes(self, archives, mail):
        heard: list[Progress] = []
        archives.create("first", whole(mail), report=heard.append)

        assert heard
        assert {progress.unit for progress in heard} == {"bytes"}

    def test_preparing_again_leaves_archives_alone(self, archives, mail):
        archives.create("first", whole(mail))
        archives.prepare()

        assert list(archives.names()) == ["first"]

    def test_existing_archive_is_neither_replaced_nor_changed(self, archives, mail):
        archives.create("first", whole(mail))
        before = regular_files(mail)
        (mail / "plain").write_bytes(b"later")

        with pytest.raises(ArchiveExists, match="first"):
            archives.create("first", whole(mail))
        with pytest.raises(ArchiveExists, match="first"):
            archives.create_from_paths("first", [stored(mail / "plain")])

        assert dict(archives.read("first", list(before))) == before

    def test_missing_archive_has_its_own_error(self, archives):
        with pytest.raises(ArchiveMissing, match="nope"):
            list(archives.files("nope"))
        with pytest.raises(ArchiveMissing, match="nope"):
            list(archives.read("nope", ["some/path"]))

    def test_path_that_the_archive_does_not_hold_is_left_out(self, archives, mail):
        archives.create("first", whole(mail))
        wanted = [stored(mail / "gone"), stored(mail / "plain"), "", "/", "..", "gone\n"]

        assert list(archives.read("first", wanted)) == [
            (stored(mail / "plain"), b"content of plain")
        ]

    def test_reading_nothing_gives_nothing(self, archives, mail):
        archives.create("first", whole(mail))

        assert list(archives.read("first", [])) == []

    def test_only_regular_files_have_content(self, archives, mail):
        (mail / "link").symlink_to("plain")
        os.mkfifo(mail / "pipe")
        archives.create("first", whole(mail))
        wanted = [stored(mail), *(stored(mail / name) for name in ("link", "pipe", "deep"))]

        assert list(archives.read("first", wanted)) == []

    def test_every_name_of_a_hard_linked_file_has_the_content(self, archives, mail):
        names = [f"copy {number}" for number in range(5)]
        for name in names:
            (mail / "deep" / name).hardlink_to(mail / "plain")
        archives.create("first", whole(mail))
        wanted = [stored(mail / "plain"), *(stored(mail / "deep" / name) for name in names)]

        assert dict(archives.read("first", wanted)) == dict.fromkeys(wanted, b"content of plain")

    def test_each_name_of_a_hard_linked_file_can_be_read_alone(self, archives, mail):
        (mail / "deep" / "copy").hardlink_to(mail / "plain")
        (mail / "deep" / "er" / "copy").hardlink_to(mail / "plain")
        archives.create("first", whole(mail))
        names = (mail / "plain", mail / "deep" / "copy", mail / "deep" / "er" / "copy")

        read = [list(archives.read("first", [stored(path)])) for path in names]

        assert read == [[(stored(path), b"content of plain")] for path in names]

    def test_every_name_of_a_hard_linked_file_is_listed_with_its_size(self, archives, mail):
        nasty = mail / os.fsdecode(b"not utf-8 \xff\xfe\x80")
        (mail / "deep" / "copy").hardlink_to(nasty)
        archives.create("first", whole(mail))

        sizes = {file.path: file.size_bytes for file in archives.files("first")}

        size = nasty.stat().st_size
        assert (sizes[stored(nasty)], sizes[stored(mail / "deep" / "copy")]) == (size, size)

    def test_excluded_directories_are_left_out(self, archives, mail):
        archives.create("first", Capture((mail,), (f"pp:{mail}/deep",)))

        paths = {file.path for file in archives.files("first")}
        assert paths == {stored(mail), *(stored(mail / os.fsdecode(name)) for name in NASTY_NAMES)}

    def test_several_roots_stand_in_one_archive(self, archives, tmp_path):
        roots = (tmp_path / "one", tmp_path / "two")
        for root in roots:
            root.mkdir()
            (root / "letter").write_bytes(root.name.encode())
        archives.create("first", whole(*roots))

        wanted = [stored(root / "letter") for root in roots]
        assert dict(archives.read("first", wanted)) == dict(
            zip(wanted, (b"one", b"two"), strict=True)
        )

    def test_missing_root_fails_and_leaves_no_archive(self, archives, mail, tmp_path):
        with pytest.raises(SourceMissing, match="nowhere"):
            archives.create("first", whole(mail, tmp_path / "nowhere"))

        assert list(archives.names()) == []

    def test_root_that_is_a_symbolic_link_fails(self, archives, mail, tmp_path):
        (tmp_path / "short").symlink_to(mail)

        with pytest.raises(SourceMissing, match="short"):
            archives.create("first", whole(tmp_path / "short"))

    def test_exactly_the_given_paths_are_archived(self, archives, mail):
        (mail / "carriage\rreturn").unlink()
        expected = {stored(path): path.read_bytes() for path in mail.iterdir() if path.is_file()}

        statistics, findings = archives.create_from_paths("late", list(expected))

        assert {file.path for file in archives.files("late")} == set(expected)
        assert dict(archives.read("late", list(expected))) == expected
        assert (statistics.files, findings) == (len(expected), [])

    def test_path_behind_a_dot_is_all_that_the_archive_shows(self, archives, mail):
        held = mail / "deep" / "er" / "held"
        held.mkdir()
        (held / "message").write_bytes(b"held still")

        archives.create_from_paths("late", [f"{stored(held)}/./message"])

        assert dict(archives.read("late", ["message"])) == {"message": b"held still"}
        assert [file.path for file in archives.files("late")] == ["message"]

    def test_vanished_path_is_a_finding(self, archives, mail):
        paths = [stored(mail / "plain"), stored(mail / "cur: renamed")]

        _, findings = archives.create_from_paths("late", paths)

        assert findings == [Finding(str(mail / "cur: renamed"), "vanished before borg had read it")]
        assert [file.path for file in archives.files("late")] == [stored(mail / "plain")]

    def test_names_come_oldest_first(self, archives, mail):
        archives.create("b", Capture((mail / "deep" / "er",), ()))
        time.sleep(1.1)  # borg knows the age of archives in whole seconds
        archives.create("a", Capture((mail / "deep" / "er",), ()))

        assert list(archives.names()) == ["b", "a"]

    def test_only_named_archives_are_deleted(self, archives, mail):
        for name in ("one", "two", "three"):
            archives.create(name, Capture((mail / "deep" / "er",), ()))

        archives.delete(["one", "gone already", "three"])

        assert list(archives.names()) == ["two"]

    def test_deleting_nothing_deletes_nothing(self, archives, mail):
        archives.create("one", Capture((mail / "deep" / "er",), ()))

        archives.delete([])

        assert list(archives.names()) == ["one"]

    def test_compacting_leaves_the_other_archives_readable(self, archives, mail):
        archives.create("one", whole(mail))
        archives.create("two", whole(mail))
        archives.delete(["one"])
        archives.compact()

        expected = regular_files(mail)
        assert dict(archives.read("two", list(expected))) == expected

    def test_output_of_a_command_is_one_file(self, archives, tmp_path):
        content = b"INSERT INTO `mailbox` VALUES ('ada');\n\0\xff" * 100_000
        (tmp_path / "output").write_bytes(content)

        statistics, findings = archives.create_from_command(
            "dump", ["cat", str(tmp_path / "output")], path="sql/mail.sql"
        )

        assert dict(archives.read("dump", ["sql/mail.sql"])) == {"sql/mail.sql": content}
        listed = [(file.path, file.kind, file.size_bytes) for file in archives.files("dump")]
        assert listed == [("sql/mail.sql", "-", len(content))]
        assert (statistics.archive, statistics.files, findings) == ("dump", 1, [])

    def test_command_that_says_nothing_makes_an_empty_file(self, archives):
        archives.create_from_command("dump", ["true"], path="mail.sql")

        assert dict(archives.read("dump", ["mail.sql"])) == {"mail.sql": b""}

    def test_arguments_of_a_command_arrive_as_they_are(self, archives):
        arguments = ["--", "-x", "--stdin-name=other", "{now}", "a b", "two\nlines", "$(id)", "--"]
        tell = [sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))", *arguments]

        archives.create_from_command("dump", tell, path="mail.sql")

        ((_, content),) = archives.read("dump", ["mail.sql"])
        assert content.decode() == f"{arguments!a}\n"

    def test_failing_command_leaves_no_archive_and_its_words_are_told(self, archives):
        script = "echo half a dump; echo first >&2; echo 'Lost connection' >&2; exit 3"

        with pytest.raises(DumpFailed, match=r"code 3.*: first; Lost connection\.$") as raised:
            archives.create_from_command("dump", ["sh", "-c", script], path="mail.sql")

        assert raised.value.retryable
        assert list(archives.names()) == []

    def test_missing_program_is_a_failing_command(self, archives):
        with pytest.raises(DumpFailed, match="no-such-program"):
            archives.create_from_command("dump", ["no-such-program"], path="mail.sql")

        assert list(archives.names()) == []

    def test_command_is_not_started_for_an_archive_that_exists(self, archives, tmp_path):
        archives.create_from_command("dump", ["echo", "first"], path="mail.sql")

        with pytest.raises(ArchiveExists, match="dump"):
            archives.create_from_command(
                "dump", ["touch", str(tmp_path / "started")], path="mail.sql"
            )

        assert not (tmp_path / "started").exists()
        assert dict(archives.read("dump", ["mail.sql"])) == {"mail.sql": b"first\n"}

    def test_one_file_can_be_read_as_a_stream(self, archives, mail):
        archives.create("first", whole(mail))
        expected = regular_files(mail)

        streamed = {}
        for path in expected:
            with archives.read_stream("first", path) as content:
                streamed[path] = b"".join(iter(lambda: content.read(10_000), b""))

        assert streamed == expected

    def test_second_name_of_a_file_can_be_read_as_a_stream(self, archives, mail):
        (mail / "deep" / "copy").hardlink_to(mail / "plain")
        archives.create("first", whole(mail))

        with archives.read_stream("first", stored(mail / "deep" / "copy")) as content:
            assert content.read() == b"content of plain"

    @pytest.mark.parametrize("path", ["deep", "gone", "link", "pipe"])
    def test_only_a_regular_file_can_be_read_as_a_stream(self, archives, mail, path):
        (mail / "link").symlink_to("plain")
        os.mkfifo(mail / "pipe")
        archives.create("first", whole(mail))

        with (
            pytest.raises(ArchivePathMissing, match=path),
            archives.read_stream("first", stored(mail / path)),
        ):
            pass

    def test_stream_of_a_missing_archive_has_its_own_error(self, archives):
        with pytest.raises(ArchiveMissing, match="nope"), archives.read_stream("nope", "a"):
            pass

    def test_extracted_files_are_as_they_were(self, archives, mail, tmp_path):
        (mail / "link").symlink_to("plain")
        archives.create("first", whole(mail))
        target = tmp_path / "target"
        target.mkdir()

        assert archives.extract("first", target) == []

        copy = target / stored(mail)
        assert regular_files(copy) == {
            stored(copy / os.path.relpath(f"/{path}", mail)): content
            for path, content in regular_files(mail).items()
        }
        assert (copy / "link").readlink() == Path("plain")
        assert (copy / "plain").stat().st_mtime == pytest.approx((mail / "plain").stat().st_mtime)

    def test_some_paths_are_extracted_without_their_leading_names(self, archives, mail, tmp_path):
        archives.create("first", whole(mail))
        target = tmp_path / "target"
        target.mkdir()

        archives.extract(
            "first",
            target,
            paths=[stored(mail / "deep" / "er"), stored(mail / "plain")],
            strip=len(mail.parts) - 1,
        )

        found = sorted(str(path.relative_to(target)) for path in target.rglob("*"))
        assert found == ["deep", "deep/er", "deep/er/empty", "plain"]

    def test_extracting_a_path_that_the_archive_does_not_hold_is_told(
        self, archives, mail, tmp_path
    ):
        archives.create("first", whole(mail))

        with pytest.raises(ArchivePathMissing, match="first does not hold no/such/path"):
            archives.extract("first", tmp_path, paths=["no/such/path"])

    def test_extracting_into_nowhere_is_told(self, archives, mail, tmp_path):
        archives.create("first", whole(mail))

        with pytest.raises(SourceMissing, match="nowhere"):
            archives.extract("first", tmp_path / "nowhere")


class TestMemoryArchives(ArchivesContract):
    @pytest.fixture
    def archives(self) -> Archives:
        return MemoryArchives()


class TestBorgRepository(ArchivesContract):
    @pytest.fixture
    def archives(self, tmp_path: Path) -> Archives:
        repository = BorgRepository(
            RepositorySettings(
                location=str(tmp_path / "borg repository"),
                encryption="repokey-blake2",
                compression="lz4",
                passphrase=lambda: "correct horse",
                lock_wait_seconds=1,
                ssh_command=None,
                remote_path=None,
                base_dir=tmp_path / "base",
            )
        )
        repository.prepare()
        return repository
