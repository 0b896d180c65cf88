"""Why a quality model answers as it does: what shuffling a column costs, how answers follow it, what it brings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from dxai.learn.rows import RowTask
from dxai.record import figures
from dxai.record.findings import Findings
from dxai.record.report import Figure

_DRAWN, _LISTED = 4, 12


def explain(made: Findings[Any], *, change: str, answer: str, lines: tuple[str, ...], score: str) -> tuple[Figure, ...]:
    """Draw the pictures.

    Args:
        made: Of a quality task.
        change: What a shuffled column does.
        answer: What the model answers, with its unit.
        lines: Names of several answers.
        score: What contributions add to, with its unit.
    """
    return tuple(_drawn(made, change, answer, lines, score))


def _drawn(made: Findings[Any], change: str, answer: str, lines: tuple[str, ...], score: str) -> Iterator[Figure]:
    task: RowTask[Any] = made.task
    titles = {c.name: figures.drawable(c.title_en, c.name) for c in task.contract.columns}
    predictors = {fold.label: task.restored(made.run.state(fold.label)) for fold in task.honest}
    rises = task.importance(predictors, task.evaluation.permutations)
    figures.importance(made.figures / "importance.png", rises, titles, change=change)
    yield Figure(
        "importance.png",
        "Permutation importance",
        "How much worse held-out predictions become when one column is shuffled; "
        "the grey line is the spread over folds and shuffles.",
    )
    first = sorted(rises, key=lambda name: -float(np.mean(rises[name])))[:_DRAWN]
    _draw_dependence(task, task.dependence(predictors, first), titles, made.figures, answer, lines)
    yield Figure(
        "dependence.png",
        "Partial dependence",
        "The mean answer when all held-out rows get the same value in one column, for the columns that matter most. "
        "Where two columns move together, rows arise that never occur.",
    )
    if _draw_contributions(task, made.released, titles, made.figures, score):
        yield Figure(
            "contributions.png",
            "Contributions",
            "Every dot is a training row: how far the column moves the boosted trees' answer for it "
            "(exact Shapley values, weighted over the members). Columns that move most stand on top.",
        )


def _draw_dependence(
    task: RowTask[Any], found: dict[str, Any], titles: dict[str, str], folder: Path, answer: str, lines: tuple[str, ...]
) -> None:
    units = {c.name: c.unit for c in task.contract.columns}
    texts = {c.name: (*c.categories, "never seen") for c in task.contract.categories}
    told = []
    for name, (values, answers) in found.items():
        unit = f" [{units[name]}]" if units[name] not in ("1", "") and name not in texts else ""
        shown = [figures.drawable(texts[name][int(v)], str(int(v))) for v in values] if name in texts else values
        told.append(figures.Dependence(titles[name] + unit, shown, answers))
    figures.dependence(folder / "dependence.png", told, label=answer, lines=lines)


def _draw_contributions(task: RowTask[Any], released: Any, titles: dict[str, str], folder: Path, score: str) -> bool:
    """Whether there is something to draw: of several classes, and of networks, there is not."""
    brought = getattr(released.network, "contributions", torch.zeros(0, 0, 0))
    if brought.ndim != 3 or brought.shape[2] != 1:
        return False
    scale = getattr(released, "scale", None)
    amount = brought[:, :, 0].numpy() * (float(scale.spread) if scale is not None else 1.0)
    names = [c.name for c in (*task.contract.numbers, *task.contract.categories)]
    order = np.argsort(np.abs(amount).mean(axis=0))[-_LISTED:]
    rows = task.table[released.network.explained.numpy()]
    told = [(titles[names[i]], amount[:, i], _values(rows[names[i]])) for i in order]
    figures.contributions(folder / "contributions.png", told, change=score)
    return True


def _values(column: pl.Series) -> Any:
    """Numbers as they are, categories by their numbers."""
    return (column if column.dtype.is_numeric() else column.rank("dense")).cast(pl.Float64).to_numpy()
