"""The description of a table as one HTML file that needs nothing but itself, with small pictures of the columns."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.cells import cell_len, set_cell_size

from dxai.contract.terms import Text
from dxai.files import write_whole
from dxai.intake.describe import words
from dxai.intake.describe.record import TEMPORAL, ColumnDescription, Description, Histogram

Language = Literal["en", "ko"]

_DELIMITERS = {
    ",": Text(en="comma", ko="쉼표"), ";": Text(en="semicolon", ko="세미콜론"),
    "\t": Text(en="tab", ko="탭"), "|": Text(en="vertical bar", ko="세로줄"),
}  # fmt: skip


def write_report(description: Description, path: Path, *, language: Language = "en") -> None:
    """Write the description as one HTML file in English or Korean.

    No row is shown, and of the texts in the cells only those that five cells or more have.

    Raises:
        NoSpaceError: The disk is full.
        SettingsError: Writing there is not permitted.
    """
    environment = Environment(
        loader=PackageLoader("dxai.intake.describe", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"fitting": _fitting, "number": "{:,}".format}

    def pick(text: Text) -> str:
        return text.ko if language == "ko" else text.en

    delimiter = pick(_DELIMITERS[description.delimiter]) if description.delimiter in _DELIMITERS else ""
    types = Counter(column.type for column in description.columns)
    html = environment.get_template("report.html.j2").render(
        d=description, words=words, language=language, pick=pick, t=lambda en, ko: pick(Text(en=en, ko=ko)),
        written=", ".join(filter(None, (description.encoding.upper(), delimiter))),
        types=", ".join(f"{pick(words.TYPES[type_])} {count:,}" for type_, count in types.most_common()),
        care=sum(suspicion.grade == "care" for suspicion in description.suspicions),
        histogram_ends=_histogram_ends, now=datetime.now().astimezone(),
    )  # fmt: skip
    write_whole(path, html.encode())


def _histogram_ends(column: ColumnDescription) -> tuple[str, ...]:
    if not (isinstance(column.picture, Histogram) and column.picture.clipped):
        return words.ends(column)
    low, *_, high = column.picture.edges
    return f"≤ {_edge(column, low)}", f"≥ {_edge(column, high)}"


def _edge(column: ColumnDescription, edge: float) -> str:
    return f"{datetime.fromtimestamp(edge, UTC):%Y-%m-%d}" if column.type in TEMPORAL else words.plain(edge)


def _fitting(text: str) -> str:
    """As much of a text as fits beside its bar."""
    return text if cell_len(text) <= 15 else set_cell_size(text, 14).rstrip() + "…"
