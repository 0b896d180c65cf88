"""Every score equals somebody else's number: scikit-learn for tables, utilsforecast for panels, or a sum done by hand.

Series without a scale are left out of MASE and RMSSE, and steps before a series begins do not count.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import utilsforecast.losses as reference
from numpy.typing import NDArray
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from dxai import metrics
from dxai.contract.signature import LEVELS

Array = NDArray[np.float64]

SERIES, STEPS, HORIZON = 12, 40, 6
NAMES = [f"q{round(level * 100)}" for level in LEVELS]


def panel(seed: int) -> tuple[Array, Array, Array]:
    """Past of different lengths (NaN on the left), truth, and ordered quantile forecasts."""
    random = np.random.default_rng(seed)
    past = random.gamma(2.0, 30.0, (SERIES, STEPS))
    for series, begin in enumerate(random.integers(0, STEPS // 2, SERIES)):
        past[series, :begin] = np.nan
    truth = random.gamma(2.0, 30.0, (SERIES, HORIZON))
    quantiles = np.sort(random.gamma(2.0, 30.0, (SERIES, HORIZON, len(LEVELS))), axis=-1)
    return past, truth, quantiles


def long(values: Array, first_step: int, **columns: Array) -> pl.DataFrame:
    """Arrays ``[series, time]`` as the long frame that utilsforecast takes, unknown steps left out."""
    series, steps = values.shape
    frame = pl.DataFrame({
        "unique_id": np.repeat(np.arange(series), steps),
        "ds": np.tile(np.arange(first_step, first_step + steps), series),
        "y": values.ravel(),
        **{name: array.ravel() for name, array in columns.items()},
    })  # fmt: skip
    return frame.filter(pl.col("y").is_finite())


def answers(truth: Array, quantiles: Array) -> pl.DataFrame:
    levels = {name: quantiles[..., i] for i, name in enumerate(NAMES)}
    bounds = {"model-lo-80": quantiles[..., 0], "model-hi-80": quantiles[..., -1]}
    return long(truth, STEPS, model=quantiles[..., len(LEVELS) // 2], **levels, **bounds)


@pytest.mark.parametrize("seed", range(3))
def test_table_scores_equal_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth, prediction = random.normal(40, 12, 200), random.normal(40, 12, 200)
    assert metrics.rmse(truth, prediction) == pytest.approx(root_mean_squared_error(truth, prediction))
    assert metrics.mae(truth, prediction) == pytest.approx(mean_absolute_error(truth, prediction))
    assert metrics.r2(truth, prediction) == pytest.approx(r2_score(truth, prediction))


@pytest.mark.parametrize("lag", [1, 4])
@pytest.mark.parametrize("seed", range(3))
def test_scaled_errors_equal_utilsforecast_on_padded_panels(seed: int, lag: int) -> None:
    past, truth, quantiles = panel(seed)
    frame, train = answers(truth, quantiles), long(past, 0)
    point = quantiles[..., len(LEVELS) // 2]
    mase = reference.mase(frame, models=["model"], seasonality=lag, train_df=train)["model"].mean()
    rmsse = reference.rmsse(frame, models=["model"], seasonality=lag, train_df=train)["model"].mean()
    assert metrics.mase(truth, point, past, lag) == pytest.approx(mase)
    assert metrics.rmsse(truth, point, past, lag) == pytest.approx(rmsse)


@pytest.mark.parametrize("seed", range(3))
def test_wape_equals_normalised_deviation_of_the_whole_panel(seed: int) -> None:
    _, truth, quantiles = panel(seed)
    # utilsforecast normalises per series; one name for all rows makes the panel one series.
    frame = answers(truth, quantiles).with_columns(pl.lit(0, pl.Int64).alias("unique_id"))
    expected = reference.nd(frame, models=["model"])["model"].item()
    assert metrics.wape(truth, quantiles[..., len(LEVELS) // 2]) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_weighted_quantile_loss_is_built_from_the_quantile_loss_of_utilsforecast(seed: int) -> None:
    _, truth, quantiles = panel(seed)
    frame = answers(truth, quantiles)
    # Its quantile_loss is the mean pinball of one series; times the horizon it is the sum. Twice the sum over all
    # series, divided by the sum of |y|, is the weighted loss of one level.
    sums = [
        reference.quantile_loss(frame, models={"model": name}, q=level)["model"].sum() * HORIZON
        for name, level in zip(NAMES, LEVELS, strict=True)
    ]
    expected = np.mean([2 * pinball / np.abs(truth).sum() for pinball in sums])
    assert metrics.wql(truth, quantiles) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_coverage_equals_utilsforecast(seed: int) -> None:
    _, truth, quantiles = panel(seed)
    expected = reference.coverage(answers(truth, quantiles), models=["model"], level=80)["model"].mean()
    assert 0 < expected < 1
    assert metrics.coverage(truth, quantiles[..., 0], quantiles[..., -1]) == pytest.approx(expected)


def test_quantile_loss_of_the_median_alone_is_wape() -> None:
    _, truth, quantiles = panel(0)
    point = quantiles[..., 4]
    flat = np.repeat(point[..., None], len(LEVELS), axis=-1)
    assert metrics.wql(truth, flat) == pytest.approx(metrics.wape(truth, point))


def test_bounds_of_the_interval_belong_to_it() -> None:
    truth, lower, upper = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 0.0, 0.0, 4.5]), np.array([2.0, 2.0, 2.0, 5.0])
    assert metrics.coverage(truth, lower, upper) == 0.5


def test_width_is_the_mean_length_of_the_interval() -> None:
    assert metrics.width(np.array([0.0, 2.0]), np.array([1.0, 5.0])) == 2.0


def test_bias_is_positive_when_the_total_is_over_forecast() -> None:
    truth = np.array([[10.0, 30.0], [40.0, 20.0]])
    assert metrics.bias(truth, truth * 1.25) == pytest.approx(0.25)
    assert metrics.bias(truth, truth * 0.5) == pytest.approx(-0.5)
    assert metrics.bias(truth, truth[::-1]) == pytest.approx(0.0)


def test_mase_and_rmsse_by_hand() -> None:
    past = np.array([[np.nan, 1.0, 3.0, 1.0], [10.0, 10.0, 16.0, 16.0]])  # mean change 2 and 2; mean square 4 and 12
    truth, prediction = np.array([[1.0, 1.0], [16.0, 16.0]]), np.array([[2.0, 2.0], [16.0, 22.0]])
    assert metrics.mase(truth, prediction, past, 1) == pytest.approx((1 / 2 + 3 / 2) / 2)
    assert metrics.rmsse(truth, prediction, past, 1) == pytest.approx((1 / 2 + np.sqrt(18 / 12)) / 2)


def test_series_whose_past_never_moves_is_left_out() -> None:
    past = np.array([[5.0, 5.0, 5.0, 5.0], [1.0, 3.0, 5.0, 7.0]])
    truth, prediction = np.array([[5.0], [9.0]]), np.array([[105.0], [10.0]])
    assert metrics.mase(truth, prediction, past, 1) == pytest.approx(0.5)
    assert metrics.rmsse(truth, prediction, past, 1) == pytest.approx(0.5)


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_series_without_a_step_to_compare_is_left_out() -> None:
    past = np.array([[np.nan, np.nan, np.nan, 5.0], [1.0, 3.0, 5.0, 7.0]])
    truth, prediction = np.array([[5.0], [9.0]]), np.array([[105.0], [10.0]])
    assert metrics.mase(truth, prediction, past, 1) == pytest.approx(0.5)
    assert metrics.rmsse(truth, prediction, past, 1) == pytest.approx(0.5)


@pytest.mark.parametrize("score", ["wape", "bias", "weighted_quantile_loss", "mase", "rmsse", "coverage"])
def test_a_step_without_a_truth_does_not_count(score: str) -> None:
    past, truth, quantiles = panel(4)
    point, lower, upper = quantiles[..., 4], quantiles[..., 0], quantiles[..., -1]

    def scored(steps: slice, truth: Array) -> float:
        if score == "weighted_quantile_loss":
            return metrics.wql(truth[:, steps], quantiles[:, steps])
        if score == "coverage":
            return metrics.coverage(truth[:, steps], lower[:, steps], upper[:, steps])
        scaled = (past, 1) if score in ("mase", "rmsse") else ()
        return getattr(metrics, score)(truth[:, steps], point[:, steps], *scaled)

    gap = truth.copy()
    gap[:, -1] = np.nan
    assert scored(slice(None), gap) == pytest.approx(scored(slice(0, -1), truth))
