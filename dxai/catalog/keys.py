"""Key files of a catalog: Ed25519 for the four TUF roles, ECDSA P-256 for the signatures of bundles.

Bundles get P-256 because the tools of OpenSSF Model Signing take NIST curves only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Role

from dxai.bundle.signing import fingerprint, public_pem
from dxai.errors import NotFoundError, SettingsError, TrustError
from dxai.files import write_whole

BUNDLE = "bundle"
PASSPHRASE = "DXAI_KEYS_PASSPHRASE"
"""Environment variable that encrypts key files, and opens them again."""

PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey


class KeyRing:
    """A folder of private key files, mode 0600; ``retired/`` keeps the keys that were replaced.

    Raises:
        NotFoundError: There is no such folder.
        TrustError: A key file cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            fix = "dxai keys init makes one; --keys names it."
            raise NotFoundError("There is no folder of keys.", where=str(folder), fix=fix)
        self.folder = folder

    @staticmethod
    def make(folder: Path, counts: dict[str, int]) -> KeyRing:
        """A new folder with so many keys per role.

        Raises:
            SettingsError: There is a key already: keys are never overwritten.
        """
        if any(folder.glob("*.pem")):
            fix = "Name another folder, or replace single keys with `dxai keys rotate`."
            raise SettingsError("There are keys here already.", where=str(folder), fix=fix)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ring = KeyRing(folder)
        for role, count in counts.items():
            for _ in range(count):
                ring.add(role)
        return ring

    def add(self, role: str) -> CryptoSigner | ec.EllipticCurvePrivateKey:
        """Make one more key of a role and write it."""
        if role == BUNDLE:
            curve_key = ec.generate_private_key(ec.SECP256R1())
            self._write(f"{BUNDLE}-{fingerprint(curve_key.public_key())[:8]}.pem", curve_key)
            write_whole(self.folder / f"{BUNDLE}.pub", public_pem(curve_key.public_key()))
            return curve_key
        key = Ed25519PrivateKey.generate()
        signer = CryptoSigner(key)
        self._write(f"{role}-{signer.public_key.keyid[:8]}.pem", key)
        return signer

    def signers(self, role: Role, name: str) -> list[CryptoSigner]:
        """The signers of a TUF role that are here.

        Raises:
            TrustError: They are fewer than the role's threshold.
        """
        here = [signer for signer in self.all_signers() if signer.public_key.keyid in role.keyids]
        if len(here) < role.threshold:
            fix = "Bring the missing key files to this folder for as long as the command runs."
            told = f"{role.threshold} {name} keys are needed, however {len(here)} of them are here."
            raise TrustError(told, where=str(self.folder), fix=fix)
        return here

    def bundle_key(self, trusted: set[str]) -> ec.EllipticCurvePrivateKey:
        """The private key of one of the trusted fingerprints.

        Raises:
            TrustError: It is not here.
        """
        for key in self._keys():
            if isinstance(key, ec.EllipticCurvePrivateKey) and fingerprint(key.public_key()) in trusted:
                return key
        fix = "Bring its file to this folder, or replace it: dxai keys rotate bundle."
        raise TrustError("The key that signs bundles is not here.", where=str(self.folder), fix=fix)

    def retire(self, keep: set[str], keep_bundle: list[str]) -> None:
        """Move the key files that are not among these key ids and public PEM texts to ``retired/``."""
        retired = self.folder / "retired"
        for path in sorted(self.folder.glob("*.pem")):
            if _identity(self._load(path)) not in {*keep, *keep_bundle}:
                retired.mkdir(mode=0o700, exist_ok=True)
                path.rename(retired / path.name)

    def all_signers(self) -> Iterator[CryptoSigner]:
        """A signer for every Ed25519 key that is here."""
        yield from (CryptoSigner(key) for key in self._keys() if isinstance(key, Ed25519PrivateKey))

    def _keys(self) -> Iterator[PrivateKey]:
        yield from (self._load(path) for path in sorted(self.folder.glob("*.pem")))

    def _load(self, path: Path) -> PrivateKey:
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), _passphrase())
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
            raise TrustError("This key file cannot be read.", where=str(path), fix=f"Is {PASSPHRASE} set as it was?")
        return key

    def _write(self, name: str, key: PrivateKey) -> None:
        phrase = _passphrase()
        lock = serialization.BestAvailableEncryption(phrase) if phrase else serialization.NoEncryption()
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
        partial = self.folder / f".{name}.part"
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
            os.fsync(file.fileno())
        partial.rename(self.folder / name)


def _identity(key: PrivateKey) -> str:
    """TUF key id, or the public PEM text of a bundle key."""
    if isinstance(key, Ed25519PrivateKey):
        return CryptoSigner(key).public_key.keyid
    return public_pem(key.public_key()).decode()


def _passphrase() -> bytes | None:
    return os.environ.get(PASSPHRASE, "").encode() or None
