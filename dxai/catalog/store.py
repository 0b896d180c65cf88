"""The local store: what was pulled, verified and checked on this machine, and which catalogs are trusted.

models/NAME/VERSION/        a bundle, whole; .VERSION.partial/ beside it while it is being fetched
catalogs/ID/                TUF's trusted metadata, the last index, the catalog's place
accepted/, checked/, locks/ accepted terms, models that passed the careful loader, locks
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import MANIFEST, VERSION, is_plain
from dxai.bundle.signing import Keys
from dxai.catalog.index import version_order
from dxai.catalog.trust import bundle_keys, parse_root, shipped_root, trusted_root
from dxai.errors import NotFoundError, SettingsError, nearest

HOME = "DXAI_HOME"
"""Environment variable that names another folder for the store."""


class Store:
    """The store of this machine's user, or the one in ``folder``."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(os.environ.get(HOME) or platformdirs.user_data_path("dxai", appauthor=False))

    @property
    def checked(self) -> Path:
        """Where the careful loader remembers what it has let pass."""
        return self.folder / "checked"

    def place(self, name: str, version: str) -> Path:
        """Folder of a bundle, there or not."""
        return self.folder / "models" / name / version

    def partial(self, name: str, version: str) -> Path:
        """Folder of a bundle that is being fetched."""
        return self.folder / "models" / name / f".{version}.partial"

    def bundles(self) -> list[tuple[str, str]]:
        """Name and version of every bundle here, newest version first."""
        places = (p.parent for p in (self.folder / "models").glob(f"*/*/{MANIFEST}"))
        found = [(p.parent.name, p.name) for p in places if re.fullmatch(VERSION, p.name)]
        return sorted(sorted(found, key=lambda b: version_order(b[1]), reverse=True), key=lambda b: b[0])

    def find(self, name: str, version: str | None = None) -> Path:
        """Folder of the named version, or the newest.

        Raises:
            NotFoundError: It was not pulled; names what is nearest.
        """
        here = self.bundles()
        for known, its_version in here:
            if known == name and version in (None, its_version):
                return self.place(known, its_version)
        hint = nearest(name, {known for known, _ in here})
        fix = (
            f"Did you mean {hint!r}? `dxai list` shows what is here." if hint and hint != name else f"dxai pull {name}"
        )
        word = f"{name}@{version}" if version else name
        raise NotFoundError(f"The model {word!r} is not on this machine.", where=str(self.folder), fix=fix)

    def remove(self, name: str, version: str | None) -> list[str]:
        """Take the named version, or all versions, away; returns them.

        Raises:
            NotFoundError: It is not here.
        """
        gone = [v for known, v in self.bundles() if known == name and version in (None, v)]
        if not gone:
            self.find(name, version)
        for each in gone:
            with self.lock(name, each):
                trash = self.place(name, each).with_name(f".{each}.removed")
                shutil.rmtree(trash, ignore_errors=True)  # of a removal that was killed
                self.place(name, each).rename(trash)  # gone at once for others, then file by file
                shutil.rmtree(trash)
                shutil.rmtree(self.partial(name, each), ignore_errors=True)
        return gone

    @contextmanager
    def lock(self, name: str, version: str, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Alone with one bundle of the store; ``on_wait`` is told when somebody else is at it."""
        path = self.folder / "locks" / f"{name}-{version}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_wait()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def catalog_folder(self, place: str) -> Path:
        """Folder of what is known about a catalog."""
        return self.folder / "catalogs" / hashlib.sha256(place.rstrip("/").encode()).hexdigest()[:16]

    def catalogs(self) -> dict[str, Path]:
        """The folders of all known catalogs by place."""
        files = sorted((self.folder / "catalogs").glob("*/catalog.json"))
        return {json.loads(file.read_bytes())["place"]: file.parent for file in files}

    def trusted_keys(self) -> Keys:
        """Keys that may sign bundles here: those of this installation's trust root and of every known catalog."""
        keys: dict[str, object] = {}
        roots = [("this installation", shipped_root())]
        roots += [(place, trusted_root(f)) for place, f in self.catalogs().items()]
        for where, content in roots:
            if content:
                keys.update(bundle_keys(parse_root(content, where=where).signed, where=where))
        return keys  # type: ignore[return-value]


def split_name(word: str) -> tuple[str, str | None]:
    """``NAME`` or ``NAME@VERSION`` in two.

    Raises:
        SettingsError: It is neither.
    """
    name, _, version = word.partition("@")
    if not is_plain(name) or "/" in name or (version and not all(part.isdigit() for part in version.split("."))):
        fix = "Write NAME or NAME@VERSION, such as concrete-strength@1.0.0."
        raise SettingsError(f"{word[:100]!r} is no name of a model.", fix=fix)
    return name, version or None


def open_bundle(store: Store, word: str) -> Bundle:
    """The bundle in a folder, or the pulled one of that name; its files are verified, its signature is not yet."""
    folder = Path(word)
    if len(folder.parts) > 1 or word.startswith(".") or (folder / MANIFEST).is_file():
        return Bundle.open(folder)
    return Bundle.open(store.find(*split_name(word)))
