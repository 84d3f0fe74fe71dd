"""Stands for a service of mailcow that only its volumes matter of: Postfix, Rspamd, PHP.

Called with paths of sockets, it listens on them, so that a backup of the volumes meets what it
meets at a user's: sockets that no archive can hold.
"""

import signal
import socket
import sys
from pathlib import Path


def listen(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


if __name__ == "__main__":
    listeners = [listen(Path(name)) for name in sys.argv[1:]]
    # As process 1 it would not end by the signal's default.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.pause()
