"""Trees, experts and a network together: their weights are chosen on steps that none was fitted on, and kept."""

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
from dxai.networks.beside import Covariate

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
    made.weights = {"trees": share, "experts": 1 - share}
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
    assert sum(portfolio.weights.values()) == 1
    assert losses[portfolio.weights["trees"]] <= 1.01 * min(losses.values())
    if portfolio.weights["trees"] != 0.5:
        assert losses[portfolio.weights["trees"]] < 0.99 * losses[0.5]
    if right != "future":
        assert (portfolio.weights["trees"] > 0.5) == (right == "trees") and portfolio.weights["trees"] != 0.5


def test_steps_without_truth_do_not_count(portfolio: DemandPortfolio, values: Any) -> None:
    inputs = asked(values, HORIZON)
    truth = torch.as_tensor(values[:, -HORIZON:].copy())
    truth[::2] = torch.nan
    portfolio.weigh(inputs, truth)
    assert portfolio.weights["trees"] in (0.0, 0.25, 0.5, 0.75, 1.0)
    portfolio.weigh(inputs, torch.full_like(truth, torch.nan))
    assert portfolio.weights["trees"] == 0.5


def test_a_stored_portfolio_comes_back_with_its_share(portfolio: DemandPortfolio, values: Any) -> None:
    inputs = asked(values, 0)
    expected = answers(portfolio, 0.75, inputs)
    context = DemandPortfolio.context_of(SEASON, HORIZON)
    fresh = DemandPortfolio(context=context, horizon=HORIZON, season=SEASON)
    fresh.load_state_dict(portfolio.state_dict())
    assert fresh.weights == {"trees": 0.75, "experts": 0.25}
    np.testing.assert_array_equal(answers(fresh.eval(), 0.75, inputs)[0], expected[0])


def test_short_series_are_left_to_the_experts_where_there_are_some(portfolio: DemandPortfolio, values: Any) -> None:
    history, last = asked(values, 0)
    history[:3, :-10] = torch.nan
    mixed, experts = (answers(portfolio, share, (history, last))[0] for share in (0.5, 0.0))
    portfolio.weights = {"trees": 0.5, "experts": 0.5}
    assert portfolio.leave_short(24)
    left = answers(portfolio, 0.5, (history, last))[0]
    np.testing.assert_allclose(left[:3], experts[:3], rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(left[3:], mixed[3:])
    assert not np.allclose(left[:3], mixed[:3], rtol=0.01)
    portfolio.weights = {"trees": 1.0, "experts": 0.0}
    assert not portfolio.leave_short(24)
    portfolio.leave_short(0)


@pytest.fixture(scope="module")
def three(portfolio: DemandPortfolio, values: Any) -> DemandPortfolio:
    """With a network, which is fitted on a few pairs."""
    made = DemandPortfolio(
        context=portfolio.context, horizon=HORIZON, season=SEASON, rows=2_000, rounds=10, network=True
    )
    assert made.network is not None
    windows = np.lib.stride_tricks.sliding_window_view(values, made.context + HORIZON, axis=1)[:, ::5]
    flat = torch.as_tensor(windows.reshape(-1, made.context + HORIZON).copy())
    ends = torch.zeros(len(flat), dtype=torch.int64)
    shares: list[float] = []
    made.fit(FitRows((flat[:, : made.context], ends), flat[:, made.context :], ForecastLoss(), seed=0,
                     on_step=lambda share, *_: shares.append(share)))  # fmt: skip
    assert shares == sorted(shares) and 0.6 in shares and max(shares) < 1
    return made.eval()


def alone(made: DemandPortfolio, name: str, inputs: Any) -> Any:
    made.weights = {member: float(member == name) for member in made.weights}
    with torch.inference_mode():
        quantiles, _, level = made(*inputs)
    return (quantiles * level[:, :, None]).numpy()


@pytest.mark.parametrize("right", ["trees", "experts", "network"])
def test_the_member_that_is_right_gets_the_weight(right: str, three: DemandPortfolio, values: Any) -> None:
    inputs = asked(values, HORIZON)
    others = [alone(three, name, inputs)[..., 4] for name in ("trees", "experts", "network") if name != right]
    its = alone(three, right, inputs)[..., 4]
    three.weigh(inputs, torch.as_tensor(its + 4 * (its - np.mean(others, axis=0))))
    assert three.weights[right] >= 0.75
    assert sum(three.weights.values()) == 1


def test_three_members_are_weighed_alike_unless_others_are_better(three: DemandPortfolio, values: Any) -> None:
    inputs = asked(values, HORIZON)
    made = {name: alone(three, name, inputs) for name in three.weights}
    three.weigh(inputs, torch.full((len(values), HORIZON), torch.nan))
    assert set(three.weights.values()) == {1 / 3}
    with torch.inference_mode():
        quantiles, _, level = three(*inputs)
    mixed = (quantiles * level[:, :, None]).numpy()
    np.testing.assert_allclose(mixed, np.mean(list(made.values()), axis=0), rtol=1e-4, atol=1e-3)
    fresh = DemandPortfolio(context=three.context, horizon=HORIZON, season=SEASON, network=True)
    fresh.load_state_dict(three.state_dict())
    assert fresh.weights == three.weights
    with torch.inference_mode():
        assert torch.equal(fresh.eval()(*inputs)[0], quantiles)


def test_hours_and_what_is_known_ahead_are_left_to_the_others() -> None:
    shape: Any = {"context": 700, "horizon": 4, "network": True}
    ahead = DemandPortfolio(**shape, season=52, frequency="weekly", columns=[Covariate("known_future")])
    assert ahead.network is None and set(ahead.weights) == {"trees", "experts"}
    assert DemandPortfolio(**shape, season=24, frequency="hourly").network is None
    static = DemandPortfolio(**shape, season=52, frequency="weekly", columns=[Covariate("static")])
    assert static.network is not None
