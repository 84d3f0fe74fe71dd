from pathlib import Path

from mailrewind.formats.maildir import base_of
from mailrewind.systems.maildir import MaildirSettings, MaildirSystem
from tests.mailrewind.systems.flipping import flags_flipping
from tests.mailrewind.systems.trees import put_file


def shown(path):
    """Return what an archive would show for a held path."""
    return path.partition("/./")[2]


def test_messages_whose_flags_change_all_the_time_are_held_and_readable(system, maildir, root):
    for number in range(300):
        put_file(maildir / "cur" / f"{number}.a:2,", f"{number}".encode())
    survey = system.survey()
    with flags_flipping(maildir / "cur"), system.hold(survey.values()) as held:
        contents = {base_of(Path(path).name): Path("/", path).read_bytes() for path in held}
    assert contents == {f"{number}.a": f"{number}".encode() for number in range(300)}
    assert {system.key_of(shown(path)) for path in held} == survey.keys()
    assert list((root / ".mailrewind-staging").iterdir()) == []


def test_what_is_gone_is_left_out(system, maildir):
    gone = put_file(maildir / "cur" / "1.a:2,")
    put_file(maildir / "cur" / "2.b:2,")
    survey = system.survey()
    gone.unlink()
    with system.hold([*survey.values(), f"{maildir}/dovecot-uidlist".lstrip("/")]) as held:
        assert list(map(shown, held)) == [f"{maildir}/cur/2.b:2,".lstrip("/")]


def test_where_no_link_can_be_made_the_paths_are_given_as_they_are(root, maildir):
    path = str(put_file(maildir / "cur" / "1.a:2,")).lstrip("/")
    template = f"{root}/{{domain}}/{{local}}/Maildir"
    settings = MaildirSettings("x", template, dovecot=None, staging=Path("/proc/mailrewind"))
    with MaildirSystem(settings).hold([path]) as held:
        assert list(held) == [path]
