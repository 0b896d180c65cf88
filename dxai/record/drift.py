"""Drift in words, and the interval over time as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dxai.contract.signature import COVERAGE
from dxai.data.splits import times_of
from dxai.learn.drift import drift_of
from dxai.learn.rows import RowTask
from dxai.metrics import lead
from dxai.record import figures
from dxai.record.report import Figure


def drift_note(task: RowTask[Any], scores: dict[str, Any]) -> tuple[str, ...]:
    """A warning where later rows look unlike earlier ones, with the straight line's score beside the model's."""
    drift = drift_of(task)
    if drift is None or not drift.is_large:
        return ()
    titles = {c.name: c.title_en for c in task.contract.columns}
    named = ", ".join(f"{titles[name]} ({area:.2f})" for name, area in drift.columns)
    moved = task.moved_as.format(drift.shift)
    metric, line = lead(task.contract.family), next(n for n in scores["yardstick"] if n in ("linear", "logistic"))
    beside = f"{scores['model'][metric.name]:#.3g} beside {scores['yardstick'][line][metric.name]:#.3g} of {line}"
    return (
        f"Drift: the rows of the last test look unlike those before it. A classifier tells them apart with an area of "
        f"{drift.auc:.2f} under the ROC curve (0.5: they are alike; by themselves: {named}), and {moved}. Trees do not "
        f"go beyond what they have seen, a straight line does: {metric.en} {beside}. Watch newer rows, and train anew.",
    )


def coverage_over_time(task: RowTask[Any], rows: pl.DataFrame, folder: Path) -> tuple[Figure, ...]:
    """The share of truths inside the interval in tenths of the tests' time."""
    if task.split.kind != "ordered":
        return ()
    order = np.argsort(times_of(task.table, task.contract)[rows["row"].to_numpy()], kind="stable")
    inside = ((rows["lower"] <= rows["truth"]) & (rows["truth"] <= rows["upper"])).to_numpy()[order]
    shares = [float(part.mean()) for part in np.array_split(inside, 10)]
    figures.coverage_over_time(folder / "coverage_over_time.png", shares, promised=COVERAGE)
    return (
        Figure(
            "coverage_over_time.png",
            "Coverage over time",
            "Tenths of the held-out rows, the latest on the right. Bars that fall say that the interval grows too "
            "narrow for newer rows.",
        ),
    )
