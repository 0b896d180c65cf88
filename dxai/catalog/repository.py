"""The publisher's side of a catalog: TUF metadata and target files in a static folder.

    metadata/   N.root.json, N.targets.json, N.snapshot.json, timestamp.json
    targets/    index.json and models/NAME/VERSION/FILE, each with its sha256 in front of the file name
    index.json  the index once more, to read

Source: The Update Framework specification 1.0.31, consistent snapshots.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from filelock import FileLock, Timeout
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Signed, Snapshot, TargetFile, Targets, Timestamp
from tuf.repository import Repository as TufRepository

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import SIGNATURE
from dxai.bundle.signing import Keys, sign
from dxai.catalog.index import INDEX, Index, entry_of, parse_index
from dxai.catalog.keys import KeyRing
from dxai.catalog.trust import bundle_keys, parse_root
from dxai.errors import IntegrityError, InterruptedRunError, NotFoundError, SettingsError
from dxai.files import whole_folder, write_whole

ROLES = (Root.type, Targets.type, Snapshot.type, Timestamp.type)
DAYS = "x-dxai-days"
"""Field of every metadata file: how many days a new version of it lasts."""


class Catalog:
    """A catalog folder that can be written with a ring of keys.

    Raises:
        NotFoundError: There is no catalog in the folder.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "metadata/timestamp.json").is_file():
            fix = "The first `dxai publish` makes one; --catalog names it."
            raise NotFoundError("There is no catalog here.", where=str(folder), fix=fix)
        self.folder = folder

    @staticmethod
    def make(folder: Path, keys: KeyRing) -> Catalog:
        """An empty catalog under the root that `dxai keys init` made."""
        trust = keys.folder / "root.json"
        if not trust.is_file():
            fix = "Make keys with `dxai keys init`."
            raise NotFoundError("The keys have no trust root.", where=str(trust), fix=fix)
        root = parse_root(trust.read_bytes(), where=str(trust))
        for role in ROLES[1:]:
            keys.signers(root.signed.roles[role], role)  # before anything is written
        folder.mkdir(parents=True, exist_ok=True)
        with whole_folder(folder / "metadata") as work:
            (work / f"{root.signed.version}.root.json").write_bytes(trust.read_bytes())
            metadata = RoleFiles(work, keys)
            days = root.signed.unrecognized_fields[DAYS]
            for kind in (Targets, Snapshot, Timestamp):
                signed: Signed = kind(unrecognized_fields={DAYS: days[kind.type]})
                signed.version = 0
                metadata.close(kind.type, Metadata[Any](signed))
            _put_index(metadata, folder, Index())
            metadata.seal()
        return Catalog(folder)

    @property
    def index(self) -> Index:
        """What is in the catalog; read without verification, for its owner."""
        return parse_index((self.folder / INDEX).read_bytes(), where=str(self.folder / INDEX))

    @property
    def bundle_keys(self) -> Keys:
        """Keys that may sign bundles of this catalog."""
        where = str(self.folder / "metadata")
        return bundle_keys(RoleFiles(self.folder / "metadata", None).root(), where=where)

    def expiries(self) -> dict[str, datetime]:
        """When the metadata of each role expires."""
        files = RoleFiles(self.folder / "metadata", None)
        return {role: files.open(role).signed.expires for role in ROLES}

    def bundle(self, name: str, version: str) -> Bundle:
        """A published bundle."""
        entry = self.index.find(name, version, where=str(self.folder))
        targets = RoleFiles(self.folder / "metadata", None).targets().targets
        paths = {file: targets[f"{entry.folder}/{file}"] for file in entry.files}
        read = {file: (self.folder / "targets" / stored_path(info)).read_bytes() for file, info in paths.items()}
        return Bundle(read, f"{self.folder}/{entry.folder}")

    def add(self, bundle: Bundle, keys: KeyRing, commit: str = "") -> None:
        """Sign a bundle and publish it, with the commit of the checkout that it comes from.

        Raises:
            SettingsError: The same version is published with other content.
            TrustError: A key is missing.
        """
        key = keys.bundle_key(set(self.bundle_keys))
        with self.edit(keys) as metadata:
            known = {(e.name, e.version): e for e in self._index(metadata).models}
            before = known.get((bundle.manifest.name, bundle.manifest.version))
            if before and before.digest != bundle.digest:
                fix = "A published version never changes: raise `version` in configs/release/ and release again."
                told = f"{bundle.manifest.name} {bundle.manifest.version} is published already, with other content."
                raise SettingsError(told, where=bundle.where, fix=fix)
            self._put_bundle(metadata, _signed(bundle, key), before.commit if before else commit)

    def sign_again(self, keys: KeyRing, metadata: RoleFiles) -> None:
        """Sign every published bundle with the key that is trusted now."""
        key = keys.bundle_key(set(bundle_keys(metadata.root(), where=str(self.folder))))
        for entry in self.index.models:
            bundle = self.bundle(entry.name, entry.version)
            self._put_bundle(metadata, _signed(bundle, key), entry.commit)

    def refresh(self, keys: KeyRing) -> None:
        """New versions of targets, snapshot and timestamp, each with its full time to run."""
        with self.edit(keys) as metadata, metadata.edit_targets():
            pass

    @contextmanager
    def edit(self, keys: KeyRing) -> Iterator[RoleFiles]:
        """A copy of the metadata, whose new files are added to the catalog, sealed, when the block ends well.

        All that the timestamp leads to has a name of its own and is there before it; a new root comes last. So a reader
        sees the old catalog or the new one at every moment.
        """
        with _alone(self.folder):
            self._clear()
            with TemporaryDirectory(prefix=".edit.", dir=self.folder) as copy:
                work = Path(shutil.copytree(self.folder / "metadata", Path(copy) / "metadata"))
                metadata = RoleFiles(work, keys)
                yield metadata
                metadata.seal()
                self._take_over(work)
                write_whole(self.folder / INDEX, metadata.target(self.folder, INDEX))

    def _take_over(self, work: Path) -> None:
        for kind in ("targets", "snapshot", "timestamp", "root"):
            for path in sorted(work.glob(f"*{kind}.json")):
                place = self.folder / "metadata" / path.name
                if kind == "timestamp" or not place.exists():
                    write_whole(place, path.read_bytes())

    def _put_bundle(self, metadata: RoleFiles, bundle: Bundle, commit: str) -> None:
        entry = entry_of(bundle, commit)
        files = {f"{entry.folder}/{name}": content for name, content in bundle.files.items()}
        with metadata.edit_targets() as targets:
            targets.targets.update({path: _put(self.folder, path, content) for path, content in files.items()})
        _put_index(metadata, self.folder, self._index(metadata).with_entry(entry))

    def _index(self, metadata: RoleFiles) -> Index:
        return parse_index(metadata.target(self.folder, INDEX), where=str(self.folder))

    def _clear(self) -> None:
        """Take away what a killed command left."""
        for copy in self.folder.glob(".edit.*"):
            shutil.rmtree(copy)
        for part in self.folder.rglob(".*.part"):
            part.unlink()


class RoleFiles(TufRepository):
    """The metadata files of one folder, written with a ring of keys."""

    def __init__(self, folder: Path, keys: KeyRing | None) -> None:
        self.folder, self.keys = folder, keys
        self.before = self.root()

    def open(self, role: str) -> Metadata[Any]:
        """The newest metadata of a role."""
        if role == Timestamp.type:
            return Metadata.from_file(str(self.folder / "timestamp.json"))
        versions = [int(path.name.split(".")[0]) for path in self.folder.glob(f"*.{role}.json")]
        return Metadata.from_file(str(self.folder / f"{max(versions)}.{role}.json"))

    def close(self, role: str, md: Metadata[Any]) -> None:
        """Give the metadata its next version and expiry, sign it and write it."""
        assert self.keys is not None
        signed = md.signed
        signed.version += 1
        days = signed.unrecognized_fields[DAYS]
        lasts = days[role] if isinstance(days, dict) else days
        signed.expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=lasts)
        md.signatures.clear()
        for signer in self._signers(role, signed):
            md.sign(signer, append=True)
        name = "timestamp.json" if role == Timestamp.type else f"{signed.version}.{role}.json"
        write_whole(self.folder / name, md.to_bytes())

    def _signers(self, role: str, signed: Signed) -> list[CryptoSigner]:
        """Of the role, and of the role as it was before: while keys change, both old and new readers are served."""
        assert self.keys is not None
        root = signed if isinstance(signed, Root) else self.root()
        signers = self.keys.signers(root.roles[role], role)
        if role == Root.type:
            return signers + self.keys.signers(self.before.roles[role], role)
        old = self.before.roles[role].keyids
        return signers + [signer for signer in self.keys.all_signers() if signer.public_key.keyid in old]

    @property
    def targets_infos(self) -> dict[str, MetaFile]:
        """Version of the targets metadata."""
        return {f"{Targets.type}.json": MetaFile(self.targets().version)}

    @property
    def snapshot_info(self) -> MetaFile:
        """Version of the snapshot metadata."""
        return MetaFile(self.snapshot().version)

    def seal(self) -> None:
        """Write the snapshot and the timestamp that name the present targets."""
        self.do_snapshot(force=True)
        self.do_timestamp(force=True)

    def target(self, catalog: Path, path: str) -> bytes:
        """Content of a target file."""
        return (catalog / "targets" / stored_path(self.targets().targets[path])).read_bytes()


def stored_path(info: TargetFile) -> str:
    """Path of a target file below targets/: its sha256 stands in front of the file name."""
    folder, slash, name = info.path.rpartition("/")
    return f"{folder}{slash}{info.hashes['sha256']}.{name}"


def _signed(bundle: Bundle, key: ec.EllipticCurvePrivateKey) -> Bundle:
    return Bundle({**bundle.files, SIGNATURE: sign(bundle, key)}, bundle.where)


def _put(catalog: Path, path: str, content: bytes) -> TargetFile:
    info = TargetFile.from_data(path, content, ["sha256"])
    place = catalog / "targets" / stored_path(info)
    if place.is_file() and hashlib.sha256(place.read_bytes()).hexdigest() != info.hashes["sha256"]:
        raise IntegrityError(
            "A file of the catalog was changed.", where=str(place), fix="Restore the catalog's folder."
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    write_whole(place, content)
    return info


def _put_index(metadata: RoleFiles, catalog: Path, index: Index) -> None:
    content = (index.model_dump_json(indent=2) + "\n").encode()
    with metadata.edit_targets() as targets:
        targets.targets[INDEX] = _put(catalog, INDEX, content)
    if not (catalog / INDEX).is_file():
        write_whole(catalog / INDEX, content)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / ".lock", timeout=60)
    try:
        with lock:
            yield
    except Timeout:
        fix = "Wait until the other command has ended."
        raise InterruptedRunError("Another command writes this catalog.", where=str(folder), fix=fix) from None
