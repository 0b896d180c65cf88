"""How far a figure of few cases can be trusted: bounds of shares and of ratios, and what drift is mere chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dxai.bundle.profile import ColumnProfile, Counts
from dxai.metrics import average_precision

Array = NDArray[np.floating]

ALARMS = 0.01
"""Share of files that one kind of finding may flag although nothing is different."""

_Z = NormalDist().inv_cdf(0.95)


class Bounds(NamedTuple):
    """A figure, what it surely is not below and what it surely is not above, each with 95 % confidence."""

    value: float
    low: float
    high: float

    def root(self) -> Bounds:
        """Of the square root of the figure."""
        return Bounds(*map(math.sqrt, self))


class Drift(NamedTuple):
    """Population stability index of one column, and what chance alone gives in one of many files."""

    psi: float
    chance: float


def share_bounds(part: float, whole: float, *, alarms: float = 0.05) -> Bounds:
    """Bounds of a share of independent cases (Wilson 1927).

    >>> [round(bound, 2) for bound in share_bounds(61, 100)]
    [0.61, 0.53, 0.69]
    """
    if whole <= 0:
        return Bounds(0.0, 0.0, 1.0)
    z, share = NormalDist().inv_cdf(1 - alarms), part / whole
    middle = share + z * z / (2 * whole)
    reach = z * math.sqrt(share * (1 - share) / whole + (z / (2 * whole)) ** 2)
    return Bounds(share, (middle - reach) / (1 + z * z / whole), (middle + reach) / (1 + z * z / whole))


def ratio_bounds(part: Array, whole: Array) -> Bounds:
    """Bounds of Σ part / Σ whole over independent cases, on the logarithm (delta method; Casella and Berger 2002, 5.5).

    Args:
        part: A loss summed over each case ``[cases]``.
        whole: What it is held against, summed over each case ``[cases]``.
    """
    total, base, cases = float(part.sum()), float(whole.sum()), len(part)
    if cases < 2 or total <= 0 or base <= 0:
        nothing = math.nan if total <= 0 else math.inf
        return Bounds(total / base if base > 0 else nothing, 0.0, math.inf)
    influence = part / (total / cases) - whole / (base / cases)
    student = _Z + (_Z**3 + _Z) / (4 * (cases - 1))  # quantile of Student's t, to a hundredth from twenty cases on
    reach = math.exp(student * float(influence.std(ddof=1)) / math.sqrt(cases))
    return Bounds(total / base, total / base / reach, total / base * reach)


def pr_auc_bounds(
    truth: NDArray[np.integer], probability: Array, classes: Sequence[int], weight: Array, case: NDArray[np.integer]
) -> Bounds:
    """Bounds of the mean area under the precision-recall curves of some classes.

    The variance is that of the infinitesimal jackknife over cases (Efron 1982). The bounds are those of a share of as
    many cases as vary so much, but of no more than the classes have: few cases all found prove little.

    Args:
        truth: Class numbers ``[rows]``.
        probability: ``[rows, classes]``.
        classes: Those whose areas are averaged; each has rows.
        weight: By how much a row counts, above 0 ``[rows]``.
        case: Number of the independent case of a row, from 0 on ``[rows]``.
    """
    areas = [average_precision(truth == c, probability[:, c], weight) for c in classes]
    value = float(np.mean(areas))
    pulls = [_pull(truth == c, probability[:, c], weight, area) for c, area in zip(classes, areas, strict=True)]
    variance = float((np.bincount(case, np.mean(pulls, axis=0)) ** 2).sum())
    cases = len(np.unique(case[np.isin(truth, classes)]))
    alike = min(cases, value * (1 - value) / variance) if variance > 0 else cases
    return share_bounds(value * alike, alike)


def _pull(positive: NDArray[np.bool_], score: Array, weight: Array, area: float) -> Array:
    """By how much the area grows per share by which a row's weight grows ``[rows]``."""
    level = np.unique(-score, return_inverse=True)[1]
    hits, called = (np.bincount(level, w) for w in (weight * positive, weight))
    precision, reached = np.cumsum(hits) / np.cumsum(called), np.cumsum(called)
    # A row changes the precision at its own score and at every lower one, each of which counts by its hits.
    gain, loss = (np.cumsum((part / reached)[::-1])[::-1] for part in (hits, hits * precision))
    own = positive * (precision[level] - area + gain[level])
    return np.asarray(weight * (own - loss[level]) / hits.sum())


def drift(here: Counts, training: ColumnProfile, *, cases: float, training_cases: float, columns: int) -> Drift:
    """How differently a column is spread here, and how much of that chance alone would give.

    The index Σ(p − q)·ln(p / q) (Siddiqi 2006) of two samples of one spread follows (1/n + 1/m)·χ² with a degree of
    freedom less than bins (Yurdakul 2018): its mean is taken off, and its upper quantile is the chance level.

    Args:
        here: Values per bin or category.
        training: The profile with the same bins.
        cases: Independent cases here; of many rows that repeat one recipe only the recipes count.
        training_cases: Independent cases in training.
        columns: Columns that are looked at: each may raise only its part of the false alarms.
    """
    freedom, rows = len(training.shares) - 1, int(here.sum())
    if freedom < 1 or rows == 0:
        return Drift(0.0, math.inf)
    p = _smoothed(here / rows, cases)
    q = _smoothed(np.array(training.shares), training_cases)
    noise = 1 / cases + 1 / training_cases
    index = float(np.sum((p - q) * np.log(p / q)))
    reach = _chi_square_quantile(1 - ALARMS / columns, freedom)
    return Drift(max(0.0, index - noise * freedom), noise * (reach - freedom))


def _smoothed(shares: Array, cases: float) -> Array:
    """Half a case more in every bin: an empty bin is rare, not impossible (Jeffreys)."""
    return (shares * cases + 0.5) / (cases + 0.5 * len(shares))


def _chi_square_quantile(share: float, freedom: int) -> float:
    """Quantile of χ², to a few hundredths (Wilson and Hilferty 1931)."""
    spread = 2 / (9 * freedom)
    return freedom * (1 - spread + NormalDist().inv_cdf(share) * math.sqrt(spread)) ** 3
