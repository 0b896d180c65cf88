"""Attacks on what the metadata leads to: the index, the files of a model, the keys that sign it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

from tuf.api.metadata import Targets

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import MODEL, SIGNATURE
from dxai.bundle.signing import sign
from dxai.catalog.ceremony import rotate
from dxai.catalog.index import INDEX
from tests.trials.forging.forge import OLD, Attack, Forge
from tests.trials.scene import NAME

CHANGED = "is not the file that the catalog announces"
EVIL = "../" * 8 + "evil"


def attacks() -> Iterator[tuple[str, Attack]]:
    """Each attack by name."""
    yield from _files()
    yield from _index()
    yield from _bundle_keys()


# Bytes of the files


def _files() -> Iterator[tuple[str, Attack]]:
    yield "changed target", Attack(_rewritten(lambda data: bytes((data[0] ^ 1,)) + data[1:]), CHANGED, 4)
    yield "shorter target", Attack(_rewritten(lambda data: data[:-1]), CHANGED, 4)
    yield "longer target", Attack(_rewritten(lambda data: b"x" + data), CHANGED, 4)
    yield "endless target", Attack(_rewritten(lambda _: b"x" * (5 << 20)), CHANGED, 4)
    yield "empty target", Attack(_rewritten(lambda _: b""), CHANGED, 4)
    yield "swapped targets", Attack(_swapped, CHANGED, 4)
    yield "target of another version", Attack(_of_stranger, CHANGED, 4)
    yield "missing target", Attack(lambda forge: forge.target(MODEL).unlink(), "cannot be read", 3)
    yield "target longer than signed", Attack(_length(-1), CHANGED, 4)
    yield "target shorter than signed", Attack(_length(+1), CHANGED, 4)
    yield "target of a length beyond all disks", Attack(_length(1 << 60), CHANGED, 4)
    yield "target without a sha256", Attack(_hashes({"md5": "0" * 32}), "does not hold")
    yield "path for a sha256", Attack(signed_path(f"{EVIL}/x"), "does not hold")
    yield "unlisted target", Attack(_unlisted, "does not hold")


def _rewritten(change: Callable[[bytes], bytes]) -> Callable[[Forge], object]:
    return lambda forge: forge.target(MODEL).write_bytes(change(forge.target(MODEL).read_bytes()))


def _swapped(forge: Forge) -> None:
    one, other = forge.target("card.md"), forge.target(MODEL)
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def _of_stranger(forge: Forge) -> None:
    path = next((forge.stranger.catalog.folder / "targets").rglob(f"*.{MODEL}"))
    forge.target(MODEL).write_bytes(path.read_bytes())


def _length(more: int) -> Callable[[Forge], object]:
    return lambda forge: forge.info(MODEL, lambda info: setattr(info, "length", info.length + more))


def _hashes(hashes: dict[str, str]) -> Callable[[Forge], object]:
    return lambda forge: forge.info(MODEL, lambda info: setattr(info, "hashes", hashes))


def signed_path(digest: str) -> Callable[[Forge], object]:
    """Another text in place of a sha256, which the name of the file begins with."""
    return _hashes({"sha256": digest})


def _unlisted(forge: Forge) -> None:
    forge.edit(Targets.type, lambda targets: targets.targets.pop(f"models/{NAME}/{OLD}/{MODEL}"))


# The index


def _index() -> Iterator[tuple[str, Attack]]:
    calls = "catalog calls"
    yield "bundle under another name", Attack(_confused(name="other"), calls, wanted="other")
    yield "bundle under another version", Attack(_confused(version="9.0.0"), calls, wanted=f"{NAME}@9.0.0")
    yield "bundle of another digest", Attack(index_entry(digest="0" * 64), calls)
    names = {"../evil", EVIL, "/evil", ".git/config", "..", "a\\b", "a\0b", "x.", "", "model.onnx\n", "a//b"}
    for name in sorted(names):
        yield f"index names a file {name!r}", Attack(index_entry(files=["manifest.json", name]), "names a file")
    for version in ("../../evil", "..", "1.0.0/../..", "/", "1.0.0\n", ""):
        attack = Attack(index_entry(name="other", version=version), "names a", wanted="other")
        yield f"index names a version {version!r}", attack
    yield "index that is no index", Attack(_written_index(b'{"models": 1}'), "not one that this dxai can read")
    yield "index of a deep nest", Attack(_written_index(b"[" * 100_000), "not one that this dxai can read")
    yield "index unlisted", Attack(_index_unlisted, "does not hold 'index.json'")
    yield "index changed", Attack(_index_changed, CHANGED, 4)


def index_entry(**fields: Any) -> Callable[[Forge], object]:
    """Other fields of a model in the signed index."""
    return lambda forge: forge.edit_index(lambda entry: entry.update(fields))


def _confused(**fields: Any) -> Callable[[Forge], object]:
    """The files of the model stand under another name or version as well, all rightly signed."""

    def confuse(forge: Forge) -> None:
        forge.edit_index(lambda entry: entry.update(fields))
        name, version = fields.get("name", NAME), fields.get("version", OLD)
        files = [path for path in forge.files.targets().targets if path.startswith(f"models/{NAME}/{OLD}/")]
        contents = {file: forge.target(file).read_bytes() for file in (path.split("/", 3)[3] for path in files)}
        lists = [forge.put(f"models/{name}/{version}/{file}", content) for file, content in contents.items()]
        forge.edit(Targets.type, lambda targets: [each(targets) for each in lists])

    return confuse


def _written_index(content: bytes) -> Callable[[Forge], object]:
    return lambda forge: forge.edit(Targets.type, forge.put(INDEX, content))


def _index_unlisted(forge: Forge) -> None:
    forge.edit(Targets.type, lambda targets: targets.targets.pop(INDEX))


def _index_changed(forge: Forge) -> None:
    for path in (forge.catalog / "targets").glob(f"*.{INDEX}"):
        path.write_bytes(path.read_bytes().replace(b"MPa", b"GPa"))


# Signatures of bundles: whoever holds the catalog's keys does not hold these


def _bundle_keys() -> Iterator[tuple[str, Attack]]:
    stranger = "signed by a key that is not trusted here"
    yield "bundle signed by a stranger", Attack(_signed_by_stranger, stranger)
    yield "bundle signed by a revoked key", Attack(_signed_by_revoked, stranger)
    yield "bundle without a signature", Attack(_entry_without_signature, "not signed", 4)
    yield "bundle with the signature of another", Attack(_signature_of_newer, "that of other files", 4)


def _sign_again(forge: Forge, signature: bytes) -> None:
    forge.edit(Targets.type, forge.put(f"models/{NAME}/{OLD}/{SIGNATURE}", signature))


def _signed_by_stranger(forge: Forge) -> None:
    keys = forge.stranger.keys
    key = keys.bundle_key(set(forge.stranger.catalog.bundle_keys))
    _sign_again(forge, sign(Bundle.open(forge.folder / OLD), key))


def _signed_by_revoked(forge: Forge) -> None:
    revoked = forge.target(SIGNATURE).read_bytes()
    rotate("bundle", forge.publisher.catalog, forge.keys, revoke=True)
    shutil.rmtree(forge.genuine)
    shutil.copytree(forge.catalog, forge.genuine)
    forge.client().refresh()
    _sign_again(forge, revoked)


def _entry_without_signature(forge: Forge) -> None:
    forge.edit_index(lambda entry: entry["files"].remove(SIGNATURE))


def _signature_of_newer(forge: Forge) -> None:
    _sign_again(forge, forge.target(SIGNATURE, "1.1.0").read_bytes())
