"""The provenance is one SLSA v1 statement about the graph, by the rules of the standards, and tells no machine."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import MakeBundle

from dxai.bundle.folder import Bundle
from dxai.ship.slsa import provenance_statement


@pytest.fixture(scope="module")
def folder(make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("slsa") / "bundle")


@pytest.fixture(scope="module")
def statement(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "provenance.json").read_text("utf-8"))


def refuse_statement(statement: dict[str, Any]) -> None:
    """Field rules of in-toto Statement v1 and of SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance)."""
    assert set(statement) == {"_type", "subject", "predicateType", "predicate"}
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"]
    for subject in statement["subject"]:
        assert set(subject) <= RESOURCE
        assert re.fullmatch(r"[0-9a-f]{64}", subject["digest"]["sha256"])
    predicate = statement["predicate"]
    assert set(predicate) == {"buildDefinition", "runDetails"}
    definition, details = predicate["buildDefinition"], predicate["runDetails"]
    assert {"buildType", "externalParameters"} <= set(definition) <= DEFINITION
    assert urlsplit(definition["buildType"]).scheme, "buildType is a type URI"
    assert isinstance(definition["externalParameters"], dict)
    for dependency in definition["resolvedDependencies"]:
        assert set(dependency) <= RESOURCE
        assert {"uri", "digest", "content"} & set(dependency), "a descriptor names its resource"
        assert all(isinstance(value, str) and value for value in dependency.get("digest", {}).values())
        assert "uri" not in dependency or urlsplit(dependency["uri"]).scheme
    assert "builder" in details and set(details) <= {"builder", "metadata", "byproducts"}
    assert urlsplit(details["builder"]["id"]).scheme, "the builder's id is a type URI"


RESOURCE = {"name", "uri", "digest", "content", "downloadLocation", "mediaType", "annotations"}
DEFINITION = {"buildType", "externalParameters", "internalParameters", "resolvedDependencies"}


def test_statement_keeps_the_rules_of_in_toto_and_slsa(statement: dict[str, Any]) -> None:
    refuse_statement(statement)


def test_statement_of_a_released_model_keeps_the_rules(released: Path) -> None:
    refuse_statement(json.loads((released / "provenance.json").read_text("utf-8")))


def test_subject_is_the_graph(statement: dict[str, Any], folder: Path) -> None:
    digest = Bundle.open(folder).manifest.files["model.onnx"].sha256
    assert statement["subject"] == [{"name": "model.onnx", "digest": {"sha256": digest}}]


def test_settings_code_data_and_packages_are_told(statement: dict[str, Any], folder: Path) -> None:
    manifest, definition = Bundle.open(folder).manifest, statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["settings"] == manifest.settings
    digests = [d["digest"] for d in definition["resolvedDependencies"] if "digest" in d]
    assert {"sha256": "0" * 64} in digests
    assert {"sha256": "a" * 64} in digests
    packages = {d["uri"] for d in definition["resolvedDependencies"] if d.get("uri", "").startswith("pkg:")}
    assert packages == {"pkg:pypi/onnx@1.23.2", "pkg:pypi/polars@1.34.0"}


def test_same_files_give_the_same_bytes(folder: Path) -> None:
    bundle = Bundle.open(folder)
    assert provenance_statement(folder, bundle.manifest).encode() == bundle.read("provenance.json")


def test_statement_tells_no_path_host_or_time(folder: Path, checkout: Path) -> None:
    text = (folder / "provenance.json").read_text("utf-8")
    assert not re.search(r"\d{4}-\d\d-\d\dT|\"/|[A-Z]:\\", text)
    for machine in (str(folder), str(checkout), str(Path.home()) + os.sep, os.uname().nodename):
        assert machine not in text
