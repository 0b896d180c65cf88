"""How a model was made: one SLSA v1 provenance statement."""

from __future__ import annotations

import json
from pathlib import Path

from dxai.bundle.manifest import MODEL, Manifest, file_entry


def provenance_statement(folder: Path, manifest: Manifest) -> str:
    """JSON text of an in-toto statement about the graph in ``folder``; the bundle's signature covers it.

    No times and no host: the same run gives the same bytes. Source: SLSA v1.0 provenance, in-toto Statement v1.
    """
    packages = [{"uri": f"pkg:pypi/{name}@{version}"} for name, version in sorted(manifest.versions.items())]
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": MODEL, "digest": {"sha256": file_entry((folder / MODEL).read_bytes()).sha256}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:dxai:release:v1",
                "externalParameters": {"settings": manifest.settings},
                "resolvedDependencies": [
                    {"name": "code", "digest": {"sha256": manifest.code}},
                    {"name": "training table", "digest": {"sha256": manifest.data_sha256}},
                    *packages,
                ],
            },
            "runDetails": {"builder": {"id": "urn:dxai:builder:v1"}},
        },
    }  # fmt: skip
    return json.dumps(statement, indent=2, ensure_ascii=False) + "\n"
