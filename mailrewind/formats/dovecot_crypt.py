r"""Messages as Dovecot's plugins mail_crypt and zlib store them, read without Dovecot.

An encrypted file (Dovecot's lib-dcrypt, ``istream-decrypt.c``, format version 2; numbers are big
endian)::

    "CRYPTED\x03\x07" | 2 | u32 flags | u32 length of the header from its first byte
    | OID of the cipher, DER | OID of the hash, DER | u32 PBKDF2 rounds | u32 length of the key data
    | u8 number of keys | for each key: u8 type | 32 bytes key id | u32 + ephemeral public key
      | u32 + encrypted key data | u32 + hash of the key data
    | ciphertext | 16 bytes GCM tag

The ephemeral key and the private key agree on a secret (ECDH), PBKDF2 stretches it to key and IV of
AES-256-CBC, which holds the key data: key, IV and associated data of the message's AES-256-GCM. A
mail server with both plugins compresses before it encrypts; mailboxes hold plain, compressed and
encrypted files side by side, so a file's first bytes decide. Dovecot 2.3.19 and 2.4.1 write
this alike.
"""

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from mailrewind.errors import FormatUnsupported, KeyDoesNotFit, MailSystemError, MessageDamaged
from mailrewind.formats.dovecot_compression import decompress

HEAD_BYTES = 400  # enough for the header of a file that one key opens, with room to spare

_MAGIC = b"CRYPTED\x03\x07"
_VERSION = 2
_AEAD = 0x02
_AES_256_GCM = bytes.fromhex("060960864801650304012e")
_SHA_256 = bytes.fromhex("0609608648016503040201")
_EC = 2
_KEY_DATA_BYTES = 32 + 12 + 16
_TAG_BYTES = 16
# Dovecot writes 2048. A flipped bit must not keep a reader busy for hours.
_MOST_ROUNDS = 1 << 17


@dataclass(frozen=True, slots=True)
class MailCryptKey:
    """A private key that opens messages.

    Attributes:
        id: What a file's header calls it: see ``key_id``.
        private: The key itself.
    """

    id: str
    private: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def from_pem(cls, pem: bytes) -> "MailCryptKey":
        """Read a private key, as mailcow keeps it in ``ecprivkey.pem`` of its crypt volume.

        Raises:
            KeyDoesNotFit: It is no private key on an elliptic curve, or a password protects it.
        """
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyDoesNotFit("this is no private key that can be read") from error
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise KeyDoesNotFit("this private key is not one on an elliptic curve")
        return cls(_id_of(private.public_key()), private)


Keys = Mapping[str, MailCryptKey]


def load_keys(*pems: bytes) -> Keys:
    """Read private keys, the living one and those that came before it, by their ids.

    Raises:
        KeyDoesNotFit: One of them cannot be read.
    """
    keys = map(MailCryptKey.from_pem, pems)
    return {key.id: key for key in keys}


def key_id(pem: bytes) -> str:
    """Return the id, in hex, of a key pair, by the private or the public key of it.

    It is the SHA-256 of the public key's SubjectPublicKeyInfo in DER, with the point compressed
    (lib-dcrypt, ``dcrypt-openssl.c``). ``doveadm dump -t dcrypt-file`` shows it of a message, and
    ``-t dcrypt-key``, as its "v2 hash", of a key.

    Raises:
        KeyDoesNotFit: It is neither.
    """
    if b"PRIVATE KEY" in pem:
        return MailCryptKey.from_pem(pem).id
    try:
        public = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyDoesNotFit("this is no public key that can be read") from error
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise KeyDoesNotFit("this public key is not one on an elliptic curve")
    return _id_of(public)


def is_encrypted(head: bytes) -> bool:
    """Say whether a file that begins so is encrypted."""
    return head.startswith(_MAGIC)


def key_ids_of(head: bytes) -> list[str]:
    """Return the ids, in hex, of the keys that open a file; any one of them is enough.

    Args:
        head: The file's first ``HEAD_BYTES``, or more. [] is returned for what is not encrypted.

    Raises:
        FormatUnsupported: It is encrypted in another way.
        MessageDamaged: The header makes no sense, or ends too soon.
    """
    return [slot.key_id for slot in _read_header(head).slots] if is_encrypted(head) else []


def read_message(content: bytes, keys: Keys) -> bytes:
    """Return a message as Dovecot would hand it out, with the line ends that were stored.

    A wrong file that is not encrypted can't be told from a plain one; the size that a Maildir's
    file name gives (",S=") can.

    Args:
        content: The whole file.
        keys: What there is; see ``load_keys``.

    Raises:
        KeyDoesNotFit: None of the keys is one that the file was encrypted for.
        MessageDamaged: The file was changed or cut.
        FormatUnsupported: It is encrypted or compressed in a way that is not read here.
    """
    return decompress(_decrypt(content, keys) if is_encrypted(content) else content)


def read_messages(
    files: Iterable[tuple[str, bytes]], keys: Keys, *, workers: int | None = None
) -> Iterator[tuple[str, bytes | MailSystemError]]:
    """Read many files at once; yield each one's name with its message or with what is wrong.

    Threads are enough: most of a message's time is PBKDF2 in OpenSSL, outside of Python's lock.

    Args:
        files: (name, content); read as fast as messages are taken, only a few ahead.
        keys: What there is; see ``load_keys``.
        workers: How many at once; the number of processors, if not given.

    Yields:
        In the order of ``files``.
    """
    count = workers or os.cpu_count() or 1
    with ThreadPoolExecutor(count, thread_name_prefix="mail-crypt") as pool:
        pending: deque[tuple[str, Future[bytes | MailSystemError]]] = deque()
        try:
            for name, content in files:
                pending.append((name, pool.submit(_outcome, content, keys)))
                if len(pending) > 4 * count:
                    first, future = pending.popleft()
                    yield first, future.result()
            while pending:
                first, future = pending.popleft()
                yield first, future.result()
        finally:
            for _, future in pending:
                future.cancel()


def _outcome(content: bytes, keys: Keys) -> bytes | MailSystemError:
    try:
        return read_message(content, keys)
    except MailSystemError as error:
        return error


@dataclass(frozen=True, slots=True)
class _Slot:
    """The key data, encrypted for one key."""

    type: int
    key_id: str
    ephemeral: bytes
    encrypted: bytes


@dataclass(frozen=True, slots=True)
class _Header:
    bytes: int
    rounds: int
    slots: tuple[_Slot, ...]


class _Cursor:
    """Reads a header field by field."""

    def __init__(self, content: bytes, position: int) -> None:
        self._content = content
        self.position = position

    def take(self, count: int) -> bytes:
        taken = self._content[self.position : self.position + count]
        if len(taken) < count:
            raise MessageDamaged("the header of an encrypted message is cut off")
        self.position += count
        return taken

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def sized(self) -> bytes:
        return self.take(self.number())


def _read_header(content: bytes) -> _Header:
    cursor = _Cursor(content, len(_MAGIC))
    _check_version(cursor.take(1)[0])
    flags = cursor.number()
    header_bytes = cursor.number()
    if flags != _AEAD:
        raise FormatUnsupported(f"a message is encrypted with the flags {flags:#x}")
    # A cipher's OID tells its length by itself, but only one cipher is read anyway.
    if cursor.take(11) != _AES_256_GCM or cursor.take(11) != _SHA_256:
        raise FormatUnsupported(
            "a message is encrypted with another cipher than aes-256-gcm-sha256"
        )
    rounds, _key_data_bytes = cursor.number(), cursor.number()
    if not 0 < rounds <= _MOST_ROUNDS:
        raise MessageDamaged("the header of an encrypted message makes no sense")
    slots = tuple(_read_slot(cursor) for _ in range(cursor.take(1)[0]))
    return _Header(header_bytes, rounds, slots)


def _check_version(version: int) -> None:
    if version == 1:
        raise FormatUnsupported("a message is encrypted in the format of mail_crypt_save_version 1")
    if version != _VERSION:
        raise FormatUnsupported(f"a message is encrypted in the unknown format {version}")


def _read_slot(cursor: _Cursor) -> _Slot:
    kind = cursor.take(1)[0]
    name = cursor.take(32).hex()
    ephemeral, encrypted, _hash = cursor.sized(), cursor.sized(), cursor.sized()
    return _Slot(kind, name, ephemeral, encrypted)


def _decrypt(content: bytes, keys: Keys) -> bytes:
    header = _read_header(content)
    for slot in header.slots:
        if key := keys.get(slot.key_id):
            return _open(content, header, slot, key)
    needed = " or ".join(slot.key_id for slot in header.slots)
    given = ", ".join(keys) or "none"
    raise KeyDoesNotFit(f"a message needs the key {needed}, and given is {given}")


def _open(content: bytes, header: _Header, slot: _Slot, key: MailCryptKey) -> bytes:
    if slot.type != _EC:
        raise FormatUnsupported(f"a message is encrypted for a key of type {slot.type}")
    # The hash of the key data, 2048 rounds, is not computed: data that the message's tag does not
    # belong to, does not open it.
    for secret in _secrets(slot, key):
        key_data = _key_data(secret, slot, header.rounds)
        if key_data is None:
            continue
        try:
            cipher, iv, associated = AESGCM(key_data[:32]), key_data[32:44], key_data[44:]
            return cipher.decrypt(iv, content[header.bytes :], associated)
        except InvalidTag:
            continue
    raise MessageDamaged("an encrypted message was changed or cut after it had been written")


def _secrets(slot: _Slot, key: MailCryptKey) -> Iterator[bytes]:
    """Yield the shared secret, and as servers wrote it that dropped zeros at its beginning."""
    try:
        peer = ec.EllipticCurvePublicKey.from_encoded_point(key.private.curve, slot.ephemeral)
    except ValueError as error:
        raise MessageDamaged("the header of an encrypted message makes no sense") from error
    secret = key.private.exchange(ec.ECDH(), peer)
    yield secret
    if secret.startswith(b"\0"):
        yield secret.lstrip(b"\0")


def _key_data(secret: bytes, slot: _Slot, rounds: int) -> bytes | None:
    stretched = hashlib.pbkdf2_hmac("sha256", secret, slot.ephemeral, rounds, 48)
    cipher = Cipher(algorithms.AES(stretched[:32]), modes.CBC(stretched[32:]))
    padding_bytes = len(slot.encrypted) - _KEY_DATA_BYTES
    if padding_bytes != 4:
        return None
    decryptor = cipher.decryptor()
    padded = decryptor.update(slot.encrypted) + decryptor.finalize()
    return padded[:_KEY_DATA_BYTES] if padded.endswith(b"\4\4\4\4") else None


def _id_of(public: ec.EllipticCurvePublicKey) -> str:
    info = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    point = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    # SEQUENCE { SEQUENCE { algorithm, curve }, BIT STRING point }: the inner sequence stays.
    start = 2 if info[1] < 0x80 else 3
    algorithm = info[start : start + 2 + info[start + 1]]
    body = algorithm + bytes((0x03, len(point) + 1, 0)) + point
    return hashlib.sha256(bytes((0x30, len(body))) + body).hexdigest()
