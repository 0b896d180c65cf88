"""An order quantity covers the demand of a lead time as often as its service level says."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
import pytest
from test_windows import contract

from dxai.contract.signature import LEVELS
from dxai.data.orders import covering_correlation, orders
from dxai.errors import SettingsError

STEPS = 8


def drawn(series: int, correlation: float, seed: int = 0) -> tuple[Any, Any]:
    """Truths of correlated lognormal steps, and their true quantiles."""
    random = np.random.default_rng(seed)
    common, own = random.standard_normal((series, 1)), random.standard_normal((series, STEPS))
    score = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
    level = np.exp(random.normal(3, 1, (series, 1)))
    z = np.array([NormalDist().inv_cdf(p) for p in LEVELS])
    return level * np.exp(0.5 * score), level[..., None] * np.exp(0.5 * z)[None, None, :].repeat(STEPS, axis=1)


def answer(quantiles: Any) -> pl.DataFrame:
    series = len(quantiles)
    made = {"item": np.repeat([f"s{i}" for i in range(series)], STEPS), "units_mean": quantiles[..., 4].ravel() * 1.13}
    made |= {"units_lower": quantiles[..., 0].ravel(), "units_upper": quantiles[..., -1].ravel()}
    return pl.DataFrame(made | {f"units_q{round(100 * p)}": quantiles[..., i].ravel() for i, p in enumerate(LEVELS)})


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.7])
def test_correlation_is_found_again(correlation: float) -> None:
    made = [drawn(500, correlation, seed) for seed in range(6)]
    truths, quantiles = zip(*made, strict=True)
    assert covering_correlation(truths, quantiles) == pytest.approx(correlation, abs=0.21)


def test_errors_that_all_series_share_are_made_up_for_and_series_with_gaps_do_not_count() -> None:
    made = [drawn(500, 0.1, seed) for seed in range(6)]
    more = [(truth * 1.25, quantiles) for truth, quantiles in made]
    assert covering_correlation(*zip(*more, strict=True)) > covering_correlation(*zip(*made, strict=True))
    truth, quantiles = made[0]
    assert covering_correlation([np.full_like(truth, np.nan)], [quantiles]) == 0.99


@pytest.mark.parametrize("correlation", [0.0, 0.5])
@pytest.mark.parametrize(("level", "lead"), [(0.95, STEPS), (0.9, 3), (0.5, STEPS), (0.98, 1)])
def test_quantity_is_enough_as_often_as_asked(correlation: float, level: float, lead: int) -> None:
    truth, quantiles = drawn(4000, correlation)
    made = orders(answer(quantiles), contract("weekly", horizon=STEPS), ["item"], service_level=level, lead_time=lead,
                  correlation=correlation)  # fmt: skip
    (name,) = (c for c in made.columns if c.startswith("units_order_"))
    assert (truth[:, :lead].sum(axis=1) <= made[name].to_numpy()).mean() == pytest.approx(level, abs=0.02)
    assert made["steps"].unique().to_list() == [lead]
    assert made["item"].to_list() == [f"s{i}" for i in range(4000)]


def test_steps_that_all_go_together_need_the_most() -> None:
    _, quantiles = drawn(50, 0.0)
    asked = {"service_level": 0.95, "lead_time": STEPS}
    agreed = contract("weekly", horizon=STEPS)
    little, much = (
        orders(answer(quantiles), agreed, ["item"], correlation=c, **asked)["units_order_95"] for c in (0, 1)
    )
    assert (much > little).all()


def test_no_quantity_is_below_the_least_demand_and_series_without_forecast_are_left_out() -> None:
    agreed = contract("weekly", horizon=STEPS)
    table = answer(np.zeros((3, STEPS, len(LEVELS))))
    table = table.with_columns(units_mean=pl.when(pl.col("item") != "s1").then("units_mean"))
    made = orders(table, agreed, ["item"], service_level=0.9)
    assert made["item"].to_list() == ["s0", "s2"]
    assert made["units_order_90"].to_list() == [0, 0]


@pytest.mark.parametrize(
    ("more", "told"), [({"service_level": 1.0}, "between 0 and 1"), ({"lead_time": 9}, "8 steps ahead")]
)
def test_what_cannot_be_ordered_is_refused(more: dict[str, Any], told: str) -> None:
    _, quantiles = drawn(2, 0.0)
    with pytest.raises(SettingsError, match=told):
        orders(answer(quantiles), contract("weekly", horizon=STEPS), ["item"], **{"service_level": 0.9, **more})


def test_retail_orders_are_enough_as_often_as_asked(checkout: Path) -> None:
    held_out = checkout / "runs/reference/retail/train/held_out.parquet"
    if not held_out.is_file():
        pytest.skip("retail was not trained in this checkout: make demo")
    rows = pl.read_parquet(held_out)
    agreed = contract("weekly", horizon=STEPS).with_columns(
        c.model_copy(update={"minimum": 0.0}) if c.role == "target" else c
        for c in contract("weekly", horizon=STEPS).columns
    )
    levels, truths, bounded, tables = [f"q{round(100 * p)}" for p in LEVELS], [], [], []
    for fold in rows["fold"].unique().to_list():
        part = rows.filter(fold=fold)
        truths.append(part["truth"].to_numpy().reshape(-1, STEPS))
        bounded.append(part.select("lower", *levels[1:-1], "upper").to_numpy().reshape(-1, STEPS, len(LEVELS)))
        named = (pl.col(c).alias(f"units_{c}") for c in ("mean", "lower", "upper", *levels))
        tables.append(part.select(pl.col("series").alias("item"), *named))
    correlation = covering_correlation(truths, bounded, 0.0)
    for level in (0.9, 0.95):
        asked = {"service_level": level, "correlation": correlation}
        made = [orders(table, agreed, ["item"], **asked).to_series(-1).to_numpy() for table in tables]
        enough = [(truth.sum(axis=1) <= order).mean() for truth, order in zip(truths, made, strict=True)]
        assert np.mean(enough) == pytest.approx(level, abs=0.03)
