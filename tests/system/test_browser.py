"""An operator's trip through Prefect's pages, in a real browser: lost mail comes back by form.

``MAILREWIND_SCREENSHOTS=1`` keeps what the operator sees, for the README.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, expect, sync_playwright

from tools import demo, mail_witness
from tools.demo_operator import Operator
from tools.demo_stage import SYSTEM, Stage

CHROMIUM = "/usr/bin/chromium"
SCREENSHOTS = Path(__file__).parents[2] / "docs" / "screenshots"
WAIT_MILLISECONDS = 120_000  # a busy machine shows a page late

pytestmark = pytest.mark.timeout(900)


@contextmanager
def _signed_in(stage: Stage) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            # Chromium's sandbox refuses root, and a container's /dev/shm is too small for it.
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
        # Prefect's pages ask a foreign host for its settings; nothing here depends on the answer.
        host = urlsplit(stage.address).netloc
        context.route(lambda url: urlsplit(url).netloc != host, lambda route: route.abort())
        # Chromium gives up what it loads whenever a network of the machine comes or goes, and those
        # of containers do; who fetches for it does not.
        context.route(lambda url: urlsplit(url).netloc == host, _fetched)
        page = context.new_page()
        page.set_default_timeout(WAIT_MILLISECONDS)
        expect.set_options(timeout=WAIT_MILLISECONDS)
        page.goto(stage.address)
        page.get_by_placeholder("admin:pass").fill(stage.login)
        page.get_by_role("button", name="Login").click()
        expect(page.get_by_role("link", name="Deployments")).to_be_visible()
        yield page
        browser.close()


def _fetched(route: Route) -> None:
    route.fulfill(response=route.fetch(max_redirects=0))


def _keep_screenshot(page: Page, name: str) -> None:
    if not os.environ.get("MAILREWIND_SCREENSHOTS"):
        return
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(1_000)  # until the pages' transitions have come to rest
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def _open_form(page: Page) -> None:
    page.get_by_role("link", name="Deployments").click()
    page.get_by_role("link", name="mailbox").click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Custom run").click()


def _submit(page: Page) -> None:
    """Send the form and wait on the run's page until the run has completed."""
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("link", name="View run").click()
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible()


def _open_page_of_run(page: Page, prefix: str) -> None:
    """Open what a run has left: its card, then the newest version."""
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_role("link", name=prefix).click()
    page.locator("a[href*='/artifacts/artifact/']").first.click()


def test_lost_mail_comes_back_by_the_form(stage: Stage) -> None:
    Operator(stage).back_up()
    loss = demo.lose(stage.mail)
    lost = f"{loss.lost.total()} messages"

    with _signed_in(stage) as page:
        _open_form(page)
        page.get_by_label("Mail system").click()
        page.get_by_role("option", name=SYSTEM).click()
        page.get_by_label("Mailbox").fill(demo.MAILBOX)
        page.get_by_label("Reason").fill("ticket 4711: folder deleted by mistake")
        _keep_screenshot(page, "form")
        _submit(page)
        assert mail_witness.look(stage.mail) == loss.after

        _open_page_of_run(page, "plan-")
        expect(page.get_by_role("cell", name=lost).first).to_be_visible()
        _keep_screenshot(page, "plan")
        page.get_by_role("link", name=f"Restore {lost}").click()

        expect(page.get_by_label("Mailbox")).to_have_value(demo.MAILBOX)
        expect(page.get_by_label("Action")).to_have_text("restore")
        _submit(page)
        _keep_screenshot(page, "run")
        _open_page_of_run(page, "restore-")
        expect(page.get_by_role("cell", name=lost).first).to_be_visible()
        _keep_screenshot(page, "restored")

    assert mail_witness.look(stage.mail) == loss.before
