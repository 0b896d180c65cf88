"""The local store shows whole models only, finds them by name and version, and trusts the keys of known catalogs."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
from conftest import MakeBundle

from dxai.bundle.signing import read_public_key
from dxai.catalog.client import Client
from dxai.catalog.source import FolderSource
from dxai.catalog.store import HOME, Store, open_bundle, split_name
from dxai.errors import DxaiError, NotFoundError, SettingsError, TrustError

VERSIONS = ["1.0.0", "1.2.0", "1.10.0"]


@pytest.fixture
def store(tmp_path: Path, make_bundle: MakeBundle) -> Store:
    """Three versions of one model and one of another."""
    store = Store(tmp_path / "store")
    for version in VERSIONS:
        make_bundle(store.place("casting-hardness", version), version=version)
    make_bundle(store.place("spare-parts", "2.0.0"), task="demand", name="spare-parts", version="2.0.0")
    return store


def test_environment_names_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME, str(tmp_path / "here"))
    assert Store().folder == tmp_path / "here"
    monkeypatch.setenv(HOME, "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert "dxai" in str(Store().folder)


def test_store_that_was_never_used_is_empty_and_stays_unmade(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")
    assert (store.bundles(), store.catalogs(), store.trusted_keys()) == ([], {}, {})
    assert not store.folder.exists()


def test_bundles_are_sorted_by_name_then_newest_version(store: Store) -> None:
    newest_first = [("casting-hardness", version) for version in reversed(VERSIONS)]
    assert store.bundles() == [*newest_first, ("spare-parts", "2.0.0")]


def test_name_finds_the_newest_and_name_with_version_that_one(store: Store) -> None:
    assert store.find("casting-hardness").name == "1.10.0"
    assert store.find("casting-hardness", "1.2.0").name == "1.2.0"


@pytest.mark.parametrize(
    ("name", "version", "fix"),
    [
        ("casting-hardnes", None, "Did you mean 'casting-hardness'?"),
        ("casting-hardness", "9.9.9", "dxai pull casting-hardness"),
        ("zzz", None, "dxai pull zzz"),
    ],
)
def test_model_that_is_not_here_is_told_with_the_way_on(store: Store, name: str, version: str | None, fix: str) -> None:
    with pytest.raises(NotFoundError, match="not on this machine") as caught:
        store.find(name, version)
    assert caught.value.exit_code == 3
    assert caught.value.where == str(store.folder)
    assert fix in caught.value.fix


def test_what_is_half_fetched_or_half_removed_is_not_shown(store: Store) -> None:
    place = store.place("casting-hardness", "1.10.0")
    place.rename(store.partial("casting-hardness", "1.10.0"))
    shutil.copytree(store.place("spare-parts", "2.0.0"), store.place("spare-parts", ".2.0.0.removed"))
    assert store.find("casting-hardness").name == "1.2.0"
    assert store.bundles()[-1] == ("spare-parts", "2.0.0")
    assert len(store.bundles()) == 3


@pytest.mark.parametrize("stray", ["1.0.0 copy", "1.0", "1.0.0-rc1", "2 old", "10", "1.0.0.bak"])
def test_folder_that_somebody_put_into_the_store_does_not_break_it(store: Store, stray: str) -> None:
    shutil.copytree(store.place("spare-parts", "2.0.0"), store.place("spare-parts", stray))
    assert store.find("spare-parts").name == "2.0.0"
    assert store.find("casting-hardness").name == "1.10.0"


def test_removed_version_is_gone_and_the_others_stay(store: Store) -> None:
    assert store.remove("casting-hardness", "1.2.0") == ["1.2.0"]
    assert store.bundles()[:2] == [("casting-hardness", "1.10.0"), ("casting-hardness", "1.0.0")]
    assert sorted(store.remove("casting-hardness", None)) == ["1.0.0", "1.10.0"]
    assert store.bundles() == [("spare-parts", "2.0.0")]
    assert not [p for p in (store.folder / "models/casting-hardness").rglob("*") if p.is_file()]


def test_remove_of_what_is_not_here_is_told(store: Store) -> None:
    for name, version in (("none", None), ("spare-parts", "1.0.0")):
        with pytest.raises(NotFoundError, match="not on this machine"):
            store.remove(name, version)
    assert len(store.bundles()) == 4


def test_remove_that_died_half_way_can_be_given_again(store: Store, make_bundle: MakeBundle) -> None:
    """The first one left its trash; the model was pulled again since."""
    trash = store.place("spare-parts", ".2.0.0.removed")
    shutil.copytree(store.place("spare-parts", "2.0.0"), trash)
    assert store.remove("spare-parts", "2.0.0") == ["2.0.0"]
    assert not trash.exists()


def test_lock_lets_one_in_and_tells_the_others_that_they_wait(store: Store) -> None:
    waited, inside, done = threading.Event(), threading.Event(), threading.Event()

    def second() -> None:
        with store.lock("a", "1.0.0", waited.set):
            inside.set()
        done.set()

    with store.lock("a", "1.0.0", lambda: pytest.fail("nobody else is here")), store.lock("a", "1.0.1"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waited.wait(10)
        assert not inside.is_set()
    assert done.wait(10)
    thread.join()


def test_catalog_is_known_by_its_place_with_or_without_a_slash(catalog_folder: Path, tmp_path: Path) -> None:
    store, source = Store(tmp_path / "store"), FolderSource(catalog_folder)
    assert store.catalog_folder("https://x.example/c/") == store.catalog_folder("https://x.example/c")
    assert store.catalog_folder("https://x.example/c") != store.catalog_folder("https://x.example/d")
    folder = store.catalog_folder(source.place)
    Client(folder, source, (tmp_path / "keys/root.json").read_bytes()).refresh()
    assert store.catalogs() == {str(catalog_folder): folder}
    assert dict(store.trusted_keys()) == dict(read_public_key(tmp_path / "keys/bundle.pub"))


def test_trusted_root_that_was_changed_on_disk_is_told(catalog_folder: Path, tmp_path: Path) -> None:
    store, source = Store(tmp_path / "store"), FolderSource(catalog_folder)
    folder = store.catalog_folder(source.place)
    Client(folder, source, (tmp_path / "keys/root.json").read_bytes()).refresh()
    root = (folder / "root.json").resolve()
    root.write_bytes(root.read_bytes().replace(b'"version":1,', b'"version":2,'))
    with pytest.raises(TrustError, match="no trust root"):
        store.trusted_keys()


def test_keys_of_a_catalog_are_known_while_its_root_is_replaced(catalog_folder: Path, tmp_path: Path) -> None:
    """Another process refreshes the catalog: TUF's link root.json is away for a moment."""
    store, source = Store(tmp_path / "store"), FolderSource(catalog_folder)
    folder = store.catalog_folder(source.place)
    Client(folder, source, (tmp_path / "keys/root.json").read_bytes()).refresh()
    (folder / "metadata/root.json").unlink()
    assert dict(store.trusted_keys()) == dict(read_public_key(tmp_path / "keys/bundle.pub"))


@pytest.mark.parametrize("word", ["concrete-strength", "concrete-strength@1.0.0", "a", "a@12.0.345"])
def test_name_and_version_are_split(word: str) -> None:
    name, _, version = word.partition("@")
    assert split_name(word) == (name, version or None)


@pytest.mark.parametrize(
    "word",
    ["", "@1.0.0", "a@latest", "a@1.0.0@2", "a@../x", "../a", "a/b", "a b", "-a", "A\n", "a@1..0", "a@1.0.0/..",
     "x" * 300],
)  # fmt: skip
def test_word_that_is_no_name_is_refused(word: str) -> None:
    with pytest.raises(SettingsError, match="no name of a model") as caught:
        split_name(word)
    assert caught.value.exit_code == 2
    assert "NAME@VERSION" in caught.value.fix


def test_word_opens_a_folder_or_a_pulled_model(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_bundle(store, "casting-hardness").manifest.version == "1.10.0"
    assert open_bundle(store, "casting-hardness@1.0.0").manifest.version == "1.0.0"
    folder = store.place("spare-parts", "2.0.0")
    monkeypatch.chdir(folder.parent)
    for word in (str(folder), "./2.0.0", "2.0.0", "../spare-parts/2.0.0"):
        assert open_bundle(store, word).manifest.name == "spare-parts"


def test_folder_here_that_is_no_bundle_does_not_hide_a_pulled_model(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work/casting-hardness").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    assert open_bundle(store, "casting-hardness").manifest.name == "casting-hardness"


@pytest.mark.parametrize("word", ["models/none", "./none", "none", "none@1.0.0", "..", "/", "a@b"])
def test_word_that_opens_nothing_is_told(store: Store, word: str) -> None:
    with pytest.raises(DxaiError) as caught:
        open_bundle(store, word)
    assert caught.value.exit_code in (2, 3)
    assert caught.value.fix
