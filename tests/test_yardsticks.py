"""The yardsticks are what they are called, on panels small enough to do by hand, and give the published numbers.

A model is praised or blamed against these, so they must hold with gaps and with series shorter than a season.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

from dxai import metrics
from dxai.config.compose import settings_from
from dxai.contract import load_contract
from dxai.contract.signature import LEVELS
from dxai.data import naive
from dxai.data.table import prepared_table
from dxai.data.windows import to_panel
from dxai.learn import yardsticks

Array = NDArray[np.float32]

NAN = float("nan")


def panel(*rows: list[float]) -> Array:
    return np.array(rows, dtype=np.float32)


def test_last_value_is_carried_on_over_gaps() -> None:
    past = panel([1, 2, 3, 4], [NAN, NAN, 7, 8], [5, 6, NAN, NAN])
    np.testing.assert_array_equal(naive.last_value(naive.Past.of(past, season=2), 3), [[4] * 3, [8] * 3, [6] * 3])


def test_seasonal_naive_repeats_the_last_season_as_often_as_needed() -> None:
    past = panel([9, 9, 9, 1, 2, 3])
    np.testing.assert_array_equal(naive.seasonal_naive(naive.Past.of(past, season=3), 7), [[1, 2, 3, 1, 2, 3, 1]])
    np.testing.assert_array_equal(naive.seasonal_naive(naive.Past.of(past, season=3), 2), [[1, 2]])


def test_seasonal_naive_fills_a_gap_with_the_value_before_it() -> None:
    past = panel([1, 2, 3, 4, NAN, 6])
    np.testing.assert_array_equal(naive.seasonal_naive(naive.Past.of(past, season=3), 3), [[4, 4, 6]])


def test_seasonal_naive_is_the_last_value_where_a_series_has_no_value_one_season_ago() -> None:
    past = panel([1, 2, 3, 4, 5, 6], [NAN, NAN, NAN, NAN, 5, 7])
    np.testing.assert_array_equal(naive.seasonal_naive(naive.Past.of(past, season=4), 4), [[3, 4, 5, 6], [7, 7, 5, 7]])


def test_seasonal_naive_is_the_last_value_where_the_whole_panel_is_shorter_than_a_season() -> None:
    np.testing.assert_array_equal(naive.seasonal_naive(naive.Past.of(panel([1, 2, 3]), season=12), 2), [[3, 3]])


def test_four_step_average_counts_known_steps_only() -> None:
    past = panel([100, 1, 2, 3, 6], [100, NAN, 2, NAN, 6], [NAN, NAN, NAN, NAN, 5])
    np.testing.assert_array_equal(naive.four_step_average(naive.Past.of(past, season=1), 2), [[3, 3], [4, 4], [5, 5]])


@pytest.mark.parametrize("name", naive.DEMAND)
def test_forecast_is_finite_where_the_last_steps_are_missing(name: str) -> None:
    past = np.tile(np.arange(1, 31, dtype=np.float32), (2, 1))
    past[1, -6:] = NAN
    made = naive.forecast(name, past, horizon=3, season=4)
    assert np.isfinite(made.point).all()
    assert np.isfinite(made.quantiles).all()


@pytest.mark.parametrize("name", naive.DEMAND)
@pytest.mark.parametrize("steps", [7, 13, 60])
def test_quantiles_are_ordered_and_as_many_as_levels(name: str, steps: int) -> None:
    past = np.random.default_rng(steps).gamma(2.0, 30.0, (5, steps)).astype(np.float32)
    past[0, : steps // 2] = NAN
    made = naive.forecast(name, past, horizon=3, season=4)
    assert made.quantiles.shape == (5, 3, len(LEVELS))
    assert np.isfinite(made.quantiles).all()
    assert (np.diff(made.quantiles, axis=-1) >= 0).all()


def test_quantiles_are_those_of_the_series_own_errors() -> None:
    random = np.random.default_rng(0)
    walk = np.cumsum(random.normal(0, 3.0, (1, 4000)), axis=1).astype(np.float32)
    made = naive.forecast("last value", walk, horizon=1, season=1)
    spread = made.quantiles[0, 0] - made.point[0, 0]
    np.testing.assert_allclose(spread[[0, 4, 8]], np.array([-1.2816, 0, 1.2816]) * 3, atol=0.3)  # normal quantiles


def test_a_series_that_repeats_its_season_is_forecast_without_error() -> None:
    past = np.tile(np.array([1, 5, 2, 8], dtype=np.float32), (1, 6))
    made = naive.forecast("seasonal naive", past, horizon=4, season=4)
    np.testing.assert_array_equal(made.point, [[1, 5, 2, 8]])
    np.testing.assert_array_equal(made.quantiles, np.repeat(made.point[..., None], 9, axis=-1))


def test_linear_equals_scikit_learn() -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(80, 4)).astype(np.float32)
    target = (features @ [3, -2, 0.5, 0] + 40 + random.normal(size=80)).astype(np.float32)
    test = random.normal(size=(20, 4)).astype(np.float32)
    expected = LinearRegression().fit(features, target).predict(test)
    np.testing.assert_allclose(yardsticks.linear(features, target, test), expected, rtol=1e-5)


def test_linear_stays_finite_where_columns_say_the_same() -> None:
    base = np.random.default_rng(2).normal(size=(50, 1)).astype(np.float32)
    features = np.hstack([base, base, np.ones_like(base)])
    np.testing.assert_allclose(yardsticks.linear(features, 2 * base[:, 0] + 1, features), 2 * base[:, 0] + 1, atol=1e-5)


def test_mean_is_the_mean_of_training_targets() -> None:
    target = np.array([1, 2, 6], dtype=np.float32)
    np.testing.assert_array_equal(yardsticks.mean(np.zeros((3, 1)), target, np.zeros((2, 1))), [3, 3])


def published_mase(table: pl.DataFrame, contract_file: Path) -> float:
    """MASE of the seasonal naive forecast of the last horizon: the protocol of the M competitions."""
    contract = load_contract(contract_file)
    values = to_panel(table, contract, where="M3").values
    past, truth = values[:, : -contract.horizon], values[:, -contract.horizon :]
    point = naive.seasonal_naive(naive.Past.of(past, season=contract.season), contract.horizon)
    return metrics.mase(truth, point, past, contract.season)


@pytest.mark.network
def test_seasonal_naive_has_the_published_mase_of_m3_monthly(m3_monthly_table: pl.DataFrame, checkout: Path) -> None:
    assert m3_monthly_table["series"].n_unique() == 1428
    mase = published_mase(m3_monthly_table, checkout / "contracts" / "m3_monthly.yaml")
    assert round(mase, 3) == 1.146


@pytest.mark.network
def test_seasonal_naive_has_the_published_mase_of_m3_quarterly(checkout: Path) -> None:
    data = settings_from(["experiment=m3_quarterly"], checkout=checkout).data
    mase = published_mase(prepared_table(data, checkout), checkout / "contracts" / "m3_quarterly.yaml")
    assert round(mase, 3) == 1.425


@pytest.mark.network
def test_seasonal_naive_has_the_measured_scores_of_weekly_retail(retail_table: pl.DataFrame, checkout: Path) -> None:
    contract = load_contract(checkout / "contracts" / "retail_demand.yaml")
    values = to_panel(retail_table, contract, where="retail").values
    assert values.shape == (1609, 104)
    wape, mase = [], []
    for steps_before_end in (24, 16, 8):
        end = values.shape[1] - steps_before_end
        past, truth = values[:, :end], values[:, end : end + 8]
        point = naive.seasonal_naive(naive.Past.of(past, season=contract.season), 8)
        wape.append(metrics.wape(truth, point))
        mase.append(metrics.mase(truth, point, past, 1))
    assert round(float(np.mean(wape)), 3) == 1.169
    assert round(float(np.mean(mase)), 3) == 1.417
