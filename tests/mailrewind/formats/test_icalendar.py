import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrewind.formats.icalendar import Summary, summary

EVENT = """BEGIN:VCALENDAR\r
VERSION:2.0\r
BEGIN:VTIMEZONE\r
TZID:Europe/Athens\r
BEGIN:DAYLIGHT\r
DTSTART:19810329T030000\r
SUMMARY:not this one\r
END:DAYLIGHT\r
END:VTIMEZONE\r
BEGIN:VEVENT\r
UID:1\r
BEGIN:VALARM\r
SUMMARY:nor this one\r
END:VALARM\r
SUMMARY;LANGUAGE=de;ALTREP="http://example.org/a;b":Grö\r
 ße\\, Länge\\nund Höhe 🎉\r
DTSTART;TZID=Europe/Athens:20261112T130000\r
END:VEVENT\r
BEGIN:VEVENT\r
SUMMARY:an exception\r
RECURRENCE-ID:20261119T130000Z\r
END:VEVENT\r
END:VCALENDAR\r
"""


def test_event_is_told_by_its_own_lines_and_not_by_those_of_zones_and_alarms():
    assert summary(EVENT) == Summary(
        "event", "Größe, Länge und Höhe 🎉", "2026-11-12 13:00 Europe/Athens"
    )


@pytest.mark.parametrize(
    ("line", "start"),
    [
        ("DTSTART;VALUE=DATE:20261112", "2026-11-12"),
        ("DTSTART:20261112T130500Z", "2026-11-12 13:05 UTC"),
        ("DTSTART:20261112T130500", "2026-11-12 13:05"),
        ('DTSTART;TZID="Europe/Berlin":20261112T130500', "2026-11-12 13:05 Europe/Berlin"),
        ("DTSTART:tomorrow", ""),
        ("DTEND:20261112T130500Z", ""),
    ],
)
def test_beginnings_are_shown_as_they_were_written(line, start):
    content = f"BEGIN:VCALENDAR\nBEGIN:VTODO\n{line}\nEND:VTODO\nEND:VCALENDAR\n"
    assert summary(content) == Summary("task", "", start)


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("FN:Ada Lovelace", "Ada Lovelace"),
        ("item1.FN;TYPE=x:Ada\\; Lovelace", "Ada; Lovelace"),
        ("FN;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:M=C3=BCl=\nler", "Müller"),
        ("FN;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:M=FCller", "Müller"),
        ("FN;CHARSET=none-such;ENCODING=QUOTED-PRINTABLE:M=C3=BCller", "Müller"),
        ("PHOTO;ENCODING=b:AAAA=\nFN;CHARSET=utf-8:Grace", "Grace"),
        ("FN:" + "x" * 999, "x" * 255),
    ],
)
def test_contact_is_told_by_its_name(line, title):
    content = f"BEGIN:VCARD\r\nVERSION:2.1\r\n{line}\r\nEND:VCARD\r\n"
    assert summary(content) == Summary("contact", title, "")


def test_list_of_contacts_has_a_name():
    assert summary("BEGIN:VLIST\nFN:Friends\nCARD;FN=x:y.vcf\nEND:VLIST\n") == Summary(
        "list", "Friends", ""
    )


@given(st.text())
def test_no_content_is_too_strange(text):
    for content in (text, f"BEGIN:VEVENT\n{text}", f"BEGIN:VEVENT\nSUMMARY:{text}\nDTSTART:{text}"):
        summary(content)
