"""The composition root: configuration in, wired services out, once per process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Literal

from mailrewind.borg.repository import BorgRepository, RepositorySettings
from mailrewind.catalog import SqlCatalog
from mailrewind.config import Config, DoveadmSettings, MailcowKeys, MaildirKeys, Notify
from mailrewind.model.retention import RetentionPolicy
from mailrewind.notify import Apprise, Log, Mail, MailServer, Note, Several
from mailrewind.ports import MailSystem, Notifier, Operation, Part, State
from mailrewind.services.adopt import Adopt
from mailrewind.services.back_up import BackUp
from mailrewind.services.browse import Browse
from mailrewind.services.calendars.archives import CalendarArchives
from mailrewind.services.calendars.exports import Exports
from mailrewind.services.calendars.listing import BrowseCalendars
from mailrewind.services.calendars.restoring import RestoreCalendars
from mailrewind.services.connected import ConnectedSystem
from mailrewind.services.databases.account import RestoreAccount
from mailrewind.services.databases.dumps import Dumps
from mailrewind.services.databases.restoring import RestoreDatabase
from mailrewind.services.deleted import RestoreDeleted
from mailrewind.services.operations import Operations
from mailrewind.services.replacing import ReplaceMailbox
from mailrewind.services.restore import Restore
from mailrewind.services.retain import Retain
from mailrewind.services.server import RestoreServer
from mailrewind.services.undo import Undo
from mailrewind.services.watch import Watch
from mailrewind.state.state import SqlState
from mailrewind.systems.mailcow.database import MailcowDatabase
from mailrewind.systems.mailcow.garbage import MailcowGarbage
from mailrewind.systems.mailcow.installation import Installation
from mailrewind.systems.mailcow.parts import ServerPart
from mailrewind.systems.mailcow.recovery import recover_leftovers
from mailrewind.systems.mailcow.server import MailcowServer
from mailrewind.systems.mailcow.sogo import SogoCalendars
from mailrewind.systems.mailcow.sogo_part import SogoPart
from mailrewind.systems.mailcow.sql_part import SqlPart
from mailrewind.systems.mailcow.swapping import MailcowSwapping
from mailrewind.systems.mailcow.system import MailcowSystem
from mailrewind.systems.maildir import Doveadm, MaildirSettings, MaildirSystem
from mailrewind.transports.processes import is_alive, this_process


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the product can do, ready to be called.

    Attributes:
        config: What it was wired from.
        state: What survives.
        back_up: Makes restore points.
        adopt: Finds those that stand in a repository and are not known.
        browse: Looks at them.
        restore: Brings messages back.
        operations: Brings back what is more than messages.
        undo: Takes either back.
        retain: Lets old points go.
        exports: Keeps exports of calendars and contacts beside the restore points.
        browse_calendars: Looks at calendars and contacts as they were.
        watch: Says how things stand.
        notifier: Tells the operators; fails when nobody is configured to be told.
        archives: Gives a repository by its configured name, with all of borg's verbs.
        connect: Gives a system by its configured name, with its adapters.
    """

    config: Config
    state: State
    back_up: BackUp
    adopt: Adopt
    browse: Browse
    restore: Restore
    operations: Operations
    undo: Undo
    retain: Retain
    exports: Exports
    browse_calendars: BrowseCalendars
    watch: Watch
    notifier: Notifier
    archives: Callable[[str], BorgRepository]
    connect: Callable[[str], ConnectedSystem]


def now_utc() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


def wire(config: Config, *, clock: Callable[[], datetime] = now_utc) -> Services:
    """Build all services over the adapters that a configuration names.

    Nothing is opened or asked here but the state database; a system's adapters are built when it
    is first needed, so that one broken system leaves the others usable.

    Raises:
        RecordsError: The state database cannot be opened.
    """
    return _Wiring(config, clock).services()


class _Wiring:
    """Builds each thing once, when it is first asked for."""

    def __init__(self, config: Config, clock: Callable[[], datetime]) -> None:
        self._config = config
        self.zone = config.zone
        self.clock = clock
        self.data_dir = config.data_dir
        self.state = cache(self._state)
        self.archives = cache(self._archives)
        self.connect = cache(self._connect)
        self.back_up = cache(self._back_up)

    def services(self) -> Services:
        config, clock, zone = self._config, self.clock, self.zone
        state = self.state()
        notifier = _notifier(config.notify)
        told = notifier if notifier.notifiers else Log()
        noted = notifier if notifier.notifiers else Note()
        watch = Watch(tuple(config.systems), self.connect, state, told, zone=zone, clock=clock)
        restore = Restore(self.connect, state, noted, zone=zone, clock=clock)
        operations = Operations(self.connect, state, noted, zone=zone, clock=clock)
        return Services(
            config=config,
            state=state,
            back_up=self.back_up(),
            adopt=Adopt(self.connect, state, clock=clock),
            browse=Browse(self.connect, state, zone=zone, clock=clock),
            restore=restore,
            operations=operations,
            undo=Undo(restore, operations, state),
            retain=Retain(self.connect, state, zone=zone, clock=clock, data_dir=self.data_dir),
            exports=Exports(self.connect, state, zone=zone, clock=clock),
            browse_calendars=BrowseCalendars(self.calendar_archives()),
            watch=watch,
            notifier=notifier,
            archives=self.archives,
            connect=self.connect,
        )

    def calendar_archives(self) -> CalendarArchives:
        """Return what finds exports of calendars in restore points."""
        return CalendarArchives(self.connect, self.state(), zone=self.zone, clock=self.clock)

    def _back_up(self) -> BackUp:
        return BackUp(self.connect, self.state(), process=this_process(), clock=self.clock)

    def _state(self) -> State:
        url = self._config.state_url.resolve() if self._config.state_url else None
        where = url or self._config.data_dir / "state.db"
        return SqlState(where, process=this_process(), is_alive=is_alive, clock=self.clock)

    def _connect(self, system: str) -> ConnectedSystem:
        configured = self._config.system(system)
        if isinstance(configured, MailcowKeys):
            mailcow = _Mailcow(system, configured, self)
            return replace(
                self._connected(system, configured, mailcow.mail),
                catalogues_headers=configured.headers,
                operations=mailcow.operations(self),
                calendars=mailcow.calendars,
                export_policy=RetentionPolicy(**configured.sogo_exports.model_dump()),
            )
        return self._connected(system, configured, _maildir(system, configured))

    def _connected(
        self, system: str, configured: MaildirKeys | MailcowKeys, mail: MailSystem
    ) -> ConnectedSystem:
        return ConnectedSystem(
            name=system,
            prefix=configured.archive_prefix or system,
            repository=configured.repository,
            cron=configured.schedule,
            policy=RetentionPolicy(**configured.retention.model_dump()),
            mail=mail,
            archives=self.archives(configured.repository),
            repository_named=self._repository_named,
            open_catalog=cache(partial(SqlCatalog, self._catalog_of(system), system)),
        )

    def _repository_named(self, name: str) -> BorgRepository | None:
        return self.archives(name) if name in self._config.repositories else None

    def _catalog_of(self, system: str) -> Path:
        return self._config.data_dir / "catalog" / f"{system}.db"

    def _archives(self, name: str) -> BorgRepository:
        repository = self._config.repository(name)
        return BorgRepository(
            RepositorySettings(
                location=repository.location,
                encryption=repository.encryption,
                compression=repository.compression,
                passphrase=repository.passphrase.resolve if repository.passphrase else None,
                lock_wait_seconds=repository.lock_wait_seconds,
                ssh_command=tuple(repository.ssh_command) if repository.ssh_command else None,
                remote_path=repository.remote_path,
                base_dir=self._config.data_dir / "borg",
            )
        )


class _Mailcow:
    """What belongs to one mailcow; all of it shares one installation."""

    def __init__(self, name: str, configured: MailcowKeys, wiring: _Wiring) -> None:
        self._api_key = configured.api_key.resolve if configured.api_key else None
        self._name = name
        self._configured = configured
        self._installation = Installation(
            configured.directory,
            project=configured.project or "",
            on_opened=partial(recover_leftovers, system=name, data_dir=wiring.data_dir),
        )
        exports = wiring.data_dir / "exports" / name
        self.calendars = SogoCalendars(self._installation, exports, clock=wiring.clock)
        self.mail = MailcowSystem(
            name, self._installation, parts=self._parts(), exclude=configured.exclude
        )
        data_dir = wiring.data_dir
        self._database = MailcowDatabase(self._installation, system=name, data_dir=data_dir)
        self._server = MailcowServer(
            self._installation, self.mail, self._database, system=name, data_dir=data_dir
        )

    def _parts(self) -> list[Part]:
        """Return what is archived after the mail, in this order."""
        return [
            SqlPart(self._installation),
            ServerPart(self._installation),
            SogoPart(self.calendars),
        ]

    def operations(self, wiring: _Wiring) -> Mapping[str, Operation]:
        """Return what can be brought back beyond messages, by name."""
        connect, state = wiring.connect, wiring.state()
        zone, clock = wiring.zone, wiring.clock
        swapping = MailcowSwapping(self.mail)
        garbage = MailcowGarbage(self.mail, self._api_key)
        dumps = Dumps(connect, state, self._database.dump_path, zone, clock)
        operations: list[Operation] = [
            ReplaceMailbox(connect, state, swapping, zone=zone, clock=clock),
            RestoreDeleted(connect, state, garbage, swapping, zone=zone, clock=clock),
            RestoreServer(
                connect,
                dumps,
                self._database,
                self._server,
                data_dir=wiring.data_dir,
            ),
            RestoreCalendars(connect, wiring.calendar_archives(), data_dir=wiring.data_dir),
            RestoreDatabase(self._database, dumps, data_dir=wiring.data_dir),
            RestoreAccount(self._database, dumps, data_dir=wiring.data_dir),
        ]
        return {operation.name: operation for operation in operations}


def _maildir(name: str, configured: MaildirKeys) -> MaildirSystem:
    return MaildirSystem(
        MaildirSettings(
            name=name,
            template=configured.mailboxes,
            exclude=tuple(configured.exclude),
            dovecot=_doveadm(configured),
            staging=configured.staging,
        )
    )


def _doveadm(configured: MaildirKeys) -> Doveadm | Literal["auto"] | None:
    if isinstance(configured.dovecot, DoveadmSettings):
        return Doveadm(configured.dovecot.doveadm, configured.dovecot.config)
    return "auto" if configured.dovecot == "auto" else None


def _notifier(notify: Notify) -> Several:
    ways: list[Notifier] = [
        Apprise(f"apprise #{number}", reference.resolve)
        for number, reference in enumerate(notify.apprise, start=1)
    ]
    if mail := notify.mail:
        password = mail.password.resolve if mail.password else None
        server = MailServer(mail.host, mail.port, mail.starttls, mail.user, password)
        ways.insert(0, Mail(tuple(mail.to), mail.sender, server))
    return Several(ways)
