"""Compare the reader of encrypted messages with Dovecot: `python -m tools.bench_mail_crypt [N]`.

Dovecot 2.3 stores N messages (5,000 if not given) encrypted and compressed, and hands them out over
IMAP; each must read the same. The time for a message is compared with that of `doveadm fs get`,
which needs a process for each.
"""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from mailrewind.formats.dovecot_crypt import load_keys, read_message, read_messages
from tests.dovecot import Dovecot, Seen
from tests.mail_crypt import encrypting_dovecot, new_key, stored
from tools.sample_mail import REAL_MESSAGES

USER = "ada@example.org"
PROCESSES = 100


def main() -> int:
    """Print both figures; fail when a message differs or the reader is not eight times faster."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    key = new_key()
    keys = load_keys(key.private_pem)
    with TemporaryDirectory() as directory, encrypting_dovecot(key, Path(directory)) as dovecot:
        _fill(dovecot, count)
        files = stored(dovecot.maildir(USER))
        equal = sum(
            _lines(read_message(files[seen.uid], keys)) == _lines(seen.content)
            for seen in _handed_out(dovecot, count)
        )
        print(f"equal to Dovecot's output: {equal:,} of {count:,}", flush=True)
        theirs = _fs_get(dovecot, Path(directory), PROCESSES)
    pairs = [(str(uid), content) for uid, content in files.items()]
    ours = _milliseconds(lambda: [read_message(content, keys) for _, content in pairs], count)
    threads = _milliseconds(lambda: list(read_messages(pairs, keys)), count)
    print(f"doveadm fs get: {theirs:.1f} ms a message")
    print(f"read_message:   {ours:.2f} ms a message, {theirs / ours:.0f} times faster")
    print(f"read_messages:  {threads:.2f} ms a message, {theirs / threads:.0f} times faster")
    return 0 if equal == count and theirs >= 8 * ours else 1


def _fill(dovecot: Dovecot, count: int) -> None:
    dovecot.add_user(USER)
    chance = random.Random(1)
    real = [path.read_bytes() for path in sorted(REAL_MESSAGES.glob("*/*"))]
    with dovecot.imap(USER) as imap:
        for number in range(count):
            begin = b"X-Number: %d\r\n" % number
            content = begin + (real[number] if number < len(real) else _made(chance))
            status, answer = imap.append("INBOX", "", "", content)
            if status != "OK":
                raise SystemExit(f"Dovecot refused message {number}: {answer!r}")


def _made(chance: random.Random) -> bytes:
    words = b" ".join(b"%x" % chance.getrandbits(24) for _ in range(chance.randrange(12)))
    body = (words + b" and the same again.\r\n") * chance.randrange(400)
    attached = chance.randbytes(chance.choice((0, 0, 0, 3_000, 90_000))).hex().encode()
    return b"Subject: " + words + b"\r\n\r\n" + body + attached + b"\r\n"


def _handed_out(dovecot: Dovecot, count: int) -> list[Seen]:
    seen = dovecot.seen(USER)
    if len(seen) != count:
        raise SystemExit(f"Dovecot shows {len(seen)} messages of {count}")
    return seen


def _fs_get(dovecot: Dovecot, keys: Path, count: int) -> float:
    files = [path for part in ("cur", "new") for path in (dovecot.maildir(USER) / part).iterdir()]
    driver = (
        f"lz4:1:crypt:private_key_path={keys}/ecprivkey.pem"
        f":public_key_path={keys}/ecpubkey.pem:posix:prefix=/"
    )
    command = ["doveadm", "-c", str(dovecot.config), "fs", "get", "compress", driver]

    def get() -> None:
        for path in files[:count]:
            done = subprocess.run([*command, str(path)], capture_output=True, check=True)
            if b"\n" not in done.stdout:
                raise SystemExit(f"doveadm fs get said nothing: {done.stderr!r}")

    return _milliseconds(get, count)


def _milliseconds(work: Callable[[], object], count: int) -> float:
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) / count * 1000


def _lines(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n")


if __name__ == "__main__":
    raise SystemExit(main())
