"""What a database says of accounts, and how two of them differ in it.

Secrets are compared, never shown: what is kept of one is a digest that only this process can make.
"""

import hashlib
import json
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mailrewind.model.databases import Cell
from mailrewind.model.operations import Change, Effect
from mailrewind.model.reports import Finding
from mailrewind.model.words import count
from mailrewind.systems.mailcow.credentials import KEYS, LOGIN_ATTRIBUTES
from mailrewind.transports.mariadb import Row

# What the comparison looks at; everything else is only counted.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "versions": ("application", "version"),
    "domain": ("domain", "active"),
    "alias": ("address", "goto"),
    "mailbox": ("username", "password", "active", "authsource", "attributes"),
    "admin": ("username", "password", "active", "superadmin"),
    "app_passwd": ("mailbox", "name", "password", "active"),
    "tfa": ("username", "key_id", "authmech", "secret", "publicKey", "active"),
    "fido2": ("username", "rpId", "credentialPublicKey", "active"),
    "api": ("api_key", "access", "active"),
}
_WHAT = {
    "password": "the password",
    "app_passwd": "app passwords",
    "tfa": "second factors",
    "fido2": "security keys",
    "active": "the disabled state",
    "attributes": "how it may log in",
}
_KEY = secrets.token_bytes(32)


@dataclass(slots=True)
class Census:
    """What one database says of accounts.

    Attributes:
        schema: Version of mailcow's tables; "" where it says none.
        guid: Which installation it belongs to; "" where it says nothing.
        mailboxes: By address and by what can differ, as far as it is no secret or a digest of it.
        admins: The same of those who administer.
        domains: Whether each is active, by name.
        aliases: Addresses that are no mailbox.
        keys_to_api: How many keys the programming interface has.
    """

    schema: str = ""
    guid: str = ""
    mailboxes: dict[str, dict[str, str]] = field(default_factory=dict)
    admins: dict[str, dict[str, str]] = field(default_factory=dict)
    domains: dict[str, str] = field(default_factory=dict)
    aliases: set[str] = field(default_factory=set)
    keys_to_api: Counter[str] = field(default_factory=Counter)
    _keys: dict[str, dict[str, list[str]]] = field(default_factory=lambda: defaultdict(dict))

    def take(self, table: str, row: Row) -> None:
        """Take note of one row; rows of other tables are passed over."""
        if table == "versions":
            self._take_version(row)
        elif table == "mailbox":
            self.mailboxes[_text(row, "username")] = _login(row)
        elif table == "admin":
            self.admins[_text(row, "username")] = _login(row)
        elif table == "domain":
            self.domains[_text(row, "domain")] = _text(row, "active")
        elif table == "alias" and row.get("address") != row.get("goto"):
            self.aliases.add(_text(row, "address"))
        elif table == "api":
            self.keys_to_api[_digest(row, COLUMNS["api"])] += 1
        elif table in KEYS:
            keys = self._keys[_text(row, KEYS[table])].setdefault(table, [])
            keys.append(_digest(row, COLUMNS[table]))

    def of(self, account: str) -> Mapping[str, str]:
        """Return what can differ about an account that there is."""
        told = dict(self.mailboxes.get(account) or self.admins[account])
        keys = self._keys.get(account, {})
        return told | {table: " ".join(sorted(keys.get(table, ()))) for table in KEYS}

    def _take_version(self, row: Row) -> None:
        if row.get("application") == "db_schema":
            self.schema = _text(row, "version")
        elif row.get("application") == "GUID":
            self.guid = _text(row, "version")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What would become of accounts if one database took another's place.

    Attributes:
        vanishing: Mailboxes that are only living.
        returning: Mailboxes that are only in the dump.
        differing: By account in both, what would revert.
        disabled: Accounts in both that are disabled now and were active then.
        administration: Administrators, keys to the programming interface, and whether domains are
            active, as far as they differ.
        changes: All of it as the lines of a plan.
        findings: What the reader should know.
    """

    vanishing: tuple[str, ...]
    returning: tuple[str, ...]
    differing: Mapping[str, tuple[str, ...]]
    disabled: tuple[str, ...]
    administration: tuple[str, ...]
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]

    @property
    def facts(self) -> str:
        """What must still be so when a plan is carried out; no secret, and no digest of one."""
        said = {
            "vanishing": self.vanishing,
            "returning": self.returning,
            "differing": {account: list(what) for account, what in sorted(self.differing.items())},
            "administration": self.administration,
        }
        return json.dumps(said, sort_keys=True)


def compare(then: Census, now: Census, *, keeps: bool, disables: bool) -> Comparison:
    """Say what would become of accounts if the database of ``then`` took the place of ``now``.

    Args:
        then: Of the dump.
        now: Of the living database.
        keeps: Whether what decides about logins stays as it is now.
        disables: Whether accounts that were deleted since come back disabled.
    """
    vanishing = sorted(now.mailboxes.keys() - then.mailboxes.keys())
    returning = sorted(then.mailboxes.keys() - now.mailboxes.keys())
    differing = _differing(then, now, then.mailboxes.keys() & now.mailboxes.keys())
    disabled = tuple(
        account
        for account, what in sorted(differing.items())
        if "active" in what and now.of(account)["active"] != "1"
    )
    administration = _administration(then, now)
    back = "comes back disabled" if disables else "comes back as it was"
    changes = [
        *(Change(Effect.LOSE, a, "exists now, and did not then") for a in vanishing),
        *(Change(Effect.ADD, a, f"was deleted since; it {back}") for a in returning),
        *(_change(a, what, a in disabled, keeps) for a, what in sorted(differing.items())),
        *_names(Effect.LOSE, "domain", now.domains.keys() - then.domains.keys()),
        *_names(Effect.ADD, "domain", then.domains.keys() - now.domains.keys()),
        *_numbers("aliases", then.aliases, now.aliases),
        *(_administered(what, keeps) for what in administration),
    ]
    return Comparison(
        vanishing=tuple(vanishing),
        returning=tuple(returning),
        differing=differing,
        disabled=disabled,
        administration=administration,
        changes=tuple(changes),
        findings=tuple(_findings(returning, differing, administration, keeps, disables)),
    )


def _differing(then: Census, now: Census, both: Iterable[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for account in sorted(both):
        old, new = then.of(account), now.of(account)
        if what := tuple(name for name in _WHAT if old.get(name) != new.get(name)):
            found[account] = what
    return found


def _administration(then: Census, now: Census) -> tuple[str, ...]:
    both = then.admins.keys() & now.admins.keys()
    told = [f"administrator {name}" for name in sorted(then.admins.keys() ^ now.admins.keys())]
    told += [f"login of administrator {name}" for name in _differing(then, now, both)]
    told += [
        f"disabled state of domain {name}"
        for name in sorted(then.domains.keys() & now.domains.keys())
        if then.domains[name] != now.domains[name]
    ]
    if then.keys_to_api != now.keys_to_api:
        told.append("keys to the programming interface")
    return tuple(told)


def _change(account: str, what: Iterable[str], is_disabled: bool, keeps: bool) -> Change:
    names = ", ".join(_WHAT[name] for name in what)
    if keeps:
        rest = "; it stays disabled" if is_disabled else ""
        return Change(Effect.KEEP, account, f"{names}: as now, not as then{rest}")
    rest = "; it would not be disabled any more" if is_disabled else ""
    return Change(Effect.REVERT, account, f"{names}: as then{rest}")


def _names(effect: Effect, kind: str, names: Iterable[str]) -> list[Change]:
    return [Change(effect, f"{kind} {name}") for name in sorted(names)]


def _numbers(what: str, then: set[str], now: set[str]) -> list[Change]:
    changes = []
    if lost := len(now - then):
        changes.append(Change(Effect.LOSE, what, "exist now, and did not then", lost))
    if added := len(then - now):
        changes.append(Change(Effect.ADD, what, "were deleted since", added))
    return changes


def _administered(what: str, keeps: bool) -> Change:
    if keeps:
        return Change(Effect.KEEP, what, "as now, not as then")
    return Change(Effect.REVERT, what, "as then")


def _findings(
    returning: Iterable[str],
    differing: Mapping[str, object],
    administration: Iterable[str],
    keeps: bool,
    disables: bool,
) -> Iterable[Finding]:
    if not keeps and (differing or administration):
        number = count(len(differing), "account")
        yield Finding(
            "logins",
            f"Logins of {number} would be as they were then: a password that was stolen before it"
            " was changed would be good again.",
        )
    for account in returning:
        state = "it can be enabled in mailcow" if disables else "it can log in as it could then"
        yield Finding(account, f"was deleted since, and its mail with it: {state}")


def _login(row: Row) -> dict[str, str]:
    return {
        "password": _digest(row, ("password", "authsource")),
        "active": _text(row, "active"),
        "attributes": _attributes(_text(row, "attributes")),
    }


def _attributes(text: str) -> str:
    try:
        said = json.loads(text or "{}")
    except ValueError:
        return ""
    told = {name: said[name] for name in LOGIN_ATTRIBUTES if name in said}
    return json.dumps(told, sort_keys=True)


def _text(row: Row, column: str) -> str:
    value = row.get(column)
    return value.decode(errors="replace") if isinstance(value, bytes) else (value or "")


def _digest(row: Row, columns: Iterable[str]) -> str:
    hashed = hashlib.blake2b(digest_size=16, key=_KEY)
    for column in columns:
        hashed.update(_bytes(row.get(column)) + b"\0")
    return hashed.hexdigest()


def _bytes(value: Cell) -> bytes:
    if value is None:
        return b"\1"
    return value if isinstance(value, bytes) else value.encode(errors="surrogateescape")
