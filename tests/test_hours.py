"""Hours: nine experts from whole days, weighed by the last 21 of them, and sensible whatever the history is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import firms
from dxai.networks.experts.hours import (
    CONTEXT,
    DAY,
    ENDS,
    NAMES,
    VALIDATED,
    WEEK,
    after_similar,
    forecasts,
    last_week,
    level_since,
    solve,
    week_profile,
)  # fmt: skip
from pipelines import forecaster
from pipelines.forecaster import LEVELS

NAN = float("nan")


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return forecaster.network("hourly")


def asked(network: nn.Module, *histories: list[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles and mean; whatever the history they are finite and in order."""
    with torch.inference_mode():
        quantiles, mean = (x.numpy() for x in network(torch.tensor(np.array(histories), dtype=torch.float32)))
    assert quantiles.shape == (len(histories), 2 * DAY, len(LEVELS)) and mean.shape == quantiles.shape[:2]
    assert np.isfinite(quantiles).all() and np.isfinite(mean).all()
    size = np.nanmax(np.abs(np.array(histories)), initial=0.0)
    assert (np.diff(quantiles, axis=2) >= -1e-6 * size).all()
    return quantiles, mean


def weeks(count: int, noise: float = 0.0) -> np.ndarray:
    """Work by day from Monday to Friday."""
    hour = np.arange(count * WEEK * DAY)
    level = 10 + 40 * ((hour % DAY >= 8) & (hour % DAY < 18) & (hour // DAY % WEEK < 5))
    return level + noise * np.random.default_rng(0).normal(size=len(hour))


def test_day_and_week_are_repeated_at_whatever_hour_the_history_ends(network: nn.Module) -> None:
    series = weeks(12)
    for end in (10 * WEEK * DAY, 10 * WEEK * DAY + 31, 10 * WEEK * DAY + 5 * DAY):
        quantiles, _ = asked(network, series[:end])
        np.testing.assert_allclose(quantiles[0, :, 5], series[end : end + 2 * DAY], atol=1.5)


def test_interval_holds_what_it_says(network: nn.Module) -> None:
    """Of hours whose noise grows with the root of their level, as counts have it."""
    level = weeks(12)
    series = level + 1.5 * np.sqrt(level) * np.random.default_rng(1).normal(size=(60, len(level)))
    past, truth = series[:, : -2 * DAY], series[:, -2 * DAY :]
    quantiles, mean = asked(network, *past)
    assert 0.74 < ((quantiles[..., 1] <= truth) & (truth <= quantiles[..., -2])).mean() < 0.88
    assert ((quantiles[..., 0] <= truth) & (truth <= quantiles[..., -1])).mean() > 0.9
    assert mean.sum() == pytest.approx(truth.sum(), rel=0.1)


@pytest.mark.parametrize("scale", [1e-9, 1e12])
def test_forecast_grows_with_the_series(network: nn.Module, scale: float) -> None:
    series = weeks(6, 3.0)
    made = [asked(network, factor * series)[0] / factor for factor in (1.0, scale)]
    np.testing.assert_allclose(made[1], made[0], rtol=2e-3, atol=2e-2)


@pytest.mark.parametrize(
    ("history", "low", "high"),
    [([7.0], 7, 7), ([5.0] * 30, 5, 5), ([0.0] * 200, 0, 0), ([NAN] * 5, 0, 0), ([1.0, 2.0, 3.0], 1, 3),
     ([20.0] * 500 + [4000.0], 19, 800), ([20.0] * 500 + [NAN] * 30, 19.9, 20.1), ([-5.0] * 400, -5.1, -4.9),
     ([50.0] * 300 + [0.0] * 400, 0, 20)],
)  # fmt: skip
def test_awkward_histories_are_sensible(network: nn.Module, history: list[float], low: float, high: float) -> None:
    quantiles, _ = asked(network, history)
    assert low - 1e-4 <= quantiles[..., 5].min() and quantiles[..., 5].max() <= high + 1e-4
    if np.nanmin([*history, 0.0]) >= 0:
        assert quantiles.min() >= 0


def test_gaps_and_a_late_beginning_change_little(network: nn.Module) -> None:
    series = weeks(10, 1.0)
    holed = np.where(np.random.default_rng(2).random(len(series)) < 0.1, NAN, series)
    late = np.concatenate([[NAN] * 500, series])
    made = asked(network, np.concatenate([[NAN] * 500, holed]), late)[0][..., 5]
    plain = asked(network, series)[0][0, :, 5]
    assert np.abs(made[0] - plain).mean() < 1.5
    np.testing.assert_allclose(made[1], plain, atol=1e-3)


def test_a_closed_day_is_not_repeated_and_no_error(network: nn.Module) -> None:
    closed = weeks(10, 1.0)
    closed[-3 * DAY : -2 * DAY] = 0
    made, plain = asked(network, closed, weeks(10, 1.0))[0]
    assert np.abs(made[:, 5] - plain[:, 5]).mean() < 2
    assert (made[:, -2] - made[:, 1]).mean() < 2 * (plain[:, -2] - plain[:, 1]).mean()


def test_series_of_a_batch_do_not_touch_each_other(network: nn.Module) -> None:
    a, b = weeks(6, 2.0), 100 - weeks(6, 5.0)
    together, alone = asked(network, a, b)[0], asked(network, b)[0]
    np.testing.assert_allclose(together[1], alone[0], rtol=1e-4, atol=1e-3)


# --- the experts ------------------------------------------------------------------------------------------------------


def days(count: int = CONTEXT) -> tuple[torch.Tensor, torch.Tensor]:
    values = torch.tensor(np.random.default_rng(3).gamma(3.0, 2.0, (2, count, DAY)), dtype=torch.float32)
    return values, torch.ones(2, count)


def test_every_expert_forecasts_every_day_ahead() -> None:
    values, known = days()
    for ahead in range(1, WEEK + 1):
        made = forecasts(values, known, ahead, [CONTEXT])
        assert made.shape == (2, 1, len(NAMES), DAY) and made.isfinite().all()


def test_an_origin_sees_nothing_after_it_and_only_its_own_past() -> None:
    values, known = days(CONTEXT + VALIDATED)
    later = values.clone()
    later[:, CONTEXT:] *= 3
    for ahead in (1, 2):
        made, other = (forecasts(each, known, ahead, ENDS) for each in (values, later))
        alone = forecasts(values[:, :CONTEXT], known[:, :CONTEXT], ahead, [CONTEXT])
        np.testing.assert_allclose(other[:, -1], made[:, -1], rtol=1e-5)
        np.testing.assert_allclose(alone[:, 0], made[:, -1], rtol=1e-4)
        assert (other[:, 0] - made[:, 0]).abs().max() > 1


def test_week_profile_is_the_discounted_mean_of_the_same_weekday() -> None:
    values, known = days()
    known[:, -2 * WEEK] = 0
    profile, rest = (each[:, 0] for each in week_profile(values, known, 1, [CONTEXT]))
    same = values.numpy()[:, -WEEK::-WEEK]  # the newest first; the second is not known
    weight = np.array([0.85**k for k in range(same.shape[1])])
    weight[1] = 0
    np.testing.assert_allclose(profile, np.average(same, axis=1, weights=weight), rtol=1e-4)
    np.testing.assert_allclose(rest[:, 0], values[:, -WEEK] - profile, rtol=1e-4, atol=1e-5)


def test_level_since_is_simple_smoothing() -> None:
    values, known = days()
    level = 0.0
    for value in values[0].flatten().tolist():
        level += 0.15 * (value - level)
    assert level_since(*(last_week(each, [CONTEXT]) for each in (values, known)))[0].item() == pytest.approx(
        level, rel=1e-4
    )


def test_a_day_like_the_last_one_is_followed_by_what_followed_it() -> None:
    values, known = days()
    values[:, 40] = values[:, -1] = values[:, -1] + 30
    made = after_similar(values, known, torch.ones(DAY), 1, [CONTEXT])
    np.testing.assert_allclose(made[:, 0], values[:, 41], atol=1e-2)


def test_conjugate_gradients_solve_a_ridge() -> None:
    inputs = np.random.default_rng(4).normal(size=(3, 200, 13)) + 2
    square = inputs.transpose(0, 2, 1) @ inputs + np.eye(13)
    target = np.random.default_rng(5).normal(size=(3, 13)) * 100
    expected = np.linalg.solve(square, target[..., None])[..., 0]
    made = solve(*(torch.tensor(x, dtype=torch.float32) for x in (square, target, np.zeros((3, 13)))))
    np.testing.assert_allclose(made, expected, atol=1e-3)


# --- real files -------------------------------------------------------------------------------------------------------


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize(
    ("name", "mase"), [("seoul-bike", 0.75), ("steel-energy", 0.62), ("appliances", 0.62)]
)  # fmt: skip
def test_real_hours(name: str, mase: float, shared_data: Path) -> None:
    if not (shared_data / firms.FILES[name][0]).is_file():
        pytest.skip(f"there is no {firms.FILES[name][0]} in {shared_data}")
    before, last = firms.scored(name, shared_data)
    assert before["model"] != last["model"]
    assert last["metrics"]["mase"] <= mase < last["metrics"]["mase_of_last_week"]
    assert 0.75 <= last["metrics"]["80%"] <= 0.85


@pytest.mark.parametrize(("ahead", "peers"), [(14, 1.03), (28, 1.204)])
def test_real_days_are_no_worse_than_ets_theta_and_ces(ahead: int, peers: float, shared_data: Path) -> None:
    """The mean of statsforecast's three on the same origins, as `benchmarks.forecaster --statsforecast` has it."""
    if not (shared_data / firms.FILES["seoul-bike-days"][0]).is_file():
        pytest.skip(f"there are no bike rentals in {shared_data}")
    made = {line["model"]: line["metrics"]["mase"] for line in firms.scored("seoul-bike-days", shared_data)}
    assert made[f"the last 28 midnights, {ahead} days"] <= peers


def test_context_is_whole_weeks() -> None:
    assert CONTEXT % WEEK == 0 and (CONTEXT + VALIDATED) % WEEK == 0
