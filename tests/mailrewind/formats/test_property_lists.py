import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrewind.formats.property_lists import PropertyListReader, quoted


def read_string(text: str) -> str:
    reader = PropertyListReader(text)
    string = reader.string()
    reader.end()
    return string


@pytest.mark.parametrize(
    ("text", "string"),
    [
        ('"M\\U00FCnchen"', "München"),
        ('"\\UD83C\\UDF89"', "🎉"),
        ('"\\UD83C"', "\ud83c"),
        ('"a\\"b\\\\n\\\\,\\n"', 'a"b\\n\\,\n'),
        ('"\\033\\0\\1777"', "\x1b\0\x7f7"),
        ('"\\a\\b\\v\\f\\t\\r\\x\\Ug"', "\a\b\v\f\t\rxUg"),
        ('"line\r\nline\r\n"', "line\r\nline\r\n"),
        ('""', ""),
        (" \n\tbare.word/x ", "bare.word/x"),
        ('"ü"', "ü"),
    ],
)
def test_strings_read_as_gnustep_means_them(text: str, string: str) -> None:
    assert read_string(text) == string


@pytest.mark.parametrize(
    ("string", "text"),
    [
        ("München 🎉", '"M\\U00FCnchen \\UD83C\\UDF89"'),
        ('a "b" c:\\d', '"a \\"b\\" c:\\\\d"'),
        ("line\r\n\tline", '"line\r\n\tline"'),
        ("\0\a\b\v\f\x1b\x7f\x80", '"\\000\\a\\b\\v\\f\\033\\177\\U0080"'),
        ("", '""'),
    ],
)
def test_strings_are_written_as_gnustep_writes_them(string: str, text: str) -> None:
    assert quoted(string) == text


@given(st.text())
def test_every_string_comes_back(string: str) -> None:
    written = quoted(string)
    assert written.isascii()
    assert read_string(written) == string


@pytest.mark.parametrize(
    "value",
    [
        '{a = 1; "b c" = (x, "y", <00 ff>, <*I5>, <*D2026-01-01 00:00:00 +0000>); c = {}; }',
        "( )",
        "(a, b,)",
        "{a = b}",
        '"}"',
    ],
)
def test_opaque_value_is_the_text_of_it(value: str) -> None:
    reader = PropertyListReader(f" {value}\n ")
    assert reader.opaque() == value
    reader.end()


@pytest.mark.parametrize(
    "text",
    ["", "{", "}", "{a}", "{a = }", "{a = b; ", "(a b)", "(a", '"a', '"a\\"', "<0g>", "<00", "=",
     "(" * 5000, "{a = " * 5000],
)  # fmt: skip
def test_what_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"missing|deep"):
        PropertyListReader(text).opaque()


def test_refusal_shows_nothing_of_what_was_read() -> None:
    with pytest.raises(ValueError, match=r"^= is missing at character 17$"):
        PropertyListReader('{"secret meeting"').opaque()
