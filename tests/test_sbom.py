"""The ML-BOM is valid CycloneDX 1.7, says what the bundle holds and was made with, and tells no machine or time."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import MakeBundle
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from dxai.bundle.folder import Bundle
from dxai.ship.sbom import ml_bom


@pytest.fixture(scope="module", params=["quality", "demand"])
def folder(request: pytest.FixtureRequest, make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bom") / "bundle", task=request.param, name=f"model-{request.param}")


@pytest.fixture(scope="module")
def bom(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "sbom.cdx.json").read_text("utf-8"))


def texts(value: Any) -> Iterator[str]:
    """Every text in a record, keys too."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    else:
        yield str(value)


def test_bom_is_valid_by_the_strict_schema(folder: Path) -> None:
    text = (folder / "sbom.cdx.json").read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(text) is None
    broken = text.replace('"bomFormat"', '"bomformat"')
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(broken) is not None, "the validator sees nothing"


PUBLISHED = sorted(p for p in (Path(__file__).parents[1] / "configs/data").glob("*.yaml") if p.stem != "own")


@pytest.mark.parametrize("data", PUBLISHED, ids=lambda p: p.stem)
def test_bom_of_every_licence_in_the_configs_is_valid(folder: Path, data: Path) -> None:
    """CycloneDX takes SPDX identifiers only."""
    bundle = Bundle.open(folder)
    terms = bundle.terms.model_copy(update={"licence": yaml.safe_load(data.read_text("utf-8"))["licence"]})
    text = ml_bom(folder, bundle.manifest, bundle.contract, terms, bundle.metrics)
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(text) is None


def test_bom_of_a_released_model_is_valid(released: Path) -> None:
    text = (released / "sbom.cdx.json").read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(text) is None


def test_model_component_is_the_graph(bom: dict[str, Any], folder: Path) -> None:
    bundle, model = Bundle.open(folder), bom["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    assert (model["name"], model["version"]) == (bundle.manifest.name, "1.0.0")
    assert model["hashes"] == [{"alg": "SHA-256", "content": bundle.manifest.files["model.onnx"].sha256}]
    assert model["licenses"] == [{"license": {"id": "CC-BY-4.0"}}]


def test_model_card_tells_task_inputs_outputs_scores_and_limits(bom: dict[str, Any], folder: Path) -> None:
    bundle, card = Bundle.open(folder), bom["metadata"]["component"]["modelCard"]
    parameters = card["modelParameters"]
    assert parameters["task"] == bundle.contract.task
    assert parameters["modelArchitecture"] == "linear"
    named = [entry["format"].split(" [")[0] for entry in parameters["inputs"]]
    assert named == [c.name for c in bundle.contract.columns if c.role != "target"]
    assert parameters["outputs"] == [{"format": f"{bundle.contract.target.name} [{bundle.contract.target.unit}]"}]
    told = {entry["type"]: float(entry["value"]) for entry in card["quantitativeAnalysis"]["performanceMetrics"]}
    assert told == bundle.metrics["model"]
    assert card["considerations"]["technicalLimitations"] == ["Made up for tests."]


def test_data_set_and_packages_are_parts(bom: dict[str, Any]) -> None:
    kinds = {part["name"]: part["type"] for part in bom["components"]}
    assert kinds["onnx"] == kinds["polars"] == "library"
    assert "data" in kinds.values()
    assert {p["purl"] for p in bom["components"] if "purl" in p} == {"pkg:pypi/onnx@1.23.2", "pkg:pypi/polars@1.34.0"}
    (data,) = (part for part in bom["components"] if part["type"] == "data")
    assert data["hashes"][0]["content"] == "a" * 64
    assert data["description"] == "Made up."


def test_every_reference_leads_to_a_part(bom: dict[str, Any]) -> None:
    parts = [bom["metadata"]["component"], *bom["components"]]
    references = [part["bom-ref"] for part in parts if "bom-ref" in part]
    assert len(set(references)) == len(references)
    for dependency in bom["dependencies"]:
        assert {dependency["ref"], *dependency.get("dependsOn", [])} <= set(references)
    for used in bom["metadata"]["component"]["modelCard"]["modelParameters"]["datasets"]:
        assert used["ref"] in references


def test_same_files_give_the_same_bytes_and_another_graph_another_number(folder: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(folder)
    again = ml_bom(folder, bundle.manifest, bundle.contract, bundle.terms, bundle.metrics)
    assert again.encode() == bundle.read("sbom.cdx.json")
    for name in ("contract.yaml", "model.onnx"):
        (tmp_path / name).write_bytes(bundle.read(name) + (b" " if name == "model.onnx" else b""))
    other = json.loads(ml_bom(tmp_path, bundle.manifest, bundle.contract, bundle.terms, bundle.metrics))
    assert other["serialNumber"] != json.loads(again)["serialNumber"]
    assert uuid.UUID(other["serialNumber"].removeprefix("urn:uuid:")).version == 5


def test_bom_tells_no_path_host_or_time(bom: dict[str, Any], folder: Path, checkout: Path) -> None:
    assert "timestamp" not in bom["metadata"]
    for text in texts(bom):
        assert not re.search(r"\d{4}-\d\d-\d\dT|(^|\s)/\w+/|[A-Z]:\\", text), text
        for machine in (str(folder), str(checkout), str(Path.home()) + os.sep, os.uname().nodename):
            assert machine not in text
