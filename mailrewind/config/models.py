"""The configuration as frozen models; every key has its description here and nowhere else."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from mailrewind.config import checks
from mailrewind.config.places import (
    PlacedPath,
    default_data_dir,
    machine_zone,
    placed_location,
)
from mailrewind.config.secrets import SecretRef
from mailrewind.errors import UnknownRepository, UnknownSystem

Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Count = Annotated[int, Field(ge=-1, le=100_000, strict=True)]
Name = Annotated[str, StringConstraints(pattern=checks.NAME)]
Address = Annotated[str, AfterValidator(checks.address)]
Word = Annotated[str, Field(min_length=1)]


class Model(BaseModel):
    """What all parts of the configuration have in common."""

    # Pydantic would repeat the value in its errors, and the value may be a secret.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty_keys(cls, value: Any) -> Any:
        """Take a known key with nothing behind it for one that is not written."""
        if not isinstance(value, dict):
            return value
        return {k: v for k, v in value.items() if v is not None or k not in cls.model_fields}


class Repository(Model):
    """One borg repository."""

    location: Annotated[Word, AfterValidator(placed_location)] = Field(
        description="A path, or ssh://user@host:port/path."
    )
    encryption: Annotated[str, AfterValidator(checks.encryption)] = Field(
        "repokey-blake2", description="One of borg's encryption modes."
    )
    passphrase: SecretRef | None = Field(
        None, description="Opens the repository's key; needed unless encryption is none."
    )
    compression: Annotated[str, AfterValidator(checks.compression)] = Field(
        "zstd,3", description="One of borg's compressions."
    )
    lock_wait_seconds: Annotated[int, Field(ge=0, le=86_400, strict=True)] = Field(
        60, description="How long to wait for another process that holds the repository's lock."
    )
    ssh_command: Annotated[list[Word], Field(min_length=1)] | None = Field(
        None, description="How to call ssh, as a list: program and arguments."
    )
    remote_path: Word | None = Field(
        None, description="The borg executable on the repository's host."
    )

    @model_validator(mode="after")
    def _has_passphrase(self) -> Self:
        if self.encryption == "none" and self.passphrase is not None:
            raise ValueError("no passphrase, because encryption none would not use it")
        if self.encryption != "none" and self.passphrase is None:
            raise ValueError(f"a passphrase, because encryption is {self.encryption}")
        return self


class Retention(Model):
    """How many restore points stay, counted as `borg prune` counts."""

    hourly: Count = Field(24, description="The newest point of this many hours; -1 is all.")
    daily: Count = Field(7, description="The newest point of this many days.")
    weekly: Count = Field(4, description="The newest point of this many weeks.")
    monthly: Count = Field(6, description="The newest point of this many months.")
    yearly: Count = Field(0, description="The newest point of this many years.")
    floor: Annotated[int, Field(ge=1, le=100_000, strict=True)] = Field(
        3, description="Never fewer complete points than this remain, however old."
    )

    @model_validator(mode="after")
    def _keeps_something(self) -> Self:
        if not any((self.hourly, self.daily, self.weekly, self.monthly, self.yearly)):
            raise ValueError(
                "at least one of hourly, daily, weekly, monthly, yearly other than 0; "
                "as written, nothing but the floor would be kept"
            )
        return self


class ExportRetention(Retention):
    """How many exports of calendars and contacts stay, counted as restore points are."""

    hourly: Count = Field(0, description="The newest export of this many hours; -1 is all.")
    daily: Count = Field(30, description="The newest export of this many days.")
    weekly: Count = Field(8, description="The newest export of this many weeks.")
    monthly: Count = Field(12, description="The newest export of this many months.")
    yearly: Count = Field(0, description="The newest export of this many years.")


class DoveadmSettings(Model):
    """Which doveadm serves a tree, where it is not the one on the PATH."""

    doveadm: PlacedPath = Field(description="The doveadm executable.")
    config: PlacedPath | None = Field(None, description="The configuration that doveadm reads.")


def _read_no(value: Any) -> Any:
    """YAML 1.1 reads a bare `no` as false."""
    return "no" if value is False else value


def _kind_of_dovecot(value: Any) -> str:
    return "settings" if isinstance(value, dict | DoveadmSettings) else "word"


Dovecot = Annotated[
    Annotated[Literal["auto", "no"], BeforeValidator(_read_no), Tag("word")]
    | Annotated[DoveadmSettings, Tag("settings")],
    Discriminator(_kind_of_dovecot),
]


class SystemKeys(Model):
    """What mail installations of all kinds have in common."""

    repository: str = Field(description="Name of the repository; each system has its own.")
    schedule: Annotated[str, AfterValidator(checks.cron)] = Field(
        "14 * * * *", description="When a backup runs: five cron fields, in time_zone."
    )
    retention: Retention = Field(
        default_factory=Retention, description="How many restore points stay."
    )
    exclude: list[Annotated[str, AfterValidator(checks.borg_pattern)]] = Field(
        [], description="What is left out of the mail's archive, as borg patterns."
    )
    archive_prefix: Annotated[str, StringConstraints(pattern=checks.PREFIX)] | None = Field(
        None, description="What archive names begin with; the system's name by default."
    )


class MaildirKeys(SystemKeys):
    """Maildir++ trees as Dovecot keeps them."""

    kind: Literal["maildir"] = Field(description="What kind of mail system this is.")
    mailboxes: Annotated[str, AfterValidator(checks.mailbox_template)] = Field(
        description="Path of a mailbox's Maildir, with {domain} and {local}, or with {address}."
    )
    dovecot: Dovecot = Field(
        "auto",
        description="Whether Dovecot serves the tree: auto finds out, no delivers files.",
    )
    staging: PlacedPath | None = Field(
        None,
        description="Where messages wait during a restore, on the mail's own filesystem.",
    )

    @property
    def place(self) -> str:
        """Where the mail lies, for people."""
        return self.mailboxes


class MailcowKeys(SystemKeys):
    """A mailcow-dockerized on this host; everything else is found out."""

    kind: Literal["mailcow"] = Field(description="What kind of mail system this is.")
    directory: PlacedPath = Field(
        description="mailcow's directory, which holds mailcow.conf: /opt/mailcow-dockerized."
    )
    project: Word | None = Field(
        None, description="Name of the compose project; found by the directory without it."
    )
    headers: bool = Field(
        True,
        description="Whether the catalogue may know subjects and senders. They lie in data_dir "
        "without encryption; with false, no message's do.",
    )
    sogo_exports: ExportRetention = Field(
        default_factory=ExportRetention,
        description="How many of the daily exports of calendars and contacts stay.",
    )
    api_key: SecretRef | None = Field(
        None,
        description="A read-write key of mailcow's API, for creating a mailbox anew before mail "
        "is put back into it.",
    )

    @property
    def place(self) -> str:
        """Where the mail lies, for people."""
        return f"mailcow in {self.directory}"


System = Annotated[MaildirKeys | MailcowKeys, Field(discriminator="kind")]
"""One mail installation."""


class MailSettings(Model):
    """How alarms are sent by e-mail."""

    to: Annotated[list[Address], Field(min_length=1)] = Field(description="Who is told.")
    sender: Address = Field(description="The From address.")
    host: Word = Field("localhost", description="The SMTP server.")
    port: Port = Field(25, description="Its port.")
    starttls: bool = Field(False, description="Whether to encrypt, and to check the certificate.")
    user: Word | None = Field(None, description="User at the SMTP server.")
    password: SecretRef | None = Field(None, description="The user's password.")

    @model_validator(mode="after")
    def _has_user_and_password(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password together, or neither")
        return self


class Notify(Model):
    """Who is told that something is wrong."""

    mail: MailSettings | None = Field(None, description="By e-mail.")
    apprise: list[SecretRef] = Field(
        [], description="By apprise: each entry leads to one URL, which holds a token as a rule."
    )


class PrefectSettings(Model):
    """Prefect's side."""

    port: Port = Field(4200, description="Where the UI and the API listen, on loopback.")
    pool: Name = Field("mail", description="Name of the work pool.")
    worker_limit: Annotated[int, Field(ge=1, strict=True)] | None = Field(
        None, description="How many runs the worker has at once; twice the processors by default."
    )


class Config(Model):
    """The whole configuration."""

    time_zone: Annotated[str, AfterValidator(checks.time_zone)] = Field(
        default_factory=machine_zone,
        description="Zone of schedules and of shown times; the machine's by default.",
    )
    data_dir: PlacedPath = Field(
        default_factory=default_data_dir,
        description="Where state, catalogues and Prefect's data lie; only we may read it.",
    )
    repositories: Annotated[dict[Name, Repository], Field(min_length=1)] = Field(
        description="The borg repositories, by name."
    )
    systems: Annotated[dict[Name, System], Field(min_length=1)] = Field(
        description="The mail systems, by name."
    )
    notify: Notify = Field(default_factory=Notify, description="Who is told of failures.")
    prefect: PrefectSettings = Field(
        default_factory=PrefectSettings, description="Where Prefect runs."
    )
    state_url: SecretRef | None = Field(
        None, description="URL of a PostgreSQL database for the state; SQLite without it."
    )
    # Not a key of the file: `load` puts it in.
    path: SkipJsonSchema[Path] = Field(Path("mailrewind.yaml"), exclude=True, repr=False)

    @property
    def zone(self) -> ZoneInfo:
        """The operator's time zone."""
        return ZoneInfo(self.time_zone)

    def system(self, name: str) -> System:
        """Return a configured system.

        Raises:
            UnknownSystem: No system has this name.
        """
        try:
            return self.systems[name]
        except KeyError:
            raise UnknownSystem(f"No system is called {name!r}.") from None

    def names_of(self, kinds: Collection[str]) -> list[str]:
        """Return the names of the systems of these kinds, in the configuration's order."""
        return [name for name, system in self.systems.items() if system.kind in kinds]

    def repository(self, name: str) -> Repository:
        """Return a configured repository.

        Raises:
            UnknownRepository: No repository has this name.
        """
        try:
            return self.repositories[name]
        except KeyError:
            raise UnknownRepository(f"No repository is called {name!r}.") from None
