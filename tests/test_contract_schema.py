"""The published standard: editors, people, other tools and dxai itself say the same about a contract."""

from __future__ import annotations

import copy
import importlib.resources
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner
from open_data_contract_standard.model import OpenDataContractStandard

from dxai.cli.main import cli
from dxai.contract import load_contract, parse_contract
from dxai.contract.document import ContractLoader
from dxai.contract.keys import COLUMN, CONTRACT, CONTRACT_PROPERTIES, DESCRIPTION, POLICY, TABLE
from dxai.contract.level import Level
from dxai.contract.model import Column, Contract
from dxai.contract.policy import UsagePolicy
from dxai.contract.reference import levels, reference
from dxai.contract.schema import contract_schema, value_schema
from dxai.errors import DataError

CHECKOUT = Path(__file__).parents[1]
SHIPPED = sorted((CHECKOUT / "contracts").glob("*.yaml"))
CONCRETE = next(path for path in SHIPPED if path.stem == "concrete_strength")
EDITOR = jsonschema.Draft202012Validator(contract_schema())
OFFICIAL = json.loads((importlib.resources.files("open_data_contract_standard") / "schema.json").read_text("utf-8"))
FURNACE = "로트,온도(℃),압력(kgf/cm2),측정일,불량\n" + "".join(
    f"{lot:04},{850 + lot / 4},{lot % 7}.5,2026-02-{1 + lot % 28:02},{'불량' if lot % 3 else '양품'}\n"
    for lot in range(60)
)
DEMAND = "품목,월,수량\n" + "".join(f"{part},2026-{month:02}-01,{month}\n" for part in "가나" for month in range(1, 13))
MORE = """  - {property: licence, value: CC-BY-4.0}
  - property: usagePolicy
    value: {contractType: platform, provider: A, recipients: members, purposes: [quality], until: 2028-12-31}
schema:
"""

BEYOND_A_SCHEMA = ("group names columns", "names must differ", "not above its maximum")


def as_an_editor(text: str) -> Any:
    return yaml.load(text, Loader=ContractLoader)


def marked(text: str) -> list[str]:
    return [f"{list(e.absolute_path)}: {e.message}" for e in EDITOR.iter_errors(as_an_editor(text))]


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What `dxai data init` writes, for both tasks."""
    folder = tmp_path_factory.mktemp("drafts")
    calls = {
        "furnace": (FURNACE, ["--target", "불량", "--group", "로트"]),
        "parts": (DEMAND, ["--target", "수량", "--kind", "demand", "--series", "품목", "--time", "월"]),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, (text, options) in calls.items():
            Path(f"{name}.csv").write_text(text, "utf-8")
            told = CliRunner().invoke(
                cli, ["data", "init", f"{name}.csv", "--to", name, *options], catch_exceptions=False
            )
            assert told.exit_code == 0, told.output
    return [folder / name / "contract.yaml" for name in calls]


# --- the schema -------------------------------------------------------------------------------------------------------


def test_schema_is_one_of_draft_2020_12() -> None:
    jsonschema.Draft202012Validator.check_schema(contract_schema())
    assert contract_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_contract_is_valid_and_names_the_schema(path: Path) -> None:
    text = path.read_text("utf-8")
    assert marked(text) == []
    first, named = text.partition("\n")[0].split("=")
    assert first == "# yaml-language-server: $schema"
    assert (path.parent / named).resolve() == CHECKOUT / "docs" / "contract.schema.json"


def test_drafted_contract_is_valid_and_readable(drafted: list[Path]) -> None:
    for path in drafted:
        assert marked(path.read_text("utf-8")) == []
    assert [load_contract(path).task for path in drafted] == ["quality", "demand"]


def test_contract_with_every_policy_is_valid() -> None:
    text = CONCRETE.read_text("utf-8").replace("schema:\n", MORE, 1)
    assert marked(text) == []
    assert parse_contract(text, where="mine.yaml").policy is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("role, value: target", "role, value: targett"),
        ("{property: role, value: target}", "{property: rolle, value: target}"),
        ("{property: unit, value: d}", "{property: unitt, value: d}"),
        ("unit, value: d}", "unit, value: [d]}"),
        ("unit, value: d}", "unit, value: 5}"),
        ("unit, value: d}", "unit, value: ℃}"),
        ("{property: unit, value: d}", "{property: unit}"),
        ("{property: unit, value: d}", "{property: unit, value: d}\n          - {property: unit, value: h}"),
        ("  - {property: titleEn, value: Concrete compressive strength}\n", ""),
        ("          - {property: titleKo, value: 재령}\n", ""),
        ("titleKo, value: 재령", "titleKo, value: 28"),
        ("task, value: quality", "task, value: qualty"),
        ("{property: task, value: quality}", "{property: horizon, value: 8}"),
        ("task, value: quality", "task, value: demand"),
        ("{property: task, value: quality}", "{property: task, value: quality}\n      - {property: split, value: any}"),
        ("{property: task, value: quality}", "{property: task, value: quality}\n      - {property: season, value: 0}"),
        (
            "{property: task, value: quality}",
            '{property: task, value: quality}\n      - {property: horizon, value: "8"}',
        ),
        ("value: [cement, blast", "value: [3, blast"),
        ("logicalType: number", "logicalType: float"),
        ("required: true", "required: yes"),
        ("required: true", "requird: true"),
        ("maximum: 3650", "maximum: many"),
        ("- name: age\n        logicalType: number", "- name: age\n        logicalType: date"),
        ("- name: age", "- name: 재령"),
        ("- name: age", "- name: Age"),
        ("role, value: feature", "role, value: target"),
        ("role, value: target", "role, value: feature"),
        ("- name: strength\n        logicalType: number", "- name: strength\n        logicalType: string"),
        ("version: 1.0.0", "version: 1.0"),
        ("version: 1.0.0", "version: one"),
        ("apiVersion: v3.1.0", "apiVersion: v2.2.2"),
        ("kind: DataContract", "kind: Contract"),
        ("id: concrete-strength\n", ""),
        ("domain: materials", "domains: materials"),
        ("  purpose: Predict", "  purposes: Predict"),
        ("schema:\n", MORE.replace("platform", "plattform")),
        ("schema:\n", MORE.replace("provider: A, ", "")),
        ("schema:\n", MORE.replace("until", "till")),
        ("schema:\n", MORE.replace("2028-12-31", "next year")),
    ],
)
def test_mistake_is_marked_in_the_editor_and_refused_by_the_reader(old: str, new: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = CONCRETE.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    assert marked(path.read_text("utf-8"))
    with pytest.raises(DataError):
        load_contract(path)


@pytest.mark.slow
def test_editor_and_reader_agree_on_contracts_broken_at_random() -> None:
    chance = random.Random(4)
    whole = [as_an_editor(path.read_text("utf-8")) for path in (CONCRETE, SHIPPED[-1])]
    taken = 0
    for _ in range(150):
        text = yaml.safe_dump(broken(chance.choice(whole), chance), allow_unicode=True)
        try:
            parse_contract(text, where="mine.yaml")
            told = ""
        except DataError as error:
            told = str(error)
        if not any(rule in told for rule in BEYOND_A_SCHEMA):
            assert bool(marked(text)) == bool(told), f"{told}\n{marked(text)}\n{text}"
        taken += not told
    assert 0 < taken < 100


def broken(document: Any, chance: random.Random) -> Any:
    """A copy with a value taken out, put in or replaced."""
    document = copy.deepcopy(document)
    parent, at = chance.choice(list(places(document)))
    values = [None, "", 5, 1.5, True, [], {}, "x", [1], {"a": 1}, [{"property": "role"}], -1, parent[at]]
    what = chance.choice(["take", "put", "replace", "replace"])
    if what == "take":
        del parent[at]
    elif what == "put" and isinstance(parent, dict):
        parent[chance.choice(["unit", "metric", "tags", "zz"])] = chance.choice(values)
    else:
        parent[at] = chance.choice(values)
    return document


def places(document: Any) -> Iterator[tuple[Any, Any]]:
    keys = document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in keys:
        yield document, key
        yield from places(document[key])


# --- the table of keys ------------------------------------------------------------------------------------------------


def test_every_field_of_the_models_has_its_key() -> None:
    filled = {(level.model, key.field) for level, _ in levels(CONTRACT) for key in level.keys if key.field}
    fields = {(model, name) for model in (Contract, Column, UsagePolicy) for name in model.model_fields}
    elsewhere = {(Contract, "columns"), (Contract, "keys")}  # `properties`, `primaryKey`
    assert filled == fields - elsewhere


def test_every_key_is_explained_in_both_languages_with_an_example_that_fits() -> None:
    for level, place in levels(CONTRACT):
        for key in level.keys:
            assert key.en and key.ko and key.en != key.ko, (place, key.name)
            if key.holds is None:
                jsonschema.validate(as_an_editor(key.example), value_schema(key, level))


@pytest.mark.parametrize(
    ("level", "names"),
    [
        (CONTRACT, OFFICIAL["properties"]),
        (DESCRIPTION, OFFICIAL["properties"]["description"]["properties"]),
        (TABLE, OFFICIAL["$defs"]["SchemaElement"]["properties"] | OFFICIAL["$defs"]["SchemaObject"]["properties"]),
        (
            COLUMN,
            OFFICIAL["$defs"]["SchemaElement"]["properties"]
            | OFFICIAL["$defs"]["SchemaBaseProperty"]["properties"]
            | dict.fromkeys(("items", "properties")),
        ),
    ],
    ids=["contract", "description", "table", "column"],
)
def test_keys_are_those_of_the_standard(level: Level, names: dict[str, Any]) -> None:
    assert {key.name for key in level.keys} | set(level.others) == set(names)


def test_policy_is_the_value_of_one_property() -> None:
    held = {key.name: key.holds for key in CONTRACT_PROPERTIES.keys}
    assert held["usagePolicy"] is POLICY


# --- what is published ------------------------------------------------------------------------------------------------

PAGES = {
    "contract.schema.json": [],
    "contract-reference.md": ["--reference", "en"],
    "contract-reference.ko.md": ["--reference", "ko"],
}


@pytest.mark.parametrize(("name", "options"), PAGES.items(), ids=PAGES)
def test_page_is_the_one_that_the_command_writes(name: str, options: list[str], tmp_path: Path) -> None:
    made = tmp_path / name
    told = CliRunner().invoke(cli, ["data", "schema", *options, "-o", str(made)], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    command = " ".join(["dxai data schema", *options, "-o", f"docs/{name}"])
    assert (CHECKOUT / "docs" / name).read_bytes() == made.read_bytes(), f"write it anew: {command}"


def test_schema_is_printed_where_no_file_is_named() -> None:
    told = CliRunner().invoke(cli, ["data", "schema"], catch_exceptions=False)
    assert json.loads(told.output) == contract_schema()


def test_reference_names_every_key_where_it_stands() -> None:
    for page in (reference("en"), reference("ko")):
        sections = page.split("\n## ")[1:]
        for section, (level, place) in zip(sections, levels(CONTRACT), strict=True):
            assert not place or f"`{' > '.join(place)}`" in section
            assert [key.name for key in level.keys] == [
                row.split("`")[1] for row in section.splitlines() if row.startswith("| `")
            ]


def test_tables_of_the_reference_are_whole() -> None:
    for page in (reference("en"), reference("ko")):
        rows = [line for line in page.splitlines() if line.startswith("|")]
        assert {row.count("|") for row in rows} == {6}


# --- other tools ------------------------------------------------------------------------------------------------------


def test_other_tools_take_shipped_and_drafted_contracts(drafted: list[Path]) -> None:
    """The official schema is all that `datacontract lint` checks of a contract."""
    official = jsonschema.validators.validator_for(OFFICIAL)(OFFICIAL)
    for path in (*SHIPPED, *drafted):
        text = path.read_text("utf-8")
        assert [e.message for e in official.iter_errors(yaml.safe_load(text))] == [], path.name
        read = OpenDataContractStandard.from_string(text)
        contract = load_contract(path)
        (table,) = read.schema_ or ()
        assert (read.id, read.version) == (contract.id, contract.version)
        assert [p.name for p in table.properties or ()] == list(contract.names)


def test_contract_written_by_another_tool_means_the_same() -> None:
    for path in SHIPPED:
        written = OpenDataContractStandard.from_string(path.read_text("utf-8")).to_yaml()
        assert parse_contract(written, where=path.name).fingerprint() == load_contract(path).fingerprint()
