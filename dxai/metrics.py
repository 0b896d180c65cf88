"""Every score once: its definition, its source, which way is better, and how it is printed.

A metric is a function of named arrays to one number. Training, reports, gates, `dxai check`, the catalog and MLflow
read `METRICS`; whoever registers one has it everywhere. Steps without a known truth do not count. Shapes of the
arguments, which `score` passes by name:

| argument | of numbers | of classes | of forecasts |
| --- | --- | --- | --- |
| ``truth`` | ``[rows]`` | class numbers ``[rows]`` | ``[series, horizon]`` |
| ``prediction`` | ``[rows]`` | class numbers ``[rows]`` | medians ``[series, horizon]`` |
| ``lower``, ``upper`` | ``[rows]`` | | ``[series, horizon]`` |
| ``probability`` | | ``[rows, classes]`` | |
| ``positive`` | | the class that counts; None: the mean over classes | |
| ``quantiles`` | | | ``[series, horizon, level]`` at `LEVELS` |
| ``mean`` | | | ``[series, horizon]`` |
| ``past`` | | | training part ``[series, time]``, NaN before a series begins |
| ``lag`` | | | step of the naive forecast that scales an error: 1, or the season |
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dxai.contract.signature import LEVELS

Array = NDArray[np.floating]
Classes = NDArray[np.integer]

BINS = 15
"""Bins of a probability for the calibration error, of equal width."""

# --- numbers ----------------------------------------------------------------------------------------------------------


def rmse(truth: Array, prediction: Array) -> float:
    """Root mean squared error, in the target's unit."""
    return float(np.sqrt(np.mean((truth - prediction) ** 2)))


def mae(truth: Array, prediction: Array) -> float:
    """Mean absolute error, in the target's unit."""
    return float(np.mean(np.abs(truth - prediction)))


def r2(truth: Array, prediction: Array) -> float:
    """Coefficient of determination: 1 is perfect, 0 is as good as the mean of these rows."""
    return float(1 - np.sum((truth - prediction) ** 2) / np.sum((truth - truth.mean()) ** 2))


def coverage(truth: Array, lower: Array, upper: Array) -> float:
    """Share of truths inside the closed interval."""
    known = np.isfinite(truth)
    return float(np.mean(((lower <= truth) & (truth <= upper))[known]))


def width(lower: Array, upper: Array) -> float:
    """Mean width of the interval, in the target's unit."""
    return float(np.mean(upper - lower))


# --- classes ----------------------------------------------------------------------------------------------------------
# A class that no row has is left out of every mean over classes.


def pr_auc(truth: Classes, probability: Array, positive: int | None) -> float:
    """`average_precision` of the positive class; without one, the mean over classes."""
    counted = np.unique(truth) if positive is None else [positive]
    return float(np.mean([average_precision(truth == c, probability[:, c]) for c in counted]))


def log_loss(truth: Classes, probability: Array) -> float:
    """Mean negative logarithm of the true class's probability (Good 1952)."""
    true = probability[np.arange(len(truth)), truth].astype(np.float64)
    return float(-np.log(np.maximum(true, np.finfo(np.float32).tiny)).mean())


def brier(truth: Classes, probability: Array) -> float:
    """Half the mean squared distance from the truth: 0 is perfect, 1 the worst (Brier 1950)."""
    return float(((probability - np.eye(probability.shape[1])[truth]) ** 2).sum(axis=1).mean() / 2)


def ece(truth: Classes, probability: Array, positive: int | None) -> float:
    """Expected calibration error: by how much shares differ from probabilities, over `BINS` of equal width.

    Of the positive class (Naeini et al. 2015); without one, the mean over classes (Kull et al. 2019).
    """
    counted = np.unique(truth) if positive is None else [positive]
    return float(np.mean([_calibration_error(truth == c, probability[:, c]) for c in counted]))


def balanced_accuracy(truth: Classes, prediction: Classes) -> float:
    """Mean over classes of the share of their rows that is found (Brodersen et al. 2010)."""
    return float(np.mean([np.mean(prediction[truth == c] == c) for c in np.unique(truth)]))


def macro_f1(truth: Classes, prediction: Classes) -> float:
    """Mean over classes of 2·hits / (rows of the class + predictions of it)."""
    counted = np.unique(truth)
    hits = [2 * np.sum((truth == c) & (prediction == c)) for c in counted]
    size = [np.sum(truth == c) + np.sum(prediction == c) for c in counted]
    return float(np.mean(np.divide(hits, size)))


def accuracy(truth: Classes, prediction: Classes) -> float:
    """Share of rows whose class is predicted."""
    return float(np.mean(truth == prediction))


def average_precision(positive: NDArray[np.bool_], score: Array, weight: Array | None = None) -> float:
    """Area under the precision-recall curve as a sum of steps: Σ (Rₙ − Rₙ₋₁)·Pₙ (Davis and Goadrich 2006)."""
    precision, recall = precision_recall(positive, score, weight)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def precision_recall(positive: NDArray[np.bool_], score: Array, weight: Array | None = None) -> tuple[Array, Array]:
    """Precision and recall at every distinct score, from the highest down; rows of equal score count together.

    Args:
        positive: Whether a row is of the class ``[rows]``.
        score: The higher, the sooner a row is called so ``[rows]``.
        weight: By how much a row counts, above 0 ``[rows]``; one by default.
    """
    order = np.argsort(-score, kind="stable")
    counts = np.ones(len(score)) if weight is None else weight[order]
    hits, called, ranked = np.cumsum(positive[order] * counts), np.cumsum(counts), score[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    return hits[last] / called[last], hits[last] / (hits[-1] or 1.0)


def confusion(truth: Classes, prediction: Classes, classes: int) -> NDArray[np.int64]:
    """Number of rows by true and predicted class ``[classes, classes]``."""
    return np.bincount(truth * classes + prediction, minlength=classes**2).reshape(classes, classes)


def _calibration_error(positive: NDArray[np.bool_], probability: Array) -> float:
    place = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    surplus = np.bincount(place, weights=positive - probability.astype(np.float64), minlength=BINS)
    return float(np.abs(surplus).sum() / len(positive))


# --- forecasts --------------------------------------------------------------------------------------------------------


def wql(truth: Array, quantiles: Array) -> float:
    """Weighted quantile loss: mean over levels of 2·Σ pinball / Σ|y| (Gneiting 2011; that of the M5 and GluonTS)."""
    return float((2 * np.nansum(_pinball(truth, quantiles), axis=(0, 1)) / np.nansum(np.abs(truth))).mean())


def wape(truth: Array, prediction: Array) -> float:
    """Weighted absolute percentage error: Σ|y−f| / Σ|y| (Kolassa and Schütz 2007)."""
    return _share(np.nansum(np.abs(truth - prediction)), np.nansum(np.abs(truth)))


def mase(truth: Array, prediction: Array, past: Array, lag: int) -> float:
    """Mean absolute scaled error, per series, then averaged (Hyndman and Koehler 2006)."""
    return _mean_known(scaled_error(truth, prediction, past, lag))


def rmsse(truth: Array, prediction: Array, past: Array, lag: int) -> float:
    """Root mean squared scaled error, per series, then averaged (Makridakis et al. 2022, M5)."""
    error, change = _per_series((truth - prediction) ** 2), _per_series((past[:, lag:] - past[:, :-lag]) ** 2)
    return _mean_known(_ratio(np.sqrt(error), np.sqrt(change)))


def bias(truth: Array, prediction: Array) -> float:
    """Share by which the total is over- (+) or under-forecast (−): Σ(f−y) / Σy."""
    return _share(np.nansum(prediction - truth), np.nansum(truth))


def rmsse_of_mean(truth: Array, mean: Array, past: Array, lag: int) -> float:
    """`rmsse` of the mean forecast, which minimises squares."""
    return rmsse(truth, mean, past, lag)


def bias_of_mean(truth: Array, mean: Array) -> float:
    """`bias` of the mean forecast, which is for totals."""
    return bias(truth, mean)


def pinball(truth: Array, quantiles: Array) -> Array:
    """Twice the pinball loss, summed over the known steps and averaged over the levels ``[series]``."""
    return np.asarray(2 * np.nansum(_pinball(truth, quantiles), axis=1).mean(axis=-1))


def _pinball(truth: Array, quantiles: Array) -> Array:
    levels, error = np.asarray(LEVELS), truth[..., None] - quantiles
    return np.maximum(levels * error, (levels - 1) * error)


def scaled_error(truth: Array, prediction: Array, past: Array, lag: int) -> Array:
    """Absolute error over the mean change of the past ``[series]``; NaN where nothing moves or nothing is known."""
    return _ratio(_per_series(np.abs(truth - prediction)), _per_series(np.abs(past[:, lag:] - past[:, :-lag])))


def _per_series(values: Array) -> Array:
    """Mean over the known steps ``[series]``, NaN where none is known."""
    known = np.isfinite(values).sum(axis=1)
    return np.where(known > 0, np.nansum(values, axis=1) / np.maximum(known, 1), np.nan)


def _ratio(error: Array, scale: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(scale > 0, error / scale, np.nan)


def _mean_known(values: Array) -> float:
    return float(values[np.isfinite(values)].mean())


def _share(part: np.floating, whole: np.floating) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.divide(part, whole))


# --- the registry -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Metric:
    """One score.

    Attributes:
        function: Its definition; the names of its parameters say what it needs.
        en, ko: What people call it.
        better: Which way is better; empty where the value is held against a promise, or against zero.
        digits: How a value is printed, as in a format string; empty: three digits.
        in_unit: Whether it has the unit of the target.
    """

    function: Callable[..., float]
    en: str
    ko: str = ""
    better: Literal["less", "more", ""] = "less"
    digits: str = ""
    in_unit: bool = False

    @property
    def name(self) -> str:
        """Its key in metrics.json."""
        return self.function.__name__

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the arrays that it takes."""
        return tuple(inspect.signature(self.function).parameters)

    def printed(self, value: float) -> str:
        """The value as people read it.

        >>> METRICS["coverage"].printed(0.7951), METRICS["rmse"].printed(1234.5), METRICS["bias"].printed(0.031)
        ('79.5%', '1,234', '+3.1%')
        """
        return format(value, self.digits) if self.digits else figure(value)

    def title(self, unit: str = "1", language: Literal["en", "ko"] = "en") -> str:
        """Its name, and its unit where it has one.

        >>> METRICS["rmse"].title("MPa"), METRICS["r2"].title("MPa")
        ('RMSE [MPa]', 'R²')
        """
        name = (self.ko or self.en) if language == "ko" else self.en
        return f"{name} [{unit}]" if self.in_unit and unit not in ("1", "{unit}") else name

    def best(self, values: Mapping[str, float]) -> str:
        """The name with the best value."""
        choose = max if self.better == "more" else min
        return choose(values, key=lambda name: values[name])

    def is_better(self, value: float, other: float) -> bool:
        """Whether the value is better than the other."""
        return value > other if self.better == "more" else value < other


METRICS: dict[str, Metric] = {}
"""By name, in the order in which tables show them."""


def register(metric: Metric) -> Metric:
    """Make a metric known by its name."""
    METRICS[metric.name] = metric
    return metric


for _metric in (
    Metric(pr_auc, "PR-AUC", better="more", digits=".3f"),
    Metric(log_loss, "log loss", "로그 손실", digits=".3f"),
    Metric(brier, "Brier", "브라이어", digits=".3f"),
    Metric(ece, "calibration error", "보정 오차", digits=".1%"),
    Metric(balanced_accuracy, "balanced accuracy", "균형 정확도", better="more", digits=".1%"),
    Metric(macro_f1, "macro F1", "매크로 F1", better="more", digits=".3f"),
    Metric(accuracy, "accuracy", "정확도", better="more", digits=".1%"),
    Metric(rmse, "RMSE", in_unit=True),
    Metric(mae, "MAE", in_unit=True),
    Metric(r2, "R²", better="more", digits=".3f"),
    Metric(wql, "WQL", digits=".3f"),
    Metric(wape, "WAPE", digits=".3f"),
    Metric(mase, "MASE", digits=".3f"),
    Metric(rmsse, "RMSSE", digits=".3f"),
    Metric(bias, "bias", "편향", better="", digits="+.1%"),
    Metric(coverage, "coverage (80 %)", "포함률 (80 %)", better="", digits=".1%"),
    Metric(width, "interval width", "구간 폭", in_unit=True),
    Metric(rmsse_of_mean, "RMSSE of the mean", "평균의 RMSSE", digits=".3f"),
    Metric(bias_of_mean, "bias of the mean", "평균의 편향", better="", digits="+.1%"),
):
    register(_metric)

ARGUMENTS = frozenset(need for metric in METRICS.values() for need in metric.needs)
"""All that a metric may ask for."""

NUMBER = ("rmse", "mae", "r2", "coverage", "width")
CLASS = ("pr_auc", "log_loss", "brier", "ece", "balanced_accuracy", "macro_f1", "accuracy")
FORECAST = ("wql", "wape", "mase", "rmsse", "bias", "coverage", "width", "bias_of_mean", "rmsse_of_mean")
LISTS: dict[str, tuple[str, ...]] = {"regression": NUMBER, "classes": CLASS, "demand": FORECAST}
"""Metrics of a kind of prediction; the first one leads: by it a model is held against its yardsticks."""


def named(found: Any) -> Metric:
    """A metric, or a function that becomes one of which less is better, made known by its name."""
    return register(found if isinstance(found, Metric) else Metric(found, found.__name__.replace("_", " ")))


def lead(family: str) -> Metric:
    """The metric by which a kind of prediction is judged."""
    return METRICS[LISTS[family][0]]


def score(names: Sequence[str], **arrays: Any) -> dict[str, float]:
    """Those of the named metrics for which the arrays suffice.

    >>> score(["rmse", "coverage"], truth=np.zeros(2), prediction=np.ones(2))
    {'rmse': 1.0}
    """
    chosen = [METRICS[name] for name in names]
    return {
        metric.name: metric.function(**{need: arrays[need] for need in metric.needs})
        for metric in chosen
        if arrays.keys() >= set(metric.needs)
    }


def mean_scores(folds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of every score over folds or origins, each counted alike."""
    return {name: float(np.mean([fold[name] for fold in folds])) for name in folds[0]}


def figure(value: float) -> str:
    """Three digits of a number.

    >>> figure(5.3734), figure(1234.0), figure(0.0)
    ('5.37', '1,234', '0')
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value == 0 or abs(value) < 0.01 else f"{value:#.3g}"
