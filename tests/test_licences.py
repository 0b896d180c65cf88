"""Who may use what: the code's licence is whole, and the table of data and models says what their YAML files say."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any

import yaml


def published(checkout: Path) -> dict[str, dict[str, Any]]:
    files = sorted((checkout / "configs/data").glob("*.yaml"))
    settings = {file.stem: yaml.safe_load(file.read_text("utf-8")) for file in files}
    return {name: data for name, data in settings.items() if data["kind"] == "published"}


def rows(checkout: Path) -> list[str]:
    text = (checkout / "docs/licences.md").read_text("utf-8")
    return [line for line in text.splitlines() if line.startswith("| [")]


def test_table_names_every_data_set_as_its_yaml_file_does(checkout: Path) -> None:
    wanted = [
        f"| [{name}](../configs/data/{name}.yaml) | `{data['place']}` | {data['licence']} | {data['citation']} |"
        for name, data in published(checkout).items()
    ]
    assert [row for row in rows(checkout) if "configs/data" in row] == wanted


def test_table_names_every_released_model_with_the_licence_of_its_data(checkout: Path) -> None:
    data_of = {}
    for name, data in published(checkout).items():
        data_of[data["contract"].replace("_", "-")] = name
    wanted = []
    for card in sorted((checkout / "models").glob("*/card.md")):
        name, data = card.parent.name, published(checkout)[data_of[card.parent.name]]
        usage = data["usage"]["en"].strip()
        wanted.append(f"| [{name}](../models/{name}/card.md) | {data_of[name]} | {data['licence']} | {usage} |")
        assert f"Licence: {data['licence']}." in card.read_text("utf-8")
    assert [row for row in rows(checkout) if "models/" in row] == wanted


def test_licence_of_the_code_is_apache_2_word_for_word(checkout: Path) -> None:
    text = (checkout / "LICENSE").read_bytes()
    assert hashlib.sha256(text).hexdigest() == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    project = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))["project"]
    assert (project["license"], project["license-files"]) == ("Apache-2.0", ["LICENSE"])
