"""The runtime that predicts inside the browser: three files of a pinned npm package, never part of the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from dxai.data.sources import Source, fetch, sha256_of
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

_REGISTRY = "https://registry.npmjs.org"
_WITHOUT = "give `--no-wasm`: everything but the prediction inside the browser works without it"


@dataclass(frozen=True)
class WasmSource:
    """Where the runtime comes from: a folder of this machine, filled from the npm registry on first use.

    ``DXAI_MIRROR`` names a folder that is asked for the archive first; ``NPM_CONFIG_REGISTRY`` or npm's own settings
    name the registry.
    """

    cache: Path

    @staticmethod
    def of_user() -> WasmSource:
        """The runtime in the cache of this machine's user."""
        return WasmSource(platformdirs.user_cache_path("dxai", appauthor=False) / "onnxruntime-web")

    def files(self) -> dict[str, bytes]:
        """The three files by name, every one with its pinned sha256.

        Raises:
            NotFoundError: The registry cannot be reached.
            IntegrityError: The archive or one of its files is not the pinned one.
        """
        if not all(self._is_here(name) for name in FILES):
            self._unpack(self._archive())
        return {name: (self.cache / name).read_bytes() for name in FILES}

    def _is_here(self, name: str) -> bool:
        return (self.cache / name).is_file() and sha256_of(self.cache / name) == FILES[name]

    def _archive(self) -> Path:
        place = f"{_registry().rstrip('/')}/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
        try:
            return fetch(Source(place, ARCHIVE_SHA256), self.cache)
        except NotFoundError as error:
            raise NotFoundError(error.problem, where=error.where, fix=f"{error.fix} Or {_WITHOUT}.") from None

    def _unpack(self, archive: Path) -> None:
        with tarfile.open(archive) as members:
            for name in FILES:
                inside = members.extractfile(f"package/dist/{name}")
                assert inside is not None  # the archive's sha256 is pinned, so are its members
                write_whole(self.cache / name, inside.read())
                if not self._is_here(name):
                    raise IntegrityError(f"{name} is not the pinned file.", where=str(archive), fix=f"Or {_WITHOUT}.")
        archive.unlink()


def _registry() -> str:
    """The registry that npm would ask."""
    for name in ("NPM_CONFIG_REGISTRY", "npm_config_registry"):
        if os.environ.get(name):
            return os.environ[name]
    if not (npm := shutil.which("npm")):
        return _REGISTRY
    told = subprocess.run([npm, "config", "get", "registry"], capture_output=True, text=True, check=False)
    return told.stdout.strip() or _REGISTRY
