"""Which data, code and versions made a run."""

from __future__ import annotations

import hashlib
import subprocess
from importlib.metadata import version
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict

from dxai.config.settings import RunSettings

PACKAGES = ("torch", "lightning", "numpy", "polars", "onnx", "onnxruntime", "tabm", "scikit-learn")

_CODE = ("dxai", "configs", "pipelines", "pyproject.toml", "constraints.txt")


class Provenance(BaseModel):
    """What must be the same to get the same model again.

    Attributes:
        commit: Last git commit that changed code or settings, ``-dirty`` behind it when they had changed since;
            empty outside git.
        data: sha256 of the table's values, independent of how the file stores them.
        contract: Fingerprint of the contract.
        packages: Versions of the packages that shape the numbers.
    """

    model_config = ConfigDict(frozen=True)

    commit: str
    data: str
    contract: str
    packages: dict[str, str]


def provenance(table: pl.DataFrame, contract_fingerprint: str, checkout: Path) -> Provenance:
    """Collect the provenance of a run on ``table``."""
    return Provenance(
        commit=code_commit(checkout),
        data=table_fingerprint(table),
        contract=contract_fingerprint,
        packages={name: version(name).split("+")[0] for name in PACKAGES},
    )


def table_fingerprint(table: pl.DataFrame) -> str:
    """sha256 of column names, types and values."""
    digest = hashlib.sha256(repr(table.schema).encode())
    digest.update(table.write_csv().encode())
    return digest.hexdigest()


def run_fingerprint(settings: RunSettings, made_from: Provenance) -> str:
    """sha256 of all that determines a run; finds the run again in MLflow."""
    text = settings.model_dump_json() + made_from.model_dump_json()
    return hashlib.sha256(text.encode()).hexdigest()


def code_commit(checkout: Path) -> str:
    """Last commit that changed what makes a model: later commits of documents or of released models change nothing."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(checkout), *words, "--", *_CODE]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    commit = git("log", "-1", "--format=%H")
    return f"{commit}-dirty" if commit and git("status", "--porcelain") else commit
