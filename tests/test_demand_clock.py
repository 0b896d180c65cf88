"""Demand by the hour and by the day is trained and measured like any other, by experts that know the week."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from test_windows import contract

from dxai.config.compose import settings_from
from dxai.contract import Frequency
from dxai.data.steps import SEASONS
from dxai.learn.demand import EXPERTS, DemandTask
from dxai.networks.experts import Experts

SERIES = 6
HORIZONS: dict[Frequency, int] = {"hourly": 24, "daily": 14}
STEPS: dict[Frequency, int] = {"hourly": 24 * 30, "daily": 120}


def task_of(frequency: Frequency, checkout: Path, *words: str) -> DemandTask:
    """Six series that sell on working days, by the hour from eight to six, with the noise of counts."""
    steps, begin = np.arange(STEPS[frequency]), datetime(2024, 1, 1)
    days = steps // 24 if frequency == "hourly" else steps
    level = 50.0 * (days % 7 < 5) + 10
    if frequency == "hourly":
        level = level * ((steps % 24 >= 8) & (steps % 24 < 18)) + 5
    draw = np.random.default_rng(0)
    every = timedelta(hours=1) if frequency == "hourly" else timedelta(days=1)
    day = pl.Series([begin + i * every for i in range(len(steps))])
    day = day if frequency == "hourly" else day.dt.date()
    table = pl.concat([
        pl.DataFrame({"item": [f"s{i}"] * len(steps), "day": day, "units": draw.poisson(level * (i + 1)).astype(float)})
        for i in range(SERIES)
    ])  # fmt: skip
    made = contract(frequency, minimum_history=4, horizon=HORIZONS[frequency])
    made = made.model_copy(update={"season": SEASONS[frequency]})
    chosen = settings_from(
        ["experiment=demand", "data=retail", "split.origins=2", "evaluate.naive_lag=season", *words], checkout=checkout
    )
    return DemandTask(made, table, chosen)


@pytest.mark.parametrize("frequency", HORIZONS)
def test_yardstick_of_experts_knows_the_week_and_holds_its_interval(frequency: Frequency, checkout: Path) -> None:
    task = task_of(frequency, checkout)
    for fold in task.folds[:2]:
        past = task.panel.until(fold.origin, frequency)
        truth = task.panel.values[:, past.values.shape[1] :][:, : HORIZONS[frequency]]
        made = task.yardsticks(fold)
        experts, naive = made[EXPERTS], made["seasonal naive"]
        assert np.isfinite(experts.quantiles).all() and (np.diff(experts.quantiles, axis=2) > -1e-3).all()
        assert np.abs(truth - experts.point).mean() < 0.9 * np.abs(truth - naive.point).mean()  # noise alone: .71
        inside = (experts.quantiles[..., 0] <= truth) & (truth <= experts.quantiles[..., -1])
        assert 0.7 < inside.mean() < 0.93


@pytest.mark.parametrize("frequency", HORIZONS)
def test_experts_are_a_model_of_hours_and_days(frequency: Frequency, checkout: Path) -> None:
    task = task_of(frequency, checkout, "model=experts")
    fold = task.folds[1]
    predictor, curve = task.fit(fold)
    held_out = task.held_out(predictor, fold)
    assert curve == [] and len(held_out) == SERIES * HORIZONS[frequency]
    assert set(task.yardsticks(fold)) == {"last value", "seasonal naive", "4-step average"}
    error = (held_out["truth"] - held_out["q50"]).abs().mean()
    assert isinstance(error, float) and error < 0.2 * float(np.nanmean(task.panel.values))
    assert ((held_out["lower"] <= held_out["truth"]) & (held_out["truth"] <= held_out["upper"])).mean() > 0.6  # type: ignore[operator]


def test_hours_are_seen_in_whole_weeks_whatever_the_horizon() -> None:
    assert Experts.context_of(24, 5) == Experts.context_of(168, 48) == 133 * 24
