"""config check, schema and show; the example; the reference pages."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mailrewind import config
from tests.command import Call
from tests.office import Office

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "mailrewind.example.yaml"


def test_good_file_is_called_good(call: Call, office: Office) -> None:
    result = call("config", "check")
    assert (result.exit_code, result.stdout) == (
        0,
        f"{office.configuration} is good: 1 system, 1 repository, time zone Europe/Athens.\n",
    )


def test_typo_is_named_with_file_line_and_key(call: Call, office: Office) -> None:
    text = office.configuration.read_text()
    office.configuration.write_text(text.replace("repository: main", "repositroy: main"))
    line = text[: text.index("repository: main")].count("\n") + 1
    result = call("config", "check")
    assert result.exit_code == 2
    assert (
        f"{office.configuration}:{line}: systems.office.repositroy: unknown key; "
        "did you mean repository?\n"
    ) in result.stderr


def test_schema_accepts_what_the_example_says(call: Call) -> None:
    schema = json.loads(call("config", "schema").stdout)
    assert schema["required"] == ["repositories", "systems"]
    assert "path" not in schema["properties"]


def test_shown_configuration_is_complete_and_reads_back(call: Call, office: Office) -> None:
    shown = call("config", "show").stdout
    again = office.root / "again.yaml"
    again.write_text(shown)
    loaded = config.load(again)
    assert loaded.model_copy(update={"path": office.configuration}) == config.load(
        office.configuration
    )
    assert yaml.safe_load(shown) == json.loads(call("config", "show", "--json").stdout)


def test_shown_configuration_holds_no_secret(call: Call, office: Office) -> None:
    shown = call("config", "show").stdout
    assert str(office.passphrase) in shown
    assert office.passphrase.read_text().strip() not in shown


def test_example_is_good_as_it_stands() -> None:
    assert sorted(config.load(EXAMPLE).systems) == ["cow", "office", "school"]


def test_example_shows_every_key(tmp_path: Path) -> None:
    uncommented = re.sub(r"^( *)#(?=[a-z-])", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE)
    path = tmp_path / "mailrewind.yaml"
    path.write_text(uncommented)
    config.load(path)
    schema = config.schema()
    known = {key for part in [schema, *schema["$defs"].values()] for key in part["properties"]}
    assert known - set(_keys(yaml.safe_load(uncommented))) == set()


@pytest.mark.parametrize("default", ["encryption", "compression", "schedule", "hourly", "port"])
def test_optional_keys_of_the_example_show_the_default(default: str) -> None:
    schema = config.schema()
    parts = [part["properties"] for part in schema["$defs"].values()]
    defaults = {str(part[default]["default"]) for part in parts if default in part}
    shown = re.findall(rf"#{default}: (.*)", EXAMPLE.read_text())
    assert set(shown) <= defaults
    assert shown


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield key
            yield from _keys(below)
    elif isinstance(value, list):
        for item in value:
            yield from _keys(item)
