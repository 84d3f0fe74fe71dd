import bz2
import gzip
import lzma
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from mailrewind.errors import FormatUnsupported, KeyDoesNotFit, MailSystemError, MessageDamaged
from mailrewind.formats.dovecot_crypt import (
    HEAD_BYTES,
    key_id,
    key_ids_of,
    load_keys,
    read_message,
    read_messages,
)
from tests.dovecot import Dovecot
from tests.mail_crypt import encrypt, encrypting_dovecot, lz4_stream, new_key, stored

MESSAGES = sorted(
    path
    for path in (Path(__file__).parents[2] / "data" / "messages").rglob("*")
    if path.is_file() and path.name != "README.md"
)
PLAIN = b"Subject: Gr\xc3\xbc\xc3\x9fe\n\n" + b"Lorem ipsum dolor sit amet.\n" * 400
OLD, LIVING, FOREIGN = new_key(), new_key(), new_key()
KEYS = load_keys(OLD.private_pem, LIVING.private_pem)
USER = "ada@example.org"


def lines(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n")


def fill(dovecot: Dovecot, contents: list[bytes]) -> None:
    dovecot.add_user(USER)
    with dovecot.imap(USER) as imap:
        for content in contents:
            status, answer = imap.append("INBOX", "", "", content)
            assert status == "OK", answer


def elapsed(call: Callable[..., object], *arguments: object) -> float:
    begin = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - begin


def several(count: int) -> list[bytes]:
    return [
        b"Subject: %d\r\n\r\n" % number + b"line %d of it\r\n" % number * (number * 7)
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize("compression", ["lz4", "gz"])
def test_messages_read_as_dovecot_hands_them_out(tmp_path: Path, compression: str) -> None:
    real = [path.read_bytes() for path in MESSAGES]
    assert len(real) == 113
    with encrypting_dovecot(LIVING, tmp_path, compression=compression) as dovecot:
        fill(dovecot, [*real, *several(200), b"Subject: long\r\n\r\n" + b"x" * 300_000])
        files = stored(dovecot.maildir(USER))
        handed_out = {seen.uid: lines(seen.content) for seen in dovecot.seen(USER)}
    assert {content[:9] for content in files.values()} == {b"CRYPTED\x03\x07"}
    read = {uid: lines(read_message(content, KEYS)) for uid, content in files.items()}
    assert len(read) == 314
    assert read == handed_out


def test_messages_read_eight_times_faster_than_through_a_process_for_each(tmp_path: Path) -> None:
    with encrypting_dovecot(LIVING, tmp_path) as dovecot:
        fill(dovecot, several(20))
        files = stored(dovecot.maildir(USER))
        theirs = min(
            elapsed(dovecot.run, "fetch", "-u", USER, "text", "uid", str(n)) for n in files
        )
    ours = min(elapsed(read_message, content, KEYS) for content in files.values())
    assert ours < theirs / 8


def test_real_file_names_the_key_that_it_needs(tmp_path: Path) -> None:
    with encrypting_dovecot(FOREIGN, tmp_path) as dovecot:
        fill(dovecot, several(1))
        (content,) = stored(dovecot.maildir(USER)).values()
        key = dovecot.run("dump", "-t", "dcrypt-key", str(tmp_path / "ecprivkey.pem"))
    assert f"v2 hash: {key_id(FOREIGN.public_pem)}" in key
    assert key_ids_of(content[:HEAD_BYTES]) == [key_id(FOREIGN.public_pem)]
    with pytest.raises(KeyDoesNotFit, match=key_id(FOREIGN.private_pem)):
        read_message(content, KEYS)


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.name)
def test_every_message_comes_back_byte_for_byte(path: Path) -> None:
    content = path.read_bytes()
    assert read_message(encrypt(lz4_stream(content), [LIVING]), KEYS) == content
    assert read_message(content, {}) == content


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, lz4_stream])
def test_compressed_files_read_with_and_without_encryption(compress) -> None:
    assert read_message(compress(PLAIN), {}) == PLAIN
    assert read_message(encrypt(compress(PLAIN), [OLD]), KEYS) == PLAIN


def test_message_that_is_itself_compressed_stays_so() -> None:
    attached = gzip.compress(PLAIN)
    assert read_message(encrypt(lz4_stream(attached), [LIVING]), KEYS) == attached


def test_message_that_begins_like_a_compressed_one_is_plain() -> None:
    assert read_message(b"BZhang: x\n\n", {}) == b"BZhang: x\n\n"


def test_empty_files_read_as_empty() -> None:
    assert read_message(b"", {}) == b""
    assert read_message(encrypt(b"", [LIVING]), KEYS) == b""
    assert read_message(lz4_stream(b""), {}) == b""


def test_zstandard_is_refused() -> None:
    with pytest.raises(FormatUnsupported, match="Zstandard"):
        read_message(b"\x28\xb5\x2f\xfd rest", {})


@pytest.mark.parametrize("drop_zeros", [True, False])
def test_secret_that_begins_with_zero_opens_as_either_kind_of_server_wrote_it(drop_zeros) -> None:
    content = encrypt(PLAIN, [LIVING], wanted_zeros=True, drop_zeros=drop_zeros)
    assert read_message(content, KEYS) == PLAIN


def test_any_of_several_keys_opens_a_message() -> None:
    content = encrypt(PLAIN, [FOREIGN, OLD])
    assert key_ids_of(content[:600]) == [FOREIGN.id.hex(), OLD.id.hex()]
    assert read_message(content, KEYS) == PLAIN


def test_no_key_that_fits_is_told_with_what_to_do() -> None:
    with pytest.raises(KeyDoesNotFit) as caught:
        read_message(encrypt(PLAIN, [FOREIGN]), load_keys(OLD.private_pem))
    assert str(caught.value) == (
        f"A message needs the key {FOREIGN.id.hex()}, and given is {OLD.id.hex()}."
    )
    assert "ecprivkey.pem" in caught.value.advice


def test_files_that_need_no_key_have_no_ids() -> None:
    assert key_ids_of(PLAIN) == key_ids_of(lz4_stream(PLAIN)) == key_ids_of(b"") == []


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_both_halves_of_a_pair_have_one_id(curve) -> None:
    pair = new_key(curve)
    assert key_id(pair.private_pem) == key_id(pair.public_pem)


def test_id_is_the_one_that_lies_in_the_file() -> None:
    assert key_id(LIVING.public_pem) == LIVING.id.hex()


def test_keys_of_other_kinds_are_refused() -> None:
    private = rsa.generate_private_key(65537, 2048)
    secret = BestAvailableEncryption(b"x")
    pems = [
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        LIVING.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret),
        LIVING.private_pem.replace(b"M", b"!"),
        b"-----BEGIN PUBLIC KEY-----\n",
        b"",
    ]
    for pem in pems:
        with pytest.raises(KeyDoesNotFit):
            key_id(pem)
        with pytest.raises(KeyDoesNotFit):
            load_keys(LIVING.private_pem, pem)


def test_key_shows_no_secret() -> None:
    (key,) = load_keys(LIVING.private_pem).values()
    assert repr(key) == f"MailCryptKey(id='{LIVING.id.hex()}')"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (encrypt(PLAIN, [LIVING], flags=0x12), "flags 0x12"),
        (encrypt(PLAIN, [LIVING], flags=0x1), "flags 0x1"),
        (encrypt(PLAIN, [LIVING], oid="060960864801650304012a"), "cipher"),
        (encrypt(PLAIN, [LIVING], kind=1), "type 1"),
        (b"CRYPTED\x03\x07\x01" + b"\0\xb6" + bytes(300), "mail_crypt_save_version 1"),
        (b"CRYPTED\x03\x07\x07" + bytes(300), "format 7"),
    ],
)
def test_other_ways_to_encrypt_are_refused_by_name(content: bytes, reason: str) -> None:
    with pytest.raises(FormatUnsupported, match=reason):
        read_message(content, KEYS)


@pytest.mark.parametrize("rounds", [0, 1 << 20, 0xFFFFFFFF])
def test_flipped_number_of_rounds_does_not_keep_the_reader_busy(rounds: int) -> None:
    content = bytearray(encrypt(PLAIN, [LIVING]))
    content[40:44] = rounds.to_bytes(4, "big")
    with pytest.raises(MessageDamaged):
        read_message(bytes(content), KEYS)


def test_no_flipped_bit_gives_other_content() -> None:
    plain = b"Subject: x\n\nfew words\n"
    content = encrypt(lz4_stream(plain), [LIVING])
    unread = []
    for position in range(9, len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        try:
            assert read_message(bytes(flipped), KEYS) == plain
        except (MessageDamaged, KeyDoesNotFit, FormatUnsupported):
            continue
        unread.append(position)
    # The length and the hash of the key data say nothing that the tag does not say too.
    assert unread == [*range(44, 48), *range(223, 255)]


def test_no_cut_gives_other_content() -> None:
    content = encrypt(lz4_stream(PLAIN), [LIVING])
    for length in range(9, len(content)):
        with pytest.raises(MessageDamaged):
            read_message(content[:length], KEYS)
    with pytest.raises(MessageDamaged):
        read_message(content + b"\0", KEYS)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, lz4_stream])
def test_cut_compressed_file_is_damaged(compress) -> None:
    content = compress(PLAIN)
    for length in range(max(15, len(content) - 40), len(content)):
        if content[:length] != lz4_stream(PLAIN)[:19]:
            with pytest.raises(MessageDamaged):
                read_message(content[:length], {})


def test_lz4_that_claims_too_much_is_damaged() -> None:
    head = lz4_stream(b"")[:15]
    for rest in (b"\0\1\0\1", b"\0\0\0\0", b"\0\1\0\0\0\0\0\0", b"\0\1\0\0\x7f\xff\xff\xff\0"):
        with pytest.raises(MessageDamaged):
            read_message(head + rest, {})


@given(st.binary(max_size=300))
def test_no_content_is_too_strange(content: bytes) -> None:
    for begin in (b"", b"CRYPTED\x03\x07", b"CRYPTED\x03\x07\x02\0\0\0\x02", lz4_stream(b"")):
        try:
            read_message(begin + content, KEYS)
        except MailSystemError:
            continue


def test_many_files_come_in_their_order_with_what_is_wrong() -> None:
    good = [(str(number), encrypt(b"%d" % number, [LIVING])) for number in range(40)]
    files = [*good[:20], ("wrong", encrypt(PLAIN, [FOREIGN])), *good[20:], ("cut", good[0][1][:-1])]
    outcomes = list(read_messages(iter(files), KEYS, workers=2))
    assert [name for name, _ in outcomes] == [name for name, _ in files]
    read = dict(outcomes)
    assert isinstance(read.pop("wrong"), KeyDoesNotFit)
    assert isinstance(read.pop("cut"), MessageDamaged)
    assert read == {str(number): b"%d" % number for number in range(40)}


def test_files_are_read_only_a_few_ahead() -> None:
    taken = []

    def files():
        for number in range(1000):
            taken.append(number)
            yield str(number), b"plain"

    outcomes = read_messages(files(), {}, workers=2)
    assert next(outcomes) == ("0", b"plain")
    outcomes.close()
    assert len(taken) < 20
