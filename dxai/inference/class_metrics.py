"""Scores of predicted classes and probabilities, each with its definition and source.

Truth and prediction are class numbers ``[rows]``, probabilities ``[rows, classes]``. A class that no row has is left
out of every mean over classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Classes = NDArray[np.integer]
Array = NDArray[np.floating]

BINS = 15
"""Bins of a probability for the calibration error, of equal width."""


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


def calibration_error(truth: Classes, probability: Array, positive: int | None) -> float:
    """Expected calibration error: by how much shares differ from probabilities, over `BINS` of equal width.

    Of the positive class (Naeini et al. 2015); without one, the mean over classes (Kull et al. 2019).
    """
    counted = np.unique(truth) if positive is None else [positive]
    return float(np.mean([_calibration_error(truth == c, probability[:, c]) for c in counted]))


def _calibration_error(positive: NDArray[np.bool_], probability: Array) -> float:
    place = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    surplus = np.bincount(place, weights=positive - probability.astype(np.float64), minlength=BINS)
    return float(np.abs(surplus).sum() / len(positive))


def accuracy(truth: Classes, predicted: Classes) -> float:
    """Share of rows whose class is predicted."""
    return float(np.mean(truth == predicted))


def balanced_accuracy(truth: Classes, predicted: Classes) -> float:
    """Mean over classes of the share of their rows that is found (Brodersen et al. 2010)."""
    return float(np.mean([np.mean(predicted[truth == c] == c) for c in np.unique(truth)]))


def macro_f1(truth: Classes, predicted: Classes) -> float:
    """Mean over classes of 2·hits / (rows of the class + predictions of it)."""
    counted = np.unique(truth)
    hits = [2 * np.sum((truth == c) & (predicted == c)) for c in counted]
    size = [np.sum(truth == c) + np.sum(predicted == c) for c in counted]
    return float(np.mean(np.divide(hits, size)))


def confusion(truth: Classes, predicted: Classes, classes: int) -> NDArray[np.int64]:
    """Number of rows by true and predicted class ``[classes, classes]``."""
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)


def class_scores(truth: Classes, predicted: Classes, probability: Array, positive: int | None) -> dict[str, float]:
    """All scores, the leading one first."""
    return {
        "pr_auc": pr_auc(truth, probability, positive),
        "log_loss": log_loss(truth, probability),
        "brier": brier(truth, probability),
        "ece": calibration_error(truth, probability, positive),
        "balanced_accuracy": balanced_accuracy(truth, predicted),
        "macro_f1": macro_f1(truth, predicted),
        "accuracy": accuracy(truth, predicted),
    }
