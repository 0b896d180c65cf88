"""Honest probabilities and the decision taken on them, from rows that the network was not fitted on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dxai.errors import DataError
from dxai.learn.conformal import conformal_quantile
from dxai.metrics import precision_recall

Array = NDArray[np.floating]

_STEPS = 60
_WIDEST = 4.0
"""The temperature lies between exp(-4) and exp(4)."""


def temperature(logits: Array, truth: NDArray[np.integer]) -> float:
    """The number that divides the logits ``[rows, classes]`` for the smallest log loss on these rows.

    The loss is convex in the inverse temperature, so that its slope shows the way.

    Source: Guo, Pleiss, Sun, Weinberger (2017), On Calibration of Modern Neural Networks.
    """
    logits = logits.astype(np.float64)
    true = logits[np.arange(len(truth)), truth]
    cool, warm = -_WIDEST, _WIDEST
    for _ in range(_STEPS):
        middle = (cool + warm) / 2
        scaled = logits * np.exp(-middle)
        weight = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        expected = (weight * logits).sum(axis=1) / weight.sum(axis=1)
        cool, warm = (middle, warm) if np.mean(expected - true) > 0 else (cool, middle)
    return float(np.exp((cool + warm) / 2))


def best_threshold(positive: NDArray[np.bool_], probability: Array) -> float:
    """The probability from which on rows are called positive, for the largest F1 on these rows.

    It lies halfway between two rows, so that none of them stands on the edge; one half where the rows do not tell.

    Source: Lipton, Elkan, Naryanaswamy (2014), Optimal Thresholding of Classifiers to Maximize F1 Measure.
    """
    distinct = np.unique(probability)[::-1].astype(np.float64)
    if not positive.any() or len(distinct) == 1:
        return 0.5
    precision, recall = precision_recall(positive, probability)
    best = int(np.argmax(precision * recall / np.maximum(precision + recall, 1e-12)))
    below = distinct[best + 1] if best + 1 < len(distinct) else 0.0
    return float((distinct[best] + below) / 2)


def threshold_of_sensitivity(positive: NDArray[np.bool_], probability: Array, sensitivity: float) -> float:
    """The largest probability from which on rows are called positive, so that this share of new positives is found.

    Split-conformal (see `conformal_quantile`), and halfway to the next row below, so that no positive one stands on the
    edge; 0 where they are too few to promise the share.
    """
    try:
        lowest = -conformal_quantile(-probability[positive].astype(np.float64), sensitivity)
    except DataError:
        return 0.0
    below = probability[probability < lowest]
    return float((lowest + (below.max() if len(below) else 0.0)) / 2)


def favour_of(threshold: float, positive: int) -> NDArray[np.float32]:
    """Weights of two classes with which the positive one wins from this probability on.

    >>> favour_of(0.25, positive=1)
    array([0.25, 0.75], dtype=float32)
    """
    weights = np.full(2, threshold, np.float32)
    weights[positive] = 1 - threshold
    return weights
