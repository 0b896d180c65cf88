"""Which data, code and versions made a run."""

from __future__ import annotations

import hashlib
import subprocess
from importlib.metadata import version
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict

PACKAGES = ("torch", "lightning", "numpy", "polars", "onnx", "onnxruntime", "tabm", "scikit-learn")


class Provenance(BaseModel):
    """What must be the same to get the same model again.

    Attributes:
        commit: Git commit, with ``-dirty`` behind it when files had changed; empty outside git.
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
        commit=git_commit(checkout),
        data=table_fingerprint(table),
        contract=contract_fingerprint,
        packages={name: version(name).split("+")[0] for name in PACKAGES},
    )


def table_fingerprint(table: pl.DataFrame) -> str:
    """sha256 of column names, types and values."""
    digest = hashlib.sha256(repr(table.schema).encode())
    digest.update(table.write_csv().encode())
    return digest.hexdigest()


def git_commit(checkout: Path) -> str:
    """Commit that is checked out, ``-dirty`` behind it when tracked files outside models/ differ."""

    def git(*words: str) -> str:
        try:
            return subprocess.run(["git", "-C", str(checkout), *words], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return ""

    commit = git("rev-parse", "HEAD").strip()
    # models/ and dvc.lock are what a reproduction writes: they do not make its code another.
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!models", ":!dvc.lock").strip()
    return f"{commit}-dirty" if commit and changed else commit
