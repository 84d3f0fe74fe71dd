"""What pages say of links, commands and deployments; tests/tools has errors, keys, options."""

import re

import click
import pytest
import yaml

from mailrewind.cli.app import cli
from tests.documentation import DOCS

ROOT = DOCS.parent
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md"])
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"(?:^|[\s`/])mailrewind ((?:--?[a-z-]+(?: \S+)? )*)([a-z-]+(?: [a-z-]+)?)")
_MACHINE = re.compile(r"/(?:work|root|home/\w+|tmp/\w+|Users)/")


def code_of(page):
    """Return what a page shows as code, in blocks and in lines."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:sh)?\n(.*?)```", text, re.DOTALL)
    return "\n".join(
        [*blocks, *re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))]
    )


def anchors_of(page):
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def is_command(words):
    command = cli
    for word in words.split():
        if not isinstance(command, click.Group):
            return True
        found = command.commands.get(word)
        if found is None:
            return False
        command = found
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    broken = []
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_exists(page):
    written = {words for _, words in _COMMAND.findall(code_of(page))}
    assert {words for words in written if not is_command(words)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_place_of_one_machine(page):
    assert _MACHINE.findall(page.read_text(encoding="utf-8")) == []


def test_every_page_is_reached_from_the_index():
    reached, pending = set(), [DOCS / "index.md"]
    while pending:
        page = pending.pop()
        reached.add(page)
        for link in _LINK.findall(page.read_text(encoding="utf-8")):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists() and target not in reached:
                pending.append(target)
    assert {page for page in PAGES if page.resolve() not in reached} == set()


def test_every_deployment_is_described():
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    names = {"backup/<system>" if entry.get("for_each") else entry["name"] for entry in declared}
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = {
        name if "<" in name else name.rpartition("/")[2]
        for name in re.findall(r"^\| `([^`]+/[^`]+)`", text, re.MULTILINE)
    }
    assert listed == names


def test_the_page_of_mailcow_names_only_what_is_deployed():
    described = set(re.findall(r"`([^`/ ]+/[^` ]+)`", _part_of("index.md", "## Deployments")))
    named = set(re.findall(r"`([a-z-]+/[a-z<>-]+)`", _part_of("mailcow.md", "## What was typed")))
    assert named <= described
    assert len(named) > 8


def test_each_deed_by_hand_has_something_in_its_place():
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in _part_of("mailcow.md", "## What was typed").splitlines()
        if line.startswith("| ") and "by hand | deployment" not in line
    ]
    assert [row for row in rows if len(row) != 3 or not all(row)] == []
    assert {deed for deed in _DEEDS_BY_HAND if not any(deed in row[0] for row in rows)} == set()


# The commands of mailcow's pages on deleted data and on borgmatic, without their arguments.
_DEEDS_BY_HAND = (
    *("cp ", "sogo-tool restore -F ALL", "`sogo-tool`", "rm data/conf/sogo", "_garbage"),
    *("docker compose restart sogo-mailcow memcached-mailcow", "doveadm force-resync"),
    *("doveadm quota recalc", "docker-compose.override.yml", "source mailcow.conf", "cat <<EOF"),
    *("crontab.txt", "chmod 600", "docker compose up -d", "borgmatic init", ":ro"),
    *("docker compose restart borgmatic-mailcow", "borgmatic extract", "borgmatic restore"),
    *("docker compose down && docker compose up -d", "borgmatic -v 2", "borgmatic list"),
    *("borg break-lock", "borg key export --paper", "SELinux", "keep_hourly", "exclude_patterns"),
)


def _part_of(page, title):
    text = (DOCS / page).read_text(encoding="utf-8")
    return text[text.index(title) :].partition("\n## ")[0]
