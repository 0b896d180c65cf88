"""A catalog is a static folder that grows by whole versions: a reader sees the old or the new one, whatever breaks."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from conftest import MakeBundle
from filelock import FileLock

from dxai.bundle.folder import Bundle
from dxai.bundle.signing import verify
from dxai.catalog import repository
from dxai.catalog.ceremony import make_keys, rotate
from dxai.catalog.client import Client
from dxai.catalog.index import Index
from dxai.catalog.keys import KeyRing
from dxai.catalog.repository import Catalog
from dxai.catalog.source import FolderSource
from dxai.errors import IntegrityError, InterruptedRunError, NotFoundError, SettingsError, TrustError

fork = multiprocessing.get_context("fork")


@pytest.fixture
def keys(catalog_folder: Path) -> KeyRing:
    return KeyRing(catalog_folder.parent / "keys")


@pytest.fixture(scope="module")
def newer(make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The next version of the quality model."""
    return Bundle.open(make_bundle(tmp_path_factory.mktemp("newer") / "b", version="1.1.0"))


def versions(index: Index, name: str = "casting-hardness") -> list[str]:
    return [entry.version for entry in index.models if entry.name == name]


def read_all(catalog: Path, store: Path) -> Index:
    """What a firm sees: every file of every model, verified."""
    root = (catalog.parent / "keys/root.json").read_bytes()
    client = Client(store, FolderSource(catalog), None if (store / "metadata/root.json").exists() else root)
    index = client.refresh()
    for entry in index.models:
        for name in entry.files:
            (store / "part").unlink(missing_ok=True)
            client.fetch(f"{entry.folder}/{name}", store / "part", lambda _: None)
    return index


def public_files(catalog: Path) -> dict[str, bytes]:
    """What a web server would show."""
    return {
        path.relative_to(catalog).as_posix(): path.read_bytes()
        for path in sorted(catalog.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def test_catalog_is_a_folder_of_metadata_targets_and_an_index(catalog_folder: Path) -> None:
    names = sorted(public_files(catalog_folder))
    assert {name.split("/")[0] for name in names} == {"metadata", "targets", "index.json"}
    assert "metadata/1.root.json" in names and "metadata/timestamp.json" in names
    assert any(
        name.startswith("targets/models/casting-hardness/1.0.0/") and name.endswith(".model.onnx") for name in names
    )
    signed = [name for name in names if name.startswith("targets/") and name.endswith(".index.json")]
    contents = {(catalog_folder / name).read_bytes() for name in signed}
    assert (catalog_folder / "index.json").read_bytes() in contents
    assert json.loads((catalog_folder / "index.json").read_text("utf-8"))["models"][0]["title"]["ko"] == "주물 경도"


def test_catalog_tells_nothing_private(catalog_folder: Path) -> None:
    for name, content in public_files(catalog_folder).items():
        assert b"PRIVATE" not in content, name
        assert str(catalog_folder.parent).encode() not in content, name


def test_index_says_what_a_firm_asks_first(catalog_folder: Path) -> None:
    entry = Catalog(catalog_folder).index.find("casting-hardness", None, where="")
    bundle = Catalog(catalog_folder).bundle("casting-hardness", "1.0.0")
    assert (entry.task, entry.sector, entry.target, entry.licence) == ("quality", "materials", "hardness", "CC-BY-4.0")
    assert (entry.score.metric, entry.score.model, entry.score.yardstick) == ("rmse", 2.5, 4.0)
    assert entry.score.yardstick_name == "linear"
    assert (entry.digest, entry.size) == (bundle.digest, sum(map(len, bundle.files.values())))
    assert set(entry.files) == set(bundle.files) >= {"manifest.json", "model.sig", "model.onnx"}


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("", ["casting-hardness", "spare-parts"]),
        ("경도", ["casting-hardness"]),
        ("MATERIALS", ["casting-hardness"]),
        ("demand", ["spare-parts"]),
        ("units", ["spare-parts"]),
        ("zebra", []),
    ],
)
def test_search_looks_at_names_titles_purposes_sectors_and_targets(
    word: str, found: list[str], catalog_folder: Path
) -> None:
    assert [entry.name for entry in Catalog(catalog_folder).index.search(word)] == found


def test_published_bundle_is_whole_and_signed(catalog_folder: Path) -> None:
    catalog = Catalog(catalog_folder)
    for entry in catalog.index.models:
        verify(catalog.bundle(entry.name, entry.version), catalog.bundle_keys)


def test_versions_stand_side_by_side_newest_first(
    catalog_folder: Path, keys: KeyRing, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    for version in ("1.10.0", "1.9.0"):
        Catalog(catalog_folder).add(Bundle.open(make_bundle(tmp_path / version, version=version)), keys)
    index = read_all(catalog_folder, tmp_path / "store")
    assert versions(index) == ["1.10.0", "1.9.0", "1.0.0"]
    assert index.find("casting-hardness", None, where="").version == "1.10.0"
    assert index.find("casting-hardness", "1.0.0", where="").version == "1.0.0"
    assert [e.version for e in index.search("casting")] == ["1.10.0"]


def test_unknown_model_or_version_is_told_with_what_there_is(catalog_folder: Path) -> None:
    index = Catalog(catalog_folder).index
    for name, version, fix in (
        ("casting-hardnes", None, "Did you mean 'casting-hardness'?"),
        ("casting-hardness", "3.0.0", "Versions: 1.0.0."),
        ("zzz", None, "Models here: casting-hardness, spare-parts."),
    ):
        with pytest.raises(NotFoundError) as caught:
            index.find(name, version, where="the catalog")
        assert caught.value.exit_code == 3
        assert caught.value.fix == fix


def test_published_version_never_changes(
    catalog_folder: Path, keys: KeyRing, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    before = public_files(catalog_folder)
    with pytest.raises(SettingsError, match=r"1\.0\.0 is published already, with other content") as caught:
        Catalog(catalog_folder).add(Bundle.open(make_bundle(tmp_path / "b", card="# Better\n")), keys)
    assert caught.value.exit_code == 2
    assert "raise `version`" in caught.value.fix
    assert public_files(catalog_folder) == before


def test_index_keeps_the_commit_of_the_first_publication(catalog_folder: Path, newer: Bundle, keys: KeyRing) -> None:
    for commit in ("a" * 40, "b" * 40):
        Catalog(catalog_folder).add(newer, keys, commit)
    index = Catalog(catalog_folder).index
    assert index.find(newer.manifest.name, newer.manifest.version, where="").commit == "a" * 40
    assert index.find("spare-parts", None, where="").commit == ""


def test_same_bundle_may_be_published_again(
    catalog_folder: Path, keys: KeyRing, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    before = Catalog(catalog_folder).index
    Catalog(catalog_folder).add(Bundle.open(make_bundle(tmp_path / "b")), keys)
    assert Catalog(catalog_folder).index == before == read_all(catalog_folder, tmp_path / "store")


def test_target_file_that_was_changed_is_not_published_over(
    catalog_folder: Path, keys: KeyRing, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    (place,) = catalog_folder.glob("targets/models/casting-hardness/1.0.0/*.card.md")
    place.write_text("changed", "utf-8")
    with pytest.raises(IntegrityError, match="file of the catalog was changed") as caught:
        Catalog(catalog_folder).add(Bundle.open(make_bundle(tmp_path / "b")), keys)
    assert caught.value.where == str(place)


def test_keys_of_another_catalog_publish_nothing(catalog_folder: Path, newer: Bundle, tmp_path: Path) -> None:
    make_keys(tmp_path / "other")
    before = public_files(catalog_folder)
    with pytest.raises(TrustError) as caught:
        Catalog(catalog_folder).add(newer, KeyRing(tmp_path / "other"))
    assert caught.value.exit_code == 5
    assert public_files(catalog_folder) == before


def test_folder_without_a_catalog_and_keys_without_a_root_are_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no catalog here"):
        Catalog(tmp_path)
    make_keys(tmp_path / "keys")
    (tmp_path / "keys/root.json").unlink()
    with pytest.raises(NotFoundError, match="no trust root"):
        Catalog.make(tmp_path / "catalog", KeyRing(tmp_path / "keys"))
    assert not (tmp_path / "catalog").exists()


def test_refresh_gives_the_metadata_its_full_time_again(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", days={"root": 1000, "targets": 300, "snapshot": 200, "timestamp": 100})
    keys = KeyRing(tmp_path / "keys")
    catalog = Catalog.make(tmp_path / "catalog", keys)
    first = catalog.expiries()
    left = {role: round((expires - datetime.now(UTC)).total_seconds() / 86_400) for role, expires in first.items()}
    assert left == {"root": 1000, "targets": 300, "snapshot": 200, "timestamp": 100}
    time.sleep(1.1)  # expiries are whole seconds
    catalog.refresh(keys)
    for role, expires in catalog.expiries().items():
        assert expires > first[role] or role == "root"
    read_all(catalog.folder, tmp_path / "store")


def test_catalog_works_from_any_other_folder(catalog_folder: Path, newer: Bundle, tmp_path: Path) -> None:
    moved = catalog_folder.rename(tmp_path / "옮긴 folder")
    Catalog(moved).add(newer, KeyRing(tmp_path / "keys"))
    assert versions(read_all(moved, tmp_path / "store")) == ["1.1.0", "1.0.0"]


def test_copy_of_the_public_files_alone_is_a_catalog(catalog_folder: Path, tmp_path: Path) -> None:
    """As a web server or a USB stick has it: no locks, no dot files, no empty folders."""
    for name, content in public_files(catalog_folder).items():
        (tmp_path / "stick" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "stick" / name).write_bytes(content)
    assert len(read_all(tmp_path / "stick", tmp_path / "store").models) == 2


def publish(catalog: Path, bundle: Bundle) -> None:
    Catalog(catalog).add(bundle, KeyRing(catalog.parent / "keys"))


def rotated(role: str, catalog: Path) -> None:
    rotate(role, Catalog(catalog), KeyRing(catalog.parent / "keys"), revoke=role == "bundle")


def die_at(step: int, act: Callable[[], None]) -> None:
    """Do it in a process that kills itself at the so many-th time that a file reaches the disk."""
    left = iter(range(step))

    def counted(real: Callable[..., object], *arguments: object, **options: object) -> object:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)

    for name in ("fsync", "replace", "rename", "mkdir", "unlink"):
        setattr(os, name, partial(counted, getattr(os, name)))
    act()
    os._exit(0)


def outlives(target: Callable[[], None]) -> bool:
    """Run in a process of its own; whether it came to its end."""
    process = fork.Process(target=target)
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode == 0


@pytest.mark.process
@pytest.mark.parametrize(("role", "stride"), [("", 7), ("root", 3), ("targets", 4), ("timestamp", 4), ("bundle", 13)])
def test_death_at_any_step_leaves_the_old_or_the_new_catalog(
    catalog_folder: Path, newer: Bundle, tmp_path: Path, role: str, stride: int
) -> None:
    """Of a publish, and of a rotation: a firm reads on, the owner gives the command again. Some steps stand for all."""
    read_all(catalog_folder, tmp_path / "store")
    for step in range(0, 1000, stride):
        place = tmp_path / f"at {step}"
        for name in ("catalog", "keys", "store"):
            shutil.copytree(tmp_path / name, place / name)
        act = partial(rotated, role) if role else partial(publish, bundle=newer)
        ended = outlives(partial(die_at, step, partial(act, place / "catalog")))
        seen = versions(read_all(place / "catalog", place / "store"))
        assert seen in (["1.0.0"], ["1.1.0", "1.0.0"])
        assert len(Catalog(place / "catalog").index.models) in (2, 3)  # the owner reads it too
        act(place / "catalog")
        publish(place / "catalog", newer)
        index = read_all(place / "catalog", place / "store")
        assert index == Catalog(place / "catalog").index
        assert versions(index) == ["1.1.0", "1.0.0"]
        shutil.rmtree(place)
        if ended:
            break
    assert 10 < step < 990


@pytest.mark.process
def test_death_at_any_step_of_the_first_publish_leaves_no_catalog_or_one(tmp_path: Path, newer: Bundle) -> None:
    make_keys(tmp_path / "keys")

    def first(catalog: Path) -> None:
        keys = KeyRing(tmp_path / "keys")
        shelf = Catalog(catalog) if (catalog / "metadata").is_dir() else Catalog.make(catalog, keys)
        shelf.add(newer, keys)

    for step in range(0, 1000, 6):
        copy = tmp_path / f"at-{step}"
        ended = outlives(partial(die_at, step, partial(first, copy)))
        if (copy / "metadata").is_dir():
            index = Client(tmp_path / f"store-{step}", FolderSource(copy), (tmp_path / "keys/root.json").read_bytes())
            assert versions(index.refresh()) in ([], ["1.1.0"])
        first(copy)
        assert versions(Catalog(copy).index) == ["1.1.0"]
        shutil.rmtree(copy)
        if ended:
            break
    assert 10 < step < 990


@pytest.mark.process
def test_kills_at_random_moments_leave_a_catalog_that_can_be_read_and_written(
    catalog_folder: Path, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    draw = random.Random(0)
    made = [Bundle.open(make_bundle(tmp_path / f"b{n}", version=f"2.{n}.0")) for n in range(12)]
    for name in ("catalog", "keys"):
        shutil.copytree(tmp_path / name, tmp_path / "timed" / name)
    started = time.monotonic()
    publish(tmp_path / "timed/catalog", made[0])
    usual, killed = time.monotonic() - started, 0
    for bundle in made:
        process = fork.Process(target=partial(publish, catalog_folder, bundle))
        process.start()
        process.join(draw.uniform(0, usual))
        process.kill()
        process.join()
        killed += process.exitcode != 0
        read_all(catalog_folder, tmp_path / "store")
    assert killed > 2
    for bundle in made:
        publish(catalog_folder, bundle)
    index = read_all(catalog_folder, tmp_path / "store")
    assert versions(index) == [f"2.{n}.0" for n in reversed(range(12))] + ["1.0.0"]


@pytest.mark.process
def test_what_a_killed_publish_left_is_cleared_by_the_next_one(catalog_folder: Path, newer: Bundle) -> None:
    for step in (3, 8, 13):
        outlives(partial(die_at, step, partial(publish, catalog_folder, newer)))
    publish(catalog_folder, newer)
    left = [p.name for p in catalog_folder.rglob(".*") if p.name != ".lock"]
    assert left == [], "copies of the metadata and parts of files pile up in a public folder"


@pytest.mark.process
def test_two_that_publish_at_once_both_come_through(
    catalog_folder: Path, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    made = [Bundle.open(make_bundle(tmp_path / f"b{n}", version=f"2.{n}.0")) for n in range(4)]
    crowd = [fork.Process(target=partial(publish, catalog_folder, bundle)) for bundle in made]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join(60)
    assert [process.exitcode for process in crowd] == [0] * 4
    assert versions(read_all(catalog_folder, tmp_path / "store")) == ["2.3.0", "2.2.0", "2.1.0", "2.0.0", "1.0.0"]


@pytest.mark.process
def test_two_that_publish_one_version_at_once_do_not_change_it(
    catalog_folder: Path, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    """Both see the catalog without the version before either may write."""
    made = [Bundle.open(make_bundle(tmp_path / f"b{n}", version="2.0.0", card=f"# {n}\n")) for n in range(2)]
    with FileLock(catalog_folder / ".lock"):
        crowd = [fork.Process(target=partial(publish, catalog_folder, bundle)) for bundle in made]
        for process in crowd:
            process.start()
        time.sleep(1.5)
    for process in crowd:
        process.join(60)
    assert sorted(process.exitcode == 0 for process in crowd) == [False, True]


def test_catalog_that_another_command_holds_is_told(
    catalog_folder: Path, keys: KeyRing, newer: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "FileLock", lambda path, **_: FileLock(path, timeout=0.1))
    with (
        FileLock(catalog_folder / ".lock"),
        pytest.raises(InterruptedRunError, match="Another command writes this catalog") as caught,
    ):
        Catalog(catalog_folder).add(newer, keys)
    assert caught.value.exit_code == 75
