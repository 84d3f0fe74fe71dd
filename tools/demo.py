"""Lose mail and bring it back, on sample mail: what ``make demo`` runs.

A folder with every real message of the test data is deleted, and 100 messages besides; Prefect's
restore form brings them back. The proof compares what two looks at the files saw, one before the
loss and one after the restore, and neither look uses the product's code.
"""

import os
import random
import shutil
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mailrewind.errors import MailrewindError
from tools import mail_witness, sample_mail
from tools.demo_operator import DemoFailed, Operator
from tools.demo_screen import Screen
from tools.demo_stage import SYSTEM, Stage

PLACE = Path(".mailrewind") / "demo"
MAILBOX = sample_mail.ADDRESSES[0]
FOLDER = sample_mail.FOLDERS[sample_mail.REAL_FOLDER]
SINGLES = 100
# A restore leaves these out unless they are named.
LEFT_OUT = frozenset({sample_mail.FOLDERS["Trash"], sample_mail.FOLDERS["Junk"]})


@dataclass(frozen=True, slots=True)
class Loss:
    """What the demo destroys.

    Attributes:
        before: All messages of all mailboxes.
        after: Those that were left.
    """

    before: Counter[mail_witness.Seen]
    after: Counter[mail_witness.Seen]

    @property
    def lost(self) -> Counter[mail_witness.Seen]:
        """What is gone."""
        return self.before - self.after


def main() -> int:
    """Run the demo in the working directory; return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Prefect is stopped then, too
    screen = Screen()
    stage = Stage(Path.cwd() / PLACE)
    keep = bool(os.environ.get("KEEP"))
    try:
        with screen.step("Making room", "what an earlier demo left is gone"):
            stage.clear()
        story = _play(stage, screen)
    except (DemoFailed, MailrewindError) as error:
        screen.failure(error)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if not keep:
            with screen.step("Stopping Prefect", "nothing is left running"):
                stage.down()
    screen.farewell(stage, story, keep=keep)
    return 0


def _play(stage: Stage, screen: Screen) -> list[str]:
    """Play the trip; return what is worth remembering of it."""
    with screen.step("Making sample mail") as done:
        sample = sample_mail.make(stage.mail, now=datetime.now(UTC))
        done(f"{sample.messages:,} messages in {len(sample.addresses)} mailboxes")
    with screen.step("Starting Prefect: server, worker, deployments") as done:
        stage.up()
        done(f"{stage.address}")
    operator = Operator(stage)

    with screen.step(f"Backing up: deployment backup/{SYSTEM}") as done:
        made = operator.back_up()
        done(f"restore point {made.point}: {made.index.messages if made.index else 0:,} messages")
    with screen.step("Losing mail") as done:
        loss = lose(stage.mail)
        done(f"{MAILBOX}: {sample_mail.REAL_FOLDER}, and {SINGLES} messages of other folders")
    with screen.step("Planning: the form of restore/mailbox") as done:
        plan = operator.plan(MAILBOX, made.point)
        to_add = len(plan.selection.additions)
        done(f"plan {plan.id}: {to_add} to add, {plan.selection.present} present")
    _demand(mail_witness.look(stage.mail) == loss.after, "the plan changed something")
    _demand(to_add == loss.lost.total(), f"{loss.lost.total()} were lost, the plan says {to_add}")
    with screen.step("Restoring: the same form, with the plan's number") as done:
        first = operator.restore(MAILBOX, made.point, plan_id=plan.id)
        back = mail_witness.look(stage.mail)
        done(f"{len(first.added)} added, each read back and compared")
    with screen.step("Restoring a second time") as done:
        second = operator.restore(MAILBOX, made.point)
        done(f"{len(second.added)} added")
    _demand(mail_witness.look(stage.mail) == back, "the second restore changed something")
    _demand(not second.added, "the second restore added something")

    screen.proof(loss.before, loss.lost, back)
    _demand(back == loss.before, "what came back is not what was lost")
    megabytes = made.added_bytes / 1_000_000
    return [
        f"{sample.messages:,} messages of {len(sample.addresses)} mailboxes were backed up: "
        f"{megabytes:.1f} MB in borg's repository, encrypted.",
        f"{loss.lost.total()} of them were lost, every message of the test data among them.",
        "One form planned, its plan led to the same form filled in, and all of them are back:",
        "bytes, flags, keywords, dates and folders as before. A second restore added nothing.",
    ]


def lose(mail: Path) -> Loss:
    """Delete a folder of one mailbox and 100 messages of its others, as a user does by mistake."""
    before = mail_witness.look(mail)
    local, domain = MAILBOX.split("@")
    maildir = mail / domain / local / "Maildir"
    shutil.rmtree(maildir / FOLDER)
    others = [
        path
        for folder in mail_witness.folders(maildir)
        if folder.name not in LEFT_OUT
        for path in mail_witness.messages(folder)
    ]
    for path in random.Random(SINGLES).sample(others, SINGLES):
        path.unlink()
    return Loss(before, mail_witness.look(mail))


def _demand(is_true: bool, otherwise: str) -> None:
    if not is_true:
        raise DemoFailed(f"The demo failed: {otherwise}.")


if __name__ == "__main__":
    sys.exit(main())
