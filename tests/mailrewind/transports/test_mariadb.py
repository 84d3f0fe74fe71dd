"""A server's answers, and its errors in our words; no error repeats a value."""

import socket
import threading
import traceback

import pytest

from mailrewind.errors import DatabaseRefused, DatabaseUnreachable, MailServerFailed
from mailrewind.systems.mailcow.installation import Installation
from mailrewind.transports.mariadb import Access, connect, quoted

pytest_plugins = ["tests.mailcow"]


@pytest.fixture(scope="module")
def access(mailcow):
    installation = Installation(mailcow.directory, project=mailcow.project)
    access = installation.database()
    with connect(access) as connection:
        connection.execute(
            "CREATE TABLE things (id INT PRIMARY KEY, word VARCHAR(20) UNIQUE, raw BLOB,"
            " price DECIMAL(5, 2), at DATETIME, stamp TIMESTAMP NULL)"
        )
    yield access
    installation.close()


@pytest.fixture
def connection(access):
    with connect(access) as connection:
        connection.execute("DELETE FROM things")
        yield connection


def test_values_are_read_as_the_server_writes_them(connection):
    values = (1, "ö 🐄 '", b"\x00\xff'", "1.50", "2026-11-12 13:00:00", "2026-11-12 13:00:00")
    connection.execute("INSERT INTO things VALUES (%s, %s, %s, %s, %s, %s)", values)
    assert connection.rows("SELECT * FROM things") == [
        {
            "id": "1",
            "word": "ö 🐄 '",
            "raw": b"\x00\xff'",
            "price": "1.50",
            "at": "2026-11-12 13:00:00",
            "stamp": "2026-11-12 13:00:00",
        }
    ]
    assert connection.value("SELECT UNIX_TIMESTAMP(stamp) FROM things") == "1794488400"
    assert connection.value("SELECT raw FROM things WHERE id = 2") is None
    assert connection.number("SELECT COUNT(*) FROM things") == 1


def add_one_and_fail(connection):
    with connection.transaction():
        connection.execute("INSERT INTO things (id) VALUES (1)")
        connection.execute("INSERT INTO things (id) VALUES (1)")


def test_a_transaction_is_done_wholly_or_not_at_all(connection):
    with pytest.raises(MailServerFailed):
        add_one_and_fail(connection)
    assert connection.rows("SELECT id FROM things") == []
    with connection.transaction():
        connection.execute("INSERT INTO things (id) VALUES (1)")
    assert connection.rows("SELECT id FROM things") == [{"id": "1"}]


def test_an_error_repeats_no_value(connection):
    connection.execute("INSERT INTO things (id, word) VALUES (1, 'hush')")
    for statement in (
        "INSERT INTO things (id, word) VALUES (2, 'hush')",
        "SELECT 'hush' FRUM things",
        "INSERT INTO things (id) VALUES ('hush')",
    ):
        with pytest.raises(MailServerFailed) as raised:
            connection.execute(statement)
        assert "hush" not in str(raised.value)
        assert "hush" not in "".join(traceback.format_exception(raised.value))  # as a log shows it
        assert "error 1" in str(raised.value)


def test_a_wrong_password_is_refused_and_not_shown(access):
    wrong = Access(access.user, "hush", access.database, access.host, access.port)
    with pytest.raises(DatabaseRefused) as raised, connect(wrong):
        pass
    assert "hush" not in str(raised.value) + repr(wrong)
    assert not raised.value.retryable


def test_what_a_user_may_not_do_is_refused(connection):
    with pytest.raises(DatabaseRefused):
        connection.execute("CREATE DATABASE other")
    with pytest.raises(DatabaseRefused):
        connection.rows("SELECT * FROM mysql.user")


def test_a_connection_that_is_killed_is_unreachable(mailcow, access):
    with connect(access) as connection:
        number = connection.number("SELECT CONNECTION_ID()")
        mailcow.sql(f"KILL {number}")
        with pytest.raises(DatabaseUnreachable) as raised:
            connection.rows("SELECT 1")
    assert raised.value.retryable


def test_a_server_that_is_silent_is_given_up(access):
    with connect(access, answer_seconds=1) as connection, pytest.raises(DatabaseUnreachable):
        connection.rows("SELECT SLEEP(20)")


def test_a_port_where_nobody_or_somebody_else_listens_is_told():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer():
            with server.accept()[0] as peer:
                peer.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with (
            pytest.raises((DatabaseUnreachable, MailServerFailed)),
            connect(Access("u", "p", port=port)),
        ):
            pass
        thread.join()
    with pytest.raises(DatabaseUnreachable), connect(Access("u", "p", port=port)):
        pass


def test_names_are_quoted():
    assert quoted("odd`name") == "`odd``name`"
