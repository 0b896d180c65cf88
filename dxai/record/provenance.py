"""Which data, code and versions made a run."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict

from dxai.config.settings import RunSettings

PACKAGES = ("torch", "lightning", "numpy", "polars", "onnx", "onnxruntime", "tabm", "scikit-learn")

_SHARED_CODE = (
    "arithmetic.py",
    "contract",
    "data",
    "learn",
    "metrics.py",
    "networks",
    "record/provenance.py",
    "record/runs.py",
    "record/seeding.py",
    "units",
)
TRAINING_CODE = tuple(
    sorted((*_SHARED_CODE, "bundle/profile.py", "record/fits.py", "record/unfinished.py", "train.py"))
)
"""Folders and files of dxai that make a run: those that the stage `train` of dvc.yaml watches."""

RELEASE_CODE = tuple(sorted((*_SHARED_CODE, "bundle", "inference", "release.py", "ship")))
"""Those that make a bundle of it: the stage `release`."""

_COMMITTED = (":/dxai", ":/configs", ":/contracts", ":/custom", ":/pipelines", ":/pyproject.toml", ":/constraints.txt")


class Provenance(BaseModel):
    """What must be the same to get the same model again.

    Attributes:
        code: Fingerprint of the code that made the run, `TRAINING_CODE`.
        data: sha256 of the table's values, independent of how the file stores them.
        contract: Fingerprint of the contract.
        packages: Versions of the packages that shape the numbers.
    """

    model_config = ConfigDict(frozen=True)

    code: str
    data: str
    contract: str
    packages: dict[str, str]


def provenance(table: pl.DataFrame, contract_fingerprint: str, on_disk: str = "") -> Provenance:
    """Collect the provenance of a run on ``table``, or on rows on disk of this sha256."""
    return Provenance(
        code=code_fingerprint(TRAINING_CODE),
        data=on_disk or table_fingerprint(table),
        contract=contract_fingerprint,
        packages={name: version(name).split("+")[0] for name in PACKAGES},
    )


def code_fingerprint(parts: Iterable[str]) -> str:
    """sha256 of names and contents of the files of dxai under ``parts``; the same in a checkout and in an install."""
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    files = [file for part in parts for file in [package / part, *(package / part).rglob("*")] if file.is_file()]
    for file in sorted(file for file in files if "__pycache__" not in file.parts):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(package).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def bundle_code(made_from: Provenance) -> str:
    """Fingerprint of the code that made a bundle: that of its run, as it was then, and that which releases it now."""
    return hashlib.sha256(f"{made_from.code} {code_fingerprint(RELEASE_CODE)}".encode()).hexdigest()


def table_fingerprint(table: pl.DataFrame) -> str:
    """sha256 of column names, types and values."""
    digest = hashlib.sha256(repr(table.schema).encode())
    digest.update(table.write_csv().encode())
    return digest.hexdigest()


def run_fingerprint(settings: RunSettings, made_from: Provenance) -> str:
    """sha256 of all that determines a run; finds the run again in MLflow."""
    text = settings.model_dump_json(exclude={"tracking"}) + made_from.model_dump_json()
    return hashlib.sha256(text.encode()).hexdigest()


def code_commit(checkout: Path) -> str:
    """Last commit that changed code or settings, ``-dirty`` behind it when they have changed since; "" outside git."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(checkout), *words, "--", *_COMMITTED]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    commit = git("log", "-1", "--format=%H")
    return f"{commit}-dirty" if commit and git("status", "--porcelain") else commit
