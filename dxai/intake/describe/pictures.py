"""Small pictures of columns as inline SVG: they print, need no script, and say in words what they show."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup, escape
from rich.cells import cell_len, set_cell_size

from dxai.intake.describe import words
from dxai.intake.describe.record import TEMPORAL, Bars, ColumnDescription, Histogram
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
