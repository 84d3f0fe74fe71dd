import re

import pytest

from mailrewind.errors import ConfigurationInvalid, MailboxNotFound
from mailrewind.systems.template import Place, Template

SPLIT = Template("/var/vmail/{domain}/{local}/Maildir")
WHOLE = Template("/srv/mail/{address}")


@pytest.mark.parametrize(
    ("template", "path", "place"),
    [
        (
            SPLIT,
            "var/vmail/example.org/ada/Maildir/.Sent/cur/1.a:2,S",
            Place("ada@example.org", "var/vmail/example.org/ada/Maildir", ".Sent", "cur/1.a:2,S"),
        ),
        (
            SPLIT,
            "var/vmail/example.org/ada/Maildir/new/1.a",
            Place("ada@example.org", "var/vmail/example.org/ada/Maildir", "", "new/1.a"),
        ),
        (
            SPLIT,
            "var/vmail/example.org/ada/Maildir",
            Place("ada@example.org", "var/vmail/example.org/ada/Maildir", "", ""),
        ),
        (
            WHOLE,
            'srv/mail/o\'neil "x"; $(id)@example.org/cur/line\nend',
            Place(
                'o\'neil "x"; $(id)@example.org',
                'srv/mail/o\'neil "x"; $(id)@example.org',
                *("", "cur/line\nend"),
            ),
        ),
    ],
)
def test_paths_are_located(template, path, place):
    assert template.locate(path) == place


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            "etc/passwd",
            "var/vmail",
            "var/vmail/example.org/ada",
            "var/vmail/a/b/Maildirx/cur/1",
        ),
        "var/vmail/.mailrewind-staging/ab12/Maildir/cur/1",
        "var/vmail/example.org/.hidden/Maildir/cur/1",
        "var/vmail/example.org/line\nend/Maildir/cur/1",
        "var/vmail/example.org/\udcff/Maildir/cur/1",
        "var/vmail/at@home/ada/Maildir/cur/1",
        "/var/vmail/example.org/ada/Maildir/cur/1",
    ],
)
def test_paths_outside_of_mailboxes_are_nowhere(path):
    assert SPLIT.locate(path) is None


def test_addresses_lead_to_their_maildir():
    assert SPLIT.maildir("ada@example.org") == "var/vmail/example.org/ada/Maildir"
    assert SPLIT.maildir("a@b@example.org") == "var/vmail/example.org/a@b/Maildir"
    assert WHOLE.maildir("ada") == "srv/mail/ada"


@pytest.mark.parametrize(
    "mailbox",
    [
        *("", "@", "ada", "ada@", "@example.org", "..@example.org", "ada@..", "../x@example.org"),
        *("ada/..@example.org", "ada@example.org/", "a\nb@example.org", "a\0b@example.org", ".@x"),
        *(" ada@example.org", "\udcff@example.org", "\u2028@x", ".mailrewind-staging@x"),
    ],
)
def test_addresses_that_would_leave_their_place_are_refused(mailbox):
    with pytest.raises(MailboxNotFound):
        SPLIT.maildir(mailbox)


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "relative/{domain}/{local}", "/var/vmail", "/var/{domain}", "/{domain}/{local}"),
        *("/var/{local}/{local}", "/var/../{address}", "/var/{address}/{domain}/{local}"),
        *("/var/{user}", "/var//{address}", "/var/./{address}", "/var/{address}/{address}"),
    ],
)
def test_templates_that_cannot_work_are_refused(text):
    with pytest.raises(ConfigurationInvalid, match="path template"):
        Template(text)


@pytest.mark.parametrize(
    ("template", "path", "is_left_out"),
    [
        (SPLIT, "var/vmail/example.org/ada/Maildir/tmp/1.draft", True),
        (SPLIT, "var/vmail/example.org/ada/Maildir/.Sent/tmp/1.draft", True),
        (SPLIT, "var/vmail/example.org/ada/Maildir/tmp", False),
        (SPLIT, "var/vmail/example.org/tmp/Maildir/cur/1", False),
        (SPLIT, "var/vmail/tmp/tmp/Maildir/cur/1", False),
        (SPLIT, "var/vmail/example.org/ada/Maildir/.tmp/cur/1", False),
        (WHOLE, "srv/mail/tmp/cur/1", False),
        (WHOLE, "srv/mail/tmp/tmp/1", True),
    ],
)
def test_patterns_mean_a_place_and_not_a_name(template, path, is_left_out):
    style, _, pattern = template.pattern("tmp/.").partition(":")
    assert style == "re"
    assert bool(re.search(pattern, path)) is is_left_out


def test_mailboxes_are_walked_in_order_and_links_are_none(tmp_path):
    for path in ("b.org/bob", "a.org/zoe", "a.org/ada", ".hidden/eve", "a.org/line\nend"):
        (tmp_path / path / "Maildir").mkdir(parents=True)
    (tmp_path / "linked.org").symlink_to(tmp_path / "a.org")
    (tmp_path / "file.org").touch()
    (tmp_path / "b.org/eve").mkdir()
    (tmp_path / "b.org/eve/Maildir").symlink_to(tmp_path / "a.org/ada/Maildir")
    template = Template(f"{tmp_path}/{{domain}}/{{local}}/Maildir")
    assert list(template.walk()) == [
        ("ada@a.org", f"{tmp_path}/a.org/ada/Maildir".lstrip("/")),
        ("zoe@a.org", f"{tmp_path}/a.org/zoe/Maildir".lstrip("/")),
        ("bob@b.org", f"{tmp_path}/b.org/bob/Maildir".lstrip("/")),
    ]
