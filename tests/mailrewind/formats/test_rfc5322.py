import warnings
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrewind.formats.rfc5322 import digest_of, read_headers
from mailrewind.model.mail import Headers

MESSAGES = Path(__file__).parents[2] / "data" / "messages"

LETTER = b"""Received: by x
Subject: =?utf-8?Q?Gr=C3=BC?= =?utf-8?Q?=C3=9Fe?= from
 =?iso-8859-1?B?S/ZsbiE=?=
From: =?utf-8?B?w4lkaXRo?= <edith@example.org>
To: Ada <ada@example.org>
CC: bob@example.org
Date: Thu, 12 Nov 2026 13:00:00 +0100
Message-Id: <1@example.org>
Content-Type: multipart/mixed; boundary="=_b"

--=_b
Content-Type: text/plain

hello
--=_b
Content-Type: application/pdf; name*0*=utf-8''R%C3%A4tsel; name*1=.pdf
Content-Disposition: attachment

x
--=_b
Content-Disposition: attachment; filename="=?utf-8?Q?=E6=97=A5.txt?="

y
--=_b--
"""


def headers(**fields):
    lines = [f"{name.replace('_', '-')}: ".encode() + value for name, value in fields.items()]
    return read_headers(b"\r\n".join([*lines, b"", b"body\r\n"]))


def test_a_message_is_read():
    assert read_headers(LETTER) == Headers(
        subject="Grüße from Köln!",
        sender="Édith <edith@example.org>",
        recipients="Ada <ada@example.org>, bob@example.org",
        message_id="<1@example.org>",
        sent=datetime(2026, 11, 12, 12, tzinfo=UTC),
        attachments=("Rätsel.pdf", "日.txt"),
        digest=blake2b(LETTER, digest_size=16).hexdigest(),
    )


def test_line_ends_change_nothing():
    assert read_headers(LETTER.replace(b"\n", b"\r\n")) == read_headers(LETTER)


def test_everything_else_changes_the_digest():
    assert digest_of(LETTER) != digest_of(LETTER + b"\n")


@pytest.mark.parametrize(
    ("value", "subject"),
    [
        (b"=?x-unknown?Q?caf=E9?=", "café"),
        (b"=?utf-8?B?w6?=", "\ufffd"),
        (b"=?utf-8?B?4p.yT!?=", "✓"),
        (b"=?utf-8?B?4pw=?= =?utf-8?B?kw==?=", "✓"),
        (b"=?utf-8*de?Q?Stra=C3?= =?UTF-8?Q?=9Fe?=", "Straße"),
        (b"=?punycode?Q?abc-def?=", "abc-def"),
        (b"=?hex?Q?6162?=", "6162"),
        (b"=?unicode-escape?Q?=5Cq?=", "\\q"),
        (b"raw \xe4\xf6 bytes", "raw äö bytes"),
        ("raw Ünïcode".encode(), "raw Ünïcode"),
        (b"\x1b$B$^$_\x1b(B", "まみ"),
        (b"=?utf-8?Q?two=0D=0Alines=00=07?=", "two lines"),
        (b"\xe2\x80\xaegnp.exe", "gnp.exe"),
        (b"=?utf-7?Q?+2D0-?=", "?"),
        (b"x" * 2000, "x" * 998),
        (b"", ""),
    ],
)
def test_subjects_from_the_wild_become_one_line(value, subject):
    assert headers(Subject=value).subject == subject


@pytest.mark.parametrize(
    ("value", "message_id"),
    [
        (b"<a@b> (comment)", "<a@b>"),
        (b"\r\n <a@b>", "<a@b>"),
        (b"a@b", "<a@b>"),
        (b"<>", ""),
        (b"", ""),
    ],
)
def test_message_id_has_its_brackets(value, message_id):
    assert headers(Message_ID=value).message_id == message_id


@pytest.mark.parametrize(
    "value", [b"", b"yesterday", b"Thu, 99 Nov 2026 13:00:00", b"1 Jan 99999 00:00:00 +0000", b"\0"]
)
def test_unreadable_date_is_none(value):
    assert headers(Date=value).sent is None


def test_first_of_repeated_fields_counts_but_all_recipients_do():
    read = read_headers(b"Subject: one\nSubject: two\nTo: a@x\nTo: b@x\nSubject : three\n\n")
    assert (read.subject, read.recipients) == ("one", "a@x, b@x")


def test_deep_nesting_ends():
    bomb = b"Content-Type: message/rfc822\n\n" * 5000
    assert read_headers(bomb).attachments == ()


def test_many_parts_end():
    parts = b'--b\nContent-Type: x/y; name="n"\n\n' * 5000
    read = read_headers(b"Content-Type: multipart/mixed; boundary=b\n\n" + parts)
    assert read.attachments == ("n",) * 999


@pytest.mark.parametrize("path", sorted(MESSAGES.rglob("*.eml")), ids=lambda path: path.name)
def test_real_messages_are_read_without_a_stumble(path):
    content = path.read_bytes()
    read = read_headers(content)
    shown = [read.subject, read.sender, read.recipients, read.message_id, *read.attachments]
    assert not [text for text in shown if any(c < " " or "\x7f" <= c < "\xa0" for c in text)]
    assert "".join(shown).encode() is not None
    assert read.digest == digest_of(content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


NASTY = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [
                *(b"\n", b"\r\n", b"Subject: ", b"Date: ", b"Message-ID: ", b"=?utf-8?Q?", b"?="),
                *(b"Content-Type: multipart/mixed; boundary=", b'"', b"--", b"b", b"; name*0*=x'"),
                *(b"Content-Disposition: attachment; filename*=", b"=?x?B?", b"''%", b"\x1b$B"),
            ]
        ),
    ),
    max_size=30,
).map(b"".join)


@given(NASTY)
def test_no_bytes_are_too_strange(content):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_headers(content)
    shown = "".join([read.subject, read.sender, read.recipients, *read.attachments])
    assert not [c for c in shown if c < " " or "\x7f" <= c < "\xa0"]
    assert shown.encode() is not None
