"""Which tables hold what belongs to one account, and what of them is put back."""

from collections.abc import Mapping
from dataclasses import dataclass

from mailrewind.model.databases import Cell

PROFILE = "sogo profile"
WISHES = frozenset({"mailbox", "aliases", "filters", "quota", PROFILE})
_QUOTA = "quota"


@dataclass(frozen=True, slots=True)
class Table:
    """How a table names the account that a row belongs to.

    Attributes:
        name: Its name.
        owner: The column with the account; in aliases a list of them.
        key: What tells one row from another.
        what: What its rows are called.
        logins: Columns that decide about logins; ("*",) for all.
        is_listed: Whether ``owner`` is a list with commas.
        names: The column whose values may be shown; "" for none.
        wish: Which part of an account it belongs to, as one may be asked for.
    """

    name: str
    owner: str
    key: tuple[str, ...]
    what: str
    logins: tuple[str, ...] = ()
    is_listed: bool = False
    names: str = ""
    wish: str = "mailbox"

    def owns(self, row: Mapping[str, Cell], address: str) -> bool:
        """Whether a row belongs to the account."""
        owner = row.get(self.owner)
        if not isinstance(owner, str):
            return False
        return address in owner.split(",") if self.is_listed else owner == address


SOGO_LIST = "_sogo_static_view"
_LOGIN = ("password", "active", "authsource")
TABLES = (
    # The mailbox first: others refer to it.
    Table("mailbox", "username", ("username",), "mailbox", _LOGIN),
    Table(
        "alias", "goto", ("address",), "aliases", is_listed=True, names="address", wish="aliases"
    ),
    Table("spamalias", "goto", ("address",), "temporary aliases", names="address", wish="aliases"),
    Table("sender_acl", "logged_in_as", ("logged_in_as", "send_as", "external"), "senders"),
    Table("filterconf", "object", ("object", "option", "value"), "spam settings", wish="filters"),
    Table(
        *("sieve_filters", "username", ("username", "script_desc", "filter_type"), "filters"),
        wish="filters",
    ),
    Table("imapsync", "user2", ("user2", "host1", "user1"), "sync jobs"),
    Table("bcc_maps", "local_dest", ("local_dest", "bcc_dest", "type"), "copies"),
    Table("user_acl", "username", ("username",), "permissions"),
    Table("pushover", "username", ("username",), "push settings"),
    Table("tags_mailbox", "username", ("username", "tag_name"), "tags"),
    Table("sogo_user_profile", "c_uid", ("c_uid",), "SOGo profile", wish=PROFILE),
    Table(SOGO_LIST, "c_uid", ("c_uid",), "entry in SOGo's list", ("c_password",)),
    Table("app_passwd", "mailbox", ("mailbox", "name", "password"), "app passwords", ("*",)),
    Table("tfa", "username", ("username", "key_id", "authmech"), "second factors", ("*",)),
    Table("fido2", "username", ("username", "credentialId"), "security keys", ("*",)),
)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is put back.

    Attributes:
        keeps: Whether what decides about logins stays.
        wishes: Which parts of the account are meant.
    """

    keeps: bool
    wishes: frozenset[str]

    def includes(self, table: Table) -> bool:
        """Whether anything of a table is meant; of the mailbox's row it may be the quota alone."""
        return table.wish in self.wishes or (table.name == "mailbox" and _QUOTA in self.wishes)

    def leaves(self, table: Table, column: str) -> bool:
        """Whether a column stays as it is."""
        if self.keeps and column in table.logins:
            return True
        if table.name != "mailbox" or column == "username":
            return False
        return (_QUOTA if column == _QUOTA else table.wish) not in self.wishes
