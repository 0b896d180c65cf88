"""Bootstrap of a held-out score: how far it would move on another sample of groups, rows or series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dxai.learn.fold_answers import Cases, FoldAnswers
from dxai.metrics import Array, Metric

DRAWS = 1000
"""Samples drawn for an interval."""
LEVEL = 0.9
"""Share of the samples that lie inside an interval."""


def score(folds: Sequence[FoldAnswers], metric: Metric) -> float:
    """Mean over the folds, as reports show it."""
    return float(np.mean([fold.score(metric) for fold in folds]))


def score_draws(folds: Sequence[FoldAnswers], metric: Metric) -> Array:
    """The score on `DRAWS` samples ``[draws]``; runs with the same clusters get the same samples, so they are paired.

    Source: cluster bootstrap (Davison and Hinkley 1997, section 3.8), clusters drawn within their fold.
    """
    return np.array([
        np.mean([fold.score(metric, cases) for fold, cases in zip(folds, drawn, strict=True)])
        for drawn in _samples([fold.clusters for fold in folds])
    ])  # fmt: skip


def interval(draws: Array) -> tuple[float, float]:
    """The middle `LEVEL` of the draws, by percentiles."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _samples(clusters: Sequence[Cases]) -> Iterator[list[Cases]]:
    """Case numbers of every fold, draw by draw; a cluster counts as often as it was drawn, in each of its folds."""
    random, size = np.random.default_rng(0), 1 + max(int(numbers.max()) for numbers in clusters)
    strata = list(_strata(clusters))
    for _ in range(DRAWS):
        times = sum(np.bincount(random.choice(known, len(known)), minlength=size) for known in strata)
        yield [np.repeat(np.arange(len(numbers)), np.asarray(times)[numbers]) for numbers in clusters]


def _strata(clusters: Sequence[Cases]) -> Iterator[Cases]:
    """The clusters that each fold is the first to hold: no fold is ever without a case, and each keeps its size."""
    seen = np.array([], np.int64)
    for numbers in clusters:
        new = np.setdiff1d(numbers, seen)
        seen = np.union1d(seen, new)
        if len(new):
            yield new
