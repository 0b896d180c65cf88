"""Columns that give the target away: known only after it, or another name for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from dxai.contract.terms import Text
from dxai.intake.describe.profile import Floats
from dxai.intake.describe.record import ColumnDescription, Suspicion
from dxai.intake.describe.relations import Sample, correlations, rank_correlation
from dxai.intake.describe.words import suspect

STRONG = 0.999
"""Correlation with the target that no honest measurement has."""

_CLASSES = 20
_VALUES = 50
_FEW = 10
"""Rows of one value, at least, before it is said to imply anything."""

_EMPTY = Text(en="empty", ko="비어 있음")
_FILLED = Text(en="filled", ko="채워져 있음")
_CHANCE = 1e-9
"""How improbable it must be that so many rows agree by chance."""


def leaks(sample: Sample, together: Sequence[Sequence[str]], classes: Sequence[Sequence[str]]) -> list[Suspicion]:
    """Suspicions about the named target, if any.

    ``together`` are the columns equal to each other, ``classes`` the one-hot groups.
    """
    target = next((column for column in sample.columns if column.name == sample.target), None)
    if target is None:
        return []
    equal = _partners(target.name, together)
    same_hot = _partners(target.name, classes)
    found = [suspect("leak", equal, "leak equal")] if equal else []
    found += [suspect("leak", same_hot, "leak one-hot")] if same_hot else []
    others = [column for column in sample.columns if column.name not in {target.name, *equal, *same_hot}]
    if target.distinct is not None and target.distinct <= _CLASSES and target.type != "number":
        return found + _class_leaks(sample, target, others)
    return found + (_number_leaks(sample, target, others) if target.name in sample.numbers else [])


def _partners(name: str, groups: Sequence[Sequence[str]]) -> list[str]:
    return [other for group in groups if name in group for other in group if other != name]


def _number_leaks(sample: Sample, target: ColumnDescription, others: list[ColumnDescription]) -> list[Suspicion]:
    truth, found = sample.values(target.name), []
    for name in (column.name for column in others if column.name in sample.numbers):
        values = sample.values(name)
        r = float(correlations(np.column_stack([truth, values]))[0, 1])
        rho = rank_correlation(truth, values)
        if abs(r) > STRONG and abs(rho) > 0.99:
            found.append(suspect("leak", [name], "leak correlated", r=f"{r:.5f}"))
        elif abs(rho) > STRONG:
            found.append(suspect("leak", [name], "leak monotone", r=f"{rho:.5f}"))
    return found


def _class_leaks(sample: Sample, target: ColumnDescription, others: list[ColumnDescription]) -> list[Suspicion]:
    truth = sample.texts[target.name].alias("truth")
    shares = {row[0]: row[1] / len(truth) for row in truth.drop_nulls().value_counts(name="count").iter_rows()}
    found = []
    for column in others:
        if column.distinct is not None and column.distinct <= _VALUES:
            found += _pure_values(sample.texts[column.name], truth, shares)
            continue
        if column.gaps:
            found += _pure_values(sample.texts[column.name].is_not_null(), truth, shares)
        if column.name in sample.numbers:
            found += _apart(sample.values(column.name), column.name, truth)
    return found


def _pure_values(values: pl.Series, truth: pl.Series, shares: dict[str, float]) -> list[Suspicion]:
    """Values with which one class, the rarer half of the target, always comes."""
    name = values.name
    table = pl.DataFrame({"value": values, "truth": truth}).drop_nulls("truth")
    table = table.group_by("value").agg(
        classes=pl.col("truth").n_unique(), truth=pl.col("truth").first(), count=pl.len()
    ).sort("count", descending=True)  # fmt: skip
    if len(table) > 1 and table["truth"].n_unique() > 1 and (table["classes"] == 1).all() and table["count"][1] >= _FEW:
        return [suspect("leak", [name], "leak determines")]
    found = []
    for value, classes, answer, count in table.iter_rows():
        if classes == 1 and count >= _FEW and shares[answer] <= 0.5 and shares[answer] ** count < _CHANCE:
            cause = {None: _EMPTY, False: _EMPTY, True: _FILLED}.get(value, value)
            found.append(suspect("leak", [name], "leak implies", cause=cause, value=answer, count=f"{count:,}"))
    return found


def _apart(values: Floats, name: str, truth: pl.Series) -> list[Suspicion]:
    """Numbers whose range for one class does not meet that of the others."""
    table = pl.DataFrame({"value": values, "truth": truth}).filter(pl.col("value").is_finite()).drop_nulls()
    ends = table.group_by("truth").agg(count=pl.len(), low=pl.col("value").min(), high=pl.col("value").max())
    ranges: list[tuple[str, int, float, float]] = sorted(ends.iter_rows(), key=lambda row: (row[1], row[0]))
    if len(ranges) < 2 or ranges[0][1] < _FEW:
        return []
    for answer, _, low, high in ranges:
        rest = [row for row in ranges if row[0] != answer]
        if high < min(row[2] for row in rest) or low > max(row[3] for row in rest):
            return [suspect("leak", [name], "leak separates", value=answer)]
    return []
