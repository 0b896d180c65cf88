"""A network on windows of a history: it learns, is the same twice, never crosses quantiles and never explodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_export import DEMAND, TOLERANCE, parts, proven
from test_window_trees import HORIZON, SEASON, answers, rows_of, series

from dxai.config.compose import settings_from
from dxai.data.batch import SeriesCodec
from dxai.inference.model import Model
from dxai.learn.demand import DemandTask, history_cases
from dxai.learn.fitting import FitRows
from dxai.learn.losses import ForecastLoss
from dxai.learn.window_network import WindowNetwork
from dxai.networks.beside import Covariate
from dxai.ship.export import export


def fitted(values: Any) -> WindowNetwork:
    context = WindowNetwork.context_of(SEASON, HORIZON)
    made = WindowNetwork(context=context, horizon=HORIZON, season=SEASON, rows=8_000, passes=4)
    told: list[float] = []
    made.fit(rows_of(values, context, on_step=lambda share, *_: told.append(share)))
    assert told == [0, 0.25, 0.5, 0.75]
    return made.eval()


@pytest.fixture(scope="module")
def known() -> Any:
    return series(60, 90, 0)


@pytest.fixture(scope="module")
def model(known: Any) -> WindowNetwork:
    return fitted(known)


def test_forecasts_are_better_than_the_mean_of_the_last_steps(model: WindowNetwork) -> None:
    values = series(200, 90, 1)
    past, future = values[:, :-HORIZON], values[:, -HORIZON:]
    quantiles, mean = answers(model, past)
    level = past.mean(axis=1, keepdims=True)
    error = (np.abs(quantiles[..., 4] - future) / level).mean()
    assert error < 0.5 * (np.abs(past[:, -4:].mean(axis=1, keepdims=True) - future) / level).mean()
    held = (future >= quantiles[..., 0]) & (future <= quantiles[..., -1])
    assert 0.6 < held.mean() < 0.95
    assert abs(mean.sum() / future.sum() - 1) < 0.1


def test_the_same_rows_give_the_same_network_and_a_stored_one_comes_back(model: WindowNetwork, known: Any) -> None:
    torch.manual_seed(7)  # what is drawn elsewhere does not matter
    again = fitted(known)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    fresh = WindowNetwork(context=model.context, horizon=HORIZON, season=SEASON)
    fresh.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(answers(fresh.eval(), known)[0], answers(model, known)[0])


@pytest.mark.parametrize("what", ["gaps", "short", "all zero", "nothing known", "huge", "tiny", "one peak", "wild"])
def test_awkward_histories_get_ordered_and_bounded_forecasts(what: str, model: WindowNetwork, known: Any) -> None:
    history = known[:4].copy()
    if what == "gaps":
        history[:, ::3] = np.nan
    elif what == "short":
        history = history[:, -3:]
    elif what in ("all zero", "nothing known"):
        history[:] = 0 if what == "all zero" else np.nan
    elif what == "one peak":
        history[:, -30] = 1e9
    elif what == "wild":
        history = (10.0 ** np.random.default_rng(0).uniform(-8, 8, history.shape)).astype(np.float32)
    else:
        history *= 1e12 if what == "huge" else 1e-9
    quantiles, mean = answers(model, history)
    with torch.inference_mode():
        level = model(torch.as_tensor(history), torch.zeros(len(history), dtype=torch.int64))[2].numpy()
    assert np.isfinite(quantiles).all() and (np.diff(quantiles, axis=2) >= 0).all()
    assert (np.abs(quantiles).max(axis=(1, 2)) <= 60.01 * level[:, 0]).all()
    assert (mean >= 0).all() and (mean.max(axis=1) <= 20.01 * level[:, 0]).all()


def test_values_below_zero_are_learnt_as_they_are() -> None:
    values = series(40, 90, 2, lowest=None) - 60
    model = fitted(values)
    assert not model.grows
    quantiles, mean = answers(model, values[:, :-HORIZON])
    assert (quantiles[..., 4] < 0).any()
    assert np.corrcoef(mean.ravel(), values[:, -HORIZON:].ravel())[0, 1] > 0.9


def test_what_lies_beside_the_history_is_looked_at() -> None:
    columns = (Covariate("known_future"), Covariate("static"), Covariate("series", 3))
    made = WindowNetwork(
        context=WindowNetwork.context_of(SEASON, HORIZON), horizon=HORIZON, season=SEASON, columns=columns, rows=8_000
    )
    alone = WindowNetwork(context=made.context, horizon=HORIZON, season=SEASON)
    assert made.width > alone.width + len(columns)
    values = series(60, made.context + HORIZON, 3)
    random = np.random.default_rng(0)
    deal = random.integers(0, 2, values.shape).astype(np.float32)
    values *= 1 + deal
    beside = [torch.as_tensor(deal), torch.zeros(len(values)), torch.zeros(len(values), dtype=torch.int64)]
    history, last = torch.as_tensor(values[:, : made.context]), torch.zeros(len(values), dtype=torch.int64)
    target = torch.as_tensor(values[:, made.context :])
    made.fit(FitRows((history, last, *beside), target, ForecastLoss(), seed=0))
    with torch.inference_mode():
        median = (made.eval()(history, last, *beside)[0][..., 4]).numpy()
    flags = deal[:, made.context :] > 0
    assert median[flags].mean() > 1.3 * median[~flags].mean()


@pytest.mark.slow(seconds=40)
def test_its_graph_repeats_torch_on_awkward_histories(checkout: Path) -> None:
    words = ["experiment=demand", "model=window_network", "model.rows=2000", "model.passes=1", "split.origins=1"]
    task = DemandTask(DEMAND, parts(), settings_from(words, checkout=checkout))
    predictor = task.fit(task.folds[-1])[0].eval()
    graph = export(predictor, DEMAND, context=task.context)
    assert len(graph) < 1e6
    cases = history_cases(task.panel, SeriesCodec(DEMAND, task.context))
    assert proven(predictor, cases, Model(graph, DEMAND, context=task.context)).worst <= TOLERANCE
