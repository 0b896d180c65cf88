"""A firm believes a catalog only as far as its trust root reaches: every attack has its own sentence, exit code 5."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import MakeBundle
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from dxai.bundle.folder import Bundle
from dxai.bundle.signing import read_public_key
from dxai.catalog.ceremony import make_keys, rotate
from dxai.catalog.client import Client, trusted_bundle_keys
from dxai.catalog.keys import KeyRing
from dxai.catalog.repository import Catalog
from dxai.catalog.source import FolderSource, Source, open_source
from dxai.errors import DxaiError, NotFoundError, TrustError


@pytest.fixture
def root(catalog_folder: Path) -> bytes:
    return (catalog_folder.parent / "keys/root.json").read_bytes()


@pytest.fixture
def newer(catalog_folder: Path, make_bundle: MakeBundle, tmp_path: Path) -> Path:
    """The catalog as it stood before the next version was published; the catalog itself has it."""
    older = shutil.copytree(catalog_folder, tmp_path / "older")
    bundle = Bundle.open(make_bundle(tmp_path / "b", version="1.1.0"))
    Catalog(catalog_folder).add(bundle, KeyRing(tmp_path / "keys"))
    return older


def known(catalog: Path, root: bytes) -> Client:
    """A firm that has read the catalog once; each later call stands for another day."""
    client = Client(catalog.parent / "store", FolderSource(catalog), root)
    client.refresh()
    return client


def again(catalog: Path) -> Client:
    return Client(catalog.parent / "store", FolderSource(catalog), None)


def refusal(client: Client) -> TrustError:
    with pytest.raises(TrustError) as caught:
        client.refresh()
    assert caught.value.exit_code == 5
    assert caught.value.where == client.source.place
    assert caught.value.fix
    assert "\n" not in caught.value.problem
    assert len(caught.value.problem) < 400
    return caught.value


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder on a plain web server."""
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_catalog_is_read_with_its_root_once_and_without_it_again(catalog_folder: Path, root: bytes) -> None:
    index = known(catalog_folder, root).refresh()
    assert [entry.name for entry in index.models] == ["casting-hardness", "spare-parts"]
    client = again(catalog_folder)
    assert client.refresh() == index
    keys = read_public_key(catalog_folder.parent / "keys/bundle.pub")
    assert dict(client.bundle_keys) == dict(trusted_bundle_keys(client.folder)) == dict(keys)


def test_place_of_the_catalog_is_remembered_once_it_was_read(catalog_folder: Path, root: bytes, tmp_path: Path) -> None:
    client = Client(tmp_path / "store", FolderSource(catalog_folder), root)
    assert not (tmp_path / "store/catalog.json").exists()
    client.refresh()
    assert json.loads((tmp_path / "store/catalog.json").read_text("utf-8")) == {"place": str(catalog_folder)}
    assert (tmp_path / "store/index.json").read_bytes() == (catalog_folder / "index.json").read_bytes()


def test_new_version_is_seen(catalog_folder: Path, newer: Path, root: bytes) -> None:
    client = Client(catalog_folder.parent / "store", FolderSource(newer), root)
    assert client.refresh().find("casting-hardness", None, where="").version == "1.0.0"
    assert again(catalog_folder).refresh().find("casting-hardness", None, where="").version == "1.1.0"


def test_files_come_whole_and_are_those_of_the_bundle(catalog_folder: Path, root: bytes, tmp_path: Path) -> None:
    client = known(catalog_folder, root)
    bundle = Catalog(catalog_folder).bundle("casting-hardness", "1.0.0")
    for name, content in bundle.files.items():
        told: list[int] = []
        client.fetch(f"models/casting-hardness/1.0.0/{name}", tmp_path / "part", told.append)
        assert (tmp_path / "part").read_bytes() == content
        assert sum(told) == len(content)
        (tmp_path / "part").unlink()


def test_file_that_the_metadata_does_not_hold_is_not_asked_for(
    catalog_folder: Path, root: bytes, tmp_path: Path
) -> None:
    client = known(catalog_folder, root)
    with pytest.raises(TrustError, match="signed metadata does not hold"):
        client.fetch("models/casting-hardness/9.9.9/model.onnx", tmp_path / "part", lambda _: None)
    assert not (tmp_path / "part").exists()


@pytest.mark.process
def test_web_server_and_folder_give_the_same(catalog_folder: Path, root: bytes, tmp_path: Path) -> None:
    with served(catalog_folder.parent) as url:
        for number, place in enumerate((f"{url}/catalog", f"{url}/catalog/", str(catalog_folder))):
            client = Client(tmp_path / f"store-{number}", open_source(place), root)
            assert client.refresh() == Catalog(catalog_folder).index
            client.fetch("models/spare-parts/1.0.0/model.onnx", tmp_path / "part", lambda _: None)
            assert (tmp_path / "part").read_bytes() == Catalog(catalog_folder).bundle("spare-parts", "1.0.0").read(
                "model.onnx"
            )
            (tmp_path / "part").unlink()


@pytest.mark.process
def test_catalog_that_moved_goes_on_under_the_same_trust(catalog_folder: Path, newer: Path, root: bytes) -> None:
    """A firm that names the same root for the new place; nothing in the catalog tells where it lies."""
    known(newer, root)
    with served(catalog_folder) as url:
        client = Client(catalog_folder.parent / "store", open_source(url), None)
        assert client.refresh().find("casting-hardness", None, where="").version == "1.1.0"


def test_catalog_without_a_trust_root_is_not_believed(catalog_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrustError, match="no trust root") as caught:
        Client(tmp_path / "store", FolderSource(catalog_folder), None)
    assert caught.value.exit_code == 5
    assert "--root" in caught.value.fix
    assert "another way than the catalog" in caught.value.fix


def test_root_of_another_catalog_believes_nothing(catalog_folder: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "other")
    other = (tmp_path / "other/root.json").read_bytes()
    error = refusal(Client(tmp_path / "store", FolderSource(catalog_folder), other))
    assert "not signed by the keys trusted here" in error.problem
    assert "--root" in error.fix


def test_root_may_be_named_again_and_an_older_one_too(catalog_folder: Path, root: bytes, tmp_path: Path) -> None:
    known(catalog_folder, root)
    rotate("root", Catalog(catalog_folder), KeyRing(tmp_path / "keys"))
    rotate("timestamp", Catalog(catalog_folder), KeyRing(tmp_path / "keys"))
    for each in (root, (tmp_path / "keys/root.json").read_bytes(), root):
        known(catalog_folder, each)
    again(catalog_folder).refresh()


Change = Callable[[Path, Path, Path], None]
"""Spoils a catalog that has the next version, given the older catalog and a folder of other keys."""


def newest(catalog: Path, role: str) -> Path:
    return max((catalog / "metadata").glob(f"*{role}.json"), key=lambda path: path.name.split(".")[0].zfill(9))


def put(catalog: Path, older: Path, name: str) -> None:
    (catalog / "metadata" / name).write_bytes((older / "metadata" / name).read_bytes())


def roll_back_everything(catalog: Path, older: Path, other: Path) -> None:
    shutil.rmtree(catalog)
    shutil.copytree(older, catalog)


def roll_back_the_timestamp(catalog: Path, older: Path, other: Path) -> None:
    put(catalog, older, "timestamp.json")


def other_snapshot(catalog: Path, older: Path, other: Path) -> None:
    newest(catalog, "snapshot").write_bytes(newest(older, "snapshot").read_bytes())


def other_targets(catalog: Path, older: Path, other: Path) -> None:
    newest(catalog, "targets").write_bytes(newest(older, "targets").read_bytes())


def other_index(catalog: Path, older: Path, other: Path) -> None:
    """The index that is signed, replaced by the one before."""
    fresh = set((catalog / "targets").glob("*.index.json")) - {
        catalog / path.relative_to(older) for path in (older / "targets").glob("*.index.json")
    }
    for path in fresh:
        path.write_bytes((older / "index.json").read_bytes())


def _signed_by(role: str, kind: type[Timestamp | Snapshot | Targets]) -> Change:
    def change(catalog: Path, older: Path, other: Path) -> None:
        path = newest(catalog, role)
        metadata = Metadata.from_file(str(path))
        assert isinstance(metadata.signed, kind)
        metadata.signatures.clear()
        for signer in KeyRing(other).all_signers():
            metadata.sign(signer, append=True)
        path.write_bytes(metadata.to_bytes())

    return change


def without_signatures(catalog: Path, older: Path, other: Path) -> None:
    path = catalog / "metadata/timestamp.json"
    metadata = Metadata.from_file(str(path))
    metadata.signatures.clear()
    path.write_bytes(metadata.to_bytes())


def changed_number(catalog: Path, older: Path, other: Path) -> None:
    path = catalog / "metadata/timestamp.json"
    record = json.loads(path.read_bytes())
    record["signed"]["version"] += 100
    path.write_text(json.dumps(record), "utf-8")


def usurped_root(catalog: Path, older: Path, other: Path) -> None:
    """The next root, made of and signed by other keys only."""
    root = Metadata[Root].from_file(str(other / "root.json"))
    root.signed.version = 2
    root.signatures.clear()
    for signer in KeyRing(other).all_signers():
        root.sign(signer, append=True)
    (catalog / "metadata/2.root.json").write_bytes(root.to_bytes())


def skipped_root(catalog: Path, older: Path, other: Path) -> None:
    """A root of a far version in the place of the next one."""
    root = Metadata[Root].from_file(str(catalog / "metadata/1.root.json"))
    root.signed.version = 7
    root.signatures.clear()
    for signer in KeyRing(catalog.parent / "keys").all_signers():
        root.sign(signer, append=True)
    (catalog / "metadata/2.root.json").write_bytes(root.to_bytes())


def no_json(catalog: Path, older: Path, other: Path) -> None:
    (catalog / "metadata/timestamp.json").write_bytes(b"<html>log in first</html>")


def empty(catalog: Path, older: Path, other: Path) -> None:
    (catalog / "metadata/timestamp.json").write_bytes(b"")


def endless(catalog: Path, older: Path, other: Path) -> None:
    (catalog / "metadata/timestamp.json").write_bytes(b" " * (20 << 20))


def missing_targets(catalog: Path, older: Path, other: Path) -> None:
    newest(catalog, "targets").unlink()


def missing_timestamp(catalog: Path, older: Path, other: Path) -> None:
    (catalog / "metadata/timestamp.json").unlink()


ATTACKS: dict[str, tuple[Change, str]] = {
    "roll back timestamp": (roll_back_the_timestamp, "rolled back: its timestamp metadata is older"),
    "roll back everything": (roll_back_everything, "rolled back: its timestamp metadata is older"),
    "mix snapshot": (other_snapshot, "rolled back: its targets metadata is older"),
    "mix targets": (other_targets, "mixed together: its targets"),
    "timestamp of other keys": (
        _signed_by("timestamp", Timestamp),
        "not signed by the keys trusted here: its timestamp",
    ),
    "snapshot of other keys": (_signed_by("snapshot", Snapshot), "not signed by the keys trusted here: its snapshot"),
    "targets of other keys": (_signed_by("targets", Targets), "not signed by the keys trusted here: its targets"),
    "no signatures": (without_signatures, "not signed by the keys trusted here: its timestamp"),
    "changed number": (changed_number, "not signed by the keys trusted here: its timestamp"),
    "usurped root": (usurped_root, "not signed by the keys trusted here: its root"),
    "skipped root": (skipped_root, "root metadata"),
    "no JSON": (no_json, "metadata cannot be read"),
    "empty": (empty, "metadata cannot be read"),
    "endless": (endless, "more bytes than metadata may have"),
    "missing targets": (missing_targets, "lacks a file of its metadata"),
    "missing timestamp": (missing_timestamp, "lacks a file of its metadata"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_is_refused_with_its_own_sentence_and_the_honest_catalog_is_read_again(
    attack: str, catalog_folder: Path, newer: Path, root: bytes, tmp_path: Path
) -> None:
    known(catalog_folder, root)
    make_keys(tmp_path / "other")
    Catalog(catalog_folder).refresh(KeyRing(tmp_path / "keys"))
    honest = shutil.copytree(catalog_folder, tmp_path / "honest")
    change, told = ATTACKS[attack]
    change(catalog_folder, newer, tmp_path / "other")
    problem = refusal(again(catalog_folder)).problem
    assert told in problem
    assert "metadata metadata" not in problem
    shutil.rmtree(catalog_folder)
    shutil.copytree(honest, catalog_folder)
    assert again(catalog_folder).refresh().find("casting-hardness", None, where="").version == "1.1.0"


def test_index_that_was_changed_is_refused(catalog_folder: Path, newer: Path, root: bytes) -> None:
    known(newer, root)
    other_index(catalog_folder, newer, newer)
    with pytest.raises(DxaiError) as caught:
        again(catalog_folder).refresh()
    assert caught.value.exit_code in (4, 5)
    assert "index.json" in caught.value.problem


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_catalog_that_was_frozen_until_it_expired_is_refused(
    role: str, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    days = {"root": 9, "targets": 9, "snapshot": 9, "timestamp": 9} | {role: -1}
    make_keys(tmp_path / "keys", days=days)
    keys = KeyRing(tmp_path / "keys")
    catalog = Catalog.make(tmp_path / "catalog", keys)
    catalog.add(Bundle.open(make_bundle(tmp_path / "b")), keys)
    error = refusal(
        Client(tmp_path / "store", FolderSource(catalog.folder), (tmp_path / "keys/root.json").read_bytes())
    )
    assert f"out of date: its {role} metadata has expired" in error.problem
    assert "clock" in error.fix
    assert "dxai catalog refresh" in error.fix


def test_index_of_a_newer_dxai_asks_for_a_newer_dxai(catalog_folder: Path, root: bytes, tmp_path: Path) -> None:
    from dxai.catalog import repository

    keys = KeyRing(tmp_path / "keys")
    with Catalog(catalog_folder).edit(keys) as metadata, metadata.edit_targets() as targets:
        content = b'{"models": [], "format": 2}'
        targets.targets["index.json"] = repository._put(catalog_folder, "index.json", content)
    error = refusal(Client(tmp_path / "store", FolderSource(catalog_folder), root))
    assert "not one that this dxai can read" in error.problem
    assert error.fix == "Install a newer dxai."


@pytest.mark.process
@pytest.mark.parametrize("place", ["http://127.0.0.1:9/catalog", "http://does-not-exist.invalid/catalog"])
def test_server_that_does_not_answer_is_not_a_matter_of_trust(place: str, root: bytes, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="cannot be reached") as caught:
        Client(tmp_path / "store", open_source(place), root).refresh()
    assert caught.value.exit_code == 3
    assert caught.value.where == place
    assert "network" in caught.value.fix


@pytest.mark.process
def test_folder_or_site_without_a_catalog_is_told(root: bytes, tmp_path: Path) -> None:
    (tmp_path / "site/metadata").mkdir(parents=True)
    places: list[Source] = [FolderSource(tmp_path / "site")]
    with served(tmp_path / "site") as url:
        for source in (*places, open_source(url)):
            with pytest.raises(NotFoundError, match="no catalog here") as caught:
                Client(tmp_path / "store", source, root).refresh()
            assert caught.value.where == source.place
    with pytest.raises(NotFoundError, match="no catalog here"):
        FolderSource(tmp_path / "keys")


def test_many_that_read_at_once_all_come_through(catalog_folder: Path, newer: Path, root: bytes) -> None:
    known(newer, root)
    found: list[str] = []

    def read() -> None:
        found.append(again(catalog_folder).refresh().find("casting-hardness", None, where="").version)

    crowd = [threading.Thread(target=read) for _ in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert found == ["1.1.0"] * 8


def test_death_while_the_trusted_root_is_replaced_loses_no_trust(catalog_folder: Path, root: bytes) -> None:
    """TUF takes the link root.json away and makes it anew at every refresh: a kill in between leaves none."""
    folder = known(catalog_folder, root).folder
    (folder / "metadata/root.json").unlink()
    keys = read_public_key(catalog_folder.parent / "keys/bundle.pub")
    assert dict(trusted_bundle_keys(folder)) == dict(keys)
    assert again(catalog_folder).refresh().models
