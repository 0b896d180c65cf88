"""A signature holds for exactly these files, this key and these bytes; tools of OpenSSF Model Signing read it too."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeBundle
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import SIGNATURE, Manifest, write_manifest
from dxai.bundle.signing import Keys, fingerprint, parse_public_key, public_pem, read_public_key, sign, verify
from dxai.errors import IntegrityError, NotFoundError, TrustError

ORDER = int("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
KEY = ec.derive_private_key(20261123, ec.SECP256R1())
OTHER = ec.derive_private_key(7, ec.SECP256R1())


def trusted(*keys: ec.EllipticCurvePrivateKey) -> Keys:
    return {fingerprint(key.public_key()): key.public_key() for key in keys}


def with_signature(bundle: Bundle, content: bytes) -> Bundle:
    return Bundle({**bundle.files, SIGNATURE: content}, bundle.where)


@pytest.fixture(scope="module")
def bundle(make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.open(make_bundle(tmp_path_factory.mktemp("plain") / "bundle"))


@pytest.fixture(scope="module")
def signature(bundle: Bundle) -> bytes:
    return sign(bundle, KEY)


def refusal(bundle: Bundle, content: bytes, keys: Keys) -> IntegrityError | TrustError:
    with pytest.raises((IntegrityError, TrustError)) as caught:
        verify(with_signature(bundle, content), keys)
    assert bundle.where in caught.value.where
    assert caught.value.fix
    assert "\n" not in caught.value.problem
    return caught.value


def test_signature_of_a_trusted_key_holds(bundle: Bundle, signature: bytes) -> None:
    assert verify(with_signature(bundle, signature), trusted(OTHER, KEY)) == fingerprint(KEY.public_key())


def test_same_bundle_and_key_give_the_same_bytes(bundle: Bundle, signature: bytes) -> None:
    assert sign(bundle, KEY) == signature
    assert sign(with_signature(bundle, signature), KEY) == signature, "a signature is no part of what is signed"
    assert sign(bundle, OTHER) != signature


def test_bundle_without_a_signature_is_refused(bundle: Bundle) -> None:
    with pytest.raises(IntegrityError, match="not signed") as caught:
        verify(bundle, trusted(KEY))
    assert caught.value.exit_code == 4
    assert "--unsigned" in caught.value.fix


def test_key_that_is_not_trusted_is_told_with_those_that_are(bundle: Bundle, signature: bytes) -> None:
    error = refusal(bundle, signature, trusted(OTHER))
    assert error.exit_code == 5
    assert fingerprint(KEY.public_key())[:16] in error.problem
    assert f"trusted: {fingerprint(OTHER.public_key())[:16]}" in error.problem
    assert "--key" in error.fix and "--root" in error.fix
    assert "trusted: none" in refusal(bundle, signature, {}).problem


def test_any_changed_byte_of_the_signature_is_refused(bundle: Bundle, signature: bytes) -> None:
    keys = trusted(KEY)
    for place in range(len(signature)):
        changed = bytearray(signature)
        changed[place] ^= 1
        refusal(bundle, bytes(changed), keys)


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"dsseEnvelope": 1}'])
def test_bytes_that_are_no_signature_are_refused(bundle: Bundle, content: bytes) -> None:
    error = refusal(bundle, content, trusted(KEY))
    assert (error.exit_code, error.problem) == (4, "The signature cannot be read.")


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s + b"\n", lambda s: b" " + s, lambda s: s[:-1], lambda s: json.dumps(json.loads(s)).encode(),
        lambda s: json.dumps({**json.loads(s), "more": 1}, separators=(",", ":")).encode(),
        lambda s: s.replace(b'"keyid":""', b'"keyid":"","more":1'), lambda s: s.replace(b"tlogEntries", b"TlogEntries"),
        lambda s: s.replace(b'"mediaType"', b'"mediaType":"","mediaType"'),
        lambda s: s.replace(b'"sig"', b'"\\u0073ig"'),
    ],
)  # fmt: skip
def test_any_other_way_to_write_it_is_refused(
    bundle: Bundle, signature: bytes, change: Callable[[bytes], bytes]
) -> None:
    assert change(signature) != signature
    assert refusal(bundle, change(signature), trusted(KEY)).exit_code == 4


def edited(signature: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    record = json.loads(signature)
    change(record)
    return json.dumps(record, separators=(",", ":")).encode()


def test_other_half_of_the_curve_is_refused(bundle: Bundle, signature: bytes) -> None:
    """ECDSA has two signatures for every message: one of them is ours, so that no byte can change unseen."""

    def turn(record: dict[str, Any]) -> None:
        (entry,) = record["dsseEnvelope"]["signatures"]
        r, s = decode_dss_signature(base64.b64decode(entry["sig"]))
        assert s <= ORDER // 2
        entry["sig"] = base64.b64encode(encode_dss_signature(r, ORDER - s)).decode()

    assert "cannot be read" in refusal(bundle, edited(signature, turn), trusted(KEY)).problem


def test_second_signature_is_refused(bundle: Bundle, signature: bytes) -> None:
    def double(record: dict[str, Any]) -> None:
        record["dsseEnvelope"]["signatures"] *= 2

    assert refusal(bundle, edited(signature, double), trusted(KEY)).exit_code == 4


def test_signature_that_names_another_key_than_made_it_is_refused(bundle: Bundle, signature: bytes) -> None:
    def rename(record: dict[str, Any]) -> None:
        record["verificationMaterial"]["publicKey"]["hint"] = fingerprint(OTHER.public_key())

    error = refusal(bundle, edited(signature, rename), trusted(KEY, OTHER))
    assert (error.exit_code, error.problem) == (4, "The signature does not match its key.")


@pytest.mark.parametrize("hint", [None, 5, ["a"], {"a": 1}, True, "x" * 10_000, "\x1b[2J\n"])
def test_name_of_a_key_that_is_none_is_refused(bundle: Bundle, signature: bytes, hint: object) -> None:
    def rename(record: dict[str, Any]) -> None:
        record["verificationMaterial"]["publicKey"]["hint"] = hint

    error = refusal(bundle, edited(signature, rename), trusted(KEY))
    assert len(error.problem) < 200
    assert "\x1b" not in error.problem


def test_signature_of_other_files_is_refused(
    bundle: Bundle, signature: bytes, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    other = Bundle.open(make_bundle(tmp_path / "other", card="# Another card\n"))
    assert refusal(other, signature, trusted(KEY)).problem == "The signature is that of other files."


def test_changed_file_under_a_manifest_that_was_made_to_fit_is_refused(
    bundle: Bundle, signature: bytes, tmp_path: Path
) -> None:
    for name, content in bundle.files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "card.md").write_text("# Trust me\n", "utf-8")
    (tmp_path / "manifest.json").unlink()
    write_manifest(tmp_path, Manifest.model_validate({**bundle.manifest.model_dump(), "files": {}}))
    assert refusal(Bundle.open(tmp_path), signature, trusted(KEY)).problem == "The signature is that of other files."


def test_any_bit_of_the_manifest_is_signed(bundle: Bundle, signature: bytes) -> None:
    changed = bundle.files["manifest.json"].replace(b'"code": "0', b'"code": "1')
    assert changed != bundle.files["manifest.json"]
    other = Bundle({**bundle.files, "manifest.json": changed}, bundle.where)
    assert refusal(other, signature, trusted(KEY)).exit_code == 4


def test_envelope_is_dsse_around_an_in_toto_statement(bundle: Bundle, signature: bytes) -> None:
    """Read by the words of the standards, with nothing of ours."""
    record = json.loads(signature)
    assert record["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    envelope = record["dsseEnvelope"]
    kind, payload = envelope["payloadType"], base64.b64decode(envelope["payload"])
    (entry,) = envelope["signatures"]
    signed = b" ".join([b"DSSEv1", str(len(kind)).encode(), kind.encode(), str(len(payload)).encode(), payload])
    KEY.public_key().verify(base64.b64decode(entry["sig"]), signed, ec.ECDSA(hashes.SHA256()))
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://model_signing/signature/v1.0"
    resources = {entry["name"]: entry["digest"] for entry in statement["predicate"]["resources"]}
    listed = {name: entry.sha256 for name, entry in bundle.manifest.files.items()}
    assert resources == {**listed, "manifest.json": bundle.digest}
    joined = hashes.Hash(hashes.SHA256())
    for name in sorted(resources):
        joined.update(bytes.fromhex(resources[name]))
    assert statement["subject"] == [{"name": bundle.manifest.name, "digest": {"sha256": joined.finalize().hex()}}]


def pem(key: Any) -> bytes:
    content: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return content


@pytest.mark.parametrize(
    "content",
    [
        b"", b"no key", pem(ec.generate_private_key(ec.SECP384R1())), pem(ec.generate_private_key(ec.SECP256K1())),
        pem(ed25519.Ed25519PrivateKey.generate()), pem(rsa.generate_private_key(65537, 2048)),
        KEY.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    ],
    ids=["empty", "text", "P-384", "secp256k1", "Ed25519", "RSA", "private"],
)  # fmt: skip
def test_file_that_is_no_public_key_of_a_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.pub").write_bytes(content)
    with pytest.raises(TrustError, match="no public key of a bundle") as caught:
        read_public_key(tmp_path / "key.pub")
    assert caught.value.where == str(tmp_path / "key.pub")
    assert "bundle.pub" in caught.value.fix


def test_key_goes_through_its_file(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_bytes(public_pem(KEY.public_key()))
    assert list(read_public_key(tmp_path / "key.pub")) == [fingerprint(KEY.public_key())]
    windows = public_pem(KEY.public_key()).replace(b"\n", b"\r\n")
    assert fingerprint(parse_public_key(windows, where="")) == fingerprint(KEY.public_key())
    with pytest.raises(NotFoundError, match="no such key file"):
        read_public_key(tmp_path / "none.pub")


@pytest.fixture(scope="module")
def model_signing(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of the real package: here, or in an environment made for it."""
    if find_spec("model_signing"):
        return [sys.executable, "-m", "model_signing"]
    folder = tmp_path_factory.mktemp("model-signing")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(folder / "bin/python"), "-m", "pip", "install", "-q", "model-signing==1.1.1", "pyopenssl"]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"model-signing cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return [str(folder / "bin/python"), "-m", "model_signing"]


@pytest.mark.network
def test_openssf_model_signing_accepts_our_signature_and_no_changed_bundle(
    model_signing: list[str], bundle: Bundle, signature: bytes, tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundle.where, folder)
    (folder / SIGNATURE).write_bytes(signature)
    (tmp_path / "bundle.pub").write_bytes(public_pem(KEY.public_key()))
    (tmp_path / "other.pub").write_bytes(public_pem(OTHER.public_key()))

    def verified(key: str) -> bool:
        words = [
            "verify",
            "key",
            "--signature",
            str(folder / SIGNATURE),
            "--public_key",
            str(tmp_path / key),
            str(folder),
        ]
        return subprocess.run([*model_signing, *words], capture_output=True, check=False).returncode == 0

    assert verified("bundle.pub")
    assert not verified("other.pub")
    (folder / "card.md").write_text("# Changed\n", "utf-8")
    assert not verified("bundle.pub")
