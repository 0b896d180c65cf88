"""The manifest: the closed list of a bundle's files, and what made them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dxai.errors import IntegrityError

MANIFEST, SIGNATURE = "manifest.json", "model.sig"
MODEL, CONTRACT, CARD, METRICS = "model.onnx", "contract.yaml", "card.md", "metrics.json"
TERMS, PROFILE = "terms.json", "profile.json"
SBOM, PROVENANCE = "sbom.cdx.json", "provenance.json"
GOLDEN_ROWS, GOLDEN_OUTPUTS = "golden/rows.csv", "golden/outputs.csv"

FILE_LIMIT, BUNDLE_LIMIT = 512 << 20, 1 << 30
"""Bytes of one file and of all files: a bundle is read into memory."""
COUNT_LIMIT = 256

FETCH_AGAIN = "Do not use it. Fetch the bundle again from where it was released."

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_BUNDLE_NAME = r"^[a-z0-9]+(-[a-z0-9]+)*$"
VERSION = r"^(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})$"
"""Numbers of a version, as in semantic versioning: major, minor, patch."""


class FileEntry(BaseModel):
    """Size in bytes and hex sha256 of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=0, le=FILE_LIMIT)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """Everything in the bundle, and what made it.

    Attributes:
        context: Steps of history that a demand model looks at; 0 for quality.
        shortest_history: Known steps of a series from which it is forecast, if these are fewer than the contract's
            minimum: by experts without training, which the graph holds for such series.
        files: Every file of the bundle but the manifest itself and the signature.
        versions: Packages at export time.
        settings: Of the run, whole.
        data_sha256: Fingerprint of the training table.
        code: Fingerprint of the code that made the run and the bundle.
        commit: Of bundles released before 0.3, in place of the fingerprint: the git commit of the code.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=_BUNDLE_NAME, max_length=64)]
    version: Annotated[str, Field(pattern=VERSION)]
    task: str
    context: int = 0
    shortest_history: Annotated[int, Field(ge=1)] | None = None
    files: dict[str, FileEntry]
    versions: dict[str, str]
    settings: dict[str, Any]
    data_sha256: str
    code: str = ""
    commit: str | None = None

    @field_validator("files")
    @classmethod
    def _closed_list(cls, files: dict[str, FileEntry]) -> dict[str, FileEntry]:
        for name in files:
            if not is_plain(name) or name in (MANIFEST, SIGNATURE):
                raise ValueError(f"{name[:80]!r} is no plain file name")
        if len({name.lower() for name in files}) != len(files):
            raise ValueError("two file names differ in case only")
        if len(files) > COUNT_LIMIT or sum(entry.size for entry in files.values()) > BUNDLE_LIMIT:
            raise ValueError(f"more than {COUNT_LIMIT} files or {BUNDLE_LIMIT >> 20} MiB")
        return files


def is_plain(name: str) -> bool:
    """Whether a file name is one that no file system can read as something else: no dot in front, no backslash.

    >>> is_plain("golden/rows.csv"), is_plain("../rows.csv"), is_plain(".git/config")
    (True, False, False)
    """
    parts = name.split("/")
    return len(name) <= 200 and len(parts) <= 4 and all(_PLAIN_NAME.fullmatch(part) for part in parts)


def parse_manifest(text: bytes, *, where: str) -> Manifest:
    """Read the manifest's bytes.

    Raises:
        IntegrityError: It is no manifest; says what is wrong first.
    """
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = " ".join(".".join(str(part)[:80] for part in first["loc"]).split())  # one line, whatever it holds
        told = f"The manifest cannot be read: {key + ': ' if key else ''}{first['msg'].splitlines()[0]}."
        raise IntegrityError(told, where=where, fix=FETCH_AGAIN) from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """List every file of ``folder`` in the manifest and write it, last of all."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    files = {name: file_entry((folder / name).read_bytes()) for name in names}
    whole = Manifest.model_validate(manifest.model_copy(update={"files": files}).model_dump())
    text = json.dumps(whole.model_dump(exclude_none=True), indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", "utf-8")


def file_entry(data: bytes) -> FileEntry:
    """Size and sha256 of these bytes."""
    return FileEntry(size=len(data), sha256=hashlib.sha256(data).hexdigest())
