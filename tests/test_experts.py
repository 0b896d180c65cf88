"""Experts: each filter is its plain recursion, and every awkward history gets a sensible forecast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor

from dxai.contract.signature import LEVELS
from dxai.learn import yardsticks
from dxai.networks.experts import NAMES, Combination, Experts
from dxai.networks.experts import bank as bank_module
from dxai.networks.experts.bank import FilterBank
from dxai.networks.experts.filters import StateSpace, complex_smoothing, holt_winters, kernels, simple, stable
from dxai.networks.experts.gaps import filled, without_closures
from dxai.networks.experts.history import History, adjusted
from dxai.networks.experts.intermittent import adida_and_imapa, croston, sba, tsb
from dxai.networks.experts.lumpy import MEMORY, lumpiness, moments, normal_quantile
from dxai.networks.experts.members import COMPLEX, DAMPED, HarmonicRegression, Size
from dxai.networks.experts.network import trimmed_mean, weights

SEASON, HORIZON, CONTEXT = 12, 18, 144
NAN = float("nan")
WAVE = [100 + 20 * np.sin(2 * np.pi * step / SEASON) for step in range(96)]


@pytest.fixture(scope="module")
def monthly() -> Combination:
    return Combination(season=SEASON, horizon=HORIZON, context=CONTEXT).eval()


def forecast(network: Combination, *values: float) -> Tensor:
    """Forecast of one history; whatever the history, it is finite."""
    with torch.inference_mode():
        made, error = network(torch.tensor([list(values)], dtype=torch.float32))
    assert made.shape == (1, network.horizon) and torch.isfinite(made).all()
    assert not error.isinf().any()
    return torch.as_tensor(made[0])


# --- filters against recursions ---------------------------------------------------------------------------------------


def simple_recursion(history: Sequence[float], row: tuple[float, ...], horizon: int) -> list[float]:
    (alpha,), level = row, history[0]
    for value in history:
        level += alpha * (value - level)
    return [level] * horizon


def complex_recursion(history: Sequence[float], row: tuple[float, ...], horizon: int) -> list[float]:
    (real, imaginary), level, potential = row, 0.0, 0.0
    for value in history:
        error = value - level
        level, potential = (
            level - (1 - imaginary) * potential + (real - imaginary) * error,
            level + (1 - real) * potential + (real + imaginary) * error,
        )
    made = []
    for _ in range(horizon):
        made.append(level)
        level, potential = level - (1 - imaginary) * potential, level + (1 - real) * potential
    return made


def holt_winters_recursion(history: Sequence[float], row: tuple[float, ...], horizon: int) -> list[float]:
    alpha, beta, gamma, phi = row
    level, trend, season = 0.0, 0.0, [0.0] * SEASON
    for step, value in enumerate(history):
        error = value - (level + phi * trend + season[step % SEASON])
        level, trend = level + phi * trend + alpha * error, phi * trend + beta * error
        season[step % SEASON] += gamma * error
    made = []
    for step in range(len(history), len(history) + horizon):
        level, trend = level + phi * trend, phi * trend
        made.append(level + season[step % SEASON])
    return made


ROWS = [(0.05, 0.0, 0.0, 0.85), (0.15, 0.015, 0.04, 0.97), (0.5, 0.05, 0.15, 0.85), (0.8, 0.08, 0.02, 0.97)]
Recursion = Callable[[Sequence[float], tuple[float, ...], int], list[float]]
FORMS: dict[str, tuple[StateSpace, Sequence[tuple[float, ...]], Recursion]] = {
    "simple": (simple([0.05, 0.4, 0.95]), [(0.05,), (0.4,), (0.95,)], simple_recursion),
    "complex": (complex_smoothing([(1.1, 1.0), (1.6, 1.02)]), [(1.1, 1.0), (1.6, 1.02)], complex_recursion),
    "Holt-Winters": (holt_winters(ROWS, SEASON), ROWS, holt_winters_recursion),
}


@pytest.mark.parametrize("form", FORMS)
def test_filter_is_its_recursion(form: str) -> None:
    models, rows, recursion = FORMS[form]
    generator = np.random.default_rng(0)
    history = 5 + generator.normal(size=48).cumsum()
    # Levels of Holt-Winters take thousands of seasons to settle; that they settle at 1 is tested below.
    before = 0.0 if form == "Holt-Winters" else 3.0
    torch.set_default_dtype(torch.float64)
    try:
        bank = FilterBank(kernels(models, length=48, horizon=HORIZON))
        deviation, level = torch.tensor(history - before)[None], torch.tensor([[before]])
        made = [bank.forecast(deviation, level, torch.tensor([row]))[0] for row in range(len(rows))]
        one_step = bank.one_step(deviation, level)[0]
    finally:
        torch.set_default_dtype(torch.float32)
    for number, row in enumerate(rows):
        long = [before] * 12_000 + history.tolist()  # the level before the history has lasted "for ever"
        np.testing.assert_allclose(made[number], recursion(long, row, HORIZON), rtol=1e-6)
        np.testing.assert_allclose(one_step[number, -1], recursion(long[:-1], row, 1)[0], rtol=1e-6)


def test_best_row_is_the_one_that_made_the_history() -> None:
    bank = FilterBank(kernels(simple([0.1, 0.5, 0.9]), length=CONTEXT, horizon=1))
    generator, level, values = np.random.default_rng(1), 0.0, []
    for noise in generator.normal(size=CONTEXT):
        values.append(level + noise)
        level += 0.5 * noise
    history, none = torch.tensor([values], dtype=torch.float32), torch.zeros(1, 1)
    assert bank.best_row(history, none, torch.ones_like(history)).tolist() == [1]


def test_a_season_that_no_error_shows_chooses_no_row() -> None:
    """Of rows that differ in the gain of the season, less than a season of history takes the first, the least one."""
    rows = [(0.3, 0.03, 0.7 * gain, 0.85) for gain in (0.0, 0.05, 0.1, 0.3)]
    bank = FilterBank(kernels(holt_winters(rows, 52), length=104, horizon=13))
    history = torch.zeros(500, 104)
    history[:, -40:] = torch.randn(500, 40, generator=torch.Generator().manual_seed(0))
    counted = torch.zeros_like(history)
    counted[:, -40:] = 1.0
    assert bank.best_row(history, torch.full((500, 1), 3.0), counted).eq(0).all()


def test_rows_of_a_grid_are_tried_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bank = FilterBank(kernels(simple(np.linspace(0.02, 0.98, 40).tolist()), length=CONTEXT, horizon=1))
    history, level = torch.randn(30, CONTEXT, generator=torch.Generator().manual_seed(0)), torch.zeros(30, 1)
    few = bank.best_row(history, level, torch.ones_like(history))
    monkeypatch.setattr(bank_module, "ROWS_AT_ONCE", 1000)
    assert torch.equal(few, bank.best_row(history, level, torch.ones_like(history)))
    assert few.unique().numel() > 3


def test_rows_that_never_forget_are_left_out() -> None:
    assert len(stable(complex_smoothing([(2.0, 0.98), (1.5, 1.0)])).gain) == 1
    assert len(stable(complex_smoothing(COMPLEX)).gain) >= 30
    for season, horizon, context in ((4, 8, 72), (52, 13, 156)):
        bank = Combination(season=season, horizon=horizon, context=context).holt_winters.bank
        assert len(bank.level) > 60
        np.testing.assert_allclose(bank.level_ahead, 1, rtol=1e-6)  # a constant is forecast as itself


def history_of(values: Sequence[float]) -> History:
    series = torch.tensor([values], dtype=torch.float32)
    known = torch.ones_like(series)
    return History(series, known, known, SEASON, HORIZON)


def test_harmonic_regression_continues_a_line_with_a_season() -> None:
    def at(step: float) -> float:
        return 2 + 0.05 * step + np.sin(2 * np.pi * step / 12) - 0.5 * np.cos(np.pi * step)

    expert = HarmonicRegression(Size(48, HORIZON, SEASON), discount=0.98, season_discount=1.0)
    made = expert(history_of([at(step) for step in range(48)]))[0]
    np.testing.assert_allclose(made, [at(step) for step in range(48, 48 + HORIZON)], atol=2e-4)


def test_season_is_found_and_taken_off() -> None:
    for ratio in (False, True):
        plain = adjusted(history_of(WAVE[:60]), ratio=ratio)
        np.testing.assert_allclose(plain.history.values, 100, rtol=2e-3)
        np.testing.assert_allclose(plain.restored(torch.full((1, HORIZON), 100.0))[0], WAVE[60:78], rtol=2e-3)


def test_noise_has_nearly_no_season() -> None:
    noise = np.random.default_rng(2).normal(100, 10, size=(200, 60))
    shrunk = [float(adjusted(history_of(row.tolist())).season.future.std()) for row in noise]
    assert np.mean(shrunk) < 2  # plain means of five years would spread by 4.5


# --- combination ------------------------------------------------------------------------------------------------------


def test_better_experts_weigh_more_and_equal_ones_alike() -> None:
    error = torch.ones(3, 1, 4, 6)
    assert torch.allclose(weights(error, 1.5), torch.full((1, 4), 0.25))
    error[:, :, 2] = 0.1
    assert weights(error, 1.5).argmax() == 2
    assert torch.allclose(weights(error, 0.0), torch.full((1, 4), 0.25))
    assert torch.allclose(weights(torch.full((3, 1, 4, 6), NAN), 1.5), torch.full((1, 4), 0.25))


def test_trimmed_mean_leaves_out_the_outermost_weight() -> None:
    made = trimmed_mean(torch.tensor([1.0, 2.0, 3.0, 1e6])[None, None, :, None], torch.full((1, 4), 0.25), 0.25)
    assert made.item() == pytest.approx(2.5)


# --- short and odd histories ------------------------------------------------------------------------------------------


def test_one_step_is_repeated(monthly: Combination) -> None:
    assert torch.allclose(forecast(monthly, 7.0), torch.tensor(7.0))


@pytest.mark.parametrize("length", [2, 5, 8, 11])
def test_trend_of_under_a_season_is_hardly_believed(monthly: Combination, length: int) -> None:
    made = forecast(monthly, *range(1, length + 1))
    assert made.min() >= 1 and made.max() <= length + length / 3  # 1…5 does not go on to 12


@pytest.mark.parametrize("length", [13, 18, 23])
def test_trend_of_one_to_two_seasons_goes_on_with_care(monthly: Combination, length: int) -> None:
    made = forecast(monthly, *range(1, length + 1))
    assert made[-1] > made[0] and made[-1] < length + HORIZON


def test_long_trend_goes_on(monthly: Combination) -> None:
    made = forecast(monthly, *range(1, 61))
    assert 0.6 * HORIZON < made[-1] - 60 < 1.1 * HORIZON


def test_one_to_two_seasons_stay_within_what_was_seen(monthly: Combination) -> None:
    made = forecast(monthly, *WAVE[:18])
    assert made.min() >= 80 and made.max() <= 120


def test_season_is_repeated(monthly: Combination) -> None:
    np.testing.assert_allclose(forecast(monthly, *WAVE[:60]), WAVE[60:78], atol=0.1)


def test_season_below_zero_is_repeated(monthly: Combination) -> None:
    made = forecast(monthly, *(value - 100 for value in WAVE[:60]))
    np.testing.assert_allclose(made, np.array(WAVE[60:78]) - 100, atol=0.1)


def test_gaps_are_bridged(monthly: Combination) -> None:
    holes = [NAN if step in (3, 10, 11, 12, 30, 31, 55) else value for step, value in enumerate(WAVE[:60])]
    np.testing.assert_allclose(forecast(monthly, *holes), WAVE[60:78], atol=0.1)


@pytest.mark.parametrize("missing", [1, 2, 14])
def test_missing_end_is_stepped_over(monthly: Combination, missing: int) -> None:
    made = forecast(monthly, *WAVE[: 60 - missing], *[NAN] * missing)
    np.testing.assert_allclose(made, WAVE[60:78], atol=0.1)


def test_missing_beginning_changes_nothing(monthly: Combination) -> None:
    assert torch.equal(forecast(monthly, *[NAN] * 50, *WAVE[:30]), forecast(monthly, *WAVE[:30]))


def test_history_without_a_value_is_forecast_as_zero(monthly: Combination) -> None:
    assert not forecast(monthly, NAN, NAN).any()


@pytest.mark.parametrize("value", [20.0, 0.0, -5.0, 1e-9, 1e12])
def test_constant_stays(monthly: Combination, value: float) -> None:
    np.testing.assert_allclose(forecast(monthly, *[value] * 40), value, rtol=1e-5)


@pytest.mark.parametrize("spike", [400.0, 0.0, -400.0])
def test_spike_at_the_end_is_not_half_believed(monthly: Combination, spike: float) -> None:
    level = np.random.default_rng(0).normal(20, 1, size=60).tolist()
    calm, shaken = forecast(monthly, *level), forecast(monthly, *level[:-1], spike)
    assert (calm - shaken).abs().max() < 3  # of 20, where the spike is 20 to 420 away


def test_spike_after_a_constant_is_not_believed(monthly: Combination) -> None:
    np.testing.assert_allclose(forecast(monthly, *[20.0] * 40, 400.0), 20, rtol=1e-4)


@pytest.mark.parametrize("steps", [2, 6, 12])
def test_level_shift_is_followed(monthly: Combination, steps: int) -> None:
    level = np.random.default_rng(0).normal(20, 1, size=60)
    level[-steps:] += 20
    made = forecast(monthly, *level)
    assert made.min() > 30 and made.max() < 46


def test_no_demand_any_more_is_zero(monthly: Combination) -> None:
    assert forecast(monthly, *[50.0] * 20, *[0.0] * 39).abs().max() < 0.5


def test_falling_trend_does_not_go_below_zero(monthly: Combination) -> None:
    assert forecast(monthly, *np.linspace(100, 2, 60)).min() >= 0


def test_steep_growth_is_bounded(monthly: Combination) -> None:
    history = [1.2**step for step in range(48)]
    assert forecast(monthly, *history).max() <= 3 * history[-1]


@pytest.mark.parametrize("scale", [1e-9, 1e-4, 1e6, 1e12])
def test_forecast_grows_with_the_series(monthly: Combination, scale: float) -> None:
    made = forecast(monthly, *(value * scale for value in WAVE[:50]))
    np.testing.assert_allclose(made / scale, forecast(monthly, *WAVE[:50]), rtol=1e-4)


def test_values_of_all_sizes_in_one_history_stay_finite(monthly: Combination) -> None:
    assert forecast(monthly, *[1e-9, 1e12] * 20).max() <= 3e12


def test_series_of_a_batch_do_not_touch_each_other(monthly: Combination) -> None:
    histories = torch.tensor([WAVE[:50], [1e6] * 50, [NAN] * 45 + [1.0, 2, 3, 4, 5]], dtype=torch.float32)
    with torch.inference_mode():
        together = monthly(histories)[0]
    for row, history in zip(together, histories, strict=True):
        np.testing.assert_allclose(row, forecast(monthly, *history.tolist()), rtol=1e-5)


def test_gap_is_filled_from_the_same_phase() -> None:
    values, known = torch.tensor([[1.0, 10, 2, 0, 3, 30]]), torch.tensor([[True, True, True, False, True, True]])
    full, begun = filled(values, known, 2)
    assert full.tolist() == [[1, 10, 2, 20, 3, 30]] and begun.all()


# --- intervals --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> Experts:
    return Experts(context=Experts.context_of(SEASON, HORIZON), horizon=HORIZON, season=SEASON).eval()


def distribution(model: Experts, histories: np.ndarray) -> np.ndarray:
    """Quantiles ``[series, horizon, level]`` in the unit of the histories ``[series, time]``."""
    with torch.inference_mode():
        made, mean, unit = model(torch.as_tensor(histories, dtype=torch.float32))
    assert mean.isfinite().all() and (unit > 0).all()
    return (made * unit[:, :, None]).numpy()


def walks(series: int, steps: int) -> np.ndarray:
    """Levels that wander, with noise and a season."""
    random, time = np.random.default_rng(4), np.arange(steps)
    level = 100 + random.normal(0, 1.5, (series, steps)).cumsum(axis=1)
    phase = random.uniform(0, 2 * np.pi, (series, 1))
    return level + 10 * np.sin(2 * np.pi * time / SEASON + phase) + random.normal(0, 3, (series, steps))


AWKWARD = [
    [7.0], [1.0, 2, 3, 4, 5], [0.0] * 40, [20.0] * 40, [NAN] * 3, [0.0, 0, 9] * 12, [-5.0, 3] * 20, [1e-9, 1e12] * 15,
    [1e9] * 20 + [NAN] * 20, [50.0] * 20 + [0.0] * 39,
]  # fmt: skip


@pytest.mark.parametrize("history", AWKWARD)
def test_quantiles_never_cross_and_never_leave_what_is_possible(model: Experts, history: list[float]) -> None:
    made = distribution(model, np.array([history]))
    assert np.isfinite(made).all() and (np.diff(made, axis=-1) >= 0).all()
    if np.nanmin([*history, 0.0]) >= 0:
        assert made.min() >= 0


def test_interval_holds_eight_of_ten_of_series_that_nobody_learnt_from(model: Experts) -> None:
    series = walks(400, 90)
    made, truth = distribution(model, series[:, :-HORIZON]), series[:, -HORIZON:]
    inside = (made[..., 0] <= truth) & (truth <= made[..., -1])
    assert 0.75 < inside.mean() < 0.88
    assert 0.7 < inside[:, : HORIZON // 3].mean() < 0.9 and 0.7 < inside[:, -HORIZON // 3 :].mean() < 0.9


@pytest.mark.parametrize("weeks", [91, 104, 106, 117])
def test_two_years_of_noise_are_no_season_of_weeks(weeks: int) -> None:
    """With one value a phase, noise is told from a season by the neighbouring weeks."""
    series = 100 + np.random.default_rng(6).normal(0, 20, (300, weeks + 13))
    weekly = Experts(context=Experts.context_of(52, 13), horizon=13, season=52).eval()
    made, truth = distribution(weekly, series[:, :weeks]), series[:, weeks:]
    assert np.abs(truth - made[..., 4]).mean() < 18.5  # the level alone errs by 16
    assert 0.65 < ((made[..., 0] <= truth) & (truth <= made[..., -1])).mean() < 0.9
    width = (made[..., -1] - made[..., 0]).mean(axis=0)
    assert width[0] > 0.7 * width[-1]  # an error of the next week is nearly as large as one of the next quarter


def test_a_season_of_weeks_is_seen_in_two_years() -> None:
    time = np.arange(117)
    series = 100 + 30 * np.sin(2 * np.pi * time / 52) + np.random.default_rng(7).normal(0, 4, (50, 117))
    weekly = Experts(context=Experts.context_of(52, 13), horizon=13, season=52).eval()
    made, truth = distribution(weekly, series[:, :104]), series[:, 104:]
    assert np.abs(truth - made[..., 4]).mean() < 8


@pytest.mark.parametrize("season", [4, 12])
def test_a_shorter_validation_gives_the_forecast_of_the_shorter_horizon(season: int) -> None:
    histories = torch.as_tensor(walks(3, 90), dtype=torch.float32)
    short = Experts(context=Experts.context_of(season, 6), horizon=6, season=season).eval()
    long = Experts(context=Experts.context_of(season, 15), horizon=15, season=season, validated=6).eval()
    with torch.inference_mode():
        expected, made = (each.distribution(histories, LEVELS) for each in (short, long))
    np.testing.assert_allclose(made[0][:, :6], expected[0], rtol=1e-4)
    np.testing.assert_allclose(made[1][:, :6], expected[1], rtol=1e-4)
    assert made[0].isfinite().all()


def test_median_is_the_forecast_and_the_interval_grows_with_noise_and_with_the_series(model: Experts) -> None:
    calm = np.array(WAVE[:60]) + np.random.default_rng(0).normal(0, 1, 60)
    wild = np.array(WAVE[:60]) + np.random.default_rng(0).normal(0, 6, 60)
    made = distribution(model, np.stack([calm, wild, 1e6 * calm]))
    expected, _ = model.network(torch.as_tensor(calm[None], dtype=torch.float32))
    np.testing.assert_allclose(made[0, :, 4], expected[0], rtol=1e-5)
    width = made[..., -1] - made[..., 0]
    assert (width[1] > 1.5 * width[0]).all() and (np.diff(width[0]) > -0.5).all()
    np.testing.assert_allclose(made[2], 1e6 * made[0], rtol=1e-4)


def test_one_value_says_little_and_a_long_constant_much(model: Experts) -> None:
    one, constant, nothing = (distribution(model, np.array([h]))[0] for h in ([7.0], [7.0] * 60, [0.0] * 60))
    assert (one[:, -1] - one[:, 0]).min() > 0.5
    assert 0 < (constant[:, -1] - constant[:, 0]).max() < 0.2
    assert not nothing.any()


def test_yardstick_is_the_same_forecast() -> None:
    past = walks(5, 70).astype(np.float32)
    made = yardsticks.experts(past, 4, SEASON)
    assert made.quantiles.shape == (5, 4, len(LEVELS))
    np.testing.assert_array_equal(made.point, made.quantiles[..., 4])
    network = Experts(context=Experts.context_of(SEASON, 4), horizon=4, season=SEASON).eval()
    np.testing.assert_allclose(made.quantiles, distribution(network, past), rtol=1e-5)


@pytest.mark.parametrize("season", [1, 7, 13, 52])
def test_any_season_has_a_context_of_its_own(season: int) -> None:
    past = walks(3, 120).astype(np.float32)
    assert (Experts.context_of(season, 5) - 5) % season == 0
    assert np.isfinite(yardsticks.experts(past, 5, season).quantiles).all()


# --- demand with zeros ------------------------------------------------------------------------------------------------


def ses_recursion(values: Sequence[float], alpha: float) -> float:
    level = values[0]
    for value in values[1:]:
        level += alpha * (value - level)
    return level


def demands(history: Sequence[float]) -> tuple[list[float], list[float]]:
    """Sizes of the demands, and the steps since the one before."""
    places = [place for place, value in enumerate(history) if value > 0]
    return [history[i] for i in places], [float(i) for i in np.diff([-1, *places])]


def croston_recursion(history: Sequence[float], alpha: float) -> float:
    sizes, intervals = demands(history)
    return ses_recursion(sizes, alpha) / ses_recursion(intervals, alpha)


def tsb_recursion(history: Sequence[float], size_alpha: float, chance_alpha: float) -> float:
    return ses_recursion(demands(history)[0], size_alpha) * ses_recursion([float(x > 0) for x in history], chance_alpha)


def blocks_recursion(history: Sequence[float], alpha: float, steps: int) -> float:
    kept = np.array(history)[len(history) % steps :]
    return ses_recursion(kept.reshape(-1, steps).mean(axis=1).tolist(), alpha)


LUMPY = [
    [*np.random.default_rng(seed).choice([0.0, 0.0, 0.0, 1.0, 2.0, 7.0], size=length).tolist(), 0.0, 3.0]
    for seed, length in enumerate((9, 30, 51, 104))
]


def in_double(method: Callable[..., Tensor], history: Sequence[float], *alphas: float) -> Tensor:
    """A method on a history that begins late in its row and has a gap that takes no time."""
    values = torch.tensor([[0.0] * 7 + history[:5] + [0.0] + history[5:]], dtype=torch.float64)
    known = torch.tensor([[0.0] * 7 + [1.0] * 5 + [0.0] + [1.0] * (len(history) - 5)], dtype=torch.float64)
    return method(values, known, *alphas)


@pytest.mark.parametrize("history", LUMPY, ids=len)
@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_croston_and_its_kin_are_their_recursions(history: list[float], alpha: float) -> None:
    expected = croston_recursion(history, alpha)
    assert in_double(croston, history, alpha).item() == pytest.approx(expected, rel=1e-6)
    assert in_double(sba, history, alpha).item() == pytest.approx((1 - alpha / 2) * expected, rel=1e-6)
    expected = tsb_recursion(history, alpha, 0.2)
    assert in_double(tsb, history, alpha, 0.2).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("history", LUMPY, ids=len)
def test_adida_and_imapa_are_smoothed_blocks(history: list[float]) -> None:
    longest = round(float(np.mean(demands(history)[1])))
    each = [blocks_recursion(history, 0.2, steps) for steps in range(1, longest + 1)]
    assert longest > 1
    values = torch.tensor([[0.0] * 7 + history], dtype=torch.float64)
    known = torch.tensor([[0.0] * 7 + [1.0] * len(history)], dtype=torch.float64)
    made = adida_and_imapa(values, known, 0.2)
    assert [x.item() for x in made] == pytest.approx([each[-1], float(np.mean(each))], rel=1e-6)


@pytest.mark.parametrize("history", LUMPY, ids=len)
def test_croston_and_its_kin_are_those_of_statsforecast(history: list[float]) -> None:
    models = pytest.importorskip("statsforecast.models", reason="statsforecast is no dependency: pip install it")
    values = np.array(history, np.float64)
    for model, method, alphas in (
        (models.CrostonClassic(), croston, (0.1,)), (models.CrostonSBA(), sba, (0.1,)),
        (models.TSB(alpha_d=0.3, alpha_p=0.2), tsb, (0.3, 0.2)),
    ):  # fmt: skip
        expected = model.forecast(y=values, h=1)["mean"][0]
        assert in_double(method, history, *alphas).item() == pytest.approx(expected, rel=1e-6)


def test_without_demand_croston_and_its_kin_are_zero() -> None:
    values, known = torch.zeros(1, 40), torch.ones(1, 40)
    made = [croston(values, known, 0.1), tsb(values, known, 0.1, 0.1), *adida_and_imapa(values, known, 0.1)]
    assert [x.item() for x in made] == [0.0] * 4


def test_quantiles_of_demand_with_zeros_are_those_of_its_own_values(model: Experts) -> None:
    units = np.random.default_rng(5).choice([0.0, 0.0, 0.0, 4.0, 9.0], size=(200, 100))
    made = distribution(model, units)
    assert not made[..., :4].mean(axis=0).round(0).any()  # up to the median nothing is sold
    assert 3 < made[..., 6].mean() < 6 and 7 < made[..., 8].mean() < 9.1
    with torch.inference_mode():
        _, mean, unit = model(torch.as_tensor(units, dtype=torch.float32))
    assert float((mean * unit).mean()) == pytest.approx(2.6, abs=0.2)


@pytest.mark.parametrize("scale", [1.0, 1000.0, 0.37])
def test_counts_and_amounts_are_covered_and_their_mean_is_not_biased(model: Experts, scale: float) -> None:
    random = np.random.default_rng(8)
    demand = scale * (random.negative_binomial(1.5, 0.4, (400, 90)) * (random.random((400, 90)) < 0.5))
    truth = demand[:, -HORIZON:]
    with torch.inference_mode():
        made, mean, unit = (x.numpy() for x in model(torch.as_tensor(demand[:, :-HORIZON], dtype=torch.float32)))
    made, mean = made * unit[:, :, None], mean * unit
    assert abs(mean.sum() / truth.sum() - 1) < 0.05
    assert 0.8 < (truth <= made[..., -1] + 1e-3 * scale).mean() < 0.97  # of a quantile of 90 %
    assert ((truth <= made[..., 4] + 1e-3 * scale).mean() > 0.5).all()


def test_whole_numbers_are_counts(model: Experts) -> None:
    made = distribution(model, np.array([[0.0, 0, 1, 0, 2, 0] * 10]))
    assert (np.abs(made - made.round()) < 0.05).mean() > 0.7


def test_what_was_not_asked_for_in_years_is_nearly_nothing(model: Experts) -> None:
    with torch.inference_mode():
        _, mean, unit = model(torch.tensor([[50.0] * 20 + [0.0] * 39, [0.0, 4.0, 0.0] + [NAN] * 56]))
    assert 0 <= float(mean[0, 0] * unit[0]) < 0.5 and float(mean[1, 0] * unit[1]) == pytest.approx(1.3, abs=0.1)


def test_one_huge_demand_is_not_believed_for_ever(model: Experts) -> None:
    history = [0.0, 20.0, 0.0, 18.0] * 12 + [0.0, 400.0]
    with torch.inference_mode():
        _, mean, unit = model(torch.tensor([history]))
    assert 5 < float(mean[0, 0] * unit[0]) < 20


def test_moments_weigh_by_age_and_phase() -> None:
    values = torch.tensor([[1.0, 2, 3, NAN, 5, 0]])
    seen = moments(values, season=60, horizon=1)
    weight = (1 + np.array([5, 4, 3, 1, 0]) / MEMORY) ** -3
    mean = np.average([1, 2, 3, 5, 0], weights=weight)
    assert seen.mean.item() == pytest.approx(mean) and seen.zeros.item() == pytest.approx(weight[-1] / weight.sum())
    assert seen.variance.item() == pytest.approx(np.average((np.array([1, 2, 3, 5, 0]) - mean) ** 2, weights=weight))
    seasonal = moments(torch.tensor([[9.0, 0, 0, 0] * 10]), season=4, horizon=4)
    assert seasonal.mean[0, 0] > 1.2 * seasonal.mean[0, 1]


def test_quantiles_near_the_median_do_not_magnify_a_rounding() -> None:
    chance = torch.linspace(0.49, 0.51, 10_001)
    exact = normal_quantile(chance.double())
    assert (normal_quantile(chance) - exact).abs().max() < 2e-6
    assert (exact - torch.special.ndtri(chance.double())).abs().max() < 1e-3
    wide = torch.linspace(0.01, 0.99, 10_001, dtype=torch.float64)
    assert (normal_quantile(wide) - torch.special.ndtri(wide)).abs().max() < 0.01


def test_days_that_were_closed_once_are_missing_and_others_are_not() -> None:
    generator = np.random.default_rng(0)
    level = generator.normal(100, 10, size=(3, 137))  # weeks are counted from the end
    level[0, [20, 64, 90, 133]] = 0  # closed now and then
    level[1, 3::7] = 0  # closed on one weekday
    level[2] = generator.poisson(3, size=137)  # sometimes nobody comes
    days = torch.tensor(level, dtype=torch.float32)
    opened = without_closures(days)
    assert opened[0].isnan().nonzero().flatten().tolist() == [20, 64, 90, 133]
    assert (days[2] == 0).any() and torch.equal(opened[1:], days[1:])
    daily = Experts(context=Experts.context_of(7, 14), horizon=14, season=7).eval()
    gaps = torch.where(days[:1] == 0, torch.nan, days[:1])
    for closed, missing in zip(daily(days[:1]), daily(gaps), strict=True):
        assert torch.equal(closed, missing)


def test_a_zero_by_accident_or_in_negative_values_makes_no_series_lumpy() -> None:
    one, many = [5.0] * 59 + [0.0], [5.0, 0.0] * 30
    histories = torch.tensor([one, many, [-x for x in many], [NAN] * 60])
    assert lumpiness(histories, 12).flatten().tolist() == [0, 1, 0, 0]
    assert lumpiness(histories, 52)[0] > 0.5  # a week without a sale is no accident


# --- validation and export --------------------------------------------------------------------------------------------


def test_validation_errors_are_of_the_steps_that_are_known(monthly: Combination) -> None:
    with torch.inference_mode():
        _, error = monthly(torch.tensor([WAVE[:60]], dtype=torch.float32))
        seen = monthly.validation(torch.tensor([WAVE[:60]], dtype=torch.float32))
    assert seen.experts.shape == (4, 1, len(NAMES), HORIZON)
    assert (~error[0].isnan()).sum(dim=1).tolist() == [6, 12, 18]
    assert error.nan_to_num().abs().max() < 0.1


@pytest.mark.slow(seconds=30)
def test_graph_is_the_network(tmp_path: Path) -> None:
    """A small network; `benchmarks.forecaster` does the same at full size."""
    network = Combination(season=4, horizon=3, context=16, complex_rows=COMPLEX[:4], damped_rows=DAMPED[:8]).eval()
    file, free = tmp_path / "q.onnx", torch.export.Dim.DYNAMIC
    torch.onnx.export(
        network, (torch.ones(2, 50),), file, dynamo=True, opset_version=20, dynamic_shapes=({0: free, 1: free},),
        input_names=["history"], output_names=["forecast", "error"], external_data=False, verbose=False,
        optimize=False,  # rewriting is most of an export
    )  # fmt: skip
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(3)
    for series, steps in [(1, 1), (3, 5), (5, 100)]:
        history = generator.gamma(2.0, size=(series, steps)).astype(np.float32)
        history[:, ::7] = np.nan
        expected = network(torch.as_tensor(history))
        for ours, theirs in zip(expected, session.run(None, {"history": history}), strict=True):
            np.testing.assert_allclose(theirs, ours.detach(), rtol=1e-5, atol=1e-6)


# --- a year in days ---------------------------------------------------------------------------------------------------


def days_of(years: float, *, level: float, swing: float, seed: int = 0) -> torch.Tensor:
    """Days with a year and a week in them, and noise ``[1, day]``; 28 more than so many years."""
    day = np.arange(round(364 * years) + 28)
    year, week = np.cos(2 * np.pi * day / 364), np.tile([1.0, 1.1, 1.0, 0.9, 1.2, 0.7, 0.6], len(day))[: len(day)]
    noise = np.random.default_rng(seed).normal(0, 0.03, len(day))
    return torch.tensor((level + swing * year + abs(swing) * (week - 0.93) + noise)[None], dtype=torch.float32)


def both_looks(past: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Forecasts of 28 days with the year and without ``[series, day]``."""
    with_year = Combination(season=7, horizon=28, context=126, year=True).eval()
    without = Combination(season=7, horizon=28, context=126).eval()
    with torch.inference_mode():
        return with_year(past)[0], without(past)[0]


@pytest.mark.parametrize(("level", "swing"), [(3.0, 1.0), (0.2, 1.0)], ids=["above 0", "about 0"])
@pytest.mark.parametrize("years", [2.2, 2.6, 3.2])
def test_days_follow_the_year_where_two_were_seen(years: float, level: float, swing: float) -> None:
    days = days_of(years, level=level, swing=swing)
    made, plain = both_looks(days[:, :-28])
    error, before = ((each - days[:, -28:]).abs().mean() for each in (made, plain))
    assert error < 0.7 * before and error < 0.12, "the noise alone is .03"


def test_less_than_two_years_have_no_year() -> None:
    days = days_of(1.9, level=3.0, swing=1.0)
    made, plain = both_looks(days)
    torch.testing.assert_close(made, plain, rtol=1e-4, atol=1e-4)


def test_a_year_without_any_swing_is_hardly_seen() -> None:
    days = torch.tensor(np.random.default_rng(0).normal(100, 10, (20, 1120)), dtype=torch.float32)
    made, plain = both_looks(days)
    assert (made - 100).abs().mean() < (plain - 100).abs().mean() + 1


def test_gaps_and_scales_leave_the_year() -> None:
    days = days_of(3.0, level=3.0, swing=1.0)
    gaps = days.clone()
    gaps[:, 300:340], gaps[:, 700:760:3] = NAN, NAN
    whole, _ = both_looks(days)
    made, _ = both_looks(torch.cat([gaps, 1e-9 * days, 1e12 * days]))
    torch.testing.assert_close(made[:1], whole, rtol=0.06, atol=0)
    torch.testing.assert_close(made[1:] / torch.tensor([[1e-9], [1e12]]), whole.expand(2, -1), rtol=1e-3, atol=0)
