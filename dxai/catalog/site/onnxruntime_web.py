"""The runtime that predicts inside the browser: three files of a pinned npm package, never part of the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from dxai.data.sources import Source, fetch, in_mirror, refuse_other_bytes, sha256_of
from dxai.errors import IntegrityError, NotFoundError
from dxai.files import write_whole

VERSION = "1.30.0"
"""ONNX Runtime 1.30 takes opset 20 and IR version 10, which the released graphs have."""

ARCHIVE_SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
FILES = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""sha256 of the members under package/dist/ that the page loads."""

_ARCHIVE = f"onnxruntime-web-{VERSION}.tgz"
_WITHOUT = "give `--no-wasm`: everything but the prediction inside the browser works without it"
_SECONDS = 300
"""After which npm is not waited for any longer."""


@dataclass(frozen=True)
class WasmSource:
    """Where the runtime comes from: a folder of this machine, filled on first use.

    The archive is looked for in the folder that ``DXAI_MIRROR`` names, then in the registry of
    ``NPM_CONFIG_REGISTRY``; where neither is set, the npm client fetches it from the registry of its own settings.
    """

    cache: Path

    @staticmethod
    def of_user() -> WasmSource:
        """The runtime in the cache of this machine's user."""
        return WasmSource(platformdirs.user_cache_path("dxai", appauthor=False) / "onnxruntime-web")

    def files(self) -> dict[str, bytes]:
        """The three files by name, every one with its pinned sha256.

        Raises:
            NotFoundError: No mirror has the archive, and no registry can be reached.
            IntegrityError: The archive or one of its files is not the pinned one.
        """
        if not all(self._is_here(name) for name in FILES):
            self._unpack(self._archive())
        return {name: (self.cache / name).read_bytes() for name in FILES}

    def _is_here(self, name: str) -> bool:
        return (self.cache / name).is_file() and sha256_of(self.cache / name) == FILES[name]

    def _archive(self) -> Path:
        settings = (os.environ.get(name) for name in ("NPM_CONFIG_REGISTRY", "npm_config_registry"))
        registry = next(filter(None, settings), None)
        if not (in_mirror(_ARCHIVE) or registry):
            return self._from_npm()
        place = f"{(registry or 'npm:').rstrip('/')}/onnxruntime-web/-/{_ARCHIVE}"
        try:
            return fetch(Source(place, ARCHIVE_SHA256), self.cache)
        except NotFoundError as error:
            raise NotFoundError(error.problem, where=error.where, fix=f"{error.fix} Or {_WITHOUT}.") from None

    def _from_npm(self) -> Path:
        """The archive as the npm client packs it; in the cache once its bytes are the pinned ones."""
        with tempfile.TemporaryDirectory() as folder:
            _pack(Path(folder))
            refuse_other_bytes(Source(f"npm:onnxruntime-web@{VERSION}", ARCHIVE_SHA256), Path(folder) / _ARCHIVE)
            self.cache.mkdir(parents=True, exist_ok=True)
            return Path(shutil.move(Path(folder) / _ARCHIVE, self.cache / _ARCHIVE))

    def _unpack(self, archive: Path) -> None:
        with tarfile.open(archive) as members:
            for name in FILES:
                inside = members.extractfile(f"package/dist/{name}")
                assert inside is not None  # the archive's sha256 is pinned, so are its members
                write_whole(self.cache / name, inside.read())
                if not self._is_here(name):
                    raise IntegrityError(f"{name} is not the pinned file.", where=str(archive), fix=f"Or {_WITHOUT}.")
        archive.unlink()


def _pack(folder: Path) -> None:
    """Have npm fetch the archive into a folder, from the registry that its settings name.

    Raises:
        NotFoundError: npm is not installed, or did not get it.
    """
    problem = "npm is not installed"
    if npm := shutil.which("npm"):
        problem = _packed(npm, folder)
    if problem:
        raise NotFoundError(
            f"onnxruntime-web {VERSION} could not be fetched: {problem}.", where=f"npm:onnxruntime-web@{VERSION}",
            fix=f"Install npm and let its settings name a registry, or put {_ARCHIVE} into a folder and name that "
            f"folder in DXAI_MIRROR, or {_WITHOUT}.",
        )  # fmt: skip


def _packed(npm: str, folder: Path) -> str:
    """What went wrong; empty when the archive is there."""
    command = [npm, "pack", f"onnxruntime-web@{VERSION}", "--ignore-scripts", "--loglevel=error"]
    try:
        ran = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"npm did not end within {_SECONDS} seconds"
    if (folder / _ARCHIVE).is_file():
        return ""
    lines = [line.removeprefix("npm error ").removeprefix("code ") for line in ran.stderr.splitlines() if line.strip()]
    return f"npm says {', '.join(lines[:2])[:200].rstrip('.') or 'nothing'}"
