"""What a demand model's forecasts are worth as sums: scores by level of the contract's hierarchy.

Sums of the series' mean forecasts stand beside forecasts of the levels by themselves (experts on the summed histories)
and beside both reconciled (MinT). What reconciles is learnt from the errors of earlier origins; whether it would be
chosen is told by the origins between them and the last, whose scores are reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dxai import metrics
from dxai.data.hierarchy import SERIES, Array, Covariance, Hierarchy, reconciled
from dxai.data.levels import Bounds, coverages, covering_correlations

BOTTOM_UP, RECONCILED, ALONE = "bottom_up", "mint_shrink", "experts"
"""Ways to forecast a level, as metrics.json names them."""
GAIN = 0.01
"""Share of the error that reconciling must save to be chosen: a few origins are a small sample."""
_SCORES = ("wape", "bias")


@dataclass(frozen=True)
class Origin:
    """Forecasts of a held-out horizon.

    Attributes:
        truth: ``[series, step]``, NaN where unknown.
        made: Of the series.
        upper: Means of the upper nodes, each forecast by itself ``[upper node, step]``.
    """

    truth: NDArray[np.floating]
    made: Bounds
    upper: NDArray[np.floating]

    def errors(self, hierarchy: Hierarchy) -> Array:
        """Of all nodes, upper ones first ``[node, step]``."""
        return np.concatenate([hierarchy.sums(self.truth) - self.upper, self.truth - self.made.mean])


def level_scores(hierarchy: Hierarchy, origins: Sequence[Origin], minimum: float | None) -> dict[str, Any]:
    """Under ``levels`` what is known of each, under ``reconciliation`` the errors by which it is chosen.

    Args:
        hierarchy: Of the series.
        origins: The earliest first; two or more to reconcile, three or more to choose.
        minimum: Least value of the target.
    """
    *earlier, last = origins
    truths, made = [origin.truth for origin in origins], [origin.made for origin in origins]
    correlation = covering_correlations(hierarchy, truths, made)
    told: dict[str, Any] = {
        level.name: {"nodes": len(level), "correlation": correlation[level.name]} for level in hierarchy.levels
    }
    told[SERIES] = {"nodes": len(last.truth)}
    ways = {BOTTOM_UP: _by_level(hierarchy, last, last.made.mean)}
    if earlier:
        ways[RECONCILED] = _by_level(hierarchy, last, _mint(hierarchy, earlier, last, minimum))
        before = covering_correlations(hierarchy, truths[:-1], made[:-1])
        for name, share in coverages(hierarchy, last.truth, last.made, before).items():
            told[name]["coverage"] = share
    alone, sums = hierarchy.split(np.asarray(last.upper, np.float64)), hierarchy.split(hierarchy.sums(last.truth))
    ways[ALONE] = {name: metrics.score(_SCORES, truth=sums[name], prediction=alone[name]) for name in sums}
    for way, scores in ways.items():
        for name, score in scores.items():
            told[name][way] = score
    return {"levels": told, "reconciliation": _validated(hierarchy, earlier, minimum)}


def _validated(hierarchy: Hierarchy, origins: Sequence[Origin], minimum: float | None) -> dict[str, float]:
    """Mean WAPE over the upper levels and the origins that have one before them, of sums and reconciled."""
    found: dict[str, list[float]] = {BOTTOM_UP: [], RECONCILED: []}
    for number, origin in enumerate(origins[1:], 1):
        bottoms = {BOTTOM_UP: origin.made.mean, RECONCILED: _mint(hierarchy, origins[:number], origin, minimum)}
        for way, bottom in bottoms.items():
            scores = _by_level(hierarchy, origin, bottom)
            found[way] += [score["wape"] for name, score in scores.items() if name != SERIES]
    return {way: float(np.mean(wapes)) for way, wapes in found.items() if wapes}


def _mint(hierarchy: Hierarchy, earlier: Sequence[Origin], origin: Origin, minimum: float | None) -> Array:
    """The series' means at an origin, reconciled by the errors of earlier ones."""
    errors = np.concatenate([each.errors(hierarchy) for each in earlier], axis=1)
    forecasts = np.concatenate([origin.upper, origin.made.mean])
    made = reconciled(hierarchy, forecasts, Covariance.shrunk(errors))
    return made if minimum is None else np.maximum(made, minimum)


def _by_level(hierarchy: Hierarchy, origin: Origin, bottom: NDArray[np.floating]) -> dict[str, dict[str, float]]:
    """Scores of the sums over the series whose truth is known at a step, and of the series."""
    made = np.where(np.isfinite(origin.truth), bottom, np.nan)
    truths, sums = (hierarchy.split(hierarchy.sums(part)) for part in (origin.truth, made))
    pairs = {name: (truths[name], sums[name]) for name in truths} | {SERIES: (origin.truth, made)}
    return {name: metrics.score(_SCORES, truth=truth, prediction=mean) for name, (truth, mean) in pairs.items()}
