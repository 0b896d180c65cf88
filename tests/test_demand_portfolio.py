"""Trees and experts together: the share of the trees is chosen on steps that they were not fitted on, and kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_window_trees import HORIZON, SEASON, series

from dxai import metrics
from dxai.learn.demand_portfolio import DemandPortfolio
from dxai.learn.fitting import FitRows
from dxai.learn.losses import ForecastLoss

STEPS = 200


@pytest.fixture(scope="module")
def values() -> Any:
    return series(30, STEPS, 0)


@pytest.fixture(scope="module")
def portfolio(values: Any) -> DemandPortfolio:
    context = DemandPortfolio.context_of(SEASON, HORIZON)
    made = DemandPortfolio(context=context, horizon=HORIZON, season=SEASON, rows=4_000, rounds=40)
    past = values[:, : -2 * HORIZON]
    starts = range(0, past.shape[1] - context - HORIZON)
    history = np.concatenate([past[:, s : s + context] for s in starts])
    target = np.concatenate([past[:, s + context : s + context + HORIZON] for s in starts])
    ends = torch.zeros(len(history), dtype=torch.int64)
    made.fit(FitRows((torch.as_tensor(history), ends), torch.as_tensor(target), ForecastLoss(), seed=0))
    return made.eval()


def asked(values: Any, back: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.as_tensor(values[:, : STEPS - back].copy()), torch.zeros(len(values), dtype=torch.int64)


def answers(made: DemandPortfolio, share: float, inputs: Any) -> tuple[Any, Any]:
    made.share = share
    with torch.inference_mode():
        quantiles, mean, level = made(*inputs)
    return (quantiles * level[:, :, None]).numpy(), (mean * level).numpy()


def test_quantiles_and_mean_lie_between_those_of_the_members(portfolio: DemandPortfolio, values: Any) -> None:
    inputs = asked(values, HORIZON)
    trees, experts, both = (answers(portfolio, share, inputs) for share in (1.0, 0.0, 0.25))
    for tree, expert, mixed in zip(trees, experts, both, strict=True):
        np.testing.assert_allclose(mixed, 0.25 * tree + 0.75 * expert, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("right", ["trees", "experts", "future"])
def test_the_share_is_the_best_but_for_one_per_cent(right: str, portfolio: DemandPortfolio, values: Any) -> None:
    inputs = asked(values, HORIZON)
    made = {share: answers(portfolio, share, inputs)[0] for share in (1.0, 0.75, 0.5, 0.25, 0.0)}
    gap = np.abs(made[1.0][..., 4] - made[0.0][..., 4])
    beyond = {"trees": made[1.0][..., 4] + gap * np.sign(made[1.0][..., 4] - made[0.0][..., 4]),
              "experts": made[0.0][..., 4] + gap * np.sign(made[0.0][..., 4] - made[1.0][..., 4]),
              "future": values[:, -HORIZON:]}  # fmt: skip
    truth = beyond[right].astype(np.float32)
    portfolio.weigh(inputs, torch.as_tensor(truth))
    losses = {share: metrics.wql(truth, quantiles) for share, quantiles in made.items()}
    assert losses[portfolio.share] <= 1.01 * min(losses.values())
    if portfolio.share != 0.5:
        assert losses[portfolio.share] < 0.99 * losses[0.5]
    if right != "future":
        assert (portfolio.share > 0.5) == (right == "trees") and portfolio.share != 0.5


def test_steps_without_truth_do_not_count(portfolio: DemandPortfolio, values: Any) -> None:
    inputs = asked(values, HORIZON)
    truth = torch.as_tensor(values[:, -HORIZON:].copy())
    truth[::2] = torch.nan
    portfolio.weigh(inputs, truth)
    assert portfolio.share in (0.0, 0.25, 0.5, 0.75, 1.0)
    portfolio.weigh(inputs, torch.full_like(truth, torch.nan))
    assert portfolio.share == 0.5


def test_a_stored_portfolio_comes_back_with_its_share(portfolio: DemandPortfolio, values: Any) -> None:
    inputs = asked(values, 0)
    expected = answers(portfolio, 0.75, inputs)
    context = DemandPortfolio.context_of(SEASON, HORIZON)
    fresh = DemandPortfolio(context=context, horizon=HORIZON, season=SEASON)
    fresh.load_state_dict(portfolio.state_dict())
    assert fresh.share == 0.75
    np.testing.assert_array_equal(answers(fresh.eval(), fresh.share, inputs)[0], expected[0])


def test_short_series_are_left_to_the_experts_where_there_are_some(portfolio: DemandPortfolio, values: Any) -> None:
    history, last = asked(values, 0)
    history[:3, :-10] = torch.nan
    mixed, experts = (answers(portfolio, share, (history, last))[0] for share in (0.5, 0.0))
    portfolio.share = 0.5
    assert portfolio.leave_short(24)
    left = answers(portfolio, 0.5, (history, last))[0]
    np.testing.assert_allclose(left[:3], experts[:3], rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(left[3:], mixed[3:])
    assert not np.allclose(left[:3], mixed[:3], rtol=0.01)
    portfolio.share = 1.0
    assert not portfolio.leave_short(24)
    portfolio.leave_short(0)
