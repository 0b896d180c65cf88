"""The description of a table as one HTML file that needs nothing but itself, with small pictures of the columns."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from rich.cells import cell_len, set_cell_size

from dxai.contract.terms import Text
from dxai.files import write_whole
from dxai.intake.describe import words
from dxai.intake.describe.record import TEMPORAL, Bars, ColumnDescription, Description, Histogram
from dxai.intake.describe.words import percent, plain, shortened

ACCENT, MUTED, BAND, LINE = "#0b6e99", "#616e7c", "#c5d0da", "#e4e7eb"
_WIDTH = 230


def picture(column: ColumnDescription, others: str) -> Markup:
    """How the values of a column are spread; ``others`` is the word for all other texts."""
    if isinstance(column.picture, Histogram):
        return _histogram(column, column.picture)
    return _bars(column.picture, others) if isinstance(column.picture, Bars) else Markup("")


def missing_bar(share: float) -> Markup:
    """The share of gaps as a bar; the figure stands beside it."""
    parts = _rect(0, 0, 60, 7, LINE)
    parts += _rect(0, 0, 60 * share if share < 0.02 else max(60 * share, 1.5), 7, "#93600b") if share else ""
    return Markup('<svg viewBox="0 0 60 7" width="60" height="7" aria-hidden="true">{}</svg>').format(parts)


def _histogram(column: ColumnDescription, drawn: Histogram) -> Markup:
    height, top, slot = 44, max(drawn.counts), _WIDTH / len(drawn.counts)
    gap = 1 if slot > 4 else 0
    last = len(drawn.counts) - 1
    parts = [
        _rect(i * slot, height - count / top * height, slot - gap, count / top * height,
              BAND if drawn.clipped and i in (0, last) else ACCENT)
        for i, count in enumerate(drawn.counts) if count
    ]  # fmt: skip
    low, high = words.ends(column)
    if drawn.clipped:
        low, high = f"≤ {_end(column, drawn.edges[0])}", f"≥ {_end(column, drawn.edges[-1])}"
    parts += [_rect(0, height, _WIDTH, 1, MUTED), _text(0, height + 12, low), _text(_WIDTH, height + 12, high, "end")]
    told = f"{shortened(column.name)}: {low} … {high}: {', '.join(map(str, drawn.counts))}"
    return _svg(height + 16, parts, told)


def _end(column: ColumnDescription, edge: float) -> str:
    return f"{datetime.fromtimestamp(edge, UTC):%Y-%m-%d}" if column.type in TEMPORAL else plain(edge)


def _bars(drawn: Bars, others: str) -> Markup:
    rows = [(shortened(text, 40), count) for text, count in drawn.counts]
    total, most = sum(count for _, count in rows) + drawn.others, max(count for _, count in rows)
    parts = []
    for i, (text, count) in enumerate(rows):
        y = 15 * i
        label = text if cell_len(text) <= 15 else set_cell_size(text, 14).rstrip() + "…"
        parts += [_text(92, y + 10, label, "end"), _rect(98, y + 2, max(95 * count / most, 0.5), 9, ACCENT)]
        parts.append(_text(102 + 95 * count / most, y + 10, percent(count / total)))
    if drawn.others:
        parts += [
            _text(92, 15 * len(rows) + 10, others, "end"),
            _text(98, 15 * len(rows) + 10, percent(drawn.others / total)),
        ]
        rows.append((others, drawn.others))
    return _svg(15 * len(rows), parts, "; ".join(f"{text}: {percent(count / total)}" for text, count in rows))


def _svg(height: float, parts: list[Markup], told: str) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, height, _WIDTH, height, told, Markup("").join(parts)
    )


def _rect(x: float, y: float, width: float, height: float, color: str) -> Markup:
    return Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}"/>').format(
        x, y, max(width, 0.0), max(height, 0.0), color
    )


def _text(x: float, y: float, told: str, anchor: str = "start") -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" font-size="10" fill="{}">{}</text>').format(
        x, y, anchor, MUTED, escape(told)
    )


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
    page = _Page(description, language)
    html = environment.get_template("report.html.j2").render(
        page=page, d=description, t=page.t, pick=page.pick, words=words, missing_bar=missing_bar,
        now=datetime.now().astimezone(),
    )  # fmt: skip
    write_whole(path, html.encode())


class _Page:
    """Words and pictures in one language."""

    def __init__(self, description: Description, language: Language) -> None:
        self.description, self.language = description, language
        self.cells = description.rows * len(description.columns)
        self.gaps = sum(column.gaps for column in description.columns)
        self.care = sum(suspicion.grade == "care" for suspicion in description.suspicions)

    def t(self, en: str, ko: str) -> str:
        """The text of this page's language."""
        return ko if self.language == "ko" else en

    def pick(self, text: Text) -> str:
        """The same of a text in both languages."""
        return self.t(text.en, text.ko)

    def types(self) -> str:
        """How many columns of each type there are."""
        counts = Counter(column.type for column in self.description.columns)
        return ", ".join(f"{self.pick(words.TYPES[type_])} {count:,}" for type_, count in counts.most_common())

    def written(self) -> str:
        """Encoding and delimiter of the file, as far as they are known."""
        delimiter = _DELIMITERS.get(self.description.delimiter)
        return ", ".join(filter(None, (self.description.encoding.upper(), self.pick(delimiter) if delimiter else "")))

    def picture(self, column: ColumnDescription) -> Markup:
        """How the values are spread."""
        return picture(column, self.t("others", "그 밖"))

    def kinds(self, column: ColumnDescription) -> list[tuple[str, str]]:
        """Grade and name of each kind of suspicion about a column, once."""
        about = {s.kind: s.grade for s in self.description.about(column.name)}
        return [(grade, self.pick(words.KINDS[kind])) for kind, grade in about.items()]
