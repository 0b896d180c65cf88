"""A bundle on disk or in memory, every byte of it held against the manifest before anything is read from it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from dxai.bundle.manifest import (
    CONTRACT,
    COUNT_LIMIT,
    FETCH_AGAIN,
    FILE_LIMIT,
    MANIFEST,
    METRICS,
    PROFILE,
    SIGNATURE,
    TERMS,
    FileEntry,
    parse_manifest,
)
from dxai.bundle.profile import Profile
from dxai.contract import Contract, parse_contract
from dxai.contract.terms import Terms
from dxai.errors import DataError, IntegrityError, NotFoundError, bullet_list

_Record = TypeVar("_Record", bound=BaseModel)

_SHOWN = 2
"""Problems that a message names."""

_SMALL = 4 << 20
"""Bytes that a manifest or a signature may have."""


class Bundle:
    """A bundle whose files are those of its manifest, byte for byte; its signature is checked by `signing.verify`.

    Args:
        files: All bytes by name, the manifest among them, the signature if there is one.
        where: The place, for messages.

    Attributes:
        manifest: What is in it, and what made it.
        where: The place, for messages.
        digest: sha256 of the manifest: the identity of the bundle.

    Raises:
        IntegrityError: A file is changed, missing or not listed; names it.
    """

    def __init__(self, files: Mapping[str, bytes], where: str) -> None:
        if MANIFEST not in files:
            raise IntegrityError(f"{MANIFEST} is missing.", where=where, fix=FETCH_AGAIN)
        self.where = where
        self.manifest = parse_manifest(files[MANIFEST], where=f"{where}/{MANIFEST}")
        self.digest = hashlib.sha256(files[MANIFEST]).hexdigest()
        self._files = dict(files)
        _refuse_difference(self.manifest.files, self._files, where)

    @staticmethod
    def open(folder: Path) -> Bundle:
        """The bundle in a folder, read once: the bytes that are hashed are the bytes that are used.

        Raises:
            NotFoundError: The folder or its manifest is not there.
            IntegrityError: As above, or the folder holds a link or anything but plain files.
        """
        if not os.path.lexists(folder / MANIFEST):
            raise NotFoundError(
                f"There is no bundle here: {MANIFEST} is missing.", where=str(folder),
                fix="Name a model that `dxai list` shows, or a folder such as models/concrete-strength.",
            )  # fmt: skip
        where = str(folder)
        listed = parse_manifest(_read(folder, MANIFEST, _SMALL), where=f"{where}/{MANIFEST}").files
        there = _names(folder)
        _refuse_names(set(listed), there - {MANIFEST, SIGNATURE}, where)
        limits = {name: entry.size for name, entry in listed.items()} | {MANIFEST: _SMALL, SIGNATURE: _SMALL}
        return Bundle({name: _read(folder, name, limits[name]) for name in sorted(there)}, where)

    def read(self, name: str) -> bytes:
        """The verified bytes of one file."""
        if name not in self._files:
            raise IntegrityError(f"The bundle has no {name}.", where=self.where, fix="Ask for a newer release of it.")
        return self._files[name]

    @property
    def files(self) -> Mapping[str, bytes]:
        """All bytes by name."""
        return self._files

    @property
    def signature(self) -> bytes | None:
        """Bytes of the signature, not yet checked; None for a bundle that nobody signed."""
        return self._files.get(SIGNATURE)

    @cached_property
    def contract(self) -> Contract:
        """What the rows must look like."""
        try:
            return parse_contract(self.read(CONTRACT).decode(), where=f"{self.where}/{CONTRACT}")
        except (UnicodeDecodeError, DataError) as error:
            raise self._unreadable(CONTRACT, error) from None

    @cached_property
    def terms(self) -> Terms:
        """Licence and usage terms."""
        return self._record(TERMS, Terms)

    @cached_property
    def profile(self) -> Profile:
        """Histograms of the training rows."""
        return self._record(PROFILE, Profile)

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Scores on held-out rows: ``model``, ``yardstick`` and, for grouped data, ``random_split``."""
        return self._record(METRICS, _Metrics).model_dump(exclude_unset=True)

    def _record(self, name: str, kind: type[_Record]) -> _Record:
        try:
            return kind.model_validate_json(self.read(name))
        except ValidationError as error:
            raise self._unreadable(name, error) from None

    def _unreadable(self, name: str, error: Exception) -> IntegrityError:
        told = str(error).splitlines()[0]
        return IntegrityError(f"{name} cannot be read: {told}", where=self.where, fix=FETCH_AGAIN)


class _Metrics(BaseModel):
    model: dict[str, float]
    yardstick: dict[str, dict[str, float]]
    random_split: dict[str, float] | None = None


def _refuse_difference(listed: Mapping[str, FileEntry], files: Mapping[str, bytes], where: str) -> None:
    _refuse_names(set(listed), set(files) - {MANIFEST, SIGNATURE}, where)
    changed = [
        f"{name[:80]} is not the file that was released: its sha256 differs from the manifest's."
        for name, entry in sorted(listed.items())
        if len(files[name]) != entry.size or hashlib.sha256(files[name]).hexdigest() != entry.sha256
    ]
    if changed:
        raise IntegrityError(bullet_list(changed, _SHOWN), where=where, fix=FETCH_AGAIN)


def _refuse_names(listed: set[str], there: set[str], where: str) -> None:
    problems = [f"{name[:80]} is missing." for name in sorted(listed - there)]
    problems += [f"{name[:80]!r} is not in the manifest." for name in sorted(there - listed)]
    if problems:
        raise IntegrityError(bullet_list(problems, _SHOWN), where=where, fix=FETCH_AGAIN)


def _names(folder: Path) -> set[str]:
    """Every file below the folder, and every folder without files, by relative name; refuses links and devices."""
    names: set[str] = set()
    for name, entry in _walk(folder, ""):
        if len(names) > 2 * COUNT_LIMIT:
            told = f"The folder holds more than the {COUNT_LIMIT} files that a bundle can have."
            raise IntegrityError(told, where=str(folder), fix=FETCH_AGAIN)
        info = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(info.st_mode) or (stat.S_ISREG(info.st_mode) and info.st_nlink == 1):
            names.add(name)
            continue
        kind = "a hard link" if stat.S_ISREG(info.st_mode) else "no plain file"
        fix = "Copy the bundle without links (cp -rL), or fetch it again."
        raise IntegrityError(f"{name[:200]!r} is {kind}.", where=str(folder), fix=fix)
    return names


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Files, and folders that hold none, with their names; a level deeper than any bundle goes is not looked into."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            inner = entry.is_dir(follow_symlinks=False) and prefix.count("/") < 4
            empty = True
            for below in _walk(folder / entry.name, f"{name}/") if inner else ():
                empty = False
                yield below
            if empty:
                yield name, entry


def _read(folder: Path, name: str, limit: int) -> bytes:
    """The bytes of one plain file, at most ``limit`` + 1 of them, from the descriptor whose kind was looked at."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(folder / name, flags), "rb") as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode) or info.st_nlink != 1:
                raise IntegrityError(f"{name} is a link or no plain file.", where=str(folder), fix=FETCH_AGAIN)
            return file.read(min(limit, FILE_LIMIT) + 1)
    except OSError as error:
        told = f"{name} cannot be read: {error.strerror}."
        raise IntegrityError(told, where=str(folder), fix=FETCH_AGAIN) from None
