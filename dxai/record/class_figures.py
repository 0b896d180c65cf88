"""Pictures of predicted classes, as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray

from dxai.metrics import average_precision, precision_recall
from dxai.record.figures import ACCENT, INK, MUTED, canvas

Array = NDArray[np.floating]
Marks = NDArray[np.bool_]

_BINS = 10


def confusion(path: Path, counts: NDArray[np.int64], labels: Sequence[str]) -> None:
    """Rows by true and predicted class; the shade is the share of the true class."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size, places = max(4.4, 1.6 + 0.62 * len(labels)), range(len(labels))
    with canvas(path, size + 0.6, size) as (axes,):
        axes.imshow(shares, cmap=LinearSegmentedColormap.from_list("shades", ["#ffffff", ACCENT]), vmin=0, vmax=1)
        for true in places:
            for predicted in places:
                color = "#ffffff" if shares[true, predicted] > 0.55 else INK
                axes.annotate(f"{counts[true, predicted]:,}", (predicted, true), ha="center", va="center", color=color)
        axes.set_xticks(
            places, labels, rotation=30 if len(labels) > 2 else 0, ha="right" if len(labels) > 2 else "center"
        )
        axes.set_yticks(places, labels)
        axes.grid(visible=False)
        axes.set(xlabel="predicted class", ylabel="true class", title="Confusion matrix, held-out rows")


def precision_recall_curves(path: Path, curves: dict[str, tuple[Marks, Array]]) -> None:
    """One curve per class, from its rows and their probabilities; the dashed line is a guess of a single class."""
    colors = [ACCENT] if len(curves) == 1 else [colormaps["tab10"](i % 10) for i in range(len(curves))]
    with canvas(path, 6.4, 4.6) as (axes,):
        for color, (name, (positive, probability)) in zip(colors, curves.items(), strict=True):
            precision, recall = precision_recall(positive, probability)
            told = f"{name}: {average_precision(positive, probability):.2f}"
            axes.step(recall, precision, where="pre", color=color, linewidth=1.6, label=told)
            if len(curves) == 1:
                share = positive.mean()
                axes.axhline(share, color=MUTED, linestyle="--", linewidth=1, label=f"guessing: {share:.2f}")
        axes.set(
            xlabel="recall: share of the class that is found",
            ylabel="precision: share of the found that is right",
            title="Precision and recall, held-out rows",
            xlim=(0, 1.01),
            ylim=(0, 1.01),
        )
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="area")


def reliability(path: Path, positive: Marks, probability: Array) -> None:
    """Share of rows that are of the class by predicted probability; on the diagonal probabilities are honest."""
    place = np.minimum((probability * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(place, minlength=_BINS)
    known = counts > 0
    told = np.bincount(place, weights=probability, minlength=_BINS)[known] / counts[known]
    found = np.bincount(place, weights=positive, minlength=_BINS)[known] / counts[known]
    with canvas(path, 9, 4, columns=2) as (left, right):
        left.plot([0, 1], [0, 1], color=MUTED, linewidth=1)
        left.plot(told, found, color=ACCENT, marker="o")
        left.set(
            xlabel="predicted probability",
            ylabel="share of rows of the class",
            title="Reliability",
            xlim=(0, 1),
            ylim=(0, 1),
        )
        right.bar((np.arange(_BINS) + 0.5) / _BINS, counts, width=0.9 / _BINS, color=ACCENT)
        right.set(xlabel="predicted probability", ylabel="rows", title="How often", yscale="log", xlim=(0, 1))
