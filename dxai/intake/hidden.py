"""What a random split would have hidden: the error of one simple model under it and under an honest one.

The model is kernel ridge regression. The nearest neighbour alone does not show the leak: of concrete it answers with
the same recipe at another age, and looks worse under a random split than under a grouped one (6.3 and 5.1 MPa).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

_ROWS, _FEWEST, _FOLDS, _WINDOWS = 2_000, 50, 5, 10
_RIDGE = 0.01


@dataclass(frozen=True)
class Hidden:
    """Two errors of one simple model: mean absolute ones of a number, shares of wrong answers of classes.

    Attributes:
        random, honest: Under a random split, and under the grouped or ordered one.
        siblings: Share of the random split's test rows with a row of the same group, or the row before or after, in
            training.
    """

    random: float
    honest: float
    siblings: float

    @property
    def times(self) -> float:
        """How many times better the random split looks."""
        return self.honest / self.random if self.random else np.inf


def hidden(features: Floats, target: Floats | Whole, groups: Whole | None = None) -> Hidden | None:
    """Score the model on at most 2,000 rows; None where there is too little to tell.

    Args:
        features: Numbers ``[row, feature]``, NaN where unknown; in the order of time where there are no groups.
        target: A number per row, or that of its class (whole), none unknown.
        groups: Number of each row's group, which an honest split keeps on one side.
    """
    rng = np.random.default_rng(0)
    kept = _some_rows(len(target), groups, rng)
    groups = None if groups is None else np.unique(groups[kept], return_inverse=True)[1]
    if len(kept) < _FEWEST or not features.shape[1] or (groups is not None and groups.max() < 2 * _FOLDS):
        return None
    random = rng.permutation(len(kept)) % _FOLDS
    if groups is None:
        honest, siblings = np.arange(len(kept)) * _FOLDS // len(kept), _neighbour_elsewhere(random)
    else:
        honest, siblings = (rng.permutation(groups.max() + 1) % _FOLDS)[groups], _group_elsewhere(random, groups)
    kernel = _kernel(_standardised(features[kept]))
    return Hidden(
        random=_error(kernel, target[kept], random, ordered=False),
        honest=_error(kernel, target[kept], honest, ordered=groups is None),
        siblings=float(siblings.mean()),
    )


def _some_rows(rows: int, groups: Whole | None, rng: np.random.Generator) -> Whole:
    """Whole groups, or stretches of rows that follow each other: single rows would have lost their siblings."""
    if rows <= _ROWS:
        return np.arange(rows)
    if groups is None:
        length = _ROWS // _WINDOWS
        starts = np.linspace(0, rows - length, _WINDOWS).astype(np.int64)
        return np.unique(starts[:, None] + np.arange(length))
    rank = rng.permutation(groups.max() + 1)[groups]
    return np.sort(np.argsort(rank, kind="stable")[:_ROWS])


def _standardised(features: Floats) -> Floats:
    """Mean 0 and deviation 1; a gap counts as the mean."""
    known = np.isfinite(features)
    count = np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, features - np.where(known, features, 0).sum(axis=0) / count, 0)
    spread = np.sqrt((centred**2).sum(axis=0) / count)
    return np.asarray(centred / np.where(spread > 0, spread, 1))


def _kernel(features: Floats) -> Floats:
    """Laplace kernel of all pairs ``[row, row]``, as wide as rows are apart at the median."""
    squares = (features**2).sum(axis=1)
    distance = np.sqrt(np.maximum(squares[:, None] + squares - 2 * features @ features.T, 0))
    return np.asarray(np.exp(-distance / (np.median(distance) or 1)))


def _error(kernel: Floats, target: Floats | Whole, folds: Whole, *, ordered: bool) -> float:
    """Mean error over the tests; an ordered one learns from earlier folds only, so that the first is none."""
    of_classes = np.issubdtype(target.dtype, np.integer)
    truth = np.eye(int(target.max()) + 1)[target] if of_classes else target[:, None].astype(np.float64)
    found = list[Floats]()
    for fold in range(int(ordered), _FOLDS):
        test, train = folds == fold, folds < fold if ordered else folds != fold
        mean = truth[train].mean(axis=0)
        ridge = kernel[np.ix_(train, train)] + _RIDGE * np.eye(int(train.sum()))
        told = kernel[np.ix_(test, train)] @ np.linalg.solve(ridge, truth[train] - mean) + mean
        wrong = told.argmax(axis=1) != target[test] if of_classes else np.abs(told - truth[test])
        found.append(np.asarray(wrong, dtype=np.float64).ravel())
    return float(np.concatenate(found).mean())


def _neighbour_elsewhere(fold: Whole) -> NDArray[np.bool_]:
    changes = fold[1:] != fold[:-1]
    return np.asarray(np.append(changes, False) | np.append(False, changes))


def _group_elsewhere(fold: Whole, groups: Whole) -> NDArray[np.bool_]:
    low, high = np.full(groups.max() + 1, _FOLDS), np.full(groups.max() + 1, -1)
    np.minimum.at(low, groups, fold)
    np.maximum.at(high, groups, fold)
    return np.asarray((low != high)[groups])
