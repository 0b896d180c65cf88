"""Attacks on the metadata: each is refused before a byte of a model is read."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from dxai.catalog.ceremony import rotate
from dxai.catalog.pull import Watcher, pull
from dxai.catalog.repository import Catalog
from dxai.catalog.store import Store
from tests.trials.forging.forge import NEW, PAST, Attack, Forge, new_signer
from tests.trials.scene import NAME

ROLES = (Root.type, Timestamp.type, Snapshot.type, Targets.type)


def attacks() -> Iterator[tuple[str, Attack]]:
    """Each attack by name."""
    yield from _rollbacks()
    yield from _expiries()
    yield from _mixtures()
    yield from _keys()
    yield from _contents()


# Older than what was seen


def _rollbacks() -> Iterator[tuple[str, Attack]]:
    yield "rollback of timestamp", Attack(_old_copy, "rolled back: its timestamp")
    yield "rollback of snapshot", Attack(_older_snapshot, "rolled back: its snapshot")
    yield "rollback of targets", Attack(_older_targets, "rolled back: its targets")
    yield "snapshot without targets", Attack(_snapshot_without_targets, "snapshot metadata cannot be read")


def _old_copy(forge: Forge) -> None:
    shutil.rmtree(forge.catalog)
    shutil.copytree(forge.old, forge.catalog)


def _older_snapshot(forge: Forge) -> None:
    def back(timestamp: Timestamp) -> None:
        timestamp.snapshot_meta.version -= 1

    forge.edit(Timestamp.type, back)


def _older_targets(forge: Forge) -> None:
    def back(snapshot: Snapshot) -> None:
        snapshot.meta["targets.json"].version -= 1

    forge.edit(Snapshot.type, back)


def _snapshot_without_targets(forge: Forge) -> None:
    forge.edit(Snapshot.type, lambda snapshot: snapshot.meta.clear())


# Out of date


def _expiries() -> Iterator[tuple[str, Attack]]:
    for role in ROLES:
        repair = _repair_root if role == Root.type else Forge.repair
        yield f"expired {role}", Attack(_expired(role), f"out of date: its {role}", repair=repair)
    yield "freeze", Attack(_frozen, "out of date: its timestamp")


def _expired(role: str) -> Callable[[Forge], object]:
    return lambda forge: forge.edit(role, lambda signed: setattr(signed, "expires", PAST))


def _repair_root(forge: Forge) -> None:
    """A root that was once signed is part of the chain: the next one takes its place."""
    rotate(Root.type, forge.publisher.catalog, forge.keys)


def _frozen(forge: Forge) -> None:
    """The firm sees a catalog that ends soon, and later the same again."""
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    forge.edit(Timestamp.type, lambda timestamp: setattr(timestamp, "expires", soon))
    client = forge.client()
    pull(client, Store(forge.home), client.refresh().find(NAME, NEW, where=""), Watcher(lambda *_: True))
    time.sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds() + 0.1))


# Parts that do not belong together


def _mixtures() -> Iterator[tuple[str, Attack]]:
    for role in (Timestamp.type, Snapshot.type, Targets.type):
        yield f"{role} of another catalog", Attack(_of_stranger(role), f"{role} metadata lacks their signatures")
    yield "older snapshot under a newer name", Attack(_misnamed(Snapshot.type), "mixed together: its snapshot")
    yield "older targets under a newer name", Attack(_misnamed(Targets.type), "mixed together: its targets")
    yield "other snapshot than announced", Attack(_other_hash(Snapshot.type, Timestamp.type), "one that was announced")
    yield "other targets than announced", Attack(_other_hash(Targets.type, Snapshot.type), "one that was announced")
    yield "root skips a version", Attack(_root_skips, "mixed together: its root")
    for role in (Snapshot.type, Targets.type):
        yield f"missing {role}", Attack(_missing(role), "lacks a file of its metadata")
    yield "missing timestamp", Attack(lambda forge: forge.newest(Timestamp.type).unlink(), "lacks a file")


def _of_stranger(role: str) -> Callable[[Forge], None]:
    def mix(forge: Forge) -> None:
        if role != Timestamp.type:
            forge.edit(role)
        theirs = Metadata[Any].from_file(str(forge.stranger.catalog.folder / "metadata/timestamp.json"))
        if role != Timestamp.type:
            path = max((forge.stranger.catalog.folder / "metadata").glob(f"*.{role}.json"))
            theirs = Metadata[Any].from_file(str(path))
        forge.newest(role).write_bytes(theirs.to_bytes())

    return mix


def _misnamed(role: str) -> Callable[[Forge], None]:
    def mix(forge: Forge) -> None:
        older = forge.newest(role).read_bytes()
        forge.edit(role)
        forge.newest(role).write_bytes(older)

    return mix


def _other_hash(role: str, announced_by: str) -> Callable[[Forge], None]:
    def mix(forge: Forge) -> None:
        forge.edit(role)
        version = forge.files.open(role).signed.version
        lie = MetaFile(version, hashes={"sha256": "0" * 64})

        def announce(signed: Any) -> None:
            if role == Snapshot.type:
                signed.snapshot_meta = lie
            else:
                signed.meta["targets.json"] = lie

        forge.edit(announced_by, announce)

    return mix


def _root_skips(forge: Forge) -> None:
    root = forge.files.root()
    root.version += 2
    forge.write(Root.type, root, forge.signers(Root.type), version=root.version - 1)


def _missing(role: str) -> Callable[[Forge], None]:
    def remove(forge: Forge) -> None:
        forge.edit(role)
        forge.newest(role).unlink()

    return remove


# Keys


def _keys() -> Iterator[tuple[str, Attack]]:
    for role in ROLES:
        lacks = f"{role} metadata lacks their signatures"
        yield f"{role} by the key of another role", Attack(_by_another_role(role), lacks)
        yield f"{role} by a stranger", Attack(partial(Forge.edit, role=role, by=[new_signer()]), lacks)
        yield f"{role} without signatures", Attack(partial(Forge.edit, role=role, by=[]), lacks)
        yield f"{role} with a changed signature", Attack(_flipped(role), lacks)
    lacks = "root metadata lacks their signatures"
    yield "root below its threshold", Attack(lambda f: f.edit(Root.type, by=f.signers(Root.type)[:1]), lacks)
    yield "root counts one signature twice", Attack(_doubled, "cannot be read")
    yield "root takes its keys from a stranger", Attack(_usurped, lacks)
    yield "catalog of a stranger", Attack(_all_of_stranger, "not signed by the keys trusted here")
    yield (
        "trust root of a stranger",
        Attack(id, "not signed by the keys trusted here", options=lambda forge: ["--root", str(forge.stranger.root)]),
    )
    yield "targets by a revoked key", Attack(_revoked_targets, "targets metadata lacks their signatures")


def _by_another_role(role: str) -> Callable[[Forge], object]:
    return lambda forge: forge.edit(role, by=forge.signers(Targets.type if role == Timestamp.type else Timestamp.type))


def _flipped(role: str) -> Callable[[Forge], None]:
    def flip(forge: Forge) -> None:
        forge.edit(role)
        record = json.loads(forge.newest(role).read_bytes())
        for signature in record["signatures"]:
            signature["sig"] = ("0" if signature["sig"][0] != "0" else "1") + signature["sig"][1:]
        forge.newest(role).write_text(json.dumps(record))

    return flip


def _doubled(forge: Forge) -> None:
    forge.edit(Root.type, by=forge.signers(Root.type)[:1])
    record = json.loads(forge.newest(Root.type).read_bytes())
    record["signatures"] *= 2
    forge.newest(Root.type).write_text(json.dumps(record))


def _usurped(forge: Forge) -> None:
    """A next root that names a stranger's keys and is signed by them."""
    key = new_signer()

    def name(root: Root) -> None:
        for keyid in list(root.roles[Root.type].keyids):
            root.revoke_key(keyid, Root.type)
        root.roles[Root.type].threshold = 1
        root.add_key(key.public_key, Root.type)

    forge.edit(Root.type, name, by=[key])


def _all_of_stranger(forge: Forge) -> None:
    shutil.rmtree(forge.catalog)
    shutil.copytree(forge.stranger.catalog.folder, forge.catalog)


def _revoked_targets(forge: Forge) -> None:
    revoked = forge.signers(Targets.type)
    rotate(Targets.type, Catalog(forge.catalog), forge.keys)
    shutil.rmtree(forge.genuine)
    shutil.copytree(forge.catalog, forge.genuine)
    forge.edit(Targets.type, by=revoked)


# What is no metadata


def _contents() -> Iterator[tuple[str, Attack]]:
    limits = {Root.type: 512_000, Timestamp.type: 16_384, Snapshot.type: 2_000_000, Targets.type: 5_000_000}
    for role, limit in limits.items():
        yield f"endless {role}", Attack(_written(role, b" " * (limit + 1)), "more bytes than metadata may have")
        yield f"{role} of another type", Attack(_of_other_type(role), "cannot be read")
    contents = {
        "no JSON": b"<html>404</html>", "empty": b"", "an array": b"[]", "nothing": b"null", "no UTF-8": b"\xff\xfe\0",
        "nested without end": b"[" * 10_000, "objects without end": b'{"a":' * 2_000, "a huge number": b"9" * 10_000,
        "not a number": b'{"signed":NaN,"signatures":[]}', "odd signed": b'{"signed":[],"signatures":{}}',
        "lone surrogate": b'{"signatures":[],"signed":{"_type":"timestamp","\\ud800":1}}',
    }  # fmt: skip
    for name, content in contents.items():
        yield f"timestamp: {name}", Attack(_written(Timestamp.type, content), "cannot be read")
    yield "targets: nested without end", Attack(_written(Targets.type, b"[" * 100_000), "cannot be read")
    yield "root: nested without end", Attack(_written(Root.type, b'{"a":' * 50_000), "cannot be read")
    yield "specification from the future", Attack(_future, "cannot be read")
    yield "version beyond all numbers", Attack(_numbered("version", 10**400), "lacks their signatures")
    yield "version below zero", Attack(_numbered("version", -1), "cannot be read")
    yield "expiry without a date", Attack(_numbered("expires", "never"), "cannot be read")


def _written(role: str, content: bytes) -> Callable[[Forge], None]:
    def write(forge: Forge) -> None:
        forge.edit(role)
        forge.newest(role).write_bytes(content)

    return write


def _of_other_type(role: str) -> Callable[[Forge], None]:
    """The metadata of another role, signed by the keys of this one."""
    other = Snapshot.type if role != Snapshot.type else Timestamp.type

    def write(forge: Forge) -> None:
        forge.edit(role)
        version = forge.files.open(role).signed.version
        forge.write(role, forge.files.open(other).signed, forge.signers(role), version=version)

    return write


def _future(forge: Forge) -> None:
    forge.edit(Timestamp.type, lambda timestamp: setattr(timestamp, "spec_version", "2.0.0"))


def _numbered(field: str, value: object) -> Callable[[Forge], None]:
    """A field that the library would not write; a broken field counts before the broken signature."""

    def write(forge: Forge) -> None:
        forge.edit(Timestamp.type)
        record = json.loads(forge.newest(Timestamp.type).read_bytes())
        record["signed"][field] = value
        forge.newest(Timestamp.type).write_text(json.dumps(record))

    return write
