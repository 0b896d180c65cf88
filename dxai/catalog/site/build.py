"""The shelf of a catalog to a folder of plain files that any web server can hand out."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from dxai import __version__
from dxai.bundle.folder import Bundle
from dxai.catalog.site import facts, sectors, words
from dxai.catalog.site.examples import FORMS, example_of
from dxai.catalog.site.onnxruntime_web import WasmSource
from dxai.catalog.site.program import Backend, page_data
from dxai.catalog.site.scores import scores
from dxai.contract.signature import signature_of
from dxai.contract.terms import Text
from dxai.errors import SettingsError
from dxai.files import whole_folder

if TYPE_CHECKING:
    from dxai.catalog.repository import Catalog

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
"""Content security policy of every page: nothing from, and nothing to, another address."""

MEGABYTES = 50
"""Largest file that the page reads into memory."""

_MARK = "assets/texts.json"
_RUNTIME = "assets/onnxruntime/"

Shelf = Mapping[str, Sequence[Bundle]]
"""Versions of every bundle by name, the newest first."""


def build_catalog_site(catalog: Catalog, out: Path, *, wasm: bool, url: str = "") -> int:
    """Write the site of a whole catalog, the runtime kept in the user's cache; returns the number of pages.

    Arguments and errors as in `build_site`.
    """
    shelf: dict[str, list[Bundle]] = {}
    for entry in sorted(catalog.index.models, key=lambda entry: entry.order, reverse=True):
        shelf.setdefault(entry.name, []).append(catalog.bundle(entry.name, entry.version))
    build_site(shelf, out, wasm=WasmSource.of_user() if wasm else None, catalog_url=url)
    return 1 + len(shelf)


def build_site(
    shelf: Shelf, out: Path, *, wasm: WasmSource | None, catalog_url: str = "", served: bool = False
) -> None:
    """Write the site into ``out``, whole or not at all.

    Args:
        shelf: What the catalog holds.
        out: Folder of the site; an older site there is replaced.
        wasm: The runtime for predictions inside the browser; without it the pages tell how to run `dxai predict`.
        catalog_url: Where `dxai pull` finds the catalog, for the commands on the pages.
        served: Whether the pages come from `dxai serve`, which predicts in the browser's stead.

    Raises:
        SettingsError: The folder holds something else than a site.
        NotFoundError: The runtime cannot be fetched.
        IntegrityError: The runtime is not the pinned one.
    """
    if out.exists() and not (out / _MARK).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError("This folder holds something else than a site.", where=str(out), fix="Name a new folder.")
    with whole_folder(out) as work:
        for name, content in site_files(shelf, wasm=wasm, catalog_url=catalog_url, served=served):
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_bytes(content)


def site_files(
    shelf: Shelf, *, wasm: WasmSource | None, catalog_url: str = "", served: bool = False
) -> Iterator[tuple[str, bytes]]:
    """Every file of the site with its content; arguments and errors as in `build_site`."""
    backend: Backend = "server" if served else "browser" if wasm else "none"
    runtime = wasm.files() if wasm and backend == "browser" else {}
    # Not every web server knows that .mjs is a program, every one knows .js.
    yield from ((_RUNTIME + name.replace(".mjs", ".js"), content) for name, content in runtime.items())
    for asset in (files(__package__) / "assets").iterdir():
        yield f"assets/{asset.name}", asset.read_bytes()
    pages = _environment()
    newest = [versions[0] for _, versions in sorted(shelf.items())]
    yield "index.html", pages.get_template("index.html.j2").render(_index(newest), backend=backend, root="").encode()
    weight = sum(map(len, runtime.values()))
    for bundle in newest:
        folder = f"models/{bundle.manifest.name}"
        packed = facts.archive(bundle)
        archive = {"name": f"{bundle.manifest.name}-{bundle.manifest.version}.zip", "megabytes": _mega(len(packed))}
        model = _model(bundle, shelf[bundle.manifest.name], catalog_url)
        page = pages.get_template("model.html.j2").render(model, backend=backend, archive=archive, root="../../")
        yield f"{folder}/index.html", page.encode()
        yield f"{folder}/page.json", json.dumps(page_data(bundle, backend, weight), ensure_ascii=False).encode()
        yield f"{folder}/{archive['name']}", packed
        for file in facts.downloads(bundle):
            if file.offered:
                yield f"{folder}/{bundle.manifest.version}/{file.name}", bundle.read(file.name)


def _environment() -> Environment:
    pages = Environment(
        loader=PackageLoader("dxai.catalog.site", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    pages.globals.update(
        say=words.say, word=words.word, both=words.both, beside=words.beside, switched=words.switched,
        policy=POLICY, version=__version__, limit=MEGABYTES, has=lambda group, name: f"{group}.{name}" in words.texts(),
    )  # fmt: skip
    return pages


def _index(newest: Sequence[Bundle]) -> dict[str, Any]:
    cards = [{**_common(b), "sector": sectors.sector_of(b), "search": facts.search_text(b)} for b in newest]
    tasks = sorted({b.contract.task for b in newest})
    licences = sorted({b.terms.licence for b in newest})
    return {
        "title": words.say("site.title"),
        "cards": cards,
        "tiles": sectors.tiles(newest),
        "tasks": [(name, words.word("task", name)) for name in tasks],
        "licences": [(name, Text(en=name, ko=name)) for name in licences],
    }


def _model(bundle: Bundle, versions: Sequence[Bundle], catalog_url: str) -> dict[str, Any]:
    contract, name = bundle.contract, bundle.manifest.name
    coverage, miscalibration = (bundle.metrics["model"].get(name) for name in ("coverage", "ece"))
    return {
        **_common(bundle),
        "versions": versions,
        "profile": bundle.profile,
        "target": facts.title(contract.target),
        "unit": words.unit(contract.target.unit),
        "coverage": f"{coverage:.0%}" if coverage is not None else "",
        "miscalibration": f"{100 * miscalibration:.1f}" if miscalibration is not None else "",
        "numbered": _numbered(contract.classes),
        "shortest": bundle.manifest.shortest_history or contract.minimum_history,
        "limitations": _or_english(contract.limitations, contract.limitations_ko),
        "inputs": facts.inputs(bundle),
        "figures": list(facts.figures(bundle)),
        "downloads": facts.downloads(bundle),
        "form": FORMS[signature_of(contract).grain](bundle),
        "pull": f"dxai pull {name}" + (f" --from {shlex.quote(catalog_url)}" if catalog_url else ""),
    }


def _common(bundle: Bundle) -> dict[str, Any]:
    """What the card in the list and the page of a model share."""
    contract = bundle.contract
    return {
        "manifest": bundle.manifest,
        "contract": contract,
        "terms": bundle.terms,
        "title": Text(en=contract.title_en, ko=contract.title_ko),
        "purpose": _or_english(contract.purpose, contract.purpose_ko),
        "scores": scores(bundle),
        "example": example_of(bundle),
    }


def _numbered(classes: Sequence[str]) -> str:
    """Which class is which where pictures call them by their numbers, because their font has no Hangul."""
    plain = all(text.isascii() for text in classes)
    return "" if plain else ", ".join(f"{i}: {text}" for i, text in enumerate(classes)) + "."


def _or_english(english: str, korean: str) -> Text:
    return Text(en=english.strip(), ko=korean.strip() or english.strip())


def _mega(size: int) -> str:
    return f"{size / 1e6:.1f}"
