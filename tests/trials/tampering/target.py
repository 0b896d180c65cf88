"""A signed bundle on disk that is changed and restored, and what the ways to change it are made of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from dxai.bundle import signing
from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import MANIFEST, SIGNATURE, file_entry
from dxai.errors import IntegrityError

Files = Mapping[str, bytes]
Change = Callable[[Random, "Target"], None]


class Target:
    """A signed bundle on disk, to be changed and restored.

    Attributes:
        files: Its content as it was released.
        other: Content of another bundle, signed with the same key.
        key, stranger: The key that signed both, and one that nobody trusts.
    """

    def __init__(self, folder: Path, files: Files, other: Files, key: ec.EllipticCurvePrivateKey) -> None:
        self.folder, self.files, self.other, self.key = folder, files, other, key
        self.stranger = ec.generate_private_key(ec.SECP256R1())
        self.outside = folder.with_name("outside")
        shutil.rmtree(self.outside, ignore_errors=True)
        for name, content in files.items():
            (self.outside / name).parent.mkdir(parents=True, exist_ok=True)
            (self.outside / name).write_bytes(content)
        self._touched = set(files)
        self.restore()

    def put(self, name: str, content: bytes) -> None:
        """Write a file."""
        place = self.free(name)
        place.write_bytes(content)

    def free(self, name: str) -> Path:
        """The place of a file, empty, in a folder that is there."""
        place = self.folder / name
        self._touched |= {n for n in self.files if n == name or n.startswith(f"{name}/")} | {name.split("/")[0]}
        clear(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def restore(self) -> None:
        """Undo all changes."""
        for name in self._touched - set(self.files):
            clear(self.folder / name)
        for name in [n for n in self.files if n in self._touched or n.split("/")[0] in self._touched]:
            clear(self.folder / name)
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(self.files[name])
        self._touched.clear()

    def sign(self, files: Files, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        """Put these files in place of the bundle's and sign them, whether or not they make a bundle."""
        for name in set(self.files) - set(files):
            self.free(name)
        for name, content in files.items():
            if content != self.files.get(name):
                self.put(name, content)
        unchecked = SimpleNamespace(files=files, manifest=Bundle(self.files, "").manifest)
        self.put(SIGNATURE, signing.sign(cast(Bundle, unchecked), key or self.key))


def clear(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


@dataclass(frozen=True)
class Kind:
    """One way to tamper.

    Attributes:
        change: Does it, at random.
        code: Exit code that refuses it.
    """

    change: Change
    code: int = IntegrityError.exit_code


def any_listed(random: Random, target: Target) -> str:
    return random.choice(sorted(set(target.files) - {MANIFEST, SIGNATURE}))


def any_but_manifest(random: Random, target: Target) -> str:
    return random.choice(sorted(set(target.files) - {MANIFEST}))


def listing(target: Target, files: Files) -> dict[str, bytes]:
    """These files and the manifest that lists them."""
    listed = {name: file_entry(c).model_dump() for name, c in files.items() if name not in (MANIFEST, SIGNATURE)}
    return {**files, MANIFEST: pretty({**json.loads(target.files[MANIFEST]), "files": listed})}


def pretty(record: Any) -> bytes:
    return json.dumps(record, indent=2, ensure_ascii=False).encode() + b"\n"


def compact(record: Any) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode()


def payload_of(target: Target) -> bytes:
    return signing._opened(target.files[SIGNATURE])[0]


def raw_of(target: Target) -> bytes:
    return signing._opened(target.files[SIGNATURE])[1]


def hint_of(target: Target) -> str:
    return signing._opened(target.files[SIGNATURE])[2]


def signed_as(target: Target, raw: bytes) -> bytes:
    return signing._envelope(payload_of(target), raw, hint_of(target))


def sign_raw(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return encode_dss_signature(r, min(s, signing._ORDER - s))
