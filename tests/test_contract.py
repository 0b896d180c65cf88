"""A contract file is standard ODCS with UCUM units and two languages, and a broken one is refused in words."""

from __future__ import annotations

import importlib.resources
import json
import re
from pathlib import Path

import jsonschema
import pytest
import ucumvert
import yaml

from dxai.contract import load_contract, parse_contract, refuse_other_major
from dxai.errors import DataError, NotFoundError

CONTRACTS = sorted((Path(__file__).parents[1] / "contracts").glob("*.yaml"), key=lambda path: path.name)
each_contract = pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def odcs_schema() -> jsonschema.Draft201909Validator:
    text = (importlib.resources.files("open_data_contract_standard") / "schema.json").read_text("utf-8")
    schema = json.loads(text)
    return jsonschema.validators.validator_for(schema)(schema)


@pytest.fixture(scope="module")
def ucum() -> ucumvert.PintUcumRegistry:
    return ucumvert.PintUcumRegistry()


@pytest.fixture(scope="module")
def concrete_text(checkout: Path) -> str:
    return (checkout / "contracts" / "concrete_strength.yaml").read_text("utf-8")


@pytest.fixture(scope="module")
def retail_text(checkout: Path) -> str:
    return (checkout / "contracts" / "retail_demand.yaml").read_text("utf-8")


def edited(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


def refusal(text: str) -> DataError:
    with pytest.raises(DataError) as caught:
        parse_contract(text, where="mine.yaml")
    assert caught.value.exit_code == 6
    assert "mine.yaml" in str(caught.value)
    return caught.value


FINGERPRINTS = {
    "concrete_strength": "f461c4e820d374469151f41af32f82b815d10416359ed1f21439ed866b1710cb",
    "m3_monthly": "bcc423fa3b6a48968733bd0b05bb49978a423f93d7e036dace5fd7c21371e2c1",
    "m3_quarterly": "79caee3dfb895bf3b22687b2b18be2ee83ac6bb4aede808c1472a961890a90d2",
    "seoul_bike": "01e9184485269b8d8bee602f73e7acc65ec35bb766de1069da5636a2041d2239",
    "steel_plates": "9c7b284b238213d2d940b9f1597b697af9f035052425d05ffed14e7226c7418a",
    "epa2021": "51ce455475a987c36bf1697e1588284644d6b69a132c408154ea5a299aa43423",
    "naval_compressor": "f201900e996402f84af1b1860907783e39c1311911c90567a4e0bb0de9c77294",
    "naval_turbine": "a7d3b8210b7ecbbcdb95aacb2e5816008791ab9faa777b799020384f08f6d4a8",
    "pd_speech": "c3204c2842998f5ecb62c0307d51745c37a7287d8905b2571e894dffc41d1408",
    "carparts_demand": "93f8c1da18db4dfc46f00e857f97547b8b6edd39727c122275e09a6f1c0501cb",
    "appliances_energy": "a22fc7a872ef7c807505d8b47633284216efd20c594d8ba74f976a4b0c773272",
    "ai4i": "2d140b6085a2dca3794cd4c629b55ad6572b469e6e41b44c085305c33008549f",
    "retail_demand": "efd1eca17a4181118d04c8ab2ec3335171b8306a3ba3fc3debaacf9735fb4868",
    "monthly_series": "71ee3afc219ad2006bc0b3203fb6c8a9dee7a26bb35b4e97bf52aefb2403841f",
    "quarterly_series": "6fad5faeaf7c6312bf0892cdf9b44f968fa67d4c83814f1f20029319ceead80d",
    "hourly_series": "21608dcdbb4d994eaa16b5cd9389de97836c2aac90c864068842ca6aa1e113cd",
    "daily_series": "554346dd7177b4ea7ee825785c4c4a9a805ec2f589767b5fef52b63421697e6b",
    "yearly_series": "eba01600e0c6121267e9a12c39bfbaaa55025510b7f11c1006fd07632d3da1c1",
    "weekly_series": "3f99e175d20478b15c9033417b1567a9fcc9e6acfedac556c5ce2a41d26d1203",
}
"""Released models name them: a change of dxai must not change what a contract means."""


def test_shipped_contracts_mean_what_released_models_say() -> None:
    assert {path.stem: load_contract(path).fingerprint() for path in CONTRACTS} == FINGERPRINTS


def test_there_are_contracts_for_both_tasks() -> None:
    assert {load_contract(path).task for path in CONTRACTS} == {"quality", "demand"}


@each_contract
def test_contract_is_valid_odcs(path: Path, odcs_schema: jsonschema.Draft201909Validator) -> None:
    errors = [
        f"{list(e.absolute_path)}: {e.message}"
        for e in odcs_schema.iter_errors(yaml.safe_load(path.read_text("utf-8")))
    ]
    assert errors == []


@each_contract
def test_every_unit_is_a_ucum_code(path: Path, ucum: ucumvert.PintUcumRegistry) -> None:
    for column in load_contract(path).columns:
        ucum.from_ucum(column.unit)  # raises on any other text


def test_ucum_registry_refuses_a_plain_english_unit(ucum: ucumvert.PintUcumRegistry) -> None:
    with pytest.raises(ucumvert.parser.InvalidUcumError):
        ucum.from_ucum("kilograms")


@each_contract
def test_titles_stand_there_in_english_and_korean(path: Path) -> None:
    contract = load_contract(path)
    for thing in (contract, *contract.columns):
        assert re.search(r"[A-Za-z]", thing.title_en)
        assert re.search(r"[가-힣]", thing.title_ko), f"{thing.title_ko!r} has no Hangul"


@each_contract
def test_purpose_and_limits_stand_there_in_both_languages_and_the_sector_is_told(path: Path) -> None:
    contract = load_contract(path)
    assert contract.sector
    for english, korean in ((contract.purpose, contract.purpose_ko), (contract.limitations, contract.limitations_ko)):
        assert english and not re.search(r"[가-힣]", english)
        assert re.search(r"[가-힣]", korean)


def test_korean_texts_and_sector_may_be_absent(concrete_text: str) -> None:
    """Contracts of bundles that were released before they were known."""
    odcs = yaml.safe_load(concrete_text)
    del odcs["domain"]
    odcs["customProperties"] = [p for p in odcs["customProperties"] if p["property"].startswith("title")]
    contract = parse_contract(yaml.safe_dump(odcs), where="old.yaml")
    assert (contract.purpose_ko, contract.limitations_ko, contract.sector) == ("", "", "")


def test_columns_keep_their_order_and_meaning(concrete_text: str) -> None:
    contract = parse_contract(concrete_text, where="concrete")
    assert contract.names[:3] == ("cement", "blast_furnace_slag", "fly_ash")
    assert [c.name for c in contract.features] == list(contract.names[:-1])
    assert (contract.target.name, contract.target.unit, contract.target.maximum) == ("strength", "MPa", 200)
    assert "age" not in contract.group
    assert len(contract.group) == 7


def test_demand_contract_tells_its_time_grain(retail_text: str) -> None:
    contract = parse_contract(retail_text, where="retail")
    assert (contract.frequency, contract.horizon, contract.season) == ("weekly", 8, 52)
    assert (contract.minimum_history, contract.absent) == (8, "zero")
    assert (contract.only("series").name, contract.only("time").name) == ("stock_code", "week")


def test_categories_are_read_from_the_valid_values(concrete_text: str) -> None:
    column = (
        "    properties:\n"
        "      - name: cement_type\n"
        "        logicalType: string\n"
        "        quality: [{metric: invalidValues, mustBe: 0, arguments: {validValues: [I, II, 3]}}]\n"
        "        customProperties:\n"
        "          - {property: role, value: feature}\n"
        "          - {property: titleEn, value: Type}\n"
        "          - {property: titleKo, value: 종류}\n"
    )
    contract = parse_contract(edited(concrete_text, "    properties:\n", column), where="mine.yaml")
    assert [c.name for c in contract.categories] == ["cement_type"]
    assert contract.categories[0].categories == ("I", "II", "3")


def test_fingerprint_ignores_comments_and_layout(concrete_text: str) -> None:
    other = "# another comment\n" + yaml.safe_dump(yaml.safe_load(concrete_text), allow_unicode=True, sort_keys=True)
    assert other != concrete_text
    assert parse_contract(other, where="b").fingerprint() == parse_contract(concrete_text, where="a").fingerprint()


def test_fingerprint_changes_with_a_range(concrete_text: str) -> None:
    other = edited(concrete_text, "{minimum: 0, maximum: 3650}", "{minimum: 0, maximum: 3651}")
    assert parse_contract(other, where="b").fingerprint() != parse_contract(concrete_text, where="a").fingerprint()


def test_two_targets_are_refused(concrete_text: str) -> None:
    error = refusal(edited(concrete_text, "role, value: feature", "role, value: target"))
    assert "exactly one column has the role 'target', however: 2" in str(error)


def test_column_name_in_korean_is_refused(concrete_text: str) -> None:
    error = refusal(edited(concrete_text, "- name: age", "- name: 재령"))
    assert "ASCII" in str(error)
    assert "재령" in str(error)


def test_repeated_column_name_is_refused(concrete_text: str) -> None:
    assert "must differ, however: ['cement']" in str(refusal(edited(concrete_text, "- name: age", "- name: cement")))


def test_group_of_an_unknown_column_is_refused(concrete_text: str) -> None:
    assert "['cemnt']" in str(refusal(edited(concrete_text, "[cement, ", "[cemnt, ")))


def test_demand_without_time_is_refused(retail_text: str) -> None:
    error = refusal(edited(retail_text, "role, value: time", "role, value: feature"))
    assert "'time'" in str(error)


def test_demand_without_frequency_is_refused(retail_text: str) -> None:
    assert "frequency" in str(refusal(edited(retail_text, "      - {property: frequency, value: weekly}\n", "")))


def test_several_broken_rules_come_in_one_message(concrete_text: str) -> None:
    text = edited(edited(concrete_text, "- name: age", "- name: cement"), "role, value: target", "role, value: feature")
    error = refusal(text)
    assert "must differ" in str(error)
    assert "'target', however: 0" in str(error)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("role, value: target", "role, value: targett", "targett|role"),
        ("logicalType: number", "logicalType: float", "float"),
        ("task, value: quality", "task, value: qualty", "task"),
        ("maximum: 3650", "maximum: many", "maximum"),
        ("id: concrete-strength\n", "", "id"),
        ("          - {property: titleKo, value: 재령}\n", "", "titleKo"),
    ],
)
def test_unusable_value_or_missing_key_is_told(concrete_text: str, old: str, new: str, told: str) -> None:
    assert re.search(told, str(refusal(edited(concrete_text, old, new))))


@pytest.mark.parametrize(
    ("old", "new"), [("{property: horizon,", "{property: horizn,"), ("{property: unit,", "{property: unitt,")]
)
def test_unknown_custom_property_is_refused(retail_text: str, old: str, new: str) -> None:
    """A misspelt key would otherwise fall back to its default in silence."""
    error = refusal(edited(retail_text, old, new))
    assert new.split()[1].strip(",") in str(error)


@pytest.mark.parametrize("text", ["", "just words", "- a\n- list", "a: [1", "schema: []\nid: x", "\t- tab: 1"])
def test_text_that_is_no_contract_is_refused(text: str) -> None:
    assert refusal(text)


def test_two_tables_in_one_contract_are_refused(concrete_text: str) -> None:
    odcs = yaml.safe_load(concrete_text)
    odcs["schema"] *= 2
    assert refusal(yaml.safe_dump(odcs))


def test_contract_file_that_is_not_utf8_is_refused(concrete_text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(concrete_text.encode("cp949"))
    with pytest.raises(DataError, match="UTF-8"):
        load_contract(path)


def test_missing_contract_suggests_the_nearest(checkout: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        load_contract(checkout / "contracts" / "concrete_strenght.yaml")
    assert caught.value.exit_code == 3
    assert "There is no contract 'concrete_strenght.yaml'" in str(caught.value)
    assert "Did you mean 'concrete_strength'?" in str(caught.value)


def test_missing_contract_unlike_any_lists_what_there_is(checkout: Path) -> None:
    with pytest.raises(NotFoundError, match=r"Contracts here: .*concrete_strength.*retail_demand"):
        load_contract(checkout / "contracts" / "zzz.yaml")


MORE = """  - {property: licence, value: CC-BY-4.0}
  - property: usagePolicy
    value:
      contractType: platform
      provider: Steel maker A
      recipients: members of the alliance
      purposes: [quality prediction]
      derivedData: recipient
      crossBorder: false
      until: "2028-12-31"
schema:
"""


def test_contract_says_who_may_use_the_data_and_what_names_a_row(concrete_text: str) -> None:
    odcs = yaml.safe_load(edited(concrete_text, "schema:\n", MORE))
    (table,) = odcs["schema"]
    table["customProperties"] += [
        {"property": "timeZone", "value": "Asia/Seoul"},
        {"property": "split", "value": "grouped"},
    ]
    table["properties"][7] |= {"primaryKey": True, "primaryKeyPosition": 2}
    table["properties"][0] |= {"primaryKey": True, "primaryKeyPosition": 1}
    table["properties"][0]["customProperties"] += [{"property": "semanticId", "value": "0173-1#02-AAB713#005"}]
    contract = parse_contract(yaml.safe_dump(odcs), where="mine.yaml")
    assert contract.policy is not None
    assert (contract.policy.contract_type, contract.policy.derived_data) == ("platform", "recipient")
    assert (contract.policy.redistribution, contract.policy.until) == (False, "2028-12-31")
    assert (contract.keys, contract.time_zone, contract.split) == (("cement", "age"), "Asia/Seoul", "grouped")
    assert (contract.licence, contract.columns[0].semantic) == ("CC-BY-4.0", "0173-1#02-AAB713#005")
    assert contract.grain == "A mix recipe at one age."


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("contractType: platform", "contractType: plattform", "did you mean 'platform'"),
        ("crossBorder", "crossBorders", "did you mean 'crossBorder'"),
        ("      provider: Steel maker A\n", "", "provider is missing"),
        ("2028-12-31", "2028-02-30", "until"),
    ],
)
def test_policy_that_cannot_be_read_is_refused(concrete_text: str, old: str, new: str, told: str) -> None:
    assert told in str(refusal(edited(concrete_text, "schema:\n", edited(MORE, old, new))))


def test_a_target_of_texts_needs_two_classes(concrete_text: str) -> None:
    odcs = yaml.safe_load(concrete_text)
    target = odcs["schema"][0]["properties"][-1]
    target |= {"logicalType": "string", "logicalTypeOptions": {}}
    assert "two classes" in str(refusal(yaml.safe_dump(odcs)))
    target["quality"] = [{"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": ["weak", "strong"]}}]
    assert parse_contract(yaml.safe_dump(odcs), where="mine.yaml").classes == ("weak", "strong")


def test_mistakes_come_all_at_once_with_line_and_column(concrete_text: str) -> None:
    text = edited(concrete_text, "{property: titleKo, value: 재령}", "{property: titelKo, value: 재령}")
    text = edited(text, "logicalTypeOptions: {minimum: 0, maximum: 3650}", "logicalTypeOptions: {maximum: many}")
    told = str(refusal(edited(text, "version: 1.0.0", "version: 1.0")))
    line = 1 + next(i for i, line in enumerate(text.splitlines()) if "many" in line)
    assert f"line {line}, column 'age': maximum: should be a valid number, not 'many'" in told
    assert "column 'age': titleKo is missing; write it like `{property: titleKo, value:" in told
    assert "there is no key 'titelKo' here, did you mean 'titleKo'?" in told
    assert "4 problems" in told and "version" in told


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "1.0.0.0", "01.0.0", "1.0.0-", "latest", "2026-11-23"])
def test_version_that_is_no_semantic_one_is_refused(concrete_text: str, version: str) -> None:
    told = str(refusal(edited(concrete_text, "version: 1.0.0", f"version: {version}")))
    assert re.search(r"line 7: version.*1\.0\.0", told)


@pytest.mark.parametrize("version", ["0.1.0", "1.10.2", "2.0.0-rc.1", "1.0.0+plant7"])
def test_semantic_version_is_taken(concrete_text: str, version: str) -> None:
    text = edited(concrete_text, "version: 1.0.0", f"version: {version}")
    assert parse_contract(text, where="mine.yaml").version == version


@pytest.mark.parametrize("other", ["v2.2.2", "v4.0.0", "3.1.0"])
def test_another_major_of_the_standard_is_refused(concrete_text: str, other: str) -> None:
    told = str(refusal(edited(concrete_text, "apiVersion: v3.1.0", f"apiVersion: {other}")))
    assert f"apiVersion: '{other}' is not written like `v3.1.0`" in told


def test_what_was_made_for_another_major_is_refused(concrete_text: str) -> None:
    contract = parse_contract(edited(concrete_text, "version: 1.0.0", "version: 2.1.0"), where="mine.yaml")
    refuse_other_major(contract, "2.0.7", what="mapping", where="mine.mapping.yaml")
    for other in ("1.9.9", "20.0.0"):
        with pytest.raises(DataError, match=rf"mapping is for concrete-strength {other}.* is 2\.1\.0") as caught:
            refuse_other_major(contract, other, what="mapping", where="mine.mapping.yaml")
        assert caught.value.exit_code == 6


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("        required: true\n", "        requird: true\n", "did you mean 'required'"),
        ("        required: true\n", "        required: yes\n", "should be a valid boolean"),
        ("domain: materials", "domain: materials\ndomain: steel", "line 10: 'domain' stands there twice"),
        ("{property: unit, value: d}", "{property: unit, value: d}\n          - {property: unit, value: h}", "twice"),
        ("{minimum: 0, maximum: 3650}", "{minimum: 5, maximum: 3}", r"not above its maximum, however: \['age'\]"),
        ("{minimum: 0, maximum: 3650}", '{minimum: "0"}', "should be a valid number"),
    ],
)
def test_nothing_falls_back_in_silence(concrete_text: str, old: str, new: str, told: str) -> None:
    assert re.search(told, str(refusal(edited(concrete_text, old, new))))


def test_texts_stay_what_was_written(concrete_text: str) -> None:
    odcs = edited(
        concrete_text, "  - name: age\n        logicalType: number\n", "  - name: age\n        logicalType: string\n"
    )
    odcs = edited(
        odcs, "        logicalTypeOptions: {minimum: 0, maximum: 3650}\n",
        "        quality: [{metric: invalidValues, arguments: {validValues: [0012, yes, 2026-11-23, 1:30, -3]}}]\n",
    )  # fmt: skip
    assert parse_contract(odcs, where="mine.yaml").columns[7].categories == ("0012", "yes", "2026-11-23", "1:30", "-3")
    assert "quotes" in str(refusal(odcs.replace("0012", "1.10")))


def test_unit_that_is_no_ucum_code_is_refused_where_a_contract_is_written(concrete_text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(edited(concrete_text, "unit, value: d}", "unit, value: ℃}"), "utf-8")
    with pytest.raises(DataError, match="write Cel") as caught:
        load_contract(path)
    assert "column 'age'" in str(caught.value)


@pytest.mark.parametrize("text", ["[" * 200_000, "{a: " * 200_000, "a: &a [*a]", "!!bool x", "a: " + "9" * 6000])
def test_text_made_to_break_a_reader_is_refused(text: str) -> None:
    assert refusal(text)
