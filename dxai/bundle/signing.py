"""The signature of a bundle: a DSSE envelope around an in-toto statement, in the OpenSSF Model Signing layout.

Sources: DSSE v1 (secure-systems-lab/dsse), in-toto Statement v1, OpenSSF Model Signing v1.0 (ECDSA P-256 keys, file
``model.sig``), Sigstore bundle v0.3. `verify` takes only the exact bytes that `sign` writes, so that no byte of a
bundle, not even white space in the signature, can change unseen.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import FETCH_AGAIN, SIGNATURE
from dxai.errors import IntegrityError, NotFoundError, TrustError

Keys = Mapping[str, ec.EllipticCurvePublicKey]
"""Public keys by fingerprint."""

_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256."""


def sign(bundle: Bundle, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Content of ``model.sig``: the same bytes for the same bundle and key (RFC 6979)."""
    payload = _statement(bundle)
    raw = key.sign(_authenticated(payload), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    r, s = decode_dss_signature(raw)
    return _envelope(payload, encode_dss_signature(r, min(s, _ORDER - s)), fingerprint(key.public_key()))


def verify(bundle: Bundle, keys: Keys) -> str:
    """Hold the signature of a bundle against trusted keys; returns the fingerprint of the key that made it.

    Raises:
        IntegrityError: There is no signature, or it is not one of these files.
        TrustError: The signature was made by another key.
    """
    if bundle.signature is None:
        fix = f"{FETCH_AGAIN} One that was released on this machine runs with --unsigned."
        raise IntegrityError("The bundle is not signed: model.sig is missing.", where=bundle.where, fix=fix)
    try:
        payload, signature, hint = _opened(bundle.signature)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        raise _refused("The signature cannot be read.", bundle) from None
    if hint not in keys:
        known = ", ".join(name[:16] for name in keys) or "none"
        raise TrustError(
            f"The bundle is signed by a key that is not trusted here: {hint[:16]!r} (trusted: {known}).",
            where=f"{bundle.where}/{SIGNATURE}",
            fix="Get the publisher's public key or trust root by another way than the bundle: --key, --root.",
        )
    try:
        keys[hint].verify(signature, _authenticated(payload), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise _refused("The signature does not match its key.", bundle) from None
    if payload != _statement(bundle):
        raise _refused("The signature is that of other files.", bundle)
    return hint


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """Hex sha256 of the PEM text, as OpenSSF Model Signing writes it."""
    return hashlib.sha256(public_pem(key)).hexdigest()


def public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    """PEM text of a public key."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def parse_public_key(pem: bytes, *, where: str) -> ec.EllipticCurvePublicKey:
    """A P-256 public key from PEM text.

    Raises:
        TrustError: It is none.
    """
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError:
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        fix = "Name the file bundle.pub that `dxai keys init` made."
        raise TrustError("This is no public key of a bundle (PEM, ECDSA P-256).", where=where, fix=fix)
    return key


def read_public_key(path: Path) -> Keys:
    """The key of one PEM file."""
    if not path.is_file():
        raise NotFoundError("There is no such key file.", where=str(path), fix="Check the path.")
    key = parse_public_key(path.read_bytes()[:10_000], where=str(path))
    return {fingerprint(key): key}


def _statement(bundle: Bundle) -> bytes:
    """The in-toto statement that these files deserve."""
    digests = {n: hashlib.sha256(d) for n, d in sorted(bundle.files.items()) if n != SIGNATURE}
    root = hashlib.sha256(b"".join(d.digest() for d in digests.values())).hexdigest()
    return _json({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": bundle.manifest.name, "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {
                "method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": [SIGNATURE],
            },
            "resources": [{"name": n, "algorithm": "sha256", "digest": d.hexdigest()} for n, d in digests.items()],
        },
    })  # fmt: skip


def _authenticated(payload: bytes) -> bytes:
    """What DSSE signs: type and payload, each with its length."""
    return b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD_TYPE), _PAYLOAD_TYPE.encode(), len(payload), payload)


def _envelope(payload: bytes, signature: bytes, hint: str) -> bytes:
    signatures = [{"sig": base64.b64encode(signature).decode(), "keyid": ""}]
    payload_text = base64.b64encode(payload).decode()
    return _json({
        "mediaType": _BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": {"payload": payload_text, "payloadType": _PAYLOAD_TYPE, "signatures": signatures},
    })  # fmt: skip


def _opened(content: bytes) -> tuple[bytes, bytes, str]:
    """Payload, signature and key of an envelope, which must be byte for byte the one that `sign` writes for them."""
    record = json.loads(content)
    envelope, hint = record["dsseEnvelope"], record["verificationMaterial"]["publicKey"]["hint"]
    if not isinstance(hint, str):
        raise TypeError("no fingerprint")
    payload = base64.b64decode(envelope["payload"], validate=True)
    signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
    r, s = decode_dss_signature(signature)
    if encode_dss_signature(r, min(s, _ORDER - s)) != signature or _envelope(payload, signature, hint) != content:
        raise ValueError("not canonical")
    return payload, signature, hint


def _json(record: Any) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode()


def _refused(problem: str, bundle: Bundle) -> IntegrityError:
    return IntegrityError(problem, where=bundle.where, fix=FETCH_AGAIN)
