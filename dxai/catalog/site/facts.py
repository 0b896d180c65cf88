"""What a page says about one model, taken from its bundle; all of it is untrusted text that the template escapes."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import file_entry
from dxai.catalog.site.words import say, unit
from dxai.contract import Column
from dxai.contract.signature import signature_of
from dxai.contract.terms import Text

_PNG = b"\x89PNG\r\n\x1a\n"
_OFFERED = {".onnx", ".json", ".yaml", ".md", ".csv", ".png", ".sig"}
"""Suffixes of files that no browser runs: a page inside a hostile bundle must not speak in this site's name."""


@dataclass(frozen=True)
class Input:
    """One column of the inputs table and of the form."""

    column: Column
    title: Text
    unit: Text
    admissible: Text
    seen: str


@dataclass(frozen=True)
class Figure:
    """One picture of the bundle, its key among the texts, and its size in pixels."""

    file: str
    key: str
    width: int
    height: int


@dataclass(frozen=True)
class Download:
    """One file of the bundle; a file that is not ``offered`` alone is in the archive only."""

    name: str
    size: int
    sha256: str
    offered: bool


def title(column: Column) -> Text:
    """What people call a column."""
    return Text(en=column.title_en, ko=column.title_ko)


def inputs(bundle: Bundle) -> tuple[Input, ...]:
    """The columns that a row holds."""
    reads = signature_of(bundle.contract).reads
    return tuple(Input(c, title(c), unit(c.unit), _admissible(c), _seen(bundle, c)) for c in reads)


def span(low: float | None, high: float | None) -> str:
    """A range in few characters, open ends left open.

    >>> span(0, 1000), span(0, None), span(None, None)
    ('0 – 1000', '≥ 0', '')
    """
    if low is not None and high is not None:
        return f"{low:g} – {high:g}"
    return f"≥ {low:g}" if low is not None else f"≤ {high:g}" if high is not None else ""


def _admissible(column: Column) -> Text:
    if column.kind in ("date", "timestamp"):
        return say(f"inputs.{column.kind}")
    told = ", ".join(column.categories) if column.kind == "category" else span(column.minimum, column.maximum)
    return Text(en=told, ko=told) if told else say("inputs.any" if column.kind == "category" else "inputs.number")


def _seen(bundle: Bundle, column: Column) -> str:
    low, high = seen(bundle, column)
    return span(low, high)


def seen(bundle: Bundle, column: Column) -> tuple[float | None, float | None]:
    """Range of the training rows; of a demand model, of what is known beside its histories."""
    of_rows = signature_of(bundle.contract).grain == "rows"
    known = (bundle.profile.columns if of_rows else bundle.profile.beside).get(column.name)
    return (known.minimum, known.maximum) if known else (None, None)


def figures(bundle: Bundle) -> Iterator[Figure]:
    """The pictures that are PNG files, with the sizes that their headers tell."""
    for name in sorted(bundle.manifest.files):
        data = bundle.read(name)[:24]
        if name.startswith("figures/") and name.endswith(".png") and data.startswith(_PNG) and len(data) == 24:
            width, height = struct.unpack(">II", data[16:])
            yield Figure(name, PurePosixPath(name).stem, width, height)


def downloads(bundle: Bundle) -> list[Download]:
    """Every file of the bundle, manifest and signature included."""
    entries = {name: file_entry(data) for name, data in sorted(bundle.files.items())}
    return [Download(n, e.size, e.sha256, PurePosixPath(n).suffix in _OFFERED) for n, e in entries.items()]


def archive(bundle: Bundle) -> bytes:
    """All files in one zip archive under a folder of the model's name; the same bytes for the same bundle."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in sorted(bundle.files.items()):
            entry = zipfile.ZipInfo(f"{bundle.manifest.name}/{name}")  # dated 1980, whenever it is packed
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def search_text(bundle: Bundle) -> str:
    """What the search box looks through, in lower case."""
    contract = bundle.contract
    words = [bundle.manifest.name, contract.title_en, contract.title_ko, contract.purpose, contract.purpose_ko]
    # Hundreds of columns share their words, and the box asks for one word at a time: each is needed once.
    titles = " ".join(text for c in contract.columns for text in (c.name, c.title_en, c.title_ko))
    return " ".join([*words, *dict.fromkeys(titles.split())]).lower()
