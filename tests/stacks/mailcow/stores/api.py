"""Double of mailcow's API: the three calls that bring a mailbox into being and out of it.

It stands where mailcow has nginx, PHP and dockerapi. Its contract, after the source of
mailcow-dockerized of August 2026; *unverified against mailcow's own*:

- ``X-API-Key`` must be a row of the table ``api`` that is active and names the caller in
  ``allow_from``: else 401 and ``{"type": "error", "msg": …}``. A key with access ``ro`` reads only:
  403 for anything else.
- ``GET /api/v1/get/mailbox/<address>``: one object; ``{}`` for an unknown mailbox.
- ``POST /api/v1/add/mailbox`` with the attributes: 200 in any case, and a list of
  ``{"type": "success"|"danger", "log": […], "msg": …}``. ``quota`` is in MiB.
- ``POST /api/v1/delete/mailbox`` with a list of addresses: moves maildir and index to
  ``_garbage`` as user vmail inside dovecot-mailcow, then deletes the rows. Nothing in
  ``_garbage`` is overwritten: a second mailbox of the same second and sane name lands *inside*
  the first, as ``mv`` has it.
- At each start the key of mailcow.conf replaces what the table ``api`` holds.
"""

import hashlib
import ipaddress
import json
import os
import re
import secrets
import signal
import sys
import time
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import docker
import pymysql

ROWS_OF_A_MAILBOX = (
    "DELETE FROM alias WHERE goto = %(user)s",
    "DELETE FROM pushover WHERE username = %(user)s",
    "DELETE FROM quarantine WHERE rcpt = %(user)s",
    "DELETE FROM quota2 WHERE username = %(user)s",
    "DELETE FROM quota2replica WHERE username = %(user)s",
    "DELETE FROM mailbox WHERE username = %(user)s",
    "DELETE FROM sender_acl WHERE logged_in_as = %(user)s OR send_as = %(user)s",
    "DELETE FROM user_acl WHERE username = %(user)s",
    "DELETE FROM spamalias WHERE goto = %(user)s",
    "DELETE FROM imapsync WHERE user2 = %(user)s",
    "DELETE FROM filterconf WHERE object = %(user)s",
    "DELETE FROM sogo_user_profile WHERE c_uid = %(user)s",
    "DELETE FROM sogo_cache_folder WHERE c_uid = %(user)s",
    "DELETE FROM sogo_acl WHERE c_uid = %(user)s OR c_object LIKE %(like)s",
    *(
        f"DELETE FROM {table} WHERE c_folder_id IN"
        " (SELECT c_folder_id FROM sogo_folder_info WHERE c_path2 = %(user)s)"
        for table in ("sogo_store", "sogo_quick_contact", "sogo_quick_appointment")
    ),
    "DELETE FROM sogo_folder_info WHERE c_path2 = %(user)s",
    "DELETE FROM bcc_maps WHERE local_dest = %(user)s",
    "DELETE FROM oauth_access_tokens WHERE user_id = %(user)s",
    "DELETE FROM oauth_refresh_tokens WHERE user_id = %(user)s",
    "DELETE FROM oauth_authorization_codes WHERE user_id = %(user)s",
    "DELETE FROM tfa WHERE username = %(user)s",
    "DELETE FROM fido2 WHERE username = %(user)s",
    "DELETE FROM _sogo_static_view WHERE c_uid NOT IN"
    " (SELECT username FROM mailbox WHERE active = 1)",
)


class Refused(Exception):
    """What mailcow would answer with type `danger`."""


class Database:
    """mailcow's tables, through the socket that the containers share."""

    def __enter__(self):
        self.connection = pymysql.connect(
            unix_socket="/var/run/mysqld/mysqld.sock",
            user=os.environ["DBUSER"],
            password=os.environ["DBPASS"],
            database=os.environ["DBNAME"],
            charset="utf8mb4",
            cursorclass=pymysql.cursors.DictCursor,
        )
        return self

    def __exit__(self, *_):
        self.connection.commit()
        self.connection.close()

    def rows(self, query, values=None):
        with self.connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall()


def get_mailbox(database, address):
    found = database.rows(
        "SELECT m.*, q.bytes, q.messages FROM mailbox m JOIN quota2 q USING (username)"
        " WHERE m.username = %s AND m.kind = ''",
        (address,),
    )
    if not found:
        return {}
    row = found[0]
    names = (
        "username",
        "active",
        "domain",
        "name",
        "local_part",
        "quota",
        "messages",
        "authsource",
    )
    return {name: row[name] for name in names} | {
        "active_int": row["active"],
        "quota_used": row["bytes"],
        "attributes": json.loads(row["attributes"]),
        "custom_attributes": json.loads(row["custom_attributes"]),
        "created": str(row["created"]),
        "modified": str(row["modified"]) if row["modified"] else None,
    }


def add_mailbox(database, wanted):
    local, domain = wanted.get("local_part", "").lower(), wanted.get("domain", "").lower()
    address = f"{local}@{domain}"
    if not re.fullmatch(r"[^@\s/]+@[^@\s/]+", address):
        raise Refused("mailbox_invalid")
    limits = database.rows("SELECT maxquota FROM domain WHERE domain = %s", (domain,))
    if not limits:
        raise Refused(["domain_not_found", domain])
    if database.rows("SELECT 1 FROM mailbox WHERE username = %s", (address,)):
        raise Refused(["object_exists", address])
    if database.rows("SELECT 1 FROM alias WHERE address = %s", (address,)):
        raise Refused(["is_alias", address])
    if not wanted.get("password") or wanted["password"] != wanted.get("password2"):
        raise Refused("password_mismatch")
    quota_mib = int(wanted.get("quota", 3072))
    if quota_mib > limits[0]["maxquota"]:
        raise Refused(["mailbox_quota_exceeded", limits[0]["maxquota"]])
    values = {
        "address": address,
        "local": local,
        "domain": domain,
        "name": wanted.get("name", ""),
        "password": hashed(wanted["password"]),
        "quota": quota_mib * 1048576,
        "active": int(wanted.get("active", 1)),
        "attributes": json.dumps(attributes(wanted)),
    }
    for query in (
        "INSERT INTO mailbox (username, password, name, quota, local_part, domain, attributes,"
        " active) VALUES (%(address)s, %(password)s, %(name)s, %(quota)s, %(local)s, %(domain)s,"
        " %(attributes)s, %(active)s)",
        "REPLACE INTO quota2 (username) VALUES (%(address)s)",
        "REPLACE INTO quota2replica (username) VALUES (%(address)s)",
        "INSERT INTO alias (address, goto, domain, active)"
        " VALUES (%(address)s, %(address)s, %(domain)s, %(active)s)",
        "INSERT INTO user_acl (username) VALUES (%(address)s)",
        "INSERT INTO _sogo_static_view (c_uid, domain, c_name, c_password, c_cn, mail, aliases)"
        " SELECT username, domain, username, '{SSHA256}!', name, username, '' FROM mailbox"
        " WHERE username = %(address)s AND active = 1",
    ):
        database.rows(query, values)
    return ["mailbox_added", address]


def delete_mailbox(database, address):
    found = database.rows("SELECT domain, local_part FROM mailbox WHERE username = %s", (address,))
    if not found:
        raise Refused("access_denied")
    throw_away(found[0]["domain"], found[0]["local_part"])
    escaped = re.sub(r"([\\%_])", r"\\\1", address)
    for query in ROWS_OF_A_MAILBOX:
        database.rows(query, {"user": address, "like": f"%/{escaped}/%"})
    shared = database.rows(
        "SELECT address, goto FROM alias WHERE FIND_IN_SET(%s, goto)", (address,)
    )
    for alias in shared:
        goto = ",".join(name for name in alias["goto"].split(",") if name != address)
        database.rows("UPDATE alias SET goto = %s WHERE address = %s", (goto, alias["address"]))
    return ["mailbox_removed", address]


def throw_away(domain, local):
    """Move the mail of a mailbox to the garbage, where two mailboxes can have the same name."""
    sane = re.sub(r"\W+", "", f"{domain}/{local}")
    for source, suffix in (
        (f"/var/vmail/{domain}/{local}", ""),
        (f"/var/vmail_index/{local}@{domain}", "_index"),
    ):
        target = f"/var/vmail/_garbage/{int(time.time())}_{sane}{suffix}"
        move = '[[ ! -d $0 ]] || /bin/mv "$0" "$1"'
        status, said = dovecot().exec_run(["bash", "-c", move, source, target], user="vmail")
        if status != 0:
            raise Refused(f"Could not move maildir to garbage collector: {said.decode()}")


def dovecot():
    labels = [
        f"com.docker.compose.project={os.environ['COMPOSE_PROJECT_NAME']}",
        "com.docker.compose.service=dovecot-mailcow",
    ]
    return docker.from_env(version="auto").containers.list(filters={"label": labels})[0]


def hashed(password):
    salt = secrets.token_bytes(8)
    digest = hashlib.sha256(password.encode() + salt).digest()
    return "{SSHA256}" + b64encode(digest + salt).decode()


def attributes(wanted):
    allowed = ("imap", "pop3", "smtp", "sieve", "eas", "dav", "sogo")
    return {
        "force_pw_update": str(int(wanted.get("force_pw_update", 0))),
        "tls_enforce_in": str(int(wanted.get("tls_enforce_in", 0))),
        "tls_enforce_out": str(int(wanted.get("tls_enforce_out", 0))),
        **{f"{name}_access": str(int(wanted.get(f"{name}_access", 1))) for name in allowed},
        "relayhost": "0",
        "passwd_update": time.strftime("%Y-%m-%d %H:%M:%S"),
        "mailbox_format": "maildir:",
        "quarantine_notification": "hourly",
        "quarantine_category": "reject",
    }


class Handler(BaseHTTPRequestHandler):
    """Answers as mailcow's json_api.php."""

    def do_GET(self):
        with Database() as database:
            if self.access(database) is None:
                return
            verb, kind, address = self.route()
            if (verb, kind) != ("get", "mailbox"):
                self.answer(404, {"type": "error", "msg": "route not found"})
            else:
                self.answer(200, get_mailbox(database, address))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with Database() as database:
            access = self.access(database)
            if access is None:
                return
            if access == "ro":
                self.answer(403, {"type": "error", "msg": "API read/write access denied"})
                return
            try:
                asked = json.loads(body)
            except ValueError:
                self.answer(
                    400, {"type": "error", "msg": "Request body doesn't contain valid json!"}
                )
                return
            verb, kind, _ = self.route()
            if (verb, kind) == ("add", "mailbox"):
                self.answer(200, [self.tried(add_mailbox, database, asked)])
            elif (verb, kind) == ("delete", "mailbox"):
                self.answer(200, [self.tried(delete_mailbox, database, one) for one in asked])
            else:
                self.answer(404, {"type": "error", "msg": "route not found"})

    def tried(self, call, database, asked):
        try:
            kind, message = "success", call(database, asked)
        except Refused as refusal:
            database.connection.rollback()
            kind, message = "danger", refusal.args[0]
        database.connection.commit()
        return {"type": kind, "log": ["mailbox", call.__name__.partition("_")[0]], "msg": message}

    def access(self, database):
        """Return the key's rights, or answer 401 and return None."""
        found = database.rows(
            "SELECT access, allow_from FROM api WHERE api_key = %s AND active = 1",
            (self.headers.get("X-API-Key", ""),),
        )
        if not found:
            self.answer(401, {"type": "error", "msg": "authentication failed"})
            return None
        caller = ipaddress.ip_address(self.client_address[0])
        allowed = [entry for entry in re.split(r"[ ,;\n]+", found[0]["allow_from"]) if entry]
        if not any(caller in ipaddress.ip_network(entry, strict=False) for entry in allowed):
            self.answer(401, {"type": "error", "msg": f"api access denied for ip {caller}"})
            return None
        return found[0]["access"]

    def route(self):
        parts = self.path.removeprefix("/api/v1/").split("/")
        return (*parts, "", "", "")[:3]

    def answer(self, status, content):
        body = json.dumps(content, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def allow_key_of_configuration():
    """Do what mailcow's PHP container does at its start, once the database answers."""
    while True:
        try:
            with Database() as database:
                database.rows("DELETE FROM api")
                database.rows(
                    "INSERT INTO api (api_key, allow_from) VALUES (%s, %s)",
                    (os.environ["API_KEY"], os.environ["API_ALLOW_FROM"]),
                )
        except pymysql.MySQLError:
            time.sleep(0.2)
        else:
            return


if __name__ == "__main__":
    # As process 1 it would not end by the signal's default.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    allow_key_of_configuration()
    ThreadingHTTPServer(("", int(os.environ["HTTP_PORT"])), Handler).serve_forever()
