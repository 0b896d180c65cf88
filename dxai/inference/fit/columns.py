"""One column here against its training profile, counted block by block."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import polars as pl

from dxai.bundle.profile import ColumnProfile
from dxai.contract import Column
from dxai.data.checks import Problem
from dxai.inference.fit.record import ColumnFit
from dxai.inference.fit.statistics import drift

_TEXTS, _TOLD = 1_000, 5
"""Different texts that no category is, which are counted, and of which the commonest are told."""


class ColumnTally:
    """Counts the values of one column into the bins of its profile."""

    def __init__(self, column: Column, profile: ColumnProfile) -> None:
        self.column, self.profile = column, profile
        self._counts = profile.counts(pl.Series([], dtype=pl.Float64 if column.kind == "number" else pl.String))
        self._rows = self._below = self._above = 0
        self._smallest, self._largest = math.inf, -math.inf
        self._unseen = Counter[str]()

    def add(self, values: pl.Series) -> None:
        """Count one more block; null is missing."""
        self._rows += len(values)
        self._counts = self._counts + self.profile.counts(values)
        if self.column.kind == "category":
            strange = values.filter(~values.is_in(self.column.categories)).drop_nulls()
            self._above += len(strange)
            self._unseen.update(dict(strange.value_counts().iter_rows()) if len(self._unseen) < _TEXTS else {})
            return
        if len(known := values.drop_nulls().to_numpy()):
            self._smallest, self._largest = min(self._smallest, known.min()), max(self._largest, known.max())
        if self.profile.minimum is not None and self.profile.maximum is not None:
            self._below += int((values < self.profile.minimum).sum())
            self._above += int((values > self.profile.maximum).sum())

    def fit(self, *, cases: int, training_cases: int, columns: int) -> ColumnFit:
        """What was counted; arguments as `statistics.drift`, missing values among the cases."""
        known = int(self._counts.sum())
        share = known / max(self._rows, 1)
        found = drift(
            self._counts, self.profile, columns=columns,
            cases=cases * share, training_cases=training_cases * (1 - self.profile.missing),
        )  # fmt: skip
        return ColumnFit(
            self.column, self.profile, shares=tuple((self._counts / max(known, 1)).tolist()), missing=1 - share,
            below=self._below / max(known, 1), above=self._above / max(known, 1),
            smallest=self._smallest, largest=self._largest, drift=found,
            unseen=tuple(self._unseen.most_common(_TOLD)),
        )  # fmt: skip


def tallies(columns: tuple[Column, ...], profiles: Mapping[str, ColumnProfile]) -> list[ColumnTally]:
    """One tally for each of the columns that was profiled."""
    return [ColumnTally(c, profiles[c.name]) for c in columns if c.name in profiles]


def fitted(tallied: list[ColumnTally], cases: int, training_cases: int) -> tuple[ColumnFit, ...]:
    """What was counted in all columns."""
    judged = sum(t.column.role == "feature" for t in tallied)
    return tuple(t.fit(cases=cases, training_cases=training_cases, columns=max(judged, 1)) for t in tallied)


def chance_outside(columns: tuple[ColumnFit, ...], training_cases: int) -> float:
    """Share of new cases that chance alone puts beyond the smallest or the largest of the old ones in some number."""
    ends = 2 * sum(c.enters and c.column.kind == "number" for c in columns)
    return min(1.0, ends / (training_cases + 1))


def any_broken(problems: Iterable[Problem], rows: int) -> pl.Series:
    """Which rows of a block have any of its problems."""
    return pl.select(pl.any_horizontal(pl.repeat(False, rows), *(p.broken for p in problems))).to_series()
