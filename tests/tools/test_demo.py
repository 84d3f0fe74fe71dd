from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tools import demo, sample_mail


@pytest.fixture(scope="module")
def loss(tmp_path_factory: pytest.TempPathFactory) -> demo.Loss:
    mail = tmp_path_factory.mktemp("demo") / "mail"
    sample_mail.make(mail, now=datetime(2026, 11, 20, tzinfo=UTC))
    return demo.lose(mail)


def test_the_demo_loses_a_folder_and_100_messages_of_one_mailbox(loss: demo.Loss) -> None:
    lost = Counter(seen.folder == demo.FOLDER for seen in loss.lost.elements())
    whole = sum(
        seen.folder == demo.FOLDER and seen.mailbox == "example.org/ada/Maildir"
        for seen in loss.before.elements()
    )

    assert lost == {True: whole, False: 100}
    assert {seen.mailbox for seen in loss.lost} == {"example.org/ada/Maildir"}
    assert loss.before - loss.lost == loss.after


def test_the_demo_loses_every_real_message(loss: demo.Loss) -> None:
    real = len(list(Path(sample_mail.REAL_MESSAGES).rglob("*.eml")))

    assert real == 113
    assert sum(seen.folder == demo.FOLDER for seen in loss.lost.elements()) >= real


def test_the_demo_loses_nothing_that_a_restore_leaves_out(loss: demo.Loss) -> None:
    assert not {seen.folder for seen in loss.lost} & demo.LEFT_OUT
