"""Verbs of a member firm that finds, fetches and keeps models."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dxai.cli.options import Verb, catalog_options, complete_model, trust_options
from dxai.errors import NotFoundError, SettingsError

if TYPE_CHECKING:
    from dxai.catalog.client import Client
    from dxai.catalog.index import Entry
    from dxai.catalog.pull import Watcher
    from dxai.catalog.store import Store
    from dxai.contract.terms import Terms


@click.command(cls=Verb)
@click.argument("word", default="")
@catalog_options
def search(word: str, place: str | None, root: Path | None, offline: bool) -> None:
    """List the models of the catalog whose name, title or purpose holds a WORD."""
    from rich.console import Console
    from rich.table import Table

    from dxai.catalog.index import INDEX, parse_index
    from dxai.catalog.store import Store

    store = Store()
    place = _place(store, place)
    if offline and _is_web(place):
        seen = store.catalog_folder(place) / INDEX
        if not seen.is_file():
            raise NotFoundError("This catalog was never read here.", where=place, fix="Search once without --offline.")
        index = parse_index(seen.read_bytes(), where=str(seen))
    else:
        index = _client(store, place, root).refresh()
    found = index.search(word)
    if not found:
        raise NotFoundError(f"No model speaks of {word!r}.", where=place, fix="dxai search lists all models.")
    table = Table(box=None, pad_edge=False)
    table.add_column("model", no_wrap=True)
    for head in ("predicts", "sector", "score, best yardstick", "licence"):
        table.add_column(head)
    for entry in found:
        score = entry.score
        table.add_row(
            f"{entry.name} {entry.version}", f"{entry.title.ko}\n{entry.title.en}", entry.sector,
            f"{score.metric} {score.model:.3g}\n{score.yardstick:.3g} ({score.yardstick_name})", entry.licence,
        )  # fmt: skip
    Console().print(table)


@click.command(cls=Verb)
@click.argument("name")
@catalog_options
@click.option("--accept-terms", is_flag=True, help="Accept licence and usage terms, in a script.")
def pull(name: str, place: str | None, root: Path | None, offline: bool, accept_terms: bool) -> None:
    """Fetch a model, NAME or NAME@VERSION, and verify it before it can be used.

    Give the command again when it was interrupted: it goes on where it ended.
    """
    from dxai.catalog.pull import pull as pull_model
    from dxai.catalog.store import Store, split_name

    store = Store()
    wanted, version = split_name(name)
    place = _place(store, place)
    if offline and _is_web(place):
        folder = store.find(wanted, version)
        click.echo(f"{wanted} {folder.name} is here already (offline: the catalog was not asked)")
        return
    client = _client(store, place, root)
    entry = client.refresh().find(wanted, version, where=place)
    with _watched(entry, accept_terms) as watcher:
        folder = pull_model(client, store, entry, watcher)
    click.echo(f"{entry.name} {entry.version} is verified and ready: {folder}\n  try:    dxai inspect {entry.name}")


@click.command("list", cls=Verb)
def list_models() -> None:
    """List the models on this machine."""
    from rich.console import Console
    from rich.table import Table

    from dxai.catalog.store import Store

    store = Store()
    table = Table("model", "version", "MB", "folder", box=None, pad_edge=False)
    for name, version in store.bundles():
        folder = store.place(name, version)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        table.add_row(name, version, f"{size / 1e6:.1f}", str(folder))
    if table.row_count:
        Console(soft_wrap=True).print(table)
    else:
        click.echo(f"No models yet in {store.folder}. dxai search shows the catalog, dxai pull NAME fetches one.")


@click.command(cls=Verb)
@click.argument("name", shell_complete=complete_model)
def remove(name: str) -> None:
    """Take a model, NAME or NAME@VERSION, off this machine."""
    from dxai.catalog.store import Store, split_name

    for version in Store().remove(*split_name(name)):
        click.echo(f"{name.partition('@')[0]} {version} is removed")


@click.command(cls=Verb)
@click.argument("bundle", shell_complete=complete_model)
@click.option(
    "--key", type=click.Path(path_type=Path, dir_okay=False), help="Public key (PEM) that must have signed it."
)
@click.option(
    "--root", type=click.Path(path_type=Path, dir_okay=False), help="Trust root whose keys may have signed it."
)
def verify(bundle: str, key: Path | None, root: Path | None) -> None:
    """Verify a BUNDLE, a folder or a pulled model: every byte and its signature; no catalog, no network."""
    from dxai.bundle.signing import read_public_key
    from dxai.bundle.signing import verify as verify_signature
    from dxai.catalog.store import Store, open_bundle
    from dxai.catalog.trust import bundle_keys, parse_root

    store = Store()
    if root:
        if not root.is_file():
            raise NotFoundError("There is no such trust root.", where=str(root), fix="Check the path.")
        keys = bundle_keys(parse_root(root.read_bytes(), where=str(root)).signed, where=str(root))
    else:
        keys = read_public_key(key) if key else store.trusted_keys()
    opened = open_bundle(store, bundle)
    signer = verify_signature(opened, keys)
    manifest = opened.manifest
    click.echo(
        f"{manifest.name} {manifest.version}: all {len(opened.files)} files are as released, signed by {signer[:16]}"
    )


@click.command(cls=Verb)
@click.argument("bundle", shell_complete=complete_model)
@trust_options
def inspect(bundle: str, key: Path | None, unsigned: bool) -> None:
    """Show what a BUNDLE, a folder or a pulled model, predicts from what."""
    from dxai.api import open_verified
    from dxai.inference.inspect import show

    show(open_verified(bundle, key=key, unsigned=unsigned))


def _place(store: Store, given: str | None) -> str:
    """The catalog that was named, or the only one that is known."""
    if given:
        return given if _is_web(given) else str(Path(given.removeprefix("file://")).resolve())
    known = list(store.catalogs())
    if len(known) == 1:
        return known[0]
    told = f"{len(known)} catalogs are known here: {', '.join(known)}." if known else "No catalog is known here yet."
    raise SettingsError(told, fix="Name one: --from URL or --from DIR, or DXAI_CATALOG in the environment.")


def _is_web(place: str) -> bool:
    return place.lower().startswith(("http://", "https://"))


def _client(store: Store, place: str, root: Path | None) -> Client:
    from dxai.catalog.client import Client
    from dxai.catalog.source import open_source
    from dxai.catalog.trust import shipped_root, trusted_root

    if root and not root.is_file():
        raise NotFoundError("There is no such trust root.", where=str(root), fix="Check the path of root.json.")
    source = open_source(place)
    folder = store.catalog_folder(source.place)
    trust = root.read_bytes() if root else None if trusted_root(folder) else shipped_root()
    return Client(folder, source, trust)


@contextmanager
def _watched(entry: Entry, accept: bool) -> Iterator[Watcher]:
    """A progress bar over the bytes of a model, and the question about its terms."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from dxai.catalog.pull import Watcher

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(f"{entry.name} {entry.version}", total=entry.size)

        def agree(entry: Entry, terms: Terms) -> bool:
            bar.stop()
            _show_terms(entry, terms)
            agreed = accept or (sys.stdin.isatty() and click.confirm("Accept these terms? 동의하십니까?", err=True))
            bar.start()
            return agreed

        def on_wait() -> None:
            click.echo(f"another process is fetching {entry.name} {entry.version}; waiting for it", err=True)

        yield Watcher(agree, lambda count: bar.advance(task, count), on_wait)


def _show_terms(entry: Entry, terms: Terms) -> None:
    for line in (
        f"{entry.title.ko} ({entry.name} {entry.version})",
        f"  라이선스: {terms.licence}", f"  이용 조건: {terms.usage.ko}", f"  출처: {terms.citation}",
        f"{entry.title.en} ({entry.name} {entry.version})",
        f"  Licence: {terms.licence}", f"  Terms of use: {terms.usage.en}", f"  Source: {terms.citation}",
    ):  # fmt: skip
        click.echo(line, err=True)
