"""An interval keeps its promise: the rank is the one of the theorem, and simulated coverage is at least as promised."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dxai.contract.signature import COVERAGE
from dxai.errors import DataError
from dxai.learn.conformal import conformal_quantile


@pytest.mark.parametrize("rows", [4, 5, 9, 10, 37, 100])
@pytest.mark.parametrize("coverage", [0.5, 0.8])
def test_quantile_is_the_score_of_the_promised_rank(rows: int, coverage: float) -> None:
    scores = np.random.default_rng(rows).permutation(np.arange(1.0, rows + 1))  # the score is its own rank
    assert conformal_quantile(scores, coverage) == math.ceil((rows + 1) * coverage)


def test_scores_of_any_shape_count_one_by_one() -> None:
    scores = np.arange(1.0, 41.0).reshape(5, 8)
    assert conformal_quantile(scores) == conformal_quantile(scores.ravel()) == 33.0


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_too_few_rows_to_promise_are_refused(rows: int) -> None:
    with pytest.raises(DataError) as caught:
        conformal_quantile(np.ones(rows), 0.8)
    assert caught.value.exit_code == 6
    assert f"{rows} rows cannot promise 80% coverage" in caught.value.problem
    assert caught.value.where == "split"
    assert "Bring more data" in caught.value.fix


def test_four_rows_are_the_fewest_that_promise_eighty_percent() -> None:
    assert conformal_quantile(np.array([2.0, 9.0, 4.0, 1.0]), 0.8) == 9.0


@pytest.mark.parametrize("rows", [4, 20, 150])
def test_coverage_on_exchangeable_rows_is_at_least_as_promised(rows: int) -> None:
    draws = 20_000
    scores = np.abs(np.random.default_rng(0).standard_t(3, (draws, rows + 1)))  # heavy tails
    covered = np.mean([draw[-1] <= conformal_quantile(draw[:-1]) for draw in scores])
    exact = math.ceil((rows + 1) * COVERAGE) / (rows + 1)  # of continuous scores
    assert exact >= COVERAGE
    assert covered == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / draws))


def test_ties_cover_more_not_less() -> None:
    scores = np.random.default_rng(1).integers(0, 3, (5_000, 11)).astype(float)
    covered = np.mean([draw[-1] <= conformal_quantile(draw[:-1]) for draw in scores])
    assert covered >= COVERAGE
