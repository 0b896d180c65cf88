"""Trees on windows of a history: features say what they should; forecasts follow level, season and gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dxai.learn.fitting import FitRows
from dxai.learn.losses import ForecastLoss
from dxai.learn.window_trees import WindowTrees
from dxai.networks.beside import Clock, Covariate, day_of_month
from dxai.networks.ratios import bent, unbent
from dxai.networks.windows import WindowFeatures

SEASON, HORIZON = 12, 6
WEEK = 52
NEVER = torch.zeros(0, dtype=torch.int64)
"""Where features do not see the date."""


def series(count: int, steps: int, seed: int, *, level: float = 50.0, lowest: float | None = 0.0) -> Any:
    """Series of levels from a tenth to ten times ``level`` with a season of a year and noise of a tenth."""
    random = np.random.default_rng(seed)
    size = level * 10 ** random.uniform(-1, 1, (count, 1))
    wave = 1 + 0.5 * np.sin(2 * np.pi * (np.arange(steps) + random.integers(0, 12, (count, 1))) / SEASON)
    made = size * (wave + 0.1 * random.normal(size=(count, steps)))
    return (made if lowest is None else np.maximum(made, lowest)).astype(np.float32)


def rows_of(values: Any, context: int, **more: Any) -> FitRows:
    """Every window of the series and what followed it, without a date."""
    windows = np.lib.stride_tricks.sliding_window_view(values, context + HORIZON, axis=1).reshape(-1, context + HORIZON)
    history, target = (torch.as_tensor(part.copy()) for part in (windows[:, :context], windows[:, context:]))
    dates = torch.zeros(len(history), dtype=torch.int64)
    return FitRows((history, dates), target, ForecastLoss(), seed=0, **more)


def fitted(values: Any, **more: Any) -> WindowTrees:
    context = WindowTrees.context_of(SEASON, HORIZON)
    made = WindowTrees(context=context, horizon=HORIZON, season=SEASON, **{"rows": 8_000, "rounds": 80, **more})
    made.fit(rows_of(values, context))
    return made.eval()


@pytest.fixture(scope="module")
def known() -> Any:
    return series(60, 90, 0)


@pytest.fixture(scope="module")
def model(known: Any) -> WindowTrees:
    return fitted(known)


def answers(model: WindowTrees, history: Any) -> tuple[Any, Any]:
    """Quantiles and mean in the history's unit."""
    with torch.inference_mode():
        quantiles, mean, level = model(torch.as_tensor(history), torch.zeros(len(history), dtype=torch.int64))
    return (quantiles * level[:, :, None]).numpy(), (mean * level).numpy()


def test_multiples_are_bent_and_bent_back() -> None:
    ratio = torch.tensor([-40.0, -1, 0, 0.01, 1, 7, 1000])
    assert unbent(bent(ratio)).numpy() == pytest.approx(ratio.numpy(), rel=1e-4, abs=1e-5)
    assert (bent(ratio).diff() > 0).all()


@pytest.mark.parametrize("season", [1, 4, 7, 12, 24, 52])
def test_features_are_finite_where_the_history_is_known(season: int) -> None:
    made = WindowFeatures(horizon=60, season=season)
    history = torch.rand(3, made.context) + 1
    rows = made(history, made.level(history), NEVER)
    assert rows.shape[:2] == (3, 60)
    assert rows[:, :season].isfinite().all()
    assert (rows * 1024).round().numpy() == pytest.approx((rows * 1024).numpy(), abs=1e-3, nan_ok=True)


def test_the_same_season_before_stands_in_the_row_of_its_step() -> None:
    made = WindowFeatures(horizon=4, season=WEEK)
    history = torch.arange(1, made.context + 1).float()[None]
    rows = unbent(made(history, torch.ones(1, 1), NEVER))[0]
    assert rows[:, 0].numpy() == pytest.approx(float(history[0, -1]), rel=0.01)  # the last value, for every step
    year_ago = [float(history[0, -WEEK + step]) for step in range(4)]
    assert any(column.numpy() == pytest.approx(year_ago, rel=0.01) for column in rows.T)


def test_forecasts_follow_the_season_and_hold_their_intervals(model: WindowTrees) -> None:
    values = series(200, 90, 1)
    past, future = values[:, :-HORIZON], values[:, -HORIZON:]
    quantiles, mean = answers(model, past)
    level = past.mean(axis=1, keepdims=True)
    error = np.abs(quantiles[..., 4] - future) / level
    naive = np.abs(past[:, -1:] - future) / level
    assert error.mean() < 0.45 * naive.mean()
    held = (future >= quantiles[..., 0]) & (future <= quantiles[..., -1])
    assert 0.7 < held.mean() < 0.9
    assert (np.diff(quantiles, axis=2) >= 0).all()
    assert abs(mean.sum() / future.sum() - 1) < 0.05


def test_a_series_alone_is_forecast_as_among_others_and_without_its_old_past(model: WindowTrees, known: Any) -> None:
    together, _ = answers(model, known)
    alone, _ = answers(model, known[7:8])
    assert alone[0] == pytest.approx(together[7], rel=1e-6)
    recent, _ = answers(model, known[:, -model.context :])
    assert recent == pytest.approx(together, rel=1e-6)


@pytest.mark.parametrize("what", ["gaps", "short", "all zero", "nothing known", "huge", "tiny"])
def test_awkward_histories_get_finite_forecasts(what: str, model: WindowTrees, known: Any) -> None:
    history = known[:4].copy()
    if what == "gaps":
        history[:, ::3] = np.nan
    elif what == "short":
        history = history[:, -3:]
    elif what in ("all zero", "nothing known"):
        history[:] = 0 if what == "all zero" else np.nan
    else:
        history *= 1e12 if what == "huge" else 1e-9
    quantiles, mean = answers(model, history)
    assert np.isfinite(quantiles).all() and np.isfinite(mean).all()
    if what == "all zero":
        assert np.abs(quantiles).max() < 0.1 * known.mean()
    if what == "huge":
        assert quantiles.mean() == pytest.approx(1e12 * answers(model, known[:4])[0].mean(), rel=1e-3)


def test_values_below_zero_are_learnt_as_they_are() -> None:
    values = series(40, 90, 2, lowest=None) - 60
    model = fitted(values)
    assert not model.grows
    quantiles, mean = answers(model, values[:, :-HORIZON])
    future = values[:, -HORIZON:]
    assert (quantiles[..., 4] < 0).any()
    assert np.corrcoef(mean.ravel(), future.ravel())[0, 1] > 0.9


def test_the_same_rows_give_the_same_trees_and_stored_ones_come_back(model: WindowTrees, known: Any) -> None:
    again = fitted(known)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    fresh = WindowTrees(context=model.context, horizon=HORIZON, season=SEASON)
    fresh.load_state_dict(model.state_dict())
    assert answers(fresh, known)[0] == pytest.approx(answers(model, known)[0])


@pytest.mark.slow(seconds=40)
def test_its_graph_is_released_and_forecasts_as_it_does(workplace: Any, tmp_path: Any) -> None:
    import polars as pl
    from test_own_data import DEMAND, data_folder, dxai, parts

    folder = data_folder(tmp_path / "spares", DEMAND, parts())
    told = dxai(workplace, "train", f"data={folder}", "model=trees", "model.rounds=20", "split.origins=1")
    run = next(line.split()[-3] for line in told.splitlines() if "dxai release" in line)
    dxai(workplace, "release", run, "--to", "models/parts")  # holds torch against ONNX Runtime on awkward histories
    table = tmp_path / "parts.csv"
    parts().write_csv(table)
    dxai(workplace, "predict", "models/parts", str(table), "-o", str(tmp_path / "out.csv"), "--unsigned")
    assert pl.read_csv(tmp_path / "out.csv").select(pl.selectors.float()).to_numpy().size


def test_pay_days_are_known_by_the_day_of_the_month() -> None:
    first, horizon, days = 19_000, 14, 1_100
    of_month = day_of_month(torch.arange(first, first + days)).numpy()
    random = np.random.default_rng(0)
    demand = (100 * (1 + (of_month == 25)) * (1 + 0.05 * random.normal(size=(4, days)))).astype(np.float32)
    context = WindowTrees.context_of(7, horizon)
    model = WindowTrees(context=context, horizon=horizon, season=7, frequency="daily", rows=20_000, rounds=100)
    windows = np.lib.stride_tricks.sliding_window_view(demand, context + horizon, axis=1)
    ends = np.tile(first + context - 1 + np.arange(windows.shape[1]), len(demand))
    flat = torch.as_tensor(windows.reshape(-1, context + horizon).copy())
    last = torch.as_tensor(ends)
    model.fit(FitRows((flat[:, :context], last), flat[:, context:], ForecastLoss(), seed=0))
    with torch.inference_mode():
        quantiles, _, level = model.eval()(torch.as_tensor(demand[:1]), torch.tensor([first + days - 1]))
    median = (quantiles[0, :, 4] * level[0]).numpy()
    ahead = day_of_month(torch.arange(first + days, first + days + horizon)).tolist()
    assert 25 in ahead
    assert median[ahead.index(25)] == pytest.approx(200, rel=0.15)
    assert np.delete(median, ahead.index(25)) == pytest.approx(100, rel=0.15)


@pytest.mark.parametrize(("season", "step", "day"), [(7, 1, 1), (24, 1, 24), (52, 7, 1)])
def test_features_of_some_steps_are_those_of_all(season: int, step: float, day: int) -> None:
    horizon, columns = 10, [Covariate("known_future"), Covariate("known_future", 3), Covariate("past")]
    made = WindowFeatures(horizon=horizon, season=season, clock=Clock(step=step, day=day), columns=columns)
    torch.manual_seed(0)
    history, steps = 100 * torch.rand(4, made.context), made.context + horizon
    history[1, ::7], history[2, :-5] = torch.nan, torch.nan
    beside = [torch.rand(4, steps), torch.randint(4, (4, steps)), torch.rand(4, made.context)]
    given = history, made.level(history), torch.arange(4) + 19_000, beside
    whole = made(*given)
    for some in (range(1), range(3, 7), range(9, 10)):
        np.testing.assert_array_equal(made(*given, some), whole[:, some.start : some.stop])
