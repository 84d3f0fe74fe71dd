"""What runs in the stack: mailcow's services with their names, volumes and mounts.

The table follows docker-compose.yml of mailcow-dockerized (August 2026). Services whose programs no
restore ever meets (Postfix, Rspamd, PHP) stand idle with their volumes. Left out: unbound, clamd,
acme, netfilter, dockerapi, olefy, ofelia, postfix-tlspol.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SOCKET = "mysql-socket-vol-1:/var/run/mysqld"
DOCKER_SOCKET = "/var/run/docker.sock"

VOLUMES = (
    "vmail-vol-1",
    "vmail-index-vol-1",
    "mysql-vol-1",
    "mysql-socket-vol-1",
    "redis-vol-1",
    "rspamd-vol-1",
    "postfix-vol-1",
    "postfix-tlspol-vol-1",
    "crypt-vol-1",
    "sogo-web-vol-1",
    "sogo-userdata-backup-vol-1",
    "clamd-db-vol-1",
)


@dataclass(frozen=True, slots=True)
class Service:
    """One container of the project.

    Attributes:
        name: As in docker-compose.yml, "dovecot-mailcow".
        recipe: Which image it runs.
        mounts: "volume:path" or "./directory:path", with ":ro" at the end where it is so.
        settings: The names in mailcow.conf that it gets as environment.
        command: What it runs, where the image does not know by itself.
        ports: Port within, and the name in mailcow.conf of the address without.
        environment: More environment.
    """

    name: str
    recipe: str
    mounts: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    ports: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def alias(self) -> str:
        """The name under which the others reach it."""
        return self.name.removesuffix("-mailcow").replace("php-fpm", "phpfpm")

    def binds(self, project: str, directory: Path) -> list[str]:
        """Return the mounts as Docker wants them."""
        return [
            f"{directory / mount}" if mount.startswith((".", "/")) else f"{project}_{mount}"
            for mount in self.mounts
        ]

    def environment_of(self, configuration: Mapping[str, str]) -> dict[str, str]:
        """Return the environment under a configuration."""
        chosen = {name: configuration.get(name, "") for name in (*self.settings, "TZ")}
        return chosen | dict(self.environment)


_DATABASE = ("DBNAME", "DBUSER", "DBPASS")

SERVICES = (
    Service(
        "mysql-mailcow",
        "mysql",
        mounts=("mysql-vol-1:/var/lib/mysql", SOCKET, "./data/conf/mysql:/etc/mysql/conf.d:ro"),
        ports={"3306/tcp": "SQL_PORT"},
    ),
    Service(
        "redis-mailcow",
        "stores",
        mounts=("redis-vol-1:/data", "./data/conf/redis/redis-conf.sh:/redis-conf.sh"),
        settings=("REDISPASS",),
        command=("/bin/sh", "/redis-conf.sh"),
        ports={"6379/tcp": "REDIS_PORT"},
    ),
    Service("memcached-mailcow", "stores", command=("memcached", "-u", "nobody", "-l", "0.0.0.0")),
    Service(
        "dovecot-mailcow",
        "dovecot",
        mounts=(
            "./data/hooks/dovecot:/hooks",
            "./data/conf/dovecot:/etc/dovecot",
            "./data/assets/ssl:/etc/ssl/mail:ro",
            "./data/conf/sogo:/etc/sogo",
            "vmail-vol-1:/var/vmail",
            "vmail-index-vol-1:/var/vmail_index",
            "crypt-vol-1:/mail_crypt",
            "./data/conf/rspamd/custom:/etc/rspamd/custom",
            "rspamd-vol-1:/var/lib/rspamd",
            SOCKET,
        ),
        settings=(
            *_DATABASE,
            "MAILCOW_HOSTNAME",
            "MAILDIR_SUB",
            "MAILDIR_GC_TIME",
            "DOVECOT_MASTER_USER",
            "DOVECOT_MASTER_PASS",
            "COMPOSE_PROJECT_NAME",
            "REDISPASS",
        ),
        ports={"143/tcp": "IMAP_PORT"},
    ),
    Service(
        "sogo-mailcow",
        "sogo",
        mounts=(
            "./data/conf/sogo:/etc/sogo",
            SOCKET,
            "sogo-web-vol-1:/sogo_web",
            "sogo-userdata-backup-vol-1:/sogo_backup",
        ),
        settings=(*_DATABASE, "MAILCOW_HOSTNAME"),
    ),
    Service(
        "postfix-mailcow",
        "stores",
        mounts=(
            "./data/conf/postfix:/opt/postfix/conf",
            "./data/assets/ssl:/etc/ssl/mail:ro",
            "postfix-vol-1:/var/spool/postfix",
            "crypt-vol-1:/var/lib/zeyple",
            "rspamd-vol-1:/var/lib/rspamd",
            SOCKET,
        ),
        command=(
            *("python3", "/stack/idle.py"),
            *("/var/spool/postfix/public/pickup", "/var/spool/postfix/private/smtp"),
        ),
    ),
    Service(
        "rspamd-mailcow",
        "stores",
        mounts=(
            "./data/conf/rspamd/override.d:/etc/rspamd/override.d",
            "rspamd-vol-1:/var/lib/rspamd",
        ),
        settings=("REDISPASS",),
        command=("python3", "/stack/idle.py", "/var/lib/rspamd/rspamd.sock"),
    ),
    Service(
        "php-fpm-mailcow",
        "stores",
        mounts=("./data/web:/web", "rspamd-vol-1:/var/lib/rspamd", SOCKET),
        settings=(*_DATABASE, "API_KEY", "API_ALLOW_FROM"),
        command=("python3", "/stack/idle.py"),
    ),
    Service(
        "nginx-mailcow",
        "stores",
        mounts=("./data/web:/web:ro", SOCKET, f"{DOCKER_SOCKET}:{DOCKER_SOCKET}"),
        settings=(*_DATABASE, "API_KEY", "API_ALLOW_FROM", "COMPOSE_PROJECT_NAME", "HTTP_PORT"),
        command=("python3", "/stack/api.py"),
    ),
    Service(
        "watchdog-mailcow",
        "stores",
        mounts=(
            "rspamd-vol-1:/var/lib/rspamd",
            SOCKET,
            "postfix-vol-1:/var/spool/postfix",
            f"{DOCKER_SOCKET}:{DOCKER_SOCKET}",
        ),
        settings=("COMPOSE_PROJECT_NAME",),
        command=("python3", "-u", "/stack/watchdog.py"),
    ),
)
