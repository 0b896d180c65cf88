"""Making and replacing the keys of a catalog."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Role, Root, Snapshot, Targets, Timestamp

from dxai.bundle.signing import public_pem
from dxai.catalog.keys import BUNDLE, KeyRing
from dxai.catalog.repository import DAYS, Catalog
from dxai.catalog.trust import BUNDLE_KEYS
from dxai.errors import SettingsError
from dxai.files import write_whole

LASTS = {Root.type: 3650, Targets.type: 730, Snapshot.type: 365, Timestamp.type: 365}
"""Days until metadata expires: a firm behind an air gap may get a fresh copy once a year."""


def make_keys(
    folder: Path, *, root_keys: int = 1, threshold: int = 1, days: Mapping[str, int] = LASTS
) -> Metadata[Root]:
    """A new ring of keys and the trust root to hand out, ``root.json`` and ``bundle.pub`` in the same folder.

    Args:
        folder: Where the files go.
        root_keys: How many root keys are made.
        threshold: How many of them must sign a new root.
        days: Until metadata of each role expires.

    Raises:
        SettingsError: The folder holds keys, or the threshold cannot be met.
    """
    if not 1 <= threshold <= root_keys:
        told = f"The threshold is {threshold}, however there are {root_keys} root keys."
        raise SettingsError(told, fix="Choose a threshold between 1 and the number of root keys.")
    ring = KeyRing.make(folder, {Root.type: root_keys})
    root = Root(roles={role: Role([], 1) for role in LASTS}, consistent_snapshot=True)
    signers = list(ring.all_signers())
    for signer in signers:
        root.add_key(signer.public_key, Root.type)
    root.roles[Root.type].threshold = threshold
    for role in (Targets.type, Snapshot.type, Timestamp.type):
        root.add_key(_signer(ring, role).public_key, role)
    root.unrecognized_fields = {DAYS: dict(days), BUNDLE_KEYS: [_new_bundle_key(ring)]}
    root.expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days[Root.type])
    metadata = Metadata(root)
    for signer in signers:
        metadata.sign(signer, append=True)
    write_whole(folder / "root.json", metadata.to_bytes())
    return metadata


def rotate(role: str, catalog: Catalog, keys: KeyRing, *, revoke: bool = False) -> None:
    """Replace the keys of a role (``root``, ``targets``, ``snapshot``, ``timestamp``, ``bundle``) in a catalog.

    The new root is signed by the old and the new root keys, so that firms follow by themselves. Bundles signed by an
    older bundle key stay valid, unless ``revoke`` takes the trust from it and signs every published bundle again.

    Raises:
        TrustError: Too few root keys are here.
    """
    with catalog.edit(keys) as metadata:
        keys.signers(metadata.root().roles[Root.type], Root.type)  # before any new key is made
        fresh = _new_bundle_key(keys) if role == BUNDLE else ""
        with metadata.edit_root() as root:
            if role == BUNDLE:
                old = [] if revoke else root.unrecognized_fields[BUNDLE_KEYS]
                root.unrecognized_fields[BUNDLE_KEYS] = [fresh, *old]
            else:
                _replace_keys(root, role, keys)
        if role == BUNDLE and revoke:
            catalog.sign_again(keys, metadata)
        elif role == Targets.type:
            with metadata.edit_targets():
                pass
        trusted = metadata.root()
    keep = {keyid for each in trusted.roles.values() for keyid in each.keyids}
    keys.retire(keep, trusted.unrecognized_fields[BUNDLE_KEYS][:1])
    newest = max((catalog.folder / "metadata").glob("*.root.json"), key=lambda path: int(path.name.split(".")[0]))
    write_whole(keys.folder / "root.json", newest.read_bytes())


def _replace_keys(root: Root, role: str, keys: KeyRing) -> None:
    old = list(root.roles[role].keyids)
    for _ in old:
        root.add_key(_signer(keys, role).public_key, role)
    for keyid in old:
        root.revoke_key(keyid, role)


def _signer(keys: KeyRing, role: str) -> CryptoSigner:
    signer = keys.add(role)
    assert isinstance(signer, CryptoSigner)
    return signer


def _new_bundle_key(keys: KeyRing) -> str:
    key = keys.add(BUNDLE)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return public_pem(key.public_key()).decode()
