"""Who may log in, and with what: kept as it is when the rest of the database goes back in time.

Going back would give a stolen password its power again, and a disabled account its life. So what
decides about logins is taken over into the loaded database before that becomes the living one:
there is no moment at which an old password would be good. No value of it leaves the server.
"""

from mailrewind.systems.mailcow.loading import tables_of
from mailrewind.transports.mariadb import Connection, quoted

# Attributes of a mailbox that say how one may log in, or get a new password.
LOGIN_ATTRIBUTES = (
    *("force_pw_update", "force_tfa", "passwd_update", "recovery_email"),
    *("imap_access", "pop3_access", "smtp_access", "sieve_access", "dav_access", "eas_access"),
    "sogo_access",
)
# Tables in which each row is a key to one account, and the column with that account.
KEYS = {"app_passwd": "mailbox", "tfa": "username", "fido2": "username"}
# Tables that are about nothing else, for all accounts: those who administer, open sessions, and the
# record of who logged in and what was done, which is wanted most after an attack.
WHOLE = (
    *("admin", "domain_admins", "da_acl", "da_sso", "api", "identity_provider", "reset_password"),
    *("oauth_clients", "oauth_access_tokens", "oauth_refresh_tokens"),
    *("oauth_authorization_codes", "sogo_sessions_folder", "sasl_log", "logs"),
)


def keep_credentials(connection: Connection, living: str, loaded: str) -> None:
    """Take what decides about logins from the living database over into a loaded one.

    Wholly or not at all. Accounts of the loaded one that are not living any more keep what they
    had; nothing is taken over from accounts that the loaded one lacks.

    Args:
        connection: As root; no transaction is open.
        living: Name of the living database.
        loaded: Name of the loaded one.
    """
    both = _Both(connection, living, loaded)
    with connection.transaction():
        _keep_mailboxes(both)
        if both.have("domain"):
            both.run(
                "UPDATE {loaded}.domain past JOIN {living}.domain alive USING (domain)"
                " SET past.active = alive.active, past.modified = past.modified"
            )
        for table, column in KEYS.items():
            if both.have(table):
                _keep_keys(both, table, column)
        for table in WHOLE:
            if both.have(table):
                both.run(f"DELETE FROM {{loaded}}.{table}")
                both.insert(table, "TRUE")


def disable_returning(connection: Connection, living: str, loaded: str) -> int:
    """Disable the accounts of a loaded database that are not living; return how many.

    Somebody deleted them, maybe for a reason.
    """
    both = _Both(connection, living, loaded)
    return both.run(
        "UPDATE {loaded}.mailbox SET active = 0, modified = modified"
        " WHERE username NOT IN (SELECT username FROM {living}.mailbox)"
    )


def show_to_sogo(connection: Connection, living: str, loaded: str) -> None:
    """Make SOGo's list of accounts say what the mailboxes say; mailcow keeps it beside them."""
    both = _Both(connection, living, loaded)
    if not both.have("_sogo_static_view"):
        return
    both.run(
        "DELETE entry FROM {loaded}._sogo_static_view entry"
        " JOIN {loaded}.mailbox box ON box.username = entry.c_uid WHERE box.active <> 1"
    )
    both.run(
        "UPDATE {loaded}._sogo_static_view past JOIN {living}._sogo_static_view alive USING (c_uid)"
        " SET past.c_password = alive.c_password"
    )
    both.insert(
        "_sogo_static_view",
        "c_uid IN (SELECT username FROM {loaded}.mailbox WHERE active = 1)"
        " AND c_uid NOT IN (SELECT c_uid FROM {loaded}._sogo_static_view)",
    )


class _Both:
    """The living and the loaded database, on one connection."""

    def __init__(self, connection: Connection, living: str, loaded: str) -> None:
        self._connection = connection
        self._names = {"living": quoted(living), "loaded": quoted(loaded)}
        self._living = living
        self._loaded = loaded
        connection.execute(f"USE {quoted(loaded)}")  # an alias needs a database to stand in
        self._tables = {*tables_of(connection, living)} & {*tables_of(connection, loaded)}

    def have(self, table: str) -> bool:
        """Whether the table is in both."""
        return table in self._tables

    def run(self, statement: str) -> int:
        """Do something; {living} and {loaded} stand for the databases."""
        return self._connection.execute(statement.format(**self._names))

    def columns(self, table: str) -> list[str]:
        """Return the columns that a table has in both."""
        found = self._connection.rows(
            "SELECT column_name AS name FROM information_schema.columns WHERE table_name = %s"
            " AND table_schema IN (%s, %s) AND is_generated = 'NEVER'"
            " GROUP BY column_name HAVING COUNT(*) = 2 ORDER BY MIN(ordinal_position)",
            (table, self._living, self._loaded),
        )
        return [str(row["name"]) for row in found]

    def insert(self, table: str, condition: str) -> int:
        """Copy the living rows that meet a condition into the loaded table."""
        columns = ", ".join(quoted(column) for column in self.columns(table))
        return self.run(
            f"INSERT INTO {{loaded}}.{table} ({columns})"
            f" SELECT {columns} FROM {{living}}.{table} WHERE {condition}"
        )


def _keep_mailboxes(both: _Both) -> None:
    joined = "UPDATE {loaded}.mailbox past JOIN {living}.mailbox alive USING (username)"
    columns = {*both.columns("mailbox")}
    for column in ("password", "active", "authsource"):
        if column in columns:
            both.run(f"{joined} SET past.{column} = alive.{column}, past.modified = past.modified")
    if "attributes" not in columns:
        return
    both.run("UPDATE {loaded}.mailbox SET attributes = '{{}}' WHERE attributes IS NULL")
    for attribute in LOGIN_ATTRIBUTES:
        path = f"'$.{attribute}'"
        both.run(
            f"{joined} SET past.modified = past.modified, past.attributes ="
            f" IF(COALESCE(JSON_EXISTS(alive.attributes, {path}), 0),"
            f" JSON_SET(past.attributes, {path}, JSON_EXTRACT(alive.attributes, {path})),"
            f" JSON_REMOVE(past.attributes, {path}))"
        )


def _keep_keys(both: _Both, table: str, column: str) -> None:
    """Replace rows, but for accounts that are in one of the two databases only."""
    returning = (
        "SELECT username FROM {loaded}.mailbox"
        " WHERE username NOT IN (SELECT username FROM {living}.mailbox)"
    )
    vanishing = (
        "SELECT username FROM {living}.mailbox"
        " WHERE username NOT IN (SELECT username FROM {loaded}.mailbox)"
    )
    both.run(f"DELETE FROM {{loaded}}.{table} WHERE {column} NOT IN ({returning})")
    if "id" in both.columns(table):
        # The living rows keep their numbers; those of returning accounts make room.
        both.run(
            f"UPDATE {{loaded}}.{table} past JOIN (SELECT GREATEST("
            f" (SELECT COALESCE(MAX(id), 0) FROM {{living}}.{table}),"
            f" (SELECT COALESCE(MAX(id), 0) FROM {{loaded}}.{table})) AS top) last"
            " SET past.id = past.id + last.top ORDER BY past.id DESC"
        )
    both.insert(table, f"{column} NOT IN ({vanishing})")
