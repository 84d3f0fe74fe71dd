"""Encrypted messages for tests: keys, a Dovecot that encrypts, and a writer for the corner cases.

The writer shares nothing with the reader that it tests; it follows lib-dcrypt's
``ostream-encrypt.c``.
"""

import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lz4.block  # type: ignore[import-untyped]  # it comes without types
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mailrewind.formats.dovecot import UIDLIST, read_uidlist
from tests.dovecot import Dovecot, is_modern, running_dovecot

LZ4_CHUNK = 64 * 1024


@dataclass(frozen=True)
class KeyPair:
    private: ec.EllipticCurvePrivateKey

    @property
    def private_pem(self) -> bytes:
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public_pem(self) -> bytes:
        return self.private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def id(self) -> bytes:
        """The key's id for prime256v1, its DER spelled out."""
        point = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        info = "3039301306072a8648ce3d020106082a8648ce3d030107032200"
        return hashlib.sha256(bytes.fromhex(info) + point).digest()


def new_key(curve: ec.EllipticCurve | None = None) -> KeyPair:
    return KeyPair(ec.generate_private_key(curve or ec.SECP256R1()))


@contextmanager
def encrypting_dovecot(
    key: KeyPair, directory: Path, *, compression: str = "lz4"
) -> Iterator[Dovecot]:
    """Run a Dovecot that compresses and encrypts what it stores, as mailcow's does."""
    private, public = directory / "ecprivkey.pem", directory / "ecpubkey.pem"
    private.write_bytes(key.private_pem)
    public.write_bytes(key.public_pem)
    settings = _modern if is_modern() else _classic
    with running_dovecot(settings=settings(private, public, compression)) as dovecot:
        yield dovecot


def stored(maildir: Path) -> dict[int, bytes]:
    """Return the files of a folder by the UIDs of their messages."""
    uids = read_uidlist((maildir / UIDLIST).read_bytes())
    files = [path for part in ("cur", "new") for path in (maildir / part).iterdir()]
    return {uids.lines[path.name.partition(":")[0]].uid: path.read_bytes() for path in files}


def encrypt(
    plain: bytes,
    keys: list[KeyPair],
    *,
    flags: int = 2,
    drop_zeros: bool = False,
    wanted_zeros: bool = False,
    oid: str = "060960864801650304012e",
    rounds: int = 2048,
    kind: int = 2,
) -> bytes:
    """Encrypt as Dovecot does.

    Args:
        plain: What is stored: usually compressed.
        keys: For whom.
        flags: The header's.
        drop_zeros: Take the shared secret as a number, without zeros at its beginning.
        wanted_zeros: Look for an ephemeral key whose secret has such a zero.
        oid: The cipher's, in hex.
        rounds: Of PBKDF2.
        kind: The type that the header gives the keys.
    """
    key_data = os.urandom(60)
    slots = b"".join(_slot(key_data, key, rounds, kind, drop_zeros, wanted_zeros) for key in keys)
    rest = (
        bytes.fromhex(oid)
        + bytes.fromhex("0609608648016503040201")
        + struct.pack(">II", rounds, len(slots))
        + bytes((len(keys),))
        + slots
    )
    begin = b"CRYPTED\x03\x07\x02" + struct.pack(">II", flags, 18 + len(rest))
    sealed = AESGCM(key_data[:32]).encrypt(key_data[32:44], plain, key_data[44:])
    return begin + rest + sealed


def lz4_stream(plain: bytes) -> bytes:
    """Compress as Dovecot does."""
    chunks = [plain[at : at + LZ4_CHUNK] for at in range(0, len(plain), LZ4_CHUNK)]
    blocks = [lz4.block.compress(chunk, store_size=False) for chunk in chunks]
    head = b"Dovecot-LZ4\r\x2a\x9b\xc5" + struct.pack(">I", LZ4_CHUNK)
    return head + b"".join(struct.pack(">I", len(block)) + block for block in blocks)


def _slot(
    key_data: bytes, key: KeyPair, rounds: int, kind: int, drop_zeros: bool, wanted_zeros: bool
) -> bytes:
    while True:
        ephemeral = ec.generate_private_key(key.private.curve)
        secret = ephemeral.exchange(ec.ECDH(), key.private.public_key())
        if secret.startswith(b"\0") or not wanted_zeros:
            break
    if drop_zeros:
        secret = secret.lstrip(b"\0")
    point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    stretched = hashlib.pbkdf2_hmac("sha256", secret, point, rounds, 48)
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(stretched[:32]), modes.CBC(stretched[32:])).encryptor()
    encrypted = encryptor.update(padder.update(key_data) + padder.finalize())
    digest = hashlib.sha256(key_data).digest()
    for number in range(1, 2049):
        digest = hashlib.sha256(digest + number.to_bytes(4, "big")).digest()
    fields = (point, encrypted, digest)
    sized = b"".join(struct.pack(">I", len(field)) + field for field in fields)
    return bytes((kind,)) + key.id + sized


def _classic(private: Path, public: Path, compression: str) -> str:
    """Return the settings as Dovecot 2.3 names them."""
    return f"""
mail_plugins = $mail_plugins zlib mail_crypt
plugin {{
  mail_crypt_global_private_key = <{private}
  mail_crypt_global_public_key = <{public}
  mail_crypt_save_version = 2
  zlib_save = {compression}
}}
"""


def _modern(private: Path, public: Path, compression: str) -> str:
    """Return the settings as Dovecot 2.4 names them."""
    return f"""
mail_plugins {{
  mail_compress = yes
  mail_crypt = yes
}}
mail_compress_write_method = {compression}
crypt_global_public_key_file = {public}
crypt_global_private_key main {{
  crypt_private_key_file = {private}
}}
"""
