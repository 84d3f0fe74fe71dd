"""A mailcow restored from Prefect's forms: plan, refusal, restore, undo."""

from collections.abc import Iterator

import pytest
from prefect.client.schemas.objects import State

from deployments.declaration import declared
from flows.export_sogo import ALL_SYSTEMS, ExportSogoRequest, export_sogo
from flows.replace_mailbox import ReplaceMailboxRequest, replace_mailbox
from flows.restore_account import RestoreAccountRequest, restore_account
from flows.undo import UndoRequest, undo_restore
from mailrewind.config import load
from tasks.services import services
from tests.mailcow_office import SYSTEM, MailcowOffice
from tests.prefect_server import PrefectServer
from tests.stacks.mailcow.samples import message
from tests.stacks.mailcow.stack import MailcowStack

pytest_plugins = ["tests.mailcow", "tests.prefect_fixture"]

ADA = "ada@example.org"
COMMON = {"system": SYSTEM, "reason": "ticket 17"}


@pytest.fixture(scope="module")
def office(
    mailcow: MailcowStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MailcowOffice]:
    """A mailcow with one restore point, as the flows of this process find it."""
    office = MailcowOffice(mailcow, tmp_path_factory.mktemp("office"))
    mailcow.deliver(ADA, "INBOX", [message(f"first {n}") for n in range(3)])
    office.back_up()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAILREWIND_CONFIG", str(office.configuration))
        services.cache_clear()
        yield office
    services.cache_clear()


def page(server: PrefectServer, key: str) -> str:
    text: str = server.api.get(f"/artifacts/{key}/latest")["data"]
    return text


def message_of(state: State[object]) -> str:
    assert state.is_failed()
    return (state.message or "").removeprefix("Flow run encountered an exception: ")


def test_mailbox_is_replaced_from_its_form_only_with_plan_and_name_and_comes_back(
    office: MailcowOffice, mailcow: MailcowStack, prefect_server: PrefectServer
) -> None:
    then = office.seen(ADA)
    mailcow.deliver(ADA, "INBOX", [message("later")])
    with mailcow.imap(ADA) as imap:
        imap.select("INBOX")
        imap.store("1", "+FLAGS", "(\\Deleted)")
        imap.expunge()
    before = office.seen(ADA)

    plan_id = replace_mailbox(ReplaceMailboxRequest(**COMMON, mailbox=ADA))
    assert office.seen(ADA) == before
    assert "**What is there would be lost or reverted.**" in page(prefect_server, f"plan-{plan_id}")
    by_plan = {**COMMON, "mailbox": ADA, "action": "restore", "plan_id": plan_id}
    unnamed = replace_mailbox(ReplaceMailboxRequest(**by_plan), return_state=True)
    assert message_of(unnamed).startswith(f"ConfirmationMissing: Plan {plan_id} would replace")
    assert office.seen(ADA) == before

    done = replace_mailbox(ReplaceMailboxRequest(**by_plan, type_the_system_name=SYSTEM))
    assert office.seen(ADA) == then
    assert f"| To undo | run *undo* with the restore {done} |" in page(
        prefect_server, f"restore-{done}"
    )
    undo_restore(UndoRequest(restore_id=done, reason="the wrong mailbox"))
    assert {row[0] for row in office.seen(ADA)["INBOX"].values()} == {
        row[0] for row in before["INBOX"].values()
    }
    assert office.services.state.leases() == []


def test_account_that_is_as_it_was_is_planned_from_its_form(
    office: MailcowOffice, prefect_server: PrefectServer
) -> None:
    plan_id = restore_account(RestoreAccountRequest(**COMMON, mailbox=ADA, what=["aliases"]))
    plan = office.services.state.operation_plan(plan_id)
    assert (plan.request.operation, plan.request.target, plan.draft.is_destructive) == (
        "account",
        ADA,
        False,
    )
    assert f"# Plan {plan_id}: restore the account of {ADA} on {SYSTEM}" in page(
        prefect_server, f"plan-{plan_id}"
    )


def test_calendars_are_exported_from_the_form_and_by_schedule(
    office: MailcowOffice, prefect_server: PrefectServer
) -> None:
    export_sogo(ExportSogoRequest(system=SYSTEM, users=[ADA]))
    export_sogo(ExportSogoRequest(system=ALL_SYSTEMS))
    kept = services().exports.kept(SYSTEM)
    assert len(kept) == 2
    assert f"# Export {kept[0].name}" in page(prefect_server, f"export-{SYSTEM}")


def test_deployments_of_all_its_operations_are_declared(office: MailcowOffice) -> None:
    names = {each.full_name for each in declared(load(office.configuration))}
    assert names == {
        f"backup/{SYSTEM}",
        "export-sogo/sogo",
        "replace-mailbox/replace-mailbox",
        "restore-account/account",
        "restore-calendars/calendars",
        "restore-database/database",
        "restore-deleted-mailbox/deleted-mailbox",
        "restore-server/server",
        "restore/mailbox",
        "retain/daily",
        "undo-restore/undo",
    }
    operations = services().connect(SYSTEM).operations
    assert set(operations) == {
        "account",
        "calendars",
        "database",
        "deleted",
        "replace",
        "server",
    }
