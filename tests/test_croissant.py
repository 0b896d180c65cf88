"""Description and policy of a package: Croissant 1.1 that loads the rows, ODRL 2.2 that says who may use them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import mlcroissant
import polars as pl
import pytest
import rdflib
import yaml
from rdflib import Literal, URIRef
from rdflib import namespace as ns

from dxai.contract import load_contract
from dxai.data.package import CONTRACT, CROISSANT, POLICY, TABLE, open_package
from dxai.data.sources import sha256_of
from dxai.intake.linked_data import croissant, offer
from dxai.intake.pack import pack

CR = rdflib.Namespace("http://mlcommons.org/croissant/")
FN = URIRef("http://www.w3.org/2006/vcard/ns#fn")
DATA = "urn:dxai:data:furnace:1.2.0"
KOREA = URIRef("http://publications.europa.eu/resource/authority/country/KOR")

FURNACE = """
apiVersion: v3.1.0
kind: DataContract
id: furnace
version: 1.2.0
status: active
domain: steel
description: {purpose: Tell bad lots., limitations: One furnace.}
customProperties:
  - {property: titleEn, value: Furnace}
  - {property: titleKo, value: 가열로}
  - {property: licence, value: CC-BY-4.0}
  - {property: citation, value: "Kim (2026), Furnace 3."}
  - property: usagePolicy
    value:
      contractType: creation
      provider: 철강사 가
      recipients: members of the alliance
      purposes: [quality prediction, 예지보전]
      derivedData: recipient
      until: "2028-12-31"
schema:
  - name: lots
    logicalType: object
    dataGranularityDescription: One lot.
    customProperties: [{property: task, value: quality}]
    properties:
      - {name: lot, logicalType: string, required: true, primaryKey: true, primaryKeyPosition: 1, customProperties: [
          {property: role, value: group}, {property: titleEn, value: Lot}, {property: titleKo, value: 로트}]}
      - {name: day, logicalType: date, primaryKey: true, primaryKeyPosition: 2, customProperties: [
          {property: role, value: ignore}, {property: titleEn, value: Day}, {property: titleKo, value: 날짜}]}
      - {name: tapped, logicalType: timestamp, customProperties: [
          {property: role, value: time}, {property: titleEn, value: Tapped at}, {property: titleKo, value: 출탕 시각}]}
      - {name: temperature, logicalType: number, logicalTypeOptions: {minimum: 0, maximum: 2000}, description: Roof.,
         customProperties: [
          {property: role, value: feature}, {property: unit, value: Cel}, {property: titleEn, value: Temperature},
          {property: titleKo, value: 온도}, {property: semanticId, value: "0173-1#02-AAB713#005"}]}
      - {name: verdict, logicalType: string, required: true,
         quality: [{metric: invalidValues, mustBe: 0, arguments: {validValues: [양품, 불량]}}],
         customProperties: [
          {property: role, value: target}, {property: titleEn, value: Verdict}, {property: titleKo, value: 판정}]}
"""
ROWS = pl.DataFrame({
    "lot": ["0012", "0012", "로트 3"],
    "day": [date(2026, 2, 3), date(2026, 2, 4), None],
    "tapped": [datetime(2026, 2, 3, 13, 30), None, datetime(2026, 2, 5, 0, 0, 1)],
    "temperature": [850.5, None, 1e-3],
    "verdict": ["양품", "불량", "양품"],
})  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "furnace"
    made.mkdir()
    (made / CONTRACT).write_text(FURNACE, "utf-8")
    ROWS.write_parquet(made / TABLE)
    return made


@pytest.fixture
def opened(folder: Path, tmp_path: Path) -> Path:
    return open_package(pack(folder, published=date(2026, 11, 23)), tmp_path / "cache")


@pytest.fixture
def described(opened: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((opened / CROISSANT).read_text("utf-8"))
    return record


def with_terms(**changes: object) -> dict[str, Any]:
    odcs: dict[str, Any] = yaml.safe_load(FURNACE)
    terms = next(p for p in odcs["customProperties"] if p["property"] == "usagePolicy")
    terms["value"] |= changes
    return odcs


# --- Croissant --------------------------------------------------------------------------------------------------------


def test_mlcroissant_takes_the_description_as_1_1_without_a_word(
    opened: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        metadata = mlcroissant.Dataset(str(opened / CROISSANT)).metadata
    assert metadata.ctx.is_v1_1()
    assert not metadata.ctx.issues.errors
    assert not metadata.ctx.issues.warnings
    assert not caplog.records


def test_mlcroissant_loads_every_row(opened: Path) -> None:
    records = list(mlcroissant.Dataset(str(opened / CROISSANT)).records("rows"))
    assert [{key.removeprefix("rows/"): plain(value) for key, value in row.items()} for row in records] == [
        {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
        for row in ROWS.with_columns(pl.col("day").cast(pl.Datetime)).to_dicts()
    ]


def plain(value: Any) -> Any:
    """A loaded value as the table has it: mlcroissant gives bytes for texts, NaT for absent times."""
    if isinstance(value, bytes):
        return value.decode()
    if value is None or value != value:
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def test_description_has_all_that_the_standard_requires(described: dict[str, Any]) -> None:
    required = {"@context", "@type", "conformsTo", "description", "license", "name", "url", "creator", "datePublished"}
    assert required <= {key for key, value in described.items() if value}
    assert described["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert described["version"] == "1.2.0"
    assert described["citeAs"] == "Kim (2026), Furnace 3."
    assert described["creator"]["name"] == "철강사 가"


def test_files_are_described_with_their_bytes(described: dict[str, Any], opened: Path) -> None:
    files = {file["contentUrl"]: file for file in described["distribution"]}
    assert set(files) == {CONTRACT, TABLE}
    for name, file in files.items():
        assert file["sha256"] == sha256_of(opened / name)
        assert file["contentSize"] == f"{(opened / name).stat().st_size} B"


def test_every_word_of_the_description_is_a_term_of_its_vocabularies(opened: Path) -> None:
    graph = rdflib.Graph().parse(opened / CROISSANT, format="json-ld")
    (data,) = graph.subjects(ns.RDF.type, ns.SDO.Dataset)
    assert list(graph.objects(data, ns.DCTERMS.conformsTo)) == [
        Literal("http://mlcommons.org/croissant/1.1", lang="en")
    ]
    others = {word for word in graph.predicates() if word not in ns.SDO} - {ns.RDF.type, ns.DCTERMS.conformsTo}
    words = "citeAs column data dataType equivalentProperty extract field fileObject key recordSet source"
    assert others == {CR[word] for word in words.split()}
    (policy,) = graph.objects(data, ns.SDO.usageInfo)
    assert (policy, ns.RDF.type, ns.ODRL2.Offer) in graph
    assert str(policy) == json.loads((opened / POLICY).read_text("utf-8"))["uid"]


def test_fields_say_type_unit_range_meaning_and_titles(described: dict[str, Any]) -> None:
    rows = described["recordSet"][0]
    fields = {field["name"]: field for field in rows["field"]}
    assert [fields[name]["dataType"] for name in ROWS.columns] == [
        "sc:Text", "sc:Date", "sc:DateTime", "sc:Float", ["sc:Text", "cr:Label"],
    ]  # fmt: skip
    heat = fields["temperature"]
    assert (heat["unitCode"], heat["minValue"], heat["maxValue"]) == ("UCUM:Cel", 0, 2000)
    assert heat["equivalentProperty"] == "0173-1#02-AAB713#005"
    assert heat["alternateName"] == ["Temperature", {"@value": "온도", "@language": "ko"}]
    assert "unitCode" not in fields["lot"]
    assert rows["key"] == [{"@id": "rows/lot"}, {"@id": "rows/day"}]


def test_classes_are_an_enumeration(described: dict[str, Any]) -> None:
    classes = described["recordSet"][1]
    assert classes["dataType"] == "sc:Enumeration"
    assert classes["data"] == [{"verdict/name": "양품"}, {"verdict/name": "불량"}]


@pytest.mark.parametrize(
    ("licence", "written"),
    [
        ("CC-BY-4.0", "https://spdx.org/licenses/CC-BY-4.0"),
        ("https://www.kogl.or.kr/info/license.do", "https://www.kogl.or.kr/info/license.do"),
        ("공공누리 제1유형", {"@type": "sc:CreativeWork", "name": "공공누리 제1유형"}),
        ("", {"@type": "sc:CreativeWork", "name": "Usage policy", "url": POLICY}),
    ],
)
def test_licence_is_an_address_where_it_has_one(folder: Path, licence: str, written: object) -> None:
    contract = load_contract(folder / CONTRACT).model_copy(update={"licence": licence})
    record = croissant(contract, folder, dict.fromkeys((CONTRACT, TABLE), "0"), published=date(2026, 1, 1))
    assert record["license"] == written


# --- ODRL -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def policy(opened: Path) -> rdflib.Graph:
    return rdflib.Graph().parse(opened / POLICY, format="json-ld")


def test_policy_is_an_offer_with_uid_target_assigner_and_assignee(policy: rdflib.Graph) -> None:
    (uid,) = policy.subjects(ns.RDF.type, ns.ODRL2.Offer)
    assert uid == URIRef(f"{DATA}:policy")
    assert list(policy.objects(uid, ns.ODRL2.target)) == [URIRef(DATA)]
    parties = {role: policy.value(policy.value(uid, role), FN) for role in (ns.ODRL2.assigner, ns.ODRL2.assignee)}
    assert parties == {ns.ODRL2.assigner: Literal("철강사 가"), ns.ODRL2.assignee: Literal("members of the alliance")}


def test_every_word_of_the_policy_is_a_term_of_odrl_or_of_the_profile(policy: rdflib.Graph) -> None:
    words = {word for triple in policy for word in triple if isinstance(word, URIRef)}
    for word in words - {KOREA, FN}:
        assert word.startswith("urn:dxai:") or any(word in terms for terms in (ns.ODRL2, ns.DCTERMS, ns.RDF, ns.XSD)), (
            word
        )


def test_use_is_permitted_for_the_purposes_in_korea_until_the_day_and_asks_for_the_citation(
    policy: rdflib.Graph,
) -> None:
    (permission,) = policy.objects(None, ns.ODRL2.permission)
    assert list(policy.objects(permission, ns.ODRL2.action)) == [ns.ODRL2.use]
    assert set(constraints(policy, permission)) == {
        (ns.ODRL2.purpose, ns.ODRL2.isAnyOf, frozenset({Literal("quality prediction"), Literal("예지보전")})),
        (ns.ODRL2.spatial, ns.ODRL2.eq, frozenset({KOREA})),
        (ns.ODRL2.dateTime, ns.ODRL2.lteq, frozenset({Literal("2028-12-31", datatype=ns.XSD.date)})),
    }
    duty = policy.value(permission, ns.ODRL2.duty)
    assert policy.value(duty, ns.ODRL2.action) == ns.ODRL2.attribute
    assert policy.value(duty, ns.DCTERMS.bibliographicCitation) == Literal("Kim (2026), Furnace 3.")


def test_handing_on_and_leaving_the_country_are_forbidden_above_all(policy: rdflib.Graph) -> None:
    forbidden = {
        (policy.value(rule, ns.ODRL2.action), *constraints(policy, rule))
        for rule in policy.objects(None, ns.ODRL2.prohibition)
    }
    abroad = (ns.ODRL2.spatial, ns.ODRL2.neq, frozenset({KOREA}))
    assert forbidden == {(ns.ODRL2.distribute,), (ns.ODRL2.use, abroad)}
    assert list(policy.objects(None, ns.ODRL2.conflict)) == [ns.ODRL2.prohibit]


def test_terms_of_the_guideline_stand_in_the_profile(policy: rdflib.Graph) -> None:
    own = rdflib.Namespace("urn:dxai:policy:")
    uid = URIRef(f"{DATA}:policy")
    terms = {name: policy.value(uid, own[name]) for name in ("contractType", "derivedData", "modelOutputs")}
    assert terms == {"contractType": own.creation, "derivedData": own.recipient, "modelOutputs": own.shared}
    assert policy.value(uid, own.personalData) == Literal(False)


def test_what_was_allowed_is_not_forbidden(folder: Path) -> None:
    free = with_terms(redistribution=True, crossBorder=True, purposes=[], until="")
    (folder / CONTRACT).write_text(yaml.safe_dump(free), "utf-8")
    record = offer(load_contract(folder / CONTRACT))
    assert record is not None
    assert "prohibition" not in record
    (permission,) = record["permission"]
    assert permission["action"] == ["use", "distribute"]
    assert "constraint" not in permission


def constraints(graph: rdflib.Graph, rule: Any) -> Iterator[tuple[Any, Any, frozenset[Any]]]:
    for found in graph.objects(rule, ns.ODRL2.constraint):
        operands = frozenset(graph.objects(found, ns.ODRL2.rightOperand))
        yield graph.value(found, ns.ODRL2.leftOperand), graph.value(found, ns.ODRL2.operator), operands
