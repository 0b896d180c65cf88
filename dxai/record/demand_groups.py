"""Where a demand model errs: scores by store, product or product group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai import metrics
from dxai.data.windows import named
from dxai.learn.demand import MEDIAN, DemandTask
from dxai.record.report import Table

_SCORES, _MOST = ("wql", "wape", "bias"), 6
"""Scores of a group, and groups with a row of their own."""

_Fold = Mapping[str, NDArray[np.floating]]


def error_by_group(task: DemandTask, held_out: pl.DataFrame) -> tuple[Table, ...]:
    """One table for each series column, where there are several, and for each static category: the worst groups first.

    A column with one value, or with another one in each series, has no table; a group without demand has no row.
    """
    folds = [task.arrays(held_out, fold) for fold in task.folds if fold.is_test]
    tables = (_table(title, values, folds) for title, values in _columns(task))
    return tuple(table for table in tables if table)


def _columns(task: DemandTask) -> list[tuple[str, NDArray[np.object_]]]:
    """Titles and the text of each series ``[series]``."""
    contract, panel = task.contract, task.panel
    parts = named(pl.Series(panel.ids, dtype=pl.String), contract) if len(contract.series) > 1 else []
    found = [(c.title_en, part.to_numpy()) for c, part in zip(contract.series, parts, strict=False)]
    for column in (c for c in contract.covariates if (c.role, c.kind) == ("static", "category")):
        texts = np.array([*column.categories, "none of them"], dtype=object)
        found.append((column.title_en, texts[panel.beside[column.name]]))
    return found


def _table(title: str, values: NDArray[np.object_], folds: Sequence[_Fold]) -> Table | None:
    texts, group = np.unique(values.astype(str), return_inverse=True)
    if not 1 < len(texts) < len(values):
        return None
    parts = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    scored = [(text, part, _scores(part, folds)) for text, part in zip(texts.tolist(), parts, strict=True)]
    rows = sorted((row for row in scored if row[2]), key=lambda row: -row[2]["wql"])
    if len(rows) > _MOST + 1:
        rest = np.concatenate([part for _, part, _ in rows[_MOST:]])
        rows = [*rows[:_MOST], (f"{len(rows) - _MOST} others", rest, _scores(rest, folds))]
    made = Table.of_scores(title, _SCORES, {text: scores for text, _, scores in rows}, "1")
    counts = (f"{len(part):,}" for _, part, _ in rows)
    return Table((*made.head, "series"), tuple((*row, count) for row, count in zip(made.rows, counts, strict=True)))


def _scores(series: NDArray[np.integer], folds: Sequence[_Fold]) -> dict[str, float]:
    """Of some series, means over the origins at which they have demand; empty where there is none."""
    parts = [{name: fold[name][series] for name in ("truth", "quantiles")} for fold in folds]
    sold = [part for part in parts if np.nansum(np.abs(part["truth"])) > 0]
    scores = [metrics.score(_SCORES, **part, prediction=part["quantiles"][..., MEDIAN]) for part in sold]
    return metrics.mean_scores(scores) if scores else {}
