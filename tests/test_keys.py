"""Keys of a catalog stay with their owner, are replaced without anybody's help, and too few of them do nothing."""

from __future__ import annotations

import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import MakeBundle
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from tuf.api.metadata import Metadata, Root

from dxai.bundle.folder import Bundle
from dxai.bundle.signing import read_public_key
from dxai.catalog.ceremony import make_keys, rotate
from dxai.catalog.client import Client
from dxai.catalog.keys import PASSPHRASE, KeyRing
from dxai.catalog.repository import Catalog
from dxai.catalog.source import FolderSource
from dxai.catalog.trust import BUNDLE_KEYS, bundle_keys, parse_root
from dxai.errors import NotFoundError, SettingsError, TrustError

ROLES = ["root", "targets", "snapshot", "timestamp"]


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def root_of(folder: Path) -> Metadata[Root]:
    return parse_root((folder / "root.json").read_bytes(), where="here")


def firm(catalog: Path, store: Path, root: bytes | None) -> Client:
    """A firm that reads the catalog; with a root for the first time, without one again."""
    client = Client(store, FolderSource(catalog), root)
    client.refresh()
    return client


def test_new_keys_are_one_per_role_and_for_their_owner_only(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", root_keys=3, threshold=2)
    names = sorted(path.name.split("-")[0] for path in (tmp_path / "keys").glob("*.pem"))
    assert names == sorted(["bundle", "root", "root", "root", "snapshot", "targets", "timestamp"])
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    for path in (tmp_path / "keys").glob("*.pem"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey if "bundle" in path.name else ed25519.Ed25519PrivateKey)


def test_root_to_hand_out_names_keys_thresholds_and_days(tmp_path: Path) -> None:
    make_keys(tmp_path, root_keys=3, threshold=2, days={"root": 100, "targets": 50, "snapshot": 20, "timestamp": 10})
    root = root_of(tmp_path).signed
    assert {role: (len(root.roles[role].keyids), root.roles[role].threshold) for role in ROLES} == {
        "root": (3, 2), "targets": (1, 1), "snapshot": (1, 1), "timestamp": (1, 1),
    }  # fmt: skip
    assert (root.version, root.consistent_snapshot) == (1, True)
    assert bundle_keys(root, where="") == read_public_key(tmp_path / "bundle.pub")
    assert 99 <= (root.expires - datetime.now(UTC)).total_seconds() / 86_400 <= 100
    assert b"PRIVATE" not in (tmp_path / "root.json").read_bytes() + (tmp_path / "bundle.pub").read_bytes()


@pytest.mark.parametrize(("keys", "threshold"), [(1, 2), (3, 0), (2, 3)])
def test_threshold_that_cannot_be_met_is_refused(tmp_path: Path, keys: int, threshold: int) -> None:
    with pytest.raises(SettingsError, match="threshold") as caught:
        make_keys(tmp_path / "keys", root_keys=keys, threshold=threshold)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "keys").exists()


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    make_keys(tmp_path)
    before = files(tmp_path)
    with pytest.raises(SettingsError, match="keys here already") as caught:
        make_keys(tmp_path)
    assert caught.value.where == str(tmp_path)
    assert files(tmp_path) == before


def test_passphrase_encrypts_every_key_file_and_opens_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSPHRASE, "비밀 phrase")
    make_keys(tmp_path)
    for path in tmp_path.glob("*.pem"):
        assert path.read_text("utf-8").startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(list(KeyRing(tmp_path).all_signers())) == 4
    for wrong in ("", "another"):
        monkeypatch.setenv(PASSPHRASE, wrong)
        with pytest.raises(TrustError, match="key file cannot be read") as caught:
            list(KeyRing(tmp_path).all_signers())
        assert caught.value.exit_code == 5
        assert caught.value.where.endswith(".pem")
        assert PASSPHRASE in caught.value.fix


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_key_file_that_is_none_is_told_by_name(tmp_path: Path, content: bytes) -> None:
    make_keys(tmp_path)
    (tmp_path / "root-00000000.pem").write_bytes(content)
    with pytest.raises(TrustError) as caught:
        list(KeyRing(tmp_path).all_signers())
    assert caught.value.where == str(tmp_path / "root-00000000.pem")


def test_folder_of_keys_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no folder of keys") as caught:
        KeyRing(tmp_path / "none")
    assert caught.value.exit_code == 3
    assert "dxai keys init" in caught.value.fix


@pytest.mark.parametrize("role", [*ROLES, "bundle"])
def test_rotated_keys_are_followed_by_a_firm_that_knew_the_old_ones(
    role: str, catalog_folder: Path, tmp_path: Path, make_bundle: MakeBundle
) -> None:
    keys, first = tmp_path / "keys", (tmp_path / "keys/root.json").read_bytes()
    old = {path.name for path in keys.glob(f"{role}-*.pem")}
    firm(catalog_folder, tmp_path / "store", first)
    rotate(role, Catalog(catalog_folder), KeyRing(keys))
    fresh = {path.name for path in keys.glob(f"{role}-*.pem")}
    assert len(fresh) == len(old) == 1
    assert not fresh & old
    assert {path.name for path in (keys / "retired").iterdir()} == old
    assert root_of(keys).signed.version == 2
    Catalog(catalog_folder).add(Bundle.open(make_bundle(tmp_path / "b", version="1.1.0")), KeyRing(keys))
    known = firm(catalog_folder, tmp_path / "store", None)
    new = firm(catalog_folder, tmp_path / "new", (keys / "root.json").read_bytes())
    late = firm(catalog_folder, tmp_path / "late", first)  # got its root.json before the rotation
    for client in (known, new, late):
        assert client.refresh().find("casting-hardness", None, where="").version == "1.1.0"
        assert set(client.bundle_keys) >= set(read_public_key(keys / "bundle.pub"))


def test_many_rotations_one_after_the_other_are_followed(catalog_folder: Path, tmp_path: Path) -> None:
    first = (tmp_path / "keys/root.json").read_bytes()
    for role in [*ROLES, "root", "bundle", "root"]:
        rotate(role, Catalog(catalog_folder), KeyRing(tmp_path / "keys"))
    assert root_of(tmp_path / "keys").signed.version == 8
    firm(catalog_folder, tmp_path / "store", first)
    assert len(list((tmp_path / "keys").glob("*.pem"))) == 5


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp"])
def test_old_key_of_a_role_signs_nothing_any_more(role: str, catalog_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "keys", tmp_path / "stolen")
    rotate(role, Catalog(catalog_folder), KeyRing(tmp_path / "keys"))
    with pytest.raises(TrustError, match=f"1 {role} keys are needed, however 0 of them are here"):
        Catalog(catalog_folder).refresh(KeyRing(tmp_path / "stolen"))


def test_older_bundle_key_stays_trusted_unless_it_is_revoked(catalog_folder: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    old = set(read_public_key(keys / "bundle.pub"))
    before = Catalog(catalog_folder).bundle("casting-hardness", "1.0.0").signature
    rotate("bundle", Catalog(catalog_folder), KeyRing(keys))
    second = set(read_public_key(keys / "bundle.pub"))
    assert set(Catalog(catalog_folder).bundle_keys) == old | second
    assert Catalog(catalog_folder).bundle("casting-hardness", "1.0.0").signature == before
    rotate("bundle", Catalog(catalog_folder), KeyRing(keys), revoke=True)
    third = set(read_public_key(keys / "bundle.pub"))
    assert set(Catalog(catalog_folder).bundle_keys) == third
    assert third.isdisjoint(old | second)
    for name in ("casting-hardness", "spare-parts"):
        signature = Catalog(catalog_folder).bundle(name, "1.0.0").signature
        assert signature is not None
        assert next(iter(third)) in signature.decode()


@pytest.fixture
def guarded(tmp_path: Path, make_bundle: MakeBundle) -> Path:
    """A catalog whose root has three keys, of which two must sign."""
    make_keys(tmp_path / "keys", root_keys=3, threshold=2)
    ring = KeyRing(tmp_path / "keys")
    catalog = Catalog.make(tmp_path / "catalog", ring)
    catalog.add(Bundle.open(make_bundle(tmp_path / "b")), ring)
    return catalog.folder


def without(keys: Path, role: str, count: int) -> list[Path]:
    """Take so many keys of a role away, as to a safe."""
    (keys.parent / "safe").mkdir(exist_ok=True)
    paths = sorted(keys.glob(f"{role}-*.pem"))[:count]
    return [path.rename(keys.parent / "safe" / path.name) for path in paths]


def test_two_of_three_root_keys_are_enough(guarded: Path, tmp_path: Path) -> None:
    first = (tmp_path / "keys/root.json").read_bytes()
    without(tmp_path / "keys", "root", 1)
    rotate("timestamp", Catalog(guarded), KeyRing(tmp_path / "keys"))
    firm(guarded, tmp_path / "store", first)


@pytest.mark.parametrize("role", [*ROLES, "bundle"])
def test_one_of_three_root_keys_changes_nothing(role: str, guarded: Path, tmp_path: Path) -> None:
    without(tmp_path / "keys", "root", 2)
    before = files(guarded), files(tmp_path / "keys")
    with pytest.raises(TrustError, match="2 root keys are needed, however 1 of them are here") as caught:
        rotate(role, Catalog(guarded), KeyRing(tmp_path / "keys"))
    assert caught.value.exit_code == 5
    assert "Bring the missing key files" in caught.value.fix
    assert (files(guarded), files(tmp_path / "keys")) == before


def test_publishing_needs_no_root_key(guarded: Path, tmp_path: Path, make_bundle: MakeBundle) -> None:
    without(tmp_path / "keys", "root", 3)
    Catalog(guarded).add(Bundle.open(make_bundle(tmp_path / "b2", version="1.1.0")), KeyRing(tmp_path / "keys"))
    assert [entry.version for entry in Catalog(guarded).index.models] == ["1.1.0", "1.0.0"]


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp", "bundle"])
def test_publishing_without_a_key_of_its_own_changes_nothing_a_reader_sees(
    role: str, guarded: Path, tmp_path: Path, make_bundle: MakeBundle
) -> None:
    without(tmp_path / "keys", role, 1)
    before = files(guarded / "metadata"), (guarded / "index.json").read_bytes()
    with pytest.raises(TrustError) as caught:
        Catalog(guarded).add(Bundle.open(make_bundle(tmp_path / "b2", version="1.1.0")), KeyRing(tmp_path / "keys"))
    assert caught.value.exit_code == 5
    assert caught.value.where == str(tmp_path / "keys")
    assert (files(guarded / "metadata"), (guarded / "index.json").read_bytes()) == before


def test_rotated_root_of_three_keys_still_needs_two(guarded: Path, tmp_path: Path) -> None:
    rotate("root", Catalog(guarded), KeyRing(tmp_path / "keys"))
    role = root_of(tmp_path / "keys").signed.roles["root"]
    assert (len(role.keyids), role.threshold) == (3, 2)
    without(tmp_path / "keys", "root", 2)
    with pytest.raises(TrustError, match="2 root keys are needed"):
        rotate("root", Catalog(guarded), KeyRing(tmp_path / "keys"))


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"null", b"\xff", b'{"signed": {}, "signatures": []}', b'{"signed": 1, "signatures": 2}'],
)
def test_text_that_is_no_trust_root_is_refused(content: bytes) -> None:
    with pytest.raises(TrustError, match="no trust root") as caught:
        parse_root(content, where="mine.json")
    assert caught.value.where == "mine.json"
    assert "root.json" in caught.value.fix


def test_trust_root_that_lacks_a_signature_is_refused(tmp_path: Path) -> None:
    make_keys(tmp_path, root_keys=3, threshold=3)
    root = Metadata[Root].from_file(str(tmp_path / "root.json"))
    root.signatures.popitem()
    with pytest.raises(TrustError, match="no trust root"):
        parse_root(root.to_bytes(), where="")


def test_trust_root_with_a_bundle_key_that_is_none_is_refused(tmp_path: Path) -> None:
    make_keys(tmp_path)
    root = root_of(tmp_path).signed
    for keys in (["no pem"], [5], "text"):
        root.unrecognized_fields[BUNDLE_KEYS] = keys
        with pytest.raises(TrustError):
            bundle_keys(root, where="mine.json")
