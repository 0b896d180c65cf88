"""The fitted statistics: gaps, logs and scales come from training rows alone, and no column makes a number explode.

The same code runs in training and in the exported graph, in float32: columns that hardly move, never move, or are
unlike the training rows must still give finite, tame inputs.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dxai.contract import Column, Contract
from dxai.learn.transform import Calendar, ColumnTransform, SeriesScale, TargetScale, encode

NAN = float("nan")


def contract(*names: str, categories: tuple[str, ...] = ()) -> Contract:
    def column(name: str, kind: str, role: str, texts: tuple[str, ...] = ()) -> Column:
        return Column.model_validate(
            {"name": name, "kind": kind, "role": role, "categories": texts, "title_en": name, "title_ko": "열"}
        )

    columns = (
        *(column(name, "number", "feature") for name in names),
        *((column("plant", "category", "feature", categories),) if categories else ()),
        column("y", "number", "target"),
    )
    return Contract(id="c", version="1", title_en="c", title_ko="씨", purpose="t", task="quality", columns=columns)


def fitted(values: Tensor) -> ColumnTransform:
    return ColumnTransform(contract("x")).fit({"x": values})


def scaled(transform: ColumnTransform, values: Tensor) -> Tensor:
    return transform({"x": values})[0][:, 0]


def test_training_rows_come_out_with_mean_zero_and_deviation_one() -> None:
    values = torch.randn(500, generator=torch.Generator().manual_seed(0)) * 12 + 300
    out = scaled(fitted(values), values)
    assert out.mean().item() == pytest.approx(0, abs=1e-4)
    assert out.std(correction=0).item() == pytest.approx(1, abs=1e-4)


def test_missing_numbers_count_as_the_training_median() -> None:
    transform = fitted(torch.tensor([1.0, 2.0, NAN, 4.0, 5.0, 3.0]))
    assert transform.fill.item() == 3.0
    out = scaled(transform, torch.tensor([NAN, 3.0]))
    assert out[0].item() == out[1].item()


def test_statistics_are_those_of_the_training_rows_whatever_comes_later() -> None:
    transform = fitted(torch.tensor([10.0, 20.0, 30.0]))
    before = {name: buffer.clone() for name, buffer in transform.named_buffers()}
    alone = scaled(transform, torch.tensor([15.0]))
    among = scaled(transform, torch.tensor([15.0, -1e6, 1e6, NAN]))
    assert among[0].item() == alone.item() == pytest.approx(-5 / math.sqrt(200 / 3))
    assert all(torch.equal(before[name], buffer) for name, buffer in transform.named_buffers())


def test_statistics_travel_with_the_weights() -> None:
    transform = fitted(torch.tensor([0.0, 1.0, 1.0, 90.0]))
    copy = ColumnTransform(contract("x"))
    copy.load_state_dict(transform.state_dict())
    values = torch.tensor([NAN, 0.5, 700.0])
    assert bool(transform.logged.item())
    assert torch.equal(scaled(copy, values), scaled(transform, values))


@pytest.mark.parametrize(
    ("values", "logged"),
    [
        ([1.0, 2, 3, 4, 5], False),
        ([0.0, 0, 1, 2, 90], True),
        ([-1.0, 0, 1, 2, 90], False),
        ([0.0, 80, 88, 89, 90], False),
    ],
)
def test_only_skewed_numbers_that_are_never_negative_are_logged(values: list[float], logged: bool) -> None:
    transform = fitted(torch.tensor(values))
    assert bool(transform.logged.item()) is logged
    shape = np.log1p if logged else np.asarray
    expected = (shape(values) - shape(values).mean()) / shape(values).std()
    np.testing.assert_allclose(scaled(transform, torch.tensor(values)), expected, rtol=1e-4, atol=1e-5)


def test_a_negative_newcomer_in_a_logged_column_stays_finite_and_below_zero() -> None:
    out = scaled(fitted(torch.tensor([0.0, 0, 1, 2, 90])), torch.tensor([-5.0, -1.0, 0.0]))
    assert bool(out.isfinite().all())
    assert bool((out.diff() > 0).all())


@pytest.mark.parametrize("constant", [0.0, 1e-3, 0.1, 288.0, -7.3, 1e7])
def test_a_constant_column_neither_explodes_nor_amplifies_noise(constant: float) -> None:
    transform = fitted(torch.full((2000,), constant))
    assert transform.spread.item() == 1.0
    near = torch.tensor([constant, math.nextafter(constant, 1e9), constant * (1 + 1e-6), NAN])
    assert float(scaled(transform, near).abs().max()) <= max(1e-5 * abs(constant), 1e-6)


def test_noise_of_float32_on_a_large_number_is_not_taken_for_a_signal() -> None:
    noise = 1e-4 * torch.randn(1000, generator=torch.Generator().manual_seed(0))
    values = 288.0 + noise  # float32 knows 288 to 3e-5: what is left of the noise is rounding
    out = scaled(fitted(values), values)
    assert bool(out.isfinite().all())
    assert float(out.abs().max()) < 0.01


def test_a_small_true_signal_is_scaled_to_one() -> None:
    values = 288.0 + 0.05 * torch.randn(1000, generator=torch.Generator().manual_seed(0))
    out = scaled(fitted(values), values)
    assert out.std().item() == pytest.approx(1, abs=0.01)
    assert out.mean().item() == pytest.approx(0, abs=0.01)


def test_a_column_that_training_never_saw_filled_stays_finite() -> None:
    transform = fitted(torch.full((5,), NAN))
    out = scaled(transform, torch.tensor([NAN, 0.0, 12.0]))
    assert bool(out.isfinite().all())
    assert out[0].item() == out[1].item() == 0.0


def test_columns_stand_in_contract_order_whatever_the_order_they_come_in() -> None:
    transform = ColumnTransform(contract("a", "b"))
    columns = {"b": torch.tensor([5.0, 6.0]), "a": torch.tensor([1.0, 3.0])}
    transform.fit(columns)
    np.testing.assert_array_equal(transform.center, [2.0, 5.5])
    assert transform(columns)[0].shape == (2, 2)


def test_unseen_and_missing_texts_become_the_number_after_the_last() -> None:
    made = contract("x", categories=("부산", "창원", "Ulsan"))
    plants = np.array(["창원", "부산", "Ulsan", "ulsan", "", "서울"], dtype=object)
    columns = encode({"x": np.zeros(6, np.float32), "plant": plants}, made)
    assert columns["plant"].tolist() == [1, 0, 2, 3, 3, 3]
    assert columns["plant"].dtype == torch.int64
    numbers, categories = ColumnTransform(made).fit(columns)(columns)
    assert numbers.shape == (6, 1)
    assert categories[:, 0].tolist() == [1, 0, 2, 3, 3, 3]


def test_categories_alone_need_no_numbers() -> None:
    made = contract(categories=("a", "b"))
    columns = encode({"plant": np.array(["a", "b", "c"], dtype=object)}, made)
    numbers, categories = ColumnTransform(made).fit(columns)(columns)
    assert numbers.shape == (3, 0)
    assert categories[:, 0].tolist() == [0, 1, 2]


def test_target_goes_there_and_back() -> None:
    target = np.array([10.0, 20.0, 60.0], dtype=np.float32)
    scale = TargetScale().fit(target)
    out = scale(torch.as_tensor(target))
    assert out.std(correction=0).item() == pytest.approx(1)
    np.testing.assert_allclose(scale.inverse(out), target, rtol=1e-6)


def test_a_target_that_never_moves_is_given_back() -> None:
    scale = TargetScale().fit(np.full(9, 41.5, dtype=np.float32))
    assert scale.inverse(torch.zeros(2)).tolist() == [41.5, 41.5]


def series_scale(residual: str, *, context: int = 8, season: int = 4, floor: float = 0.5) -> SeriesScale:
    return SeriesScale(context=context, horizon=6, season=season, residual=residual, recency=3.0, floor=floor)


@pytest.mark.parametrize("residual", ["none", "seasonal_naive"])
@pytest.mark.parametrize("length", [1, 3, 8, 20])
def test_a_short_history_is_one_padded_with_missing_steps_and_a_long_one_its_end(residual: str, length: int) -> None:
    history = torch.rand(5, length, generator=torch.Generator().manual_seed(length)) * 100
    padded = torch.cat([torch.full((5, max(0, 8 - length)), NAN), history], dim=1)[:, -8:]
    for given, expected in zip(series_scale(residual)(history), series_scale(residual)(padded), strict=True):
        assert torch.equal(given, expected)
        assert bool(given.isfinite().all())


def test_level_is_the_weighted_mean_with_recent_steps_first() -> None:
    history = torch.tensor([[NAN, NAN, NAN, NAN, NAN, NAN, 10.0, 40.0]])
    weight = np.exp([-2 / 3, -1 / 3])
    expected = (10 * weight[0] + 40 * weight[1]) / weight.sum()
    past, known, scale, base = series_scale("none")(history)
    assert scale.item() == pytest.approx(expected, rel=1e-5)
    np.testing.assert_array_equal(known, [[0, 0, 0, 0, 0, 0, 1, 1]])
    np.testing.assert_allclose(past[0, -2:], np.arcsinh(np.array([10, 40]) / expected), rtol=1e-5)
    assert base.item() == 0.0


def test_seasonal_scale_forecasts_from_the_value_of_one_season_ago() -> None:
    past, _, scale, base = series_scale("seasonal_naive")(torch.tensor([[1.0, 2, 3, 4, 3, 4, 5, 6]]))
    assert scale.item() == 2.0
    np.testing.assert_allclose(base * scale, [[3, 4, 5, 6, 3, 4]])
    assert past[0, -1].item() == 0.0


def test_a_gap_one_season_ago_is_no_zero() -> None:
    """The yardstick carries the value before a gap on; a forecast of 0 for a level of 500 is no answer."""
    history = torch.tensor([[500.0, 510, 490, 505, 502, NAN, 495, 500]])
    _, _, scale, base = series_scale("seasonal_naive")(history)
    assert bool(((base * scale) > 400).all())


def test_a_missing_last_step_is_no_zero_level() -> None:
    history = torch.tensor([[500.0, 510, 490, 505, 502, 508, 495, NAN]])
    past, known, _, _ = series_scale("seasonal_naive")(history)
    # Values are within 20 of each other and the scale is above 1.
    assert float((past * known).abs().max()) < math.asinh(20)


def test_scale_has_a_floor() -> None:
    for residual in ("none", "seasonal_naive"):
        assert series_scale(residual, floor=0.5)(torch.zeros(1, 8))[2].item() == 0.5


def test_calendar_turns_once_a_year_and_knows_the_steps_ahead() -> None:
    calendar = Calendar(horizon=12, step=365.2425 / 12, harmonics=2, dropout=0.0)
    out = calendar(torch.tensor([0, 100]))
    assert out.shape == (2, 12, 4)
    assert bool((out.abs() <= 1).all())
    np.testing.assert_allclose(out[0, 11], [0, 0, 1, 1], atol=1e-3)  # twelve months on: the same day of the year
    np.testing.assert_allclose(out[0, 2], [1, 0, 0, -1], atol=1e-3)  # a quarter on
    np.testing.assert_allclose(calendar(torch.tensor([100 + 20 * 365 + 5])), out[1:], atol=0.02)


def test_no_harmonics_leave_the_date_out() -> None:
    assert Calendar(horizon=3, step=7, harmonics=0, dropout=0.0)(torch.tensor([0, 5])).shape == (2, 3, 0)


def test_calendar_is_blanked_for_some_training_series_and_for_none_after() -> None:
    torch.manual_seed(0)
    calendar: nn.Module = Calendar(horizon=3, step=7, harmonics=1, dropout=0.5)
    blank = (calendar(torch.arange(400)) == 0).all(dim=2).all(dim=1)
    assert 120 < int(blank.sum()) < 280
    assert not bool((calendar.eval()(torch.arange(400)) == 0).all(dim=2).any())
