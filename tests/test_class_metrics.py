"""Scores of classes equal scikit-learn's, with ties and absent classes too; calibration keeps its word."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve
from sklearn.preprocessing import label_binarize

from dxai import metrics
from dxai.learn.class_calibration import best_threshold, favour_of, temperature, threshold_of_sensitivity

Array = NDArray[np.float64]


def softmax(logits: Array) -> Array:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def answers(seed: int, classes: int, *, rows: int = 400, sharpness: float = 1.0) -> tuple[NDArray[np.int64], Array]:
    """Classes drawn from their own probabilities, and these probabilities made sharper."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (rows, classes)) - np.arange(classes)
    honest = softmax(logits)
    truth = np.array([random.choice(classes, p=p) for p in honest])
    return truth, softmax(logits * sharpness)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("decimals", [1, 8])
def test_average_precision_of_one_class_equals_scikit_learn(seed: int, decimals: int) -> None:
    truth, probability = answers(seed, 2)
    score = probability[:, 1].round(decimals)  # one decimal: many ties
    expected = reference.average_precision_score(truth == 1, score)
    assert metrics.average_precision(truth == 1, score) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_scores_of_many_classes_equal_scikit_learn(seed: int) -> None:
    truth, probability = answers(seed, 5)
    predicted = probability.argmax(axis=1)
    found = metrics.score(metrics.CLASS, truth=truth, prediction=predicted, probability=probability, positive=None)
    one_hot = label_binarize(truth, classes=range(5))
    assert found["pr_auc"] == pytest.approx(reference.average_precision_score(one_hot, probability, average="macro"))
    assert found["log_loss"] == pytest.approx(reference.log_loss(truth, probability))
    assert found["brier"] == pytest.approx(reference.brier_score_loss(truth, probability, scale_by_half=True))
    assert found["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(truth, predicted))
    assert found["macro_f1"] == pytest.approx(reference.f1_score(truth, predicted, average="macro"))
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, predicted))


@pytest.mark.parametrize("positive", [0, 1])
def test_scores_of_two_classes_equal_scikit_learn(positive: int) -> None:
    truth, probability = answers(7, 2)
    predicted = probability.argmax(axis=1)
    found = metrics.score(metrics.CLASS, truth=truth, prediction=predicted, probability=probability, positive=positive)
    score = probability[:, positive]
    assert found["pr_auc"] == pytest.approx(reference.average_precision_score(truth == positive, score))
    assert found["brier"] == pytest.approx(reference.brier_score_loss(truth == positive, score))
    share, told = calibration_curve(truth == positive, score, n_bins=metrics.BINS)
    counts = np.histogram(score, bins=metrics.BINS, range=(0, 1))[0]
    expected = np.sum(np.abs(share - told) * counts[counts > 0]) / len(truth)
    assert found["ece"] == pytest.approx(expected)


def test_a_class_without_rows_is_left_out_of_means() -> None:
    truth, probability = (
        np.array([0, 0, 1, 1]),
        np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0, 1, 0], [0.1, 0.4, 0.5]]),
    )
    found = metrics.score(
        metrics.CLASS, truth=truth, prediction=probability.argmax(axis=1), probability=probability, positive=None
    )
    assert found["pr_auc"] == pytest.approx(1)
    assert found["balanced_accuracy"] == pytest.approx(0.75)
    assert found["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)
    assert np.isfinite(list(found.values())).all()


def test_a_certain_mistake_has_a_finite_log_loss() -> None:
    assert 80 < metrics.log_loss(np.array([1]), np.array([[1.0, 0.0]])) < 100


def test_confusion_counts_true_classes_in_rows() -> None:
    truth, predicted = np.array([0, 0, 2, 2, 2]), np.array([0, 1, 2, 2, 0])
    expected = reference.confusion_matrix(truth, predicted, labels=range(3))
    np.testing.assert_array_equal(metrics.confusion(truth, predicted, 3), expected)


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_temperature_takes_sharpness_back(sharpness: float, classes: int) -> None:
    truth, probability = answers(1, classes, rows=4000, sharpness=sharpness)
    found = temperature(np.log(probability), truth)
    assert found == pytest.approx(sharpness, rel=0.08)
    raw, honest = probability, softmax(np.log(probability) / found)
    assert metrics.log_loss(truth, honest) <= metrics.log_loss(truth, raw)
    if sharpness != 1:
        before, after = (metrics.ece(truth, p, None) for p in (raw, honest))
        assert after < before / 2


def test_no_other_temperature_has_a_smaller_log_loss() -> None:
    truth, probability = answers(2, 3, sharpness=2.5)
    logits = np.log(probability)
    best = metrics.log_loss(truth, softmax(logits / temperature(logits, truth)))
    assert all(best <= metrics.log_loss(truth, softmax(logits / t)) + 1e-9 for t in np.geomspace(0.2, 20, 200))


def test_temperature_stays_finite_where_every_row_is_right() -> None:
    assert 0 < temperature(np.array([[5.0, 0.0], [0.0, 5.0]]), np.array([0, 1])) < 1


@pytest.mark.parametrize("seed", range(3))
def test_no_other_threshold_has_a_better_f1(seed: int) -> None:
    truth, probability = answers(seed, 2, rows=150)
    positive, score = truth == 1, probability[:, 1]
    found = best_threshold(positive, score)
    best = reference.f1_score(positive, score >= found)
    assert all(best >= reference.f1_score(positive, score >= t) for t in np.unique(score))
    assert found not in score


@pytest.mark.parametrize("share", [0.8, 0.95])
def test_threshold_of_a_sensitivity_finds_that_share_of_new_rows(share: float) -> None:
    found, rare = [], 0
    for seed in range(300):
        truth, probability = answers(seed, 2, rows=160)
        known, new = np.arange(160) < 80, np.arange(160) >= 80
        limit = threshold_of_sensitivity(truth[known] == 1, probability[known, 1], share)
        found.append(np.mean(probability[new & (truth == 1), 1] > limit))
        rare += limit == 0
        assert limit not in probability[known, 1]
    assert share - 0.01 <= np.mean(found) <= share + 0.04
    assert rare < 150


def test_threshold_of_a_sensitivity_is_0_where_the_rows_are_too_few() -> None:
    positive, score = np.array([True, True, False]), np.array([0.9, 0.6, 0.2])
    assert threshold_of_sensitivity(positive, score, 0.9) == 0.0  # two rows promise two thirds at most
    assert threshold_of_sensitivity(positive, score, 0.6) == pytest.approx(0.4)


@pytest.mark.parametrize("positive", [0, 1])
def test_favour_lets_the_positive_class_win_from_the_threshold_on(positive: int) -> None:
    share = np.linspace(0, 1, 101)
    probability = np.stack([share, 1 - share] if positive == 0 else [1 - share, share], axis=1)
    won = (probability * favour_of(0.305, positive)).argmax(axis=1) == positive
    np.testing.assert_array_equal(won, share > 0.305)


def test_threshold_is_one_half_where_the_rows_do_not_tell() -> None:
    assert best_threshold(np.array([False, False]), np.array([0.1, 0.9])) == 0.5
    assert best_threshold(np.array([False, True]), np.array([0.3, 0.3])) == 0.5
