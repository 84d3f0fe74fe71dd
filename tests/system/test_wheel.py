import zipfile
from pathlib import Path

import pytest

from tools import demo, mail_witness
from tools.demo_operator import Operator
from tools.demo_stage import SYSTEM, Stage

pytestmark = pytest.mark.timeout(900)


def test_the_wheel_holds_the_product_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}

    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "deployments",
        "flows",
        "mailrewind",
        "tasks",
    }
    assert "deployments/prefect.yaml" in names


def test_only_the_wheel_is_installed(installed: Path) -> None:
    packages = next(installed.glob("lib/python*/site-packages"))

    assert not [path for path in packages.iterdir() if path.name in {"tests", "tools", "pytest"}]
    assert (packages / "flows" / "backup.py").is_file()


def test_a_worker_elsewhere_with_only_the_wheel_runs_every_flow(stage: Stage) -> None:
    operator = Operator(stage)
    point = operator.back_up().point
    loss = demo.lose(stage.mail)

    plan = operator.plan(demo.MAILBOX, point)
    restored = operator.restore(demo.MAILBOX, point, plan_id=plan.id)
    after_restore = mail_witness.look(stage.mail)
    undone = operator.run("undo-restore/undo", {"restore_id": restored.id, "reason": "test"})
    after_undo = mail_witness.look(stage.mail)
    operator.restore(demo.MAILBOX, point)
    retained = operator.run("retain/daily", {"system": SYSTEM, "action": "remove"})

    assert after_restore == loss.before
    assert (undone.state, after_undo) == ("COMPLETED", loss.after)
    assert mail_witness.look(stage.mail) == loss.before
    assert retained.state == "COMPLETED"
