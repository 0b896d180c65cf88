"""Verbs of the platform team: publish models, keep keys, keep the catalog."""

from __future__ import annotations

from pathlib import Path

import click

from dxai.cli.options import FOLDER, Verb

_KEYS = click.option(
    "--keys", type=FOLDER, required=True, envvar="DXAI_KEYS", help="Folder that `dxai keys init` made."
)
_CATALOG = click.option("--catalog", type=FOLDER, required=True, help="Folder of the catalog.")


@click.command(cls=Verb)
@click.argument("bundle", type=FOLDER)
@_CATALOG
@_KEYS
def publish(bundle: Path, catalog: Path, keys: Path) -> None:
    """Sign a released BUNDLE and add it to a catalog: a folder for a web server, a file share or a USB stick."""
    from dxai.bundle.folder import Bundle
    from dxai.catalog.keys import KeyRing
    from dxai.catalog.repository import Catalog
    from dxai.inference.loader import load_model
    from dxai.record.provenance import code_commit

    opened, ring = Bundle.open(bundle), KeyRing(keys)
    load_model(opened)  # what a firm's careful loader would refuse is not published
    shelf = Catalog(catalog) if (catalog / "metadata").is_dir() else Catalog.make(catalog, ring)
    shelf.add(opened, ring, code_commit(bundle))
    name, version = opened.manifest.name, opened.manifest.version
    click.echo(
        f"Published {name} {version} in {catalog}\n"
        f"  try:    dxai pull {name} --from {catalog} --root {keys / 'root.json'}"
    )


@click.group()
def keys() -> None:
    """Make and replace the keys of a catalog.

    DXAI_KEYS_PASSPHRASE in the environment encrypts the key files.
    """


@keys.command("init", cls=Verb)
@click.argument("folder", type=FOLDER)
@click.option("--root-keys", type=click.IntRange(1, 20), default=1, show_default=True, help="How many root keys.")
@click.option(
    "--threshold", type=click.IntRange(1, 20), default=1, show_default=True, help="How many of them must sign."
)
@click.option("--root-days", type=click.IntRange(1), default=3650, show_default=True, help="Until the root expires.")
@click.option("--targets-days", type=click.IntRange(1), default=730, show_default=True, help="Until targets expire.")
@click.option(
    "--snapshot-days", type=click.IntRange(1), default=365, show_default=True, help="Until a snapshot expires."
)
@click.option(
    "--timestamp-days", type=click.IntRange(1), default=365, show_default=True, help="Until a timestamp expires."
)
def init(folder: Path, root_keys: int, threshold: int, **days: int) -> None:
    """Make the keys of a new catalog in FOLDER, and its trust root root.json.

    Keep the root-*.pem files away from the machine that publishes. Hand root.json and bundle.pub to member firms.
    """
    from dxai.catalog.ceremony import make_keys

    lasts = {name.removesuffix("_days"): count for name, count in days.items()}
    make_keys(folder, root_keys=root_keys, threshold=threshold, days=lasts)
    click.echo(
        f"Keys are in {folder} (mode 0600). Hand out {folder / 'root.json'} and {folder / 'bundle.pub'}.\n"
        f"  next:   dxai publish models/NAME --catalog DIR --keys {folder}"
    )


@keys.command(cls=Verb)
@click.argument("role", type=click.Choice(["root", "targets", "snapshot", "timestamp", "bundle"]))
@_CATALOG
@_KEYS
@click.option("--revoke", is_flag=True, help="bundle: trust the old key no longer, sign every published bundle again.")
def rotate(role: str, catalog: Path, keys: Path, revoke: bool) -> None:
    """Replace the keys of a ROLE; firms follow by themselves at their next pull."""
    from dxai.catalog.ceremony import rotate as rotate_keys
    from dxai.catalog.keys import KeyRing
    from dxai.catalog.repository import Catalog

    rotate_keys(role, Catalog(catalog), KeyRing(keys), revoke=revoke)
    click.echo(
        f"The {role} keys are new; the old files are in {keys / 'retired'}. The new trust root is {keys / 'root.json'}."
    )


@click.group()
def catalog() -> None:
    """Keep a catalog: fresh metadata, web site."""


@catalog.command(cls=Verb)
@_CATALOG
@_KEYS
def refresh(catalog: Path, keys: Path) -> None:
    """Give the catalog's metadata its full time to run again."""
    from dxai.catalog.keys import KeyRing
    from dxai.catalog.repository import Catalog

    opened = Catalog(catalog)
    opened.refresh(KeyRing(keys))
    for role, expires in opened.expiries().items():
        click.echo(f"{role:10} expires {expires:%Y-%m-%d}")


@catalog.command(cls=Verb)
@_CATALOG
@click.option("--out", type=FOLDER, required=True, help="Folder of the web site; replaced whole.")
@click.option(
    "--wasm/--no-wasm", default=True, show_default=True, help="With onnxruntime-web, to try models in the browser."
)
@click.option("--url", default="", help="Where firms will find the catalog, for the commands on the pages.")
def site(catalog: Path, out: Path, wasm: bool, url: str) -> None:
    """Write the catalog's web site: static, Korean and English, with models to try in the browser."""
    from rich.console import Console

    from dxai.catalog.repository import Catalog
    from dxai.catalog.site.build import build_catalog_site

    with Console(stderr=True).status("pages"):
        pages = build_catalog_site(Catalog(catalog), out, wasm=wasm, url=url)
    click.echo(f"{pages} pages in {out}\n  look:   python -m http.server --bind 127.0.0.1 --directory {out}")
