"""A catalog in the hands of somebody who may hold some of its keys."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Signed, Snapshot, TargetFile, Targets, Timestamp

from dxai.catalog.client import Client
from dxai.catalog.index import INDEX
from dxai.catalog.repository import RoleFiles, stored_path
from dxai.catalog.source import open_source
from dxai.catalog.store import Store
from tests.trials.scene import NAME, Publisher, small_bundle

PAST = datetime(2020, 1, 1, tzinfo=UTC)
OLD, NEW = "1.0.0", "1.1.0"


class Forge:
    """A catalog with two versions of a model, a firm that has read it and pulled the newer one, and a stranger.

    Args:
        folder: Empty.

    Attributes:
        catalog: Folder of the catalog, to be changed at will.
        old: Copy of the catalog before the newer version was published.
        place: What the firm knows the catalog as: the folder, until somebody says otherwise.
        home: Store of the firm.
    """

    def __init__(self, folder: Path) -> None:
        self.publisher = Publisher.of(folder / "owner")
        self.stranger = Publisher.of(folder / "stranger")
        self.folder, self.catalog, self.keys = folder, self.publisher.catalog.folder, self.publisher.keys
        self.old, self.genuine, self.home = folder / "old", folder / "copy", folder / "home"
        self.first_root, self.place = self.publisher.root.read_bytes(), str(self.catalog)

    @staticmethod
    def prepare(folder: Path) -> Path:
        """Write all that a forge starts from, to be copied; returns the folder."""
        bundles = [small_bundle(folder / version, version=version) for version in (OLD, NEW)]
        publisher = Publisher.start(folder / "owner", bundles[0], root_keys=3, threshold=2)
        shutil.copytree(publisher.catalog.folder, folder / "old")
        publisher.add(bundles[1])
        shutil.copytree(publisher.catalog.folder, folder / "copy")
        Publisher.start(folder / "stranger", small_bundle(folder / "evil", version=NEW, slope=0.9))
        return folder

    @property
    def files(self) -> RoleFiles:
        """The metadata of the catalog."""
        return RoleFiles(self.catalog / "metadata", self.keys)

    def newest(self, role: str) -> Path:
        """File of the newest metadata of a role."""
        if role == Timestamp.type:
            return self.catalog / "metadata/timestamp.json"
        return self.catalog / f"metadata/{self.files.open(role).signed.version}.{role}.json"

    def signers(self, role: str) -> list[CryptoSigner]:
        """Those whom the catalog's root trusts with a role."""
        roles = self.files.root().roles
        return [s for s in self.keys.all_signers() if s.public_key.keyid in roles[role].keyids]

    def edit(self, role: str, change: Callable[[Any], object] = id, by: Sequence[CryptoSigner] | None = None) -> None:
        """Sign another version of a role's metadata, and all that leads to it.

        Args:
            role: Of the metadata.
            change: What is other in it.
            by: Who signs it; the right keys when left out.
        """
        signers, metadata = self.signers(role) if by is None else by, self.files.open(role)
        signed = metadata.signed
        signed.version += 1
        change(signed)
        self.write(role, signed, signers)
        if role == Targets.type:
            self.edit(Snapshot.type, lambda s: setattr(s.meta["targets.json"], "version", signed.version))
        elif role == Snapshot.type:
            self.edit(Timestamp.type, lambda s: setattr(s.snapshot_meta, "version", signed.version))

    def write(self, role: str, signed: Signed, signers: Sequence[CryptoSigner], version: int | None = None) -> None:
        """Sign metadata and write it, under another version's name if one is given."""
        metadata = Metadata[Any](signed)
        for signer in signers:
            metadata.sign(signer, append=True)
        name = "timestamp.json" if role == Timestamp.type else f"{version or signed.version}.{role}.json"
        (self.catalog / "metadata" / name).write_bytes(metadata.to_bytes())

    def target(self, name: str, version: str = OLD) -> Path:
        """The file of a target of the model."""
        info = self.files.targets().targets[f"models/{NAME}/{version}/{name}"]
        return self.catalog / "targets" / stored_path(info)

    def info(self, name: str, change: Callable[[TargetFile], object]) -> None:
        """Sign other words about a target."""
        self.edit(Targets.type, lambda targets: change(targets.targets[f"models/{NAME}/{OLD}/{name}"]))

    def put(self, path: str, content: bytes) -> Callable[[Targets], None]:
        """Write a target; what is returned lists it in targets metadata."""
        info = TargetFile.from_data(path, content, ["sha256"])
        place = self.catalog / "targets" / stored_path(info)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return lambda targets: targets.targets.update({path: info})

    def edit_index(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Sign another entry of the old version in the index."""
        index = json.loads((self.catalog / INDEX).read_bytes())
        change(next(entry for entry in index["models"] if entry["version"] == OLD))
        self.edit(Targets.type, self.put(INDEX, json.dumps(index).encode()))

    # The firm

    def client(self, trust: bytes | None = None) -> Client:
        """The firm's side."""
        store = Store(self.home)
        return Client(store.catalog_folder(self.place), open_source(self.place), trust)

    def repair(self) -> None:
        """The owner restores the catalog and signs all of it anew, with higher versions than any forged one."""
        shutil.rmtree(self.catalog)
        shutil.copytree(self.genuine, self.catalog)
        for _ in range(3):
            self.publisher.catalog.refresh(self.keys)

    def kept(self) -> str:
        """Fingerprint of all models that can be seen in the firm's store, and of the keys it trusts."""
        files = [p for p in sorted((self.home / "models").glob("*/[!.]*/**/*")) if p.is_file()]
        digest = hashlib.sha256()
        for path in files:
            digest.update(f"{path}\n".encode() + path.read_bytes())
        return f"{digest.hexdigest()} {sorted(Store(self.home).trusted_keys())}"


@dataclass(frozen=True)
class Attack:
    """One forged catalog and how it is refused.

    Attributes:
        forge: Makes it.
        words: What the refusal says.
        code: Its exit code.
        wanted: Model that the firm asks for.
        options: More words of the firm's command.
        repair: What the owner does about it.
    """

    forge: Callable[[Forge], object]
    words: str
    code: int = 5
    wanted: str = f"{NAME}@{OLD}"
    options: Callable[[Forge], list[str]] = lambda _: []
    repair: Callable[[Forge], object] = Forge.repair


def new_signer() -> CryptoSigner:
    """A key that nobody knows."""
    return CryptoSigner(Ed25519PrivateKey.generate())
