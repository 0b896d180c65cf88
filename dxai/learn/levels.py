"""What a demand model's forecasts are worth as sums: scores by level of the contract's hierarchy.

Three ways to forecast a level: the series' mean forecasts added up; these reconciled with experts' forecasts of the
summed histories (MinT), each trusted by the width of its interval; and the same by the shrunk covariance of the errors
of earlier origins. The origins before the last choose, the scores are those of the last. The third way is told and not
chosen: what it learns of these series is not known of those that a firm brings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dxai import metrics
from dxai.data.hierarchy import SERIES, Array, Covariance, Hierarchy, reconciled
from dxai.data.levels import MINT, Bounds, agreed, coverages, covering_correlations

BOTTOM_UP, SHRUNK, ALONE = "bottom_up", "mint_shrink", "experts"
"""Ways beside `MINT` to forecast a level, as metrics.json names them."""
_GAIN = 0.01
"""Share of the error that reconciling must save to be chosen: a few origins are a small sample."""
_SCORES = ("wape", "bias")

Scores = dict[str, dict[str, float]]
"""By level."""


@dataclass(frozen=True)
class Origin:
    """Forecasts of a held-out horizon.

    Attributes:
        truth: ``[series, step]``, NaN where unknown.
        made: Of the series.
        upper: Of the upper nodes, each by itself.
    """

    truth: NDArray[np.floating]
    made: Bounds
    upper: Bounds


def level_scores(hierarchy: Hierarchy, origins: Sequence[Origin], minimum: float | None) -> dict[str, Any]:
    """Under ``levels`` what is known of each, under ``reconciliation`` the errors by which a way was chosen.

    Args:
        hierarchy: Of the series.
        origins: The earliest first; two or more to choose.
        minimum: Least value of the target.
    """
    chosen_by = _validated(hierarchy, origins[:-1], minimum)
    chosen = _is_better(chosen_by)
    last, ways = origins[-1], _ways(hierarchy, origins, minimum)
    scores = {way: _by_level(hierarchy, last.truth, made.mean) for way, made in ways.items()}
    scores[ALONE] = _compared(hierarchy.split(hierarchy.sums(last.truth)), hierarchy.split(np.asarray(last.upper.mean)))
    truths = [origin.truth for origin in origins]
    released = [_ways(hierarchy, [origin], minimum)[MINT if chosen else BOTTOM_UP] for origin in origins]
    correlation = covering_correlations(hierarchy, truths, released)
    told: dict[str, dict[str, Any]] = {level.name: {"nodes": len(level)} for level in hierarchy.levels}
    told[SERIES] = {"nodes": len(last.truth)}
    for way, by_level in scores.items():
        for name, score in by_level.items():
            told[name][way] = score
    for name, value in correlation.items():
        told[name]["correlation"] = value
    if len(origins) > 1:
        before = covering_correlations(hierarchy, truths[:-1], released[:-1])
        for name, share in coverages(hierarchy, last.truth, released[-1], before).items():
            told[name]["coverage"] = share
    return {"levels": told, "reconciliation": chosen_by | {"chosen": float(chosen)}}


def _is_better(wape: Mapping[str, float]) -> bool:
    """Whether reconciling saves enough."""
    return MINT in wape and wape[MINT] < (1 - _GAIN) * wape[BOTTOM_UP]


def _validated(hierarchy: Hierarchy, origins: Sequence[Origin], minimum: float | None) -> dict[str, float]:
    """Mean WAPE over the upper levels and these origins, by way."""
    found: dict[str, list[float]] = {}
    for number, origin in enumerate(origins, 1):
        for way, made in _ways(hierarchy, origins[:number], minimum).items():
            scores = _by_level(hierarchy, origin.truth, made.mean)
            found.setdefault(way, []).extend(score["wape"] for name, score in scores.items() if name != SERIES)
    complete = len(found.get(BOTTOM_UP, ()))
    return {way: float(np.mean(wapes)) for way, wapes in found.items() if len(wapes) == complete}


def _ways(hierarchy: Hierarchy, origins: Sequence[Origin], minimum: float | None) -> dict[str, Bounds]:
    """Forecasts of the series at the last of these origins, by the way in which they add up."""
    *earlier, last = origins
    ways = {BOTTOM_UP: last.made, MINT: agreed(hierarchy, last.made, last.upper, minimum)}
    if earlier:
        errors = Covariance.shrunk(np.concatenate([_errors(hierarchy, each) for each in earlier], axis=1))
        mean = reconciled(hierarchy, np.concatenate([last.upper.mean, last.made.mean]), errors)
        mean = mean if minimum is None else np.maximum(mean, minimum)
        ways[SHRUNK] = Bounds(mean, last.made.lower, last.made.upper)
    return ways


def _errors(hierarchy: Hierarchy, origin: Origin) -> Array:
    """Of all nodes, upper ones first ``[node, step]``."""
    return np.concatenate([hierarchy.sums(origin.truth) - origin.upper.mean, origin.truth - origin.made.mean])


def _by_level(hierarchy: Hierarchy, truth: NDArray[np.floating], mean: NDArray[np.floating]) -> Scores:
    """Scores of the sums over the series whose truth is known at a step, and of the series."""
    made = np.where(np.isfinite(truth), mean, np.nan)
    truths, sums = (hierarchy.split(hierarchy.sums(part)) for part in (truth, made))
    return _compared(truths | {SERIES: np.asarray(truth)}, sums | {SERIES: made})


def _compared(truths: Mapping[str, Array], made: Mapping[str, Array]) -> Scores:
    return {name: metrics.score(_SCORES, truth=truth, prediction=made[name]) for name, truth in truths.items()}
