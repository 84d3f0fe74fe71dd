import pytest

from mailrewind.errors import ConfigurationInvalid, SourceMissing
from mailrewind.systems.mailcow.settings import parse_settings, read_settings


def test_values_are_read_as_compose_reads_them():
    text = """
# ------------------------------
DBNAME=mailcow
DBPASS=a#b=c$d
  MAILDIR_SUB=
API_ALLOW_FROM=127.0.0.1, ::1   # who may ask
export TZ="Europe/Berlin" # quoted
WATCHDOG_NOTIFY_EMAIL='it is "me" \\n'
ADDITIONAL_SAN="a \\"b\\"\\tc"
DBNAME=other
"""
    assert parse_settings(text) == {
        "DBNAME": "other",
        "DBPASS": "a#b=c$d",
        "MAILDIR_SUB": "",
        "API_ALLOW_FROM": "127.0.0.1, ::1",
        "TZ": "Europe/Berlin",
        "WATCHDOG_NOTIFY_EMAIL": 'it is "me" \\n',
        "ADDITIONAL_SAN": 'a "b"\tc',
    }


@pytest.mark.parametrize("line", ["DBPASS", "=hunter2", "DB PASS=hunter2", 'DBPASS="hunter2'])
def test_a_line_that_is_none_is_named_by_its_place_and_not_shown(line: str):
    with pytest.raises(ConfigurationInvalid) as caught:
        parse_settings(f"A=1\n{line}\n", place="/opt/m/mailcow.conf")
    assert str(caught.value) == "/opt/m/mailcow.conf:2: this line is no NAME=VALUE"


def test_a_directory_without_a_mailcow_is_said_so(tmp_path):
    with pytest.raises(SourceMissing) as caught:
        read_settings(tmp_path)
    assert str(caught.value) == f"{tmp_path} holds no mailcow.conf."
