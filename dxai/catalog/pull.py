"""Pull: from a catalog to the local store, whole and verified before anybody can see it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import MANIFEST, TERMS, is_plain
from dxai.bundle.signing import verify
from dxai.catalog.client import Client
from dxai.catalog.index import Entry
from dxai.catalog.source import OnBytes
from dxai.catalog.store import Store
from dxai.contract.terms import Terms
from dxai.errors import IntegrityError, NotFoundError, SettingsError, TrustError
from dxai.files import disk_errors_told, write_whole


@dataclass(frozen=True)
class Watcher:
    """What the caller wants to hear of a pull.

    Attributes:
        agree: Asked once per model and terms, before the first byte of the model; False ends the pull.
        on_bytes: Told how many more bytes are there.
        on_wait: Told that another process is fetching the same model.
    """

    agree: Callable[[Entry, Terms], bool]
    on_bytes: OnBytes = lambda _: None
    on_wait: Callable[[], None] = lambda: None


def pull(client: Client, store: Store, entry: Entry, watcher: Watcher) -> Path:
    """Bring one version of a model into the store; returns its folder.

    However many processes pull, one of them downloads; what an interrupted pull left is gone on from.

    Raises:
        SettingsError: The terms were not accepted.
        IntegrityError: What came is not what was announced.
        TrustError: The bundle is not signed by a key that the catalog's root trusts.
    """
    _refuse_odd_names(entry)
    place = store.place(entry.name, entry.version)
    if not _is_here(place, client, entry):
        _settle_terms(client, store, entry, watcher)
        with store.lock(entry.name, entry.version, watcher.on_wait), disk_errors_told(place):
            if not _is_here(place, client, entry):
                _fetch(client, store, entry, watcher.on_bytes)
    return place


def _fetch(client: Client, store: Store, entry: Entry, on_bytes: OnBytes) -> None:
    partial, place = store.partial(entry.name, entry.version), store.place(entry.name, entry.version)
    for name in entry.files:
        target = partial / name
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        if target.is_file():
            target.replace(part)  # of an interrupted pull: its hash is looked at again
        client.fetch(f"{entry.folder}/{name}", part, on_bytes)
        _sync(part)
        part.replace(target)
    try:
        _verified(partial, client, entry)
    except (IntegrityError, TrustError):
        shutil.rmtree(partial)
        raise
    old = place.with_name(f".{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():  # signed anew since it was pulled
        place.rename(old)
    partial.rename(place)
    _sync(place.parent)
    shutil.rmtree(old, ignore_errors=True)


def _verified(folder: Path, client: Client, entry: Entry) -> None:
    bundle = Bundle.open(folder)
    verify(bundle, client.bundle_keys)
    manifest = bundle.manifest
    called, found = f"{entry.name} {entry.version}", f"{manifest.name} {manifest.version}"
    if (called, bundle.digest) != (found, entry.digest):
        told = f"What the catalog calls {called} is {found if found != called else 'another release of that version'}."
        raise TrustError(told, where=client.source.place, fix="Do not use it; tell the catalog's owner.")


def _is_here(place: Path, client: Client, entry: Entry) -> bool:
    """Whether the store has the bundle, as the catalog signs it today."""
    if not place.is_dir():
        return False
    try:
        _verified(place, client, entry)
    except (IntegrityError, NotFoundError, TrustError):
        return False
    return True


def _settle_terms(client: Client, store: Store, entry: Entry, watcher: Watcher) -> None:
    """Show the terms before the first pull of a model, and again when they have changed."""
    digest = client.info(f"{entry.folder}/{TERMS}").hashes["sha256"]
    accepted = store.folder / "accepted" / f"{entry.name}-{digest[:16]}.json"
    if accepted.is_file():
        return
    part = store.folder / "accepted" / f".{entry.name}-{digest[:16]}-{os.getpid()}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        client.fetch(f"{entry.folder}/{TERMS}", part, lambda _: None)
        content = part.read_bytes()
    finally:
        part.unlink(missing_ok=True)
    if not watcher.agree(entry, Terms.model_validate_json(content)):
        fix = "Read them above; --accept-terms accepts them in a script."
        raise SettingsError("The terms of the model were not accepted: nothing was fetched.", where=entry.name, fix=fix)
    write_whole(accepted, content)


def _refuse_odd_names(entry: Entry) -> None:
    """The index is signed, but a path of ours is never made of a name that was not looked at."""
    names = [entry.name, entry.version, *entry.files]
    odd = [name for name in names if not is_plain(name)] + [name for name in names[:2] if "/" in name]
    fix = "Tell the catalog's owner."
    if odd:
        raise TrustError(f"The catalog names a file {odd[0][:80]!r}.", where=entry.name[:80], fix=fix)
    if MANIFEST not in entry.files:
        raise IntegrityError(f"The catalog names a bundle without {MANIFEST}.", where=entry.name, fix=fix)


def _sync(path: Path) -> None:
    """Have the disk hold what the name promises."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
