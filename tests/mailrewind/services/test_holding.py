"""Mailboxes and whole systems held by many at once, on one database."""

import random
import threading
import time
from datetime import timedelta
from pathlib import Path

from mailrewind.errors import BackupRunning, LeaseHeld, SystemHeld
from mailrewind.services.holding import hold_mailbox, hold_system
from mailrewind.state import SqlState
from mailrewind.transports.processes import is_alive, this_process


def test_nobody_works_on_a_part_while_somebody_holds_the_whole(tmp_path: Path) -> None:
    state = SqlState(tmp_path / "state.db", process=this_process(), is_alive=is_alive)
    inside: set[tuple[str, int]] = set()
    overlaps: list[tuple[str, int]] = []
    entered: list[str] = []
    watch = threading.Lock()
    until = time.monotonic() + 4

    def enter(kind: str, number: int) -> None:
        with watch:
            inside.add((kind, number))
            entered.append(kind)
            if len(inside) > 1 and any(each == "system" for each, _ in inside):
                overlaps.append((kind, number))
        time.sleep(random.uniform(0, 0.02))
        with watch:
            inside.remove((kind, number))

    def work_on_a_part(number: int) -> None:
        while time.monotonic() < until:
            try:
                with hold_mailbox(
                    state, "office", mailbox=f"m{number}", holder="part", wait=timedelta(0)
                ):
                    enter("part", number)
            except (SystemHeld, LeaseHeld):
                time.sleep(0.01)

    def work_on_all(number: int) -> None:
        while time.monotonic() < until:
            try:
                with hold_system(state, "office", holder="all", wait=timedelta(seconds=1)):
                    enter("system", number)
            except (SystemHeld, LeaseHeld, BackupRunning):
                pass
            time.sleep(0.05)

    threads = [threading.Thread(target=work_on_a_part, args=(n,)) for n in range(3)]
    threads += [threading.Thread(target=work_on_all, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert overlaps == []
    assert set(entered) == {"part", "system"}
    assert state.leases() == []
    state.close()
