"""Pictures of a run, as PNG files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib import font_manager
from matplotlib.axes import Axes

from dxai.data.marks import COLORS, Marks

Array = NDArray[np.floating]

INK, ACCENT, MUTED, BAND = "#1f2933", "#0b6e99", "#9aa5b1", "#b3d8e8"
_MOST_BARS = 40
_STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "font.size": 10,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e7eb",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


_KOREAN = (
    "Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "Nanum Gothic", "Malgun Gothic", "Apple SD Gothic Neo",
    "Noto Serif CJK KR", "Source Han Sans KR", "UnDotum",
)  # fmt: skip
"""Fonts with Hangul, of which the first one that is installed draws what the usual one cannot."""


@cache
def _fonts() -> tuple[str, ...]:
    there = set(font_manager.get_font_names())
    return ("DejaVu Sans", *[name for name in _KOREAN if name in there][:1])


@cache
def _letters() -> frozenset[int]:
    files = (font_manager.findfont(name) for name in _fonts())
    return frozenset().union(*(font_manager.get_font(file).get_charmap() for file in files))


def drawable(text: str, otherwise: str) -> str:
    """A text if the fonts of this machine have all its letters, else another one, such as an id."""
    return text if text.isascii() or all(ord(letter) in _letters() for letter in text) else otherwise


@contextmanager
def canvas(path: Path, width: float, height: float, columns: int = 1) -> Iterator[Sequence[Axes]]:
    """Axes side by side, written to ``path`` at the end; width and height in inches."""
    with plt.rc_context(_STYLE | {"font.family": list(_fonts())}):
        figure, axes = plt.subplots(1, columns, figsize=(width, height), squeeze=False)
        yield list(axes[0])
        # No version or date inside the file: the same run draws the same bytes.
        figure.savefig(path, metadata={"Software": None})
        plt.close(figure)


def predicted_true(path: Path, truth: Array, prediction: Array, *, label: str, unit: str) -> None:
    """Held-out predictions against truths, the diagonal is perfection."""
    with canvas(path, 5.2, 4.8) as (axes,):
        low, high = min(truth.min(), prediction.min()), max(truth.max(), prediction.max())
        axes.plot([low, high], [low, high], color=MUTED, linewidth=1, zorder=1)
        axes.scatter(truth, prediction, s=10, alpha=0.5, color=ACCENT, linewidths=0)
        axes.set(
            xlabel=f"true {label} [{unit}]",
            ylabel=f"predicted {label} [{unit}]",
            title="Predicted against true, held-out rows",
        )
        axes.set_aspect("equal")


def residuals(path: Path, truth: Array, prediction: Array, *, label: str, unit: str) -> None:
    """Residuals over the prediction and their histogram."""
    error = prediction - truth
    with canvas(path, 9, 3.8, columns=2) as (left, right):
        left.axhline(0, color=MUTED, linewidth=1)
        left.scatter(prediction, error, s=10, alpha=0.5, color=ACCENT, linewidths=0)
        left.set(xlabel=f"predicted {label} [{unit}]", ylabel=f"predicted − true [{unit}]", title="Residuals")
        right.hist(error, bins=40, color=ACCENT)
        right.axvline(error.mean(), color=INK, linewidth=1, linestyle="--", label=f"mean {error.mean():+.2f}")
        right.set(xlabel=f"predicted − true [{unit}]", ylabel="rows", title="How large, how often")
        right.legend()


def coverage_by_size(
    path: Path, truth: Array, prediction: Array, lower: Array, upper: Array, *, promised: float, unit: str
) -> None:
    """Coverage of the interval in fifths of the prediction: an average can hide a bad corner."""
    edges = np.quantile(prediction, np.linspace(0, 1, 6))
    part = np.clip(np.searchsorted(edges, prediction, side="right") - 1, 0, 4)
    inside = (lower <= truth) & (truth <= upper)
    shares = [inside[part == i].mean() for i in range(5)]
    digits = max(0, 1 - int(np.floor(np.log10(max(edges[-1] - edges[0], 1e-6)))))
    with canvas(path, 6.2, 3.8) as (axes,):
        axes.bar(range(5), shares, color=BAND, edgecolor=ACCENT)  # by place: two fifths may have one label
        axes.set_xticks(range(5), [f"{edges[i]:.{digits}f} to {edges[i + 1]:.{digits}f}" for i in range(5)])
        axes.axhline(promised, color=INK, linestyle="--", linewidth=1, label=f"promised {promised:.0%}")
        for i, share in enumerate(shares):
            axes.annotate(f"{share:.0%}", (i, share / 2), ha="center", va="center")
        axes.set(
            ylim=(0, 1.02),
            xlabel=f"prediction [{unit}]",
            ylabel="truths inside the interval",
            title="Coverage of the 80 % interval",
        )
        axes.legend(loc="lower left")


def coverage_over_time(path: Path, shares: Sequence[float], *, promised: float) -> None:
    """Coverage of the interval in parts of the tests' time, the earliest first."""
    with canvas(path, 6.2, 3.4) as (axes,):
        axes.bar(range(1, len(shares) + 1), shares, color=BAND, edgecolor=ACCENT)
        axes.axhline(promised, color=INK, linestyle="--", linewidth=1, label=f"promised {promised:.0%}")
        axes.set(ylim=(0, 1.02), xlabel="tenth of the held-out rows, by time", ylabel="truths inside the interval",
                 title="Coverage over time", xticks=range(1, len(shares) + 1))  # fmt: skip
        axes.legend(loc="lower left")


def importance(path: Path, rises: dict[str, list[float]], labels: dict[str, str], *, change: str) -> None:
    """Permutation importance, the most important column on top, of many only the first.

    ``change`` says what a shuffled column does.
    """
    order = sorted(rises, key=lambda name: float(np.mean(rises[name])))[-_MOST_BARS:]
    means = [float(np.mean(rises[name])) for name in order]
    spread = [float(np.std(rises[name])) for name in order]
    with canvas(path, 6.8, 0.6 + 0.4 * max(4, len(order))) as (axes,):
        axes.barh(range(len(order)), means, xerr=spread, color=ACCENT, ecolor=MUTED)
        axes.set_yticks(range(len(order)), [labels[name] for name in order])  # by place: two columns may share a title
        axes.set(xlabel=change, title="Permutation importance, held-out rows")


def contributions(path: Path, told: Sequence[tuple[str, Array, Array]], *, change: str) -> None:
    """One line of dots per column, the one that brings most on top; the colour tells its value.

    ``told``: title, contributions ``[rows]`` and values ``[rows]`` of each column.
    """
    scatter, draw = plt.get_cmap("cividis"), np.random.default_rng(0)
    with canvas(path, 6.8, 0.8 + 0.42 * max(4, len(told))) as (axes,):
        axes.axvline(0, color=MUTED, linewidth=1)
        for place, (_, brought, values) in enumerate(told):
            low, high = np.nanquantile(values, [0.05, 0.95]) if np.isfinite(values).any() else (0, 1)
            share = np.clip(np.nan_to_num((values - low) / (high - low if high > low else 1)), 0, 1)
            height = place + draw.uniform(-0.28, 0.28, len(brought))
            axes.scatter(brought, height, s=9, alpha=0.7, c=share, cmap=scatter, vmin=0, vmax=1, linewidths=0)
        axes.set_yticks(range(len(told)), [title for title, _, _ in told])
        axes.set(
            xlabel=f"{change} (dark: low value, bright: high value)", title="What the columns bring to single rows"
        )


@dataclass(frozen=True)
class Dependence:
    """Of one column: title, values ``[grid]`` or the texts of its categories, mean answers ``[grid, k]``."""

    title: str
    values: Array | Sequence[str]
    answers: Array


def dependence(
    path: Path, told: Sequence[Dependence], *, label: str, lines: Sequence[str],
    title: str = "Partial dependence, held-out rows",
) -> None:  # fmt: skip
    """Lines of partial dependence side by side, on one scale; ``lines`` name the k answers where there are several."""
    with canvas(path, 3.1 * max(2, len(told)), 3.3, columns=len(told)) as panels:
        low = min(float(each.answers.min()) for each in told)
        high = max(float(each.answers.max()) for each in told)
        room = 0.06 * (high - low) or 1.0
        for number, (axes, each) in enumerate(zip(panels, told, strict=True)):
            numbers = isinstance(each.values, np.ndarray)
            places = each.values if numbers else np.arange(len(each.values))
            for i in range(each.answers.shape[1]):
                style: dict[str, Any] = {"color": ACCENT} if each.answers.shape[1] == 1 else {}
                axes.plot(places, each.answers[:, i], marker="o", markersize=3,
                          linestyle="-" if numbers else "", **style)  # fmt: skip
            if not numbers:
                axes.set_xticks(places, each.values, rotation=30, ha="right")
            axes.set(xlabel=each.title, ylim=(low - room, high + room), ylabel="" if number else label)
            if number == 0 and len(lines) > 1:
                axes.legend(axes.lines, lines, fontsize=7)
        panels[0].set_title(title)


@dataclass(frozen=True)
class Fan:
    """One series: title, past ``[time]``, truth and mean ``[horizon]``, quantiles ``[horizon, level]``, flags."""

    title: str
    past: Array
    truth: Array
    quantiles: Array
    mean: Array
    marks: tuple[Marks, ...] = ()


def fans(path: Path, charts: Sequence[Fan], *, label: str) -> None:
    """Fan charts side by side; bars above a chart mark promotions and holidays."""
    with canvas(path, 12, 4.2, columns=len(charts)) as panels:
        for axes, fan in zip(panels, charts, strict=True):
            steps = np.arange(1, len(fan.truth) + 1)
            axes.plot(np.arange(1 - len(fan.past), 1), fan.past, color=MUTED, linewidth=1)
            for i in range(fan.quantiles.shape[1] // 2):
                band = (fan.quantiles[:, i], fan.quantiles[:, -1 - i])
                axes.fill_between(steps, *band, color=ACCENT, alpha=0.12 + 0.06 * i, linewidth=0)
            middle = fan.quantiles[:, fan.quantiles.shape[1] // 2]
            axes.plot(steps, middle, color=ACCENT, linewidth=1.6, label="median")
            axes.plot(steps, fan.mean, color=ACCENT, linewidth=1.4, linestyle=":", label="mean")
            axes.plot(steps, fan.truth, color=INK, marker="o", markersize=3, linewidth=1, label="truth")
            axes.set(xlabel="steps after the forecast", ylabel=label, ylim=(min(0, fan.truth.min()), None))
            _mark(axes, fan.marks)
            axes.set_title(fan.title, pad=6 + 8 * len(fan.marks))
        panels[0].legend(loc="upper left")


def _mark(axes: Axes, marks: Sequence[Marks]) -> None:
    """One row of bars per flag, above the axes."""
    for row, (each, color) in enumerate(zip(marks, COLORS, strict=False)):
        axes.broken_barh(
            [(first - 0.5, last - first + 1) for first, last in each.runs], (1.01 + 0.03 * row, 0.02), color=color,
            transform=axes.get_xaxis_transform(), clip_on=False, label=drawable(each.column.title_en, each.column.name),
        )  # fmt: skip


def error_by_horizon(path: Path, errors: dict[str, Array], *, label: str) -> None:
    """One line per forecaster over the horizon."""
    with canvas(path, 6.4, 3.8) as (axes,):
        for i, (name, values) in enumerate(errors.items()):
            style: dict[str, Any]
            style = (
                {"color": ACCENT, "linewidth": 2.2}
                if i == 0
                else {"linewidth": 1.2, "color": [INK, MUTED, "#c58b5a"][(i - 1) % 3]}
            )
            axes.plot(np.arange(1, len(values) + 1), values, marker="o", markersize=3, label=name, **style)
        axes.set(xlabel="steps ahead", ylabel=label, title="Error by horizon", ylim=(0, None))
        axes.legend()


def calibration(path: Path, levels: Sequence[float], shares: Sequence[float]) -> None:
    """Share of truths at or below each quantile; the diagonal is perfection."""
    with canvas(path, 4.8, 4.4) as (axes,):
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1)
        axes.plot(levels, shares, color=ACCENT, marker="o")
        axes.set(
            xlabel="quantile level",
            ylabel="truths at or below it",
            title="Calibration of the quantiles",
            xlim=(0, 1),
            ylim=(0, 1),
        )
        axes.set_aspect("equal")
