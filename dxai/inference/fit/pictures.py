"""Pictures of a check as inline SVG: they print, need no script, and read well aloud."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from dxai.data.marks import COLORS
from dxai.inference.fit.record import ColumnFit, Fan
from dxai.inference.fit.statistics import Array, Bounds
from dxai.inference.fit.words import percent, plain

INK, ACCENT, MUTED, BAND, BAD = "#1f2933", "#0b6e99", "#616e7c", "#c5d0da", "#b42318"


@dataclass(frozen=True)
class Mark:
    """A value to compare with, and what it is."""

    value: float
    label: str


def histogram(column: ColumnFit, told: str) -> Markup:
    """Bars per tenth of the training rows: grey for training, blue for here, red for here outside its range."""
    width, height, count = 250, 52, len(column.training.shares)
    if not count:
        return Markup("")
    here, number = list(column.shares), column.column.kind == "number"
    if number:
        here[0], here[-1] = here[0] - column.below, here[-1] - column.above
    slot, top = (width - 36) / count, max(*column.training.shares, *here, column.below, column.above)
    parts = []
    for i, (there, share) in enumerate(zip(column.training.shares, here, strict=True)):
        strange = not number and column.above > 0 and i == count - 1
        parts.append(_bar(18 + i * slot + 1, slot - 2, there / top * height, height, BAND))
        parts.append(
            _bar(18 + (i + 0.28) * slot, 0.44 * slot, share / top * height, height, BAD if strange else ACCENT)
        )
    if number:
        parts.append(_bar(3, 9, column.below / top * height, height, BAD))
        parts.append(_bar(width - 12, 9, column.above / top * height, height, BAD))
    parts += [_line(0, height, width, height, MUTED), *_bin_labels(column, slot, height + 12)]
    return _svg(width, height + 16, parts, told)


def _bin_labels(column: ColumnFit, slot: float, y: float) -> list[Markup]:
    training = column.training
    if training.categories:
        room = max(2, int(slot / 6))
        names = [*training.categories, "…"]
        return [_text(18 + (i + 0.5) * slot, y, name[:room], size=9) for i, name in enumerate(names)]
    edges = training.edges
    labels = [_text(18, y, plain(training.minimum or 0.0), "start", size=9)]
    if edges:
        middle = len(edges) // 2
        labels.append(_text(18 + (middle + 1) * slot, y, plain(edges[middle]), size=9))
    return [*labels, _text(232, y, plain(training.maximum or 0.0), "end", size=9)]


def gauge(here: Bounds, marks: Sequence[Mark], *, top: float, told: str, share: bool = False) -> Markup:
    """A figure with its bounds on a line from zero, and the figures to compare it with."""
    width, left, right, y = 640, 20, 420, 46
    written = percent if share else plain

    def x(value: float) -> float:
        return left + (right - left) * min(max(value, 0.0), top) / top

    parts = [_line(left, y, right, y, MUTED)]
    ticks = [tick for tick in _ticks(0, top) if tick <= top]
    parts += [_line(x(t), y, x(t), y + 4, MUTED) + _text(x(t), y + 16, written(t), size=10) for t in ticks]
    parts.append(Markup('<rect x="{:.1f}" y="{}" width="{:.1f}" height="10" rx="5" fill="{}" opacity=".3"/>').format(
        x(here.low), y - 5, max(x(here.high) - x(here.low), 2), ACCENT
    ))  # fmt: skip
    parts.append(Markup('<circle cx="{:.1f}" cy="{}" r="6" fill="{}"/>').format(x(here.value), y, ACCENT))
    for row, mark in enumerate(sorted(marks, key=lambda mark: -mark.value)):  # the left one's label above the other
        high = y - 16 - 15 * row
        parts.append(_line(x(mark.value), y + 6, x(mark.value), high - 8, INK))
        parts.append(_text(x(mark.value) + 4, high, mark.label, "start", size=11, color=INK))
    return _svg(width, y + 22, parts, told)


def scatter(points: Array, *, across: str, up: str, told: str) -> Markup:
    """Predictions over truths; the diagonal is perfection."""
    width, height, left, bottom = 420, 380, 52, 336
    low, high = min(0.0, float(points.min())), float(points.max())
    ticks = _ticks(low, high)
    low, high = ticks[0], ticks[-1]

    def place(value: float) -> float:
        return (value - low) / (high - low or 1)

    def x(value: float) -> float:
        return left + 350 * place(value)

    def y(value: float) -> float:
        return bottom - 320 * place(value)

    parts = [_line(x(t), bottom, x(t), 16, "#e4e7eb") + _text(x(t), bottom + 15, plain(t), size=10) for t in ticks]
    parts += [
        _line(left, y(t), 402, y(t), "#e4e7eb") + _text(left - 5, y(t) + 3, plain(t), "end", size=10) for t in ticks
    ]
    parts.append(_line(x(low), y(low), x(high), y(high), MUTED))
    parts += [
        Markup('<circle cx="{:.1f}" cy="{:.1f}" r="2.6" fill="{}" opacity=".5"/>').format(x(t), y(p), ACCENT)
        for t, p in points.tolist()
    ]
    parts.append(_text((left + 402) / 2, height - 8, across, size=11))
    parts.append(
        Markup('<g transform="translate(12 {}) rotate(-90)">{}</g>').format((16 + bottom) / 2, _text(0, 0, up, size=11))
    )
    return _svg(width, height, parts, told)


def fan(drawn: Fan, told: str) -> Markup:
    """A forecast from the past: grey the history, blue the 80, 60, 40 and 20 % bands and the median, dots the truth.

    Bars above mark promotions and holidays.
    """
    width, height, left, right, bottom = 310, 190, 40, 302, 164
    past, levels = len(drawn.past), drawn.quantiles.shape[1]
    known = np.concatenate([drawn.past, drawn.truth, drawn.quantiles.ravel()])
    low, high = min(0.0, float(np.nanmin(known))), float(np.nanmax(known))
    ticks = _ticks(low, high)
    low, high = ticks[0], ticks[-1]

    def x(step: float) -> float:
        return left + (right - left) * (step + past - 1) / (past + len(drawn.truth) - 1)

    def y(value: float) -> float:
        return bottom - (bottom - 12) * (value - low) / (high - low or 1)

    steps = range(1, len(drawn.truth) + 1)
    parts = [
        _line(left, y(t), right, y(t), "#e4e7eb") + _text(left - 5, y(t) + 3, plain(t), "end", size=9) for t in ticks
    ]
    for i in range(levels // 2):
        upper = [(x(s), y(v)) for s, v in zip(steps, drawn.quantiles[:, -1 - i], strict=True)]
        lower = [(x(s), y(v)) for s, v in zip(steps, drawn.quantiles[:, i], strict=True)]
        parts.append(Markup('<polygon points="{}" fill="{}" opacity="{:.2f}"/>').format(
            _points(upper + lower[::-1]), ACCENT, 0.12 + 0.05 * i
        ))  # fmt: skip
    history = [(x(i - past + 1), y(v)) for i, v in enumerate(drawn.past) if np.isfinite(v)]
    median = [(x(s), y(v)) for s, v in zip(steps, drawn.quantiles[:, levels // 2], strict=True)]
    parts += [_path(history, MUTED, 1), _path(median, ACCENT, 2)]
    parts += [
        Markup('<circle cx="{:.1f}" cy="{:.1f}" r="2.6" fill="{}"/>').format(x(s), y(v), INK)
        for s, v in zip(steps, drawn.truth, strict=True) if np.isfinite(v)
    ]  # fmt: skip
    parts += [
        Markup('<rect x="{:.1f}" y="{}" width="{:.1f}" height="3" fill="{}"/>').format(
            x(first - 0.5), 8 - 4 * row, x(last + 0.5) - x(first - 0.5), color
        )
        for row, (flag, color) in enumerate(zip(drawn.marks, COLORS, strict=False)) for first, last in flag.runs
    ]  # fmt: skip
    parts += [_line(x(0.5), 12, x(0.5), bottom, MUTED), _text((left + right) / 2, height - 6, drawn.series, size=11)]
    return _svg(width, height, parts, told)


def _svg(width: float, height: float, parts: Iterable[Markup], told: str) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" width="{}" role="img" aria-label="{}">{}</svg>').format(
        width, height, width, told, Markup("").join(parts)
    )


def _bar(x: float, width: float, height: float, floor: float, color: str) -> Markup:
    height = max(height, 0.0)
    return Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}"/>').format(
        x, floor - height, width, height, color
    )


def _line(x: float, y: float, x2: float, y2: float, color: str) -> Markup:
    return Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}"/>').format(x, y, x2, y2, color)


def _path(points: Sequence[tuple[float, float]], color: str, width: float) -> Markup:
    return Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="{}"/>').format(
        _points(points), color, width
    )


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _text(x: float, y: float, told: str, anchor: str = "middle", *, size: float, color: str = MUTED) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" font-size="{}" fill="{}">{}</text>').format(
        x, y, anchor, size, color, escape(told)
    )


def _ticks(low: float, high: float) -> list[float]:
    """Three to seven round values, the first at or below low, the last at or above high.

    >>> _ticks(0, 83)
    [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]
    """
    step = 10.0 ** np.floor(np.log10(max(high - low, 1e-12)))
    step = float(next(step * s for s in (0.2, 0.5, 1, 2) if (high - low) / (step * s) <= 5))
    first, last = int(np.floor(low / step + 1e-9)), int(np.ceil(high / step - 1e-9))
    return [round(i * step, 12) for i in range(first, last + 1)]
