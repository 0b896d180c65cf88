"""A bundle: the closed folder of files in which a model leaves the house."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dxai.contract import Contract, parse_contract
from dxai.errors import IntegrityError, NotFoundError, bullet_list

MANIFEST = "manifest.json"
MODEL, CONTRACT, CARD = "model.onnx", "contract.yaml", "card.md"
GOLDEN_ROWS, GOLDEN_OUTPUTS = "golden/rows.csv", "golden/outputs.csv"


class FileEntry(BaseModel):
    """Size in bytes and hex sha256 of one file."""

    model_config = ConfigDict(frozen=True)

    size: int
    sha256: str


class Manifest(BaseModel):
    """Everything in the bundle, and what made it.

    Attributes:
        context: Steps of history that a demand model looks at; 0 for quality.
        files: Every file of the bundle but the manifest itself.
        versions: Packages at export time.
        settings: Of the run, whole.
        data_sha256: Fingerprint of the training table.
        commit: Git commit of the code.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    task: str
    context: int = 0
    files: dict[str, FileEntry]
    versions: dict[str, str]
    settings: dict[str, Any]
    data_sha256: str
    commit: str


class Bundle:
    """A bundle whose files are those of its manifest, byte for byte.

    Raises:
        NotFoundError: The folder or its manifest is not there.
        IntegrityError: A file is changed, missing or not listed; names it.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / MANIFEST).is_file():
            raise NotFoundError(
                f"There is no bundle here: {MANIFEST} is missing.", where=str(folder),
                fix="Name a folder such as models/concrete-strength; in a checkout `make demo` makes it.",
            )  # fmt: skip
        self.folder = folder
        try:
            self.manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
        except ValidationError as error:
            raise IntegrityError(
                f"The manifest cannot be read: {error.errors()[0]['msg']}.", where=str(folder / MANIFEST), fix=_FETCH
            ) from None
        self._files = self._verified()

    def read(self, name: str) -> bytes:
        """The verified bytes of one file."""
        return self._files[name]

    @property
    def contract(self) -> Contract:
        """What the rows must look like."""
        return parse_contract(self.read(CONTRACT).decode(), where=str(self.folder / CONTRACT))

    def _verified(self) -> dict[str, bytes]:
        """All files of the manifest, read once: the bytes that were hashed are the bytes that are used."""
        there = {p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if not p.is_dir()} - {MANIFEST}
        listed = set(self.manifest.files)
        problems = [f"{name} is missing." for name in sorted(listed - there)]
        problems += [f"{name} is not in the manifest." for name in sorted(there - listed)]
        content = {name: (self.folder / name).read_bytes() for name in sorted(listed & there)}
        for name, data in content.items():
            entry = self.manifest.files[name]
            if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
                problems.append(f"{name} is not the file that was released: its sha256 differs from the manifest's.")
        if problems:
            raise IntegrityError(bullet_list(problems), where=str(self.folder), fix=_FETCH)
        return content


_FETCH = "Do not use it. Fetch the bundle again from where it was released."


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """List every file of ``folder`` in the manifest and write it, last of all."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    files = {name: _entry((folder / name).read_bytes()) for name in names}
    text = json.dumps(manifest.model_copy(update={"files": files}).model_dump(), indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", "utf-8")


def _entry(data: bytes) -> FileEntry:
    return FileEntry(size=len(data), sha256=hashlib.sha256(data).hexdigest())
