"""What SOGo's tables say of its users: whether their data changed, and how much there is."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mailrewind.transports.mariadb import Connection, Row

# Records that were deleted keep their row for a while, for programs that ask what has changed.
_FOLDERS = """
SELECT f.c_path2 AS user, f.c_path AS path, f.c_folder_id AS folder, f.c_foldername AS title,
       COALESCE(SUM(s.c_name IS NOT NULL AND COALESCE(s.c_deleted, 0) = 0), 0) AS living,
       COUNT(s.c_name) AS known, COALESCE(MAX(s.c_lastmodified), 0) AS changed,
       COALESCE(SUM(CRC32(CONCAT_WS('|', s.c_name, s.c_version, s.c_lastmodified,
                                    COALESCE(s.c_deleted, 0)))), 0) AS versions
FROM sogo_folder_info f LEFT JOIN sogo_store s ON s.c_folder_id = f.c_folder_id
WHERE f.c_path1 = 'Users' AND f.c_path2 IS NOT NULL {chosen}
GROUP BY f.c_path2, f.c_path, f.c_folder_id, f.c_foldername ORDER BY f.c_path
"""
_SHARES = """
SELECT f.c_path2 AS user, COUNT(*) AS known,
       SUM(CRC32(CONCAT_WS('|', a.c_folder_id, a.c_object, a.c_uid, a.c_role))) AS roles
FROM sogo_folder_info f JOIN sogo_acl a ON a.c_folder_id = f.c_folder_id
WHERE f.c_path1 = 'Users' AND f.c_path2 IS NOT NULL {chosen}
GROUP BY f.c_path2
"""
_PREFERENCES = """
SELECT c_uid AS user, MD5(CONCAT(COALESCE(c_defaults, ''), '|', COALESCE(c_settings, ''))) AS set_to
FROM sogo_user_profile f WHERE TRUE {chosen}
"""


@dataclass(frozen=True, slots=True)
class UserData:
    """What a user has in SOGo.

    Attributes:
        fingerprint: Changes with every change of folders, records, shares and preferences.
        records: How many each folder holds, by path such as "Calendar/personal".
    """

    fingerprint: str
    records: Mapping[str, int]


NOTHING = UserData("", {})


def read_user_data(
    connection: Connection, users: Collection[str] | None = None
) -> dict[str, UserData]:
    """Look at users as they are at one moment; those without data are left out.

    Args:
        connection: To mailcow's database.
        users: Whom; everybody, if not given.

    Raises:
        MailSystemError: The database cannot be asked.
    """
    if users is not None and not users:
        return {}
    found: dict[str, list[Row]] = defaultdict(list)
    with connection.transaction():
        for row in _ask(connection, _FOLDERS, "f.c_path2", users):
            found[str(row["user"])].append(row)
        for statement, column in ((_SHARES, "f.c_path2"), (_PREFERENCES, "f.c_uid")):
            for row in _ask(connection, statement, column, users):
                found[str(row["user"])].append(row)
    return {user: _user_data(rows) for user, rows in found.items()}


def is_known(connection: Connection, user: str) -> bool:
    """Whether mailcow shows this user to SOGo; it does so while the mailbox is active.

    Raises:
        MailSystemError: The database cannot be asked.
    """
    return bool(connection.number("SELECT 1 FROM _sogo_static_view WHERE c_uid = %s", [user]))


def _ask(
    connection: Connection, statement: str, column: str, users: Collection[str] | None
) -> Sequence[Row]:
    if users is None:
        return connection.rows(statement.format(chosen=""))
    marks = ", ".join(["%s"] * len(users))
    return connection.rows(statement.format(chosen=f"AND {column} IN ({marks})"), list(users))


def _user_data(rows: Sequence[Row]) -> UserData:
    seen = json.dumps([sorted(row.items()) for row in rows], default=str)
    return UserData(
        fingerprint=hashlib.blake2b(seen.encode(), digest_size=16).hexdigest(),
        records={_path(str(row["path"])): int(row["living"] or 0) for row in rows if "path" in row},
    )


def _path(of_table: str) -> str:
    """Return "Calendar/personal" of "/Users/ada@example.org/Calendar/personal"."""
    return of_table.split("/", 3)[3]
