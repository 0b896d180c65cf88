"""What is inside a bundle and what it was made with: a CycloneDX 1.7 ML-BOM."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from dxai.bundle.manifest import CONTRACT, MODEL, Manifest, file_entry
from dxai.config.components import short_name
from dxai.contract import Contract
from dxai.contract.terms import Terms

_DATA, _MODEL = "training-data", "model"


def ml_bom(folder: Path, manifest: Manifest, contract: Contract, terms: Terms, metrics: dict[str, Any]) -> str:
    """JSON text of the ML-BOM of the files in ``folder``: model card, data set, packages; no date, no host.

    Source: CycloneDX 1.7 (ECMA-424), `modelCard`.
    """
    digest = file_entry((folder / MODEL).read_bytes()).sha256
    licences = [{"license": {"id": terms.licence}}]
    model = {
        "type": "machine-learning-model", "bom-ref": _MODEL, "name": manifest.name, "version": manifest.version,
        "description": contract.purpose, "licenses": licences, "hashes": [{"alg": "SHA-256", "content": digest}],
        "modelCard": _model_card(manifest, contract, metrics),
    }  # fmt: skip
    data = {
        "type": "data", "bom-ref": _DATA, "name": contract.id, "version": contract.version,
        "description": terms.citation, "licenses": licences,
        "hashes": [{"alg": "SHA-256", "content": manifest.data_sha256}],
        "data": [{"type": "dataset", "name": contract.title_en}],
    }  # fmt: skip
    files = [
        {"type": "file", "name": name, "hashes": [{"alg": "SHA-256", "content": _sha256(folder / name)}]}
        for name in (CONTRACT, MODEL)
    ]
    packages = [
        {"type": "library", "bom-ref": f"pkg:pypi/{name}@{version}", "name": name, "version": version,
         "purl": f"pkg:pypi/{name}@{version}"}
        for name, version in sorted(manifest.versions.items())
    ]  # fmt: skip
    serial = uuid.uuid5(uuid.NAMESPACE_URL, f"{manifest.name}@{manifest.version}:{digest}")
    return _text({
        "bomFormat": "CycloneDX", "specVersion": "1.7", "serialNumber": serial.urn, "version": 1,
        "metadata": {"component": model}, "components": [data, *files, *packages],
        "dependencies": [
            {"ref": _MODEL, "dependsOn": [_DATA, *(p["bom-ref"] for p in packages)]},
            *({"ref": ref} for ref in (_DATA, *(p["bom-ref"] for p in packages))),
        ],
    })  # fmt: skip


def _model_card(manifest: Manifest, contract: Contract, metrics: dict[str, Any]) -> dict[str, Any]:
    architecture = short_name(manifest.settings["model"]["_target_"])
    measured = ", ".join(contract.classes) or contract.target.unit
    scores = [{"type": name, "value": f"{value:g}"} for name, value in metrics["model"].items()]
    return {
        "modelParameters": {
            "approach": {"type": "supervised"}, "task": contract.task, "modelArchitecture": architecture,
            "datasets": [{"ref": _DATA}],
            "inputs": [{"format": f"{c.name} [{c.unit}]"} for c in contract.columns if c.role != "target"],
            "outputs": [{"format": f"{contract.target.name} [{measured}]"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": scores},
        "considerations": {"technicalLimitations": [contract.limitations]},
    }  # fmt: skip


def _sha256(path: Path) -> str:
    return file_entry(path.read_bytes()).sha256


def _text(record: dict[str, Any]) -> str:
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"
