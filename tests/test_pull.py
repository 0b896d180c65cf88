"""A pulled model is whole and verified before anybody sees it; terms are asked for once; one download does for all."""

from __future__ import annotations

import functools
import http.server
import json
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeBundle
from cryptography.hazmat.primitives.asymmetric import ec

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import SIGNATURE
from dxai.bundle.signing import sign, verify
from dxai.catalog import repository
from dxai.catalog.ceremony import rotate
from dxai.catalog.client import Client
from dxai.catalog.index import Entry
from dxai.catalog.keys import KeyRing
from dxai.catalog.pull import Watcher, pull
from dxai.catalog.repository import Catalog
from dxai.catalog.source import open_source
from dxai.catalog.store import Store
from dxai.contract.terms import Terms
from dxai.errors import DxaiError, IntegrityError, NotFoundError, SettingsError, TrustError

fork = multiprocessing.get_context("fork")
NAME = "casting-hardness"


class Asked:
    """Who was asked for which terms, and what was told."""

    def __init__(self, answer: bool = True) -> None:
        self.answer, self.terms, self.bytes, self.waited = answer, list[Terms](), 0, 0

    def watcher(self) -> Watcher:
        return Watcher(self._agree, self._on_bytes, self._on_wait)

    def _agree(self, entry: Entry, terms: Terms) -> bool:
        self.terms.append(terms)
        return self.answer

    def _on_bytes(self, count: int) -> None:
        self.bytes += count

    def _on_wait(self) -> None:
        self.waited += 1


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def keys(catalog_folder: Path) -> KeyRing:
    return KeyRing(catalog_folder.parent / "keys")


def client_of(place: str | Path, store: Store, keys: KeyRing) -> Client:
    source = open_source(str(place))
    folder = store.catalog_folder(source.place)
    known = (folder / "metadata/root.json").exists()
    return Client(folder, source, None if known else (keys.folder / "root.json").read_bytes())


def pulled(
    place: str | Path, store: Store, keys: KeyRing, watcher: Watcher, name: str = NAME, version: str | None = None
) -> Path:
    """What `dxai pull` does."""
    client = client_of(place, store, keys)
    return pull(client, store, client.refresh().find(name, version, where=str(place)), watcher)


def assert_whole(store: Store, keys: KeyRing) -> None:
    """Whatever can be seen is whole and signed."""
    for name, version in store.bundles():
        verify(Bundle.open(store.place(name, version)), store.trusted_keys())


@contextmanager
def served(folder: Path, seen: list[str]) -> Iterator[str]:
    """The folder on a plain web server that notes what is asked for."""

    class Noting(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            seen.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Noting, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.process
@pytest.mark.parametrize("web", [False, True], ids=["folder", "web"])
def test_pulled_model_is_the_published_one(catalog_folder: Path, store: Store, keys: KeyRing, web: bool) -> None:
    published, asked = Catalog(catalog_folder).bundle(NAME, "1.0.0"), Asked()
    with served(catalog_folder, []) as url:
        place = pulled(url if web else catalog_folder, store, keys, asked.watcher())
    assert place == store.find(NAME) == store.place(NAME, "1.0.0")
    bundle = Bundle.open(place)
    assert bundle.files == published.files
    assert verify(bundle, store.trusted_keys())
    assert asked.bytes == sum(map(len, published.files.values())), "the bar ends at its end"
    assert not list(store.folder.rglob("*.part*"))


def test_name_gives_the_newest_and_a_version_that_one(
    catalog_folder: Path, store: Store, keys: KeyRing, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    for version in ("1.10.0", "1.9.0"):
        Catalog(catalog_folder).add(Bundle.open(make_bundle(tmp_path / version, version=version)), keys)
    assert pulled(catalog_folder, store, keys, Asked().watcher()).name == "1.10.0"
    assert pulled(catalog_folder, store, keys, Asked().watcher(), version="1.0.0").name == "1.0.0"
    assert store.bundles() == [(NAME, "1.10.0"), (NAME, "1.0.0")]
    with pytest.raises(NotFoundError, match=r"casting-hardness@3\.0\.0"):
        pulled(catalog_folder, store, keys, Asked().watcher(), version="3.0.0")


@pytest.mark.process
def test_model_that_is_here_is_neither_asked_for_nor_fetched_again(
    catalog_folder: Path, store: Store, keys: KeyRing
) -> None:
    seen: list[str] = []
    with served(catalog_folder, seen) as url:
        pulled(url, store, keys, Asked().watcher())
        seen.clear()
        again = Asked()
        pulled(url, store, keys, again.watcher())
    assert (again.terms, again.bytes) == ([], 0)
    assert not [path for path in seen if "/models/" in path]


def test_terms_are_asked_for_once_and_again_when_they_change(
    catalog_folder: Path, store: Store, keys: KeyRing, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    asked = Asked()
    pulled(catalog_folder, store, keys, asked.watcher())
    assert [terms.usage.en for terms in asked.terms] == ["Any member firm may use it."]
    assert asked.terms[0].usage.ko
    Catalog(catalog_folder).add(Bundle.open(make_bundle(tmp_path / "b1", version="1.1.0")), keys)
    pulled(catalog_folder, store, keys, asked.watcher())
    assert len(asked.terms) == 1, "the same terms"
    Catalog(catalog_folder).add(Bundle.open(make_bundle(tmp_path / "b2", version="1.2.0", usage="Ask first.")), keys)
    pulled(catalog_folder, store, keys, asked.watcher())
    assert [terms.usage.en for terms in asked.terms][1:] == ["Ask first."]
    store.remove(NAME, None)
    pulled(catalog_folder, store, keys, asked.watcher())
    assert len(asked.terms) == 2, "they were accepted"


def test_terms_of_one_model_are_not_those_of_another(catalog_folder: Path, store: Store, keys: KeyRing) -> None:
    asked = Asked()
    for name in (NAME, "spare-parts"):
        pulled(catalog_folder, store, keys, asked.watcher(), name)
    assert len(asked.terms) == 2


@pytest.mark.process
def test_refused_terms_fetch_nothing_and_are_asked_for_again(catalog_folder: Path, store: Store, keys: KeyRing) -> None:
    seen: list[str] = []
    with served(catalog_folder, seen) as url:
        for _ in range(2):
            asked = Asked(answer=False)
            with pytest.raises(SettingsError, match="terms of the model were not accepted") as caught:
                pulled(url, store, keys, asked.watcher())
            assert len(asked.terms) == 1
    assert caught.value.exit_code == 2
    assert "--accept-terms" in caught.value.fix
    assert {path.rpartition(".")[2] for path in seen if "/models/" in path} == {"json"}
    assert [p for p in seen if "/models/" in p and "terms.json" not in p] == []
    assert store.bundles() == []
    assert not (store.folder / "models").exists()


class _Stopped(Exception):
    pass


@pytest.mark.process
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("web", [False, True], ids=["folder", "web"])
def test_interrupted_pull_goes_on_where_it_ended(
    catalog_folder: Path, store: Store, keys: KeyRing, share: float, web: bool
) -> None:
    size = Catalog(catalog_folder).index.find(NAME, None, where="").size
    got = 0

    def stop(count: int) -> None:
        nonlocal got
        got += count
        if got > share * size:
            raise _Stopped

    seen: list[str] = []
    with served(catalog_folder, seen) as url:
        place = url if web else catalog_folder
        with pytest.raises(_Stopped):
            pulled(place, store, keys, Watcher(lambda *_: True, stop))
        assert store.bundles() == []
        with pytest.raises(NotFoundError):
            store.find(NAME)
        asked = Asked()
        pulled(place, store, keys, asked.watcher())
    assert_whole(store, keys)
    assert asked.terms == []
    assert asked.bytes == size, "the bar counts what is there already"


@pytest.mark.parametrize("spoil", [lambda _: b"", lambda b: b[:-3], lambda b: b + b"x", lambda b: b"x" * len(b)],
                         ids=["empty", "short", "long", "other"])  # fmt: skip
def test_left_over_files_of_an_interrupted_pull_are_not_believed(
    catalog_folder: Path, store: Store, keys: KeyRing, spoil: Callable[[bytes], bytes]
) -> None:
    published = Catalog(catalog_folder).bundle(NAME, "1.0.0")
    partial = store.partial(NAME, "1.0.0")
    for name in ("card.md", "golden/rows.csv", "model.onnx"):
        (partial / name).parent.mkdir(parents=True, exist_ok=True)
        (partial / name).write_bytes(spoil(published.read(name)))
    pulled(catalog_folder, store, keys, Asked().watcher())
    assert Bundle.open(store.find(NAME)).files == published.files


def test_stray_file_among_the_left_overs_ends_the_pull_and_the_next_one_is_clean(
    catalog_folder: Path, store: Store, keys: KeyRing
) -> None:
    partial = store.partial(NAME, "1.0.0")
    partial.mkdir(parents=True)
    (partial / "notes.txt").write_text("mine", "utf-8")
    try:
        pulled(catalog_folder, store, keys, Asked().watcher())
    except IntegrityError as error:
        assert "'notes.txt' is not in the manifest" in error.problem
        pulled(catalog_folder, store, keys, Asked().watcher())
    assert_whole(store, keys)
    assert store.bundles() == [(NAME, "1.0.0")]


def test_file_of_the_catalog_that_was_changed_is_refused(catalog_folder: Path, store: Store, keys: KeyRing) -> None:
    (path,) = catalog_folder.glob(f"targets/models/{NAME}/1.0.0/*.model.onnx")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"model\.onnx is not the file that the catalog announces") as caught:
        pulled(catalog_folder, store, keys, Asked().watcher())
    assert caught.value.exit_code == 4
    assert store.bundles() == []


@pytest.mark.process
def test_file_of_the_catalog_that_is_gone_is_told(catalog_folder: Path, store: Store, keys: KeyRing) -> None:
    (path,) = catalog_folder.glob(f"targets/models/{NAME}/1.0.0/*.model.onnx")
    path.unlink()
    with served(catalog_folder, []) as url:
        for place in (url, catalog_folder):
            with pytest.raises(NotFoundError, match="cannot be read"):
                pulled(place, store, keys, Asked().watcher())
    assert store.bundles() == []


def published_by_hand(
    catalog: Path, keys: KeyRing, bundle: Bundle, change: Callable[[dict[str, Any]], None] = lambda _: None
) -> None:
    """What a publisher could do whose own dxai is broken or hostile: everything signed, and wrong."""
    with Catalog(catalog).edit(keys) as metadata:
        Catalog(catalog)._put_bundle(metadata, bundle, "0" * 40)
        record = json.loads(metadata.target(catalog, "index.json"))
        (entry,) = (e for e in record["models"] if (e["name"], e["version"]) == (bundle.manifest.name, "2.0.0"))
        change(entry)
        with metadata.edit_targets() as targets:
            targets.targets["index.json"] = repository._put(catalog, "index.json", json.dumps(record).encode())


@pytest.fixture
def second(make_bundle: MakeBundle, tmp_path: Path, keys: KeyRing, catalog_folder: Path) -> Bundle:
    """A signed bundle of version 2.0.0."""
    bundle = Bundle.open(make_bundle(tmp_path / "second", version="2.0.0"))
    key = keys.bundle_key(set(Catalog(catalog_folder).bundle_keys))
    return Bundle({**bundle.files, SIGNATURE: sign(bundle, key)}, bundle.where)


def test_model_published_by_hand_as_it_should_be_is_pulled(
    catalog_folder: Path, store: Store, keys: KeyRing, second: Bundle
) -> None:
    published_by_hand(catalog_folder, keys, second)
    assert pulled(catalog_folder, store, keys, Asked().watcher()).name == "2.0.0"


def test_bundle_that_another_key_signed_is_refused(
    catalog_folder: Path, store: Store, keys: KeyRing, second: Bundle
) -> None:
    signature = sign(second, ec.generate_private_key(ec.SECP256R1()))
    published_by_hand(catalog_folder, keys, Bundle({**second.files, SIGNATURE: signature}, second.where))
    with pytest.raises(TrustError, match="signed by a key that is not trusted here") as caught:
        pulled(catalog_folder, store, keys, Asked().watcher())
    assert caught.value.exit_code == 5
    assert store.bundles() == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda entry: entry.update(digest="0" * 64), 5),
        (lambda entry: entry.update(files=[f for f in entry["files"] if f != "card.md"]), 4),
        (lambda entry: entry.update(files=[f for f in entry["files"] if f != "model.sig"]), 4),
        (lambda entry: entry.update(files=[f for f in entry["files"] if f != "manifest.json"]), 4),
        (lambda entry: entry.update(files=[*entry["files"], "more.txt"]), 5),
        (lambda entry: entry.update(files=[*entry["files"], "../../../../out.txt"]), 5),
        (lambda entry: entry.update(files=[*entry["files"], "/tmp/out.txt"]), 5),
        (lambda entry: entry.update(name="other-model"), 5),
        (lambda entry: entry.update(name="../up"), 5),
        (lambda entry: entry.update(name="a/b"), 5),
        (lambda entry: entry.update(version="../../up"), 5),
        (lambda entry: entry.update(version="9.9.9"), 5),
        (lambda entry: entry.update(version="latest"), 5),
        (lambda entry: entry.update(files=[]), 4),
    ],
    ids=["digest", "file less", "no signature", "no manifest", "file more", "up", "absolute", "name", "name up",
         "name of two", "version up", "version", "version of letters", "no files"],
)  # fmt: skip
def test_entry_that_does_not_fit_its_bundle_puts_nothing_into_the_store(
    catalog_folder: Path, store: Store, keys: KeyRing, second: Bundle, tmp_path: Path,
    change: Callable[[dict[str, Any]], None], code: int,
) -> None:  # fmt: skip
    published_by_hand(catalog_folder, keys, second, change)
    before = {p for p in tmp_path.rglob("*") if not p.is_relative_to(store.folder)}
    client = client_of(catalog_folder, store, keys)
    with pytest.raises(DxaiError) as caught:
        entry = next(
            e for e in client.refresh().models if (e.name, e.version) not in {(NAME, "1.0.0"), ("spare-parts", "1.0.0")}
        )
        pull(client, store, entry, Asked().watcher())
    assert caught.value.exit_code == code
    assert store.bundles() == []
    assert {p for p in tmp_path.rglob("*") if not p.is_relative_to(store.folder)} == before


def test_bundle_that_was_signed_again_takes_the_place_of_the_old_one(
    catalog_folder: Path, store: Store, keys: KeyRing
) -> None:
    pulled(catalog_folder, store, keys, Asked().watcher())
    rotate("bundle", Catalog(catalog_folder), KeyRing(keys.folder), revoke=True)
    client = client_of(catalog_folder, store, keys)
    client.refresh()
    with pytest.raises(TrustError):
        verify(Bundle.open(store.find(NAME)), store.trusted_keys())
    asked = Asked()
    pulled(catalog_folder, store, keys, asked.watcher())
    assert_whole(store, keys)
    assert asked.terms == []


def test_model_in_the_store_that_was_damaged_is_fetched_again(
    catalog_folder: Path, store: Store, keys: KeyRing
) -> None:
    place = pulled(catalog_folder, store, keys, Asked().watcher())
    (place / "card.md").write_text("changed", "utf-8")
    pulled(catalog_folder, store, keys, Asked().watcher())
    assert_whole(store, keys)


def in_the_background(act: Callable[[], object]) -> multiprocessing.context.ForkProcess:
    def run() -> None:
        try:
            act()
        except DxaiError as error:
            os._exit(error.exit_code)
        os._exit(0)

    process = fork.Process(target=run)
    process.start()
    return process


@pytest.mark.process
def test_one_download_serves_all_who_pull_at_once(catalog_folder: Path, store: Store, keys: KeyRing) -> None:
    seen: list[str] = []
    with served(catalog_folder, seen) as url:
        crowd = [in_the_background(lambda: pulled(url, store, keys, Asked().watcher())) for _ in range(6)]
        for process in crowd:
            process.join(60)
        assert [process.exitcode for process in crowd] == [0] * 6
    graphs = [path for path in seen if path.endswith(".model.onnx")]
    assert len(graphs) == 1
    assert_whole(store, keys)


def test_those_who_wait_are_told(catalog_folder: Path, store: Store, keys: KeyRing) -> None:
    asked, waiting = Asked(), threading.Event()
    watcher = Watcher(lambda *_: True, on_wait=waiting.set)
    with store.lock(NAME, "1.0.0"):
        thread = threading.Thread(target=lambda: pulled(catalog_folder, store, keys, watcher))
        thread.start()
        assert waiting.wait(20)
        assert store.bundles() == []
    thread.join()
    assert store.bundles() == [(NAME, "1.0.0")]
    assert asked.waited == 0


@pytest.mark.process
def test_kills_at_random_moments_leave_no_part_that_can_be_seen(
    catalog_folder: Path, store: Store, keys: KeyRing
) -> None:
    draw, killed = random.Random(1), 0
    started = time.monotonic()
    in_the_background(lambda: pulled(catalog_folder, store, keys, Asked().watcher())).join()
    usual = time.monotonic() - started
    store.remove(NAME, None)
    for _ in range(12):
        process = in_the_background(lambda: pulled(catalog_folder, store, keys, Asked().watcher()))
        process.join(draw.uniform(0, usual))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        assert_whole(store, keys)
        if store.bundles() and draw.random() < 0.7:
            store.remove(NAME, None)
    assert killed > 2
    pulled(catalog_folder, store, keys, Asked().watcher())
    assert_whole(store, keys)


@pytest.mark.process
def test_death_while_the_old_one_is_replaced_leaves_no_half_bundle(
    catalog_folder: Path, store: Store, keys: KeyRing
) -> None:
    pulled(catalog_folder, store, keys, Asked().watcher())
    rotate("bundle", Catalog(catalog_folder), KeyRing(keys.folder), revoke=True)

    def die_at_the_third_unlink() -> None:
        real, left = os.unlink, iter(range(3))

        def counted(path: Any, *rest: Any, **options: Any) -> None:
            if options.get("dir_fd") is not None and next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            real(path, *rest, **options)

        os.unlink = counted
        pulled(catalog_folder, store, keys, Asked().watcher())

    in_the_background(die_at_the_third_unlink).join()
    for name, version in store.bundles():
        Bundle.open(store.place(name, version))
    pulled(catalog_folder, store, keys, Asked().watcher())
    assert_whole(store, keys)
