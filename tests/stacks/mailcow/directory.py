"""mailcow's directory on the host, made anew for each stack: settings, overrides, certificates."""

import secrets
import shutil
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# Below the ports of outgoing connections: a container that is started again wants its own back.
_PORTS = range(10_000, 32_000)
_TEMPLATES = Path(__file__).parent / "conf"


def make_directory(directory: Path, *, project: str, maildir_sub: str) -> None:
    """Lay out a mailcow directory as after `generate_config.sh` and some changes by its owner.

    Args:
        directory: Where; what is there already goes, as the host is a new one then.
        project: The compose project's name.
        maildir_sub: "Maildir" as in new installations, "" as in old ones that were updated.
    """
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(_TEMPLATES, directory / "data/conf")
    hostname = "mail.example.org"
    configuration = _configuration(hostname, project, maildir_sub)
    _write(directory / "mailcow.conf", configuration, mode=0o600)
    _write(directory / "docker-compose.yml", "# In a mailcow, git holds this file.\nservices: {}\n")
    _write(
        directory / "docker-compose.override.yml",
        "services:\n  dovecot-mailcow:\n    environment:\n      - OFFICE=Piraeus\n",
    )
    # Without waiting for the disk a test stack takes mail five times as fast.
    _write(
        directory / "data/conf/dovecot/extra.conf",
        # Nor is anybody guessing passwords here: a wrong one is answered at once.
        "mail_fsync = never\nmail_max_userip_connections = 60\nauth_failure_delay = 0\n"
        "service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\n",
    )
    _write(directory / "data/conf/postfix/extra.cf", f"myhostname = {hostname}\n")
    _write(directory / "data/conf/redis/redis-conf.sh", _REDIS, mode=0o755)
    _write(directory / "data/conf/rspamd/override.d/actions.conf", "reject = 25;\n")
    _write(directory / "data/conf/rspamd/custom/global_rcpt_blacklist.map", "/.+spam\\.example/i\n")
    _write(directory / "data/hooks/dovecot/10-hello.sh", "#!/bin/bash\necho hello\n", mode=0o755)
    certificate, key = _certificate(hostname)
    _write(directory / "data/assets/ssl/cert.pem", certificate)
    _write(directory / "data/assets/ssl/key.pem", key, mode=0o600)
    _write(directory / "data/web/inc/vars.local.inc.php", "<?php\n")


def read_configuration(directory: Path) -> dict[str, str]:
    """Return the settings of mailcow.conf."""
    lines = (directory / "mailcow.conf").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def _configuration(hostname: str, project: str, maildir_sub: str) -> str:
    settings = {
        "MAILCOW_HOSTNAME": hostname,
        "MAILCOW_PASS_SCHEME": "SSHA256",
        "DBNAME": "mailcow",
        "DBUSER": "mailcow",
        "DBPASS": secrets.token_hex(14),
        "DBROOT": secrets.token_hex(14),
        "REDISPASS": secrets.token_hex(14),
        "HTTP_PORT": str(_free_port()),
        "HTTP_BIND": "127.0.0.1",
        "HTTPS_PORT": "443",
        "IMAP_PORT": f"127.0.0.1:{_free_port()}",
        "SQL_PORT": f"127.0.0.1:{_free_port()}",
        "REDIS_PORT": f"127.0.0.1:{_free_port()}",
        "TZ": "Europe/Berlin",
        "COMPOSE_PROJECT_NAME": project,
        "DOCKER_COMPOSE_VERSION": "native",
        "MAILDIR_GC_TIME": "7200",
        "SKIP_SOGO": "n",
        "SKIP_FTS": "y",
        "USE_WATCHDOG": "y",
        "MAILDIR_SUB": maildir_sub,
        "SOGO_EXPIRE_SESSION": "480",
        "DOVECOT_MASTER_USER": "",
        "DOVECOT_MASTER_PASS": "",
        "API_KEY": "-".join(secrets.token_hex(3).upper() for _ in range(5)),
        # Whom Docker makes a caller from the host look like.
        "API_ALLOW_FROM": "127.0.0.1,172.16.0.0/12,192.168.0.0/16",
    }
    return "# mailcow's settings\n" + "".join(f"{name}={settings[name]}\n" for name in settings)


_REDIS = """#!/bin/sh
cat <<EOF >/redis.conf
requirepass $REDISPASS
user quota_notify on nopass ~QW_* -@all +get +hget +ping
dir /data
protected-mode no
EOF
exec redis-server /redis.conf
"""


def _certificate(hostname: str) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(hostname)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def _write(path: Path, content: str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)


def _free_port() -> int:
    """Return a port that nothing uses, and that the kernel gives to nobody meanwhile."""
    while True:
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
