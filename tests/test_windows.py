"""Panels and windows hold the right value at the right day, and no window sees its future."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest

from dxai.contract import Contract, Frequency
from dxai.data.cuts import training_windows
from dxai.data.steps import shifted
from dxai.data.windows import Panel, to_panel
from dxai.errors import DataError

NAN = float("nan")
FREQUENCIES: tuple[Frequency, ...] = get_args(Frequency)


def contract(frequency: Frequency, *, absent: str = "missing", minimum_history: int = 1, horizon: int = 2) -> Contract:
    def column(name: str, kind: str, role: str) -> dict[str, object]:
        return {"name": name, "kind": kind, "role": role, "required": True, "title_en": name, "title_ko": "열"}

    kind = "timestamp" if frequency == "hourly" else "date"
    return Contract.model_validate({
        "id": "x", "version": "1", "title_en": "x", "title_ko": "엑스", "purpose": "test", "task": "demand",
        "columns": [column("item", "category", "series"), column("day", kind, "time"),
                    column("units", "number", "target")],
        "frequency": frequency, "horizon": horizon, "minimum_history": minimum_history, "absent": absent,
    })  # fmt: skip


def number_of(day: date) -> int:
    if isinstance(day, datetime):
        return int((day - datetime(1970, 1, 1)) / timedelta(hours=1))
    return (day - date(1970, 1, 1)).days


def step_days(count: int, frequency: Frequency) -> list[date]:
    """The first ``count`` steps from the start of 2023 on, by the calendar module's own arithmetic."""
    if frequency == "hourly":
        return [datetime(2023, 1, 1, 20) + timedelta(hours=i) for i in range(count)]
    if frequency in ("daily", "weekly"):
        return [date(2023, 1, 1) + timedelta(days=i * (7 if frequency == "weekly" else 1)) for i in range(count)]
    months = [(i + 1) * {"monthly": 1, "quarterly": 3, "yearly": 12}[frequency] for i in range(count)]
    return [date(2023 + m // 12, m % 12 + 1, 1) - timedelta(days=1) for m in months]


def frame_of(*rows: tuple[str, date, float]) -> pl.DataFrame:
    day = pl.Datetime("us") if isinstance(rows[0][1], datetime) else pl.Date
    return pl.DataFrame(rows, schema={"item": pl.String, "day": day, "units": pl.Float64}, orient="row")


def gappy(frequency: Frequency, steps: int = 8) -> pl.DataFrame:
    """Series a has all steps, b begins late, c has a gap, d ends early; the value is the number of the step."""
    days = step_days(steps, frequency)
    held = {"a": range(steps), "b": range(2, steps), "c": [i for i in range(steps) if i != 3], "d": range(steps - 2)}
    rows = [(name, days[i], float(i + 1)) for name, indices in held.items() for i in indices]
    return frame_of(*sorted(rows, key=lambda row: (row[1], row[0]), reverse=True))  # the order of rows says nothing


def refusal(frame: pl.DataFrame, agreed: Contract) -> str:
    with pytest.raises(DataError) as caught:
        to_panel(frame, agreed, where="mine.csv")
    assert caught.value.exit_code == 6
    assert "mine.csv" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_absent_steps_are_zero_where_the_contract_says_so(frequency: Frequency) -> None:
    panel = to_panel(gappy(frequency), contract(frequency, absent="zero"), where="x")
    expected = [
        [1, 2, 3, 4, 5, 6, 7, 8],
        [NAN, NAN, 3, 4, 5, 6, 7, 8],
        [1, 2, 3, 0, 5, 6, 7, 8],
        [1, 2, 3, 4, 5, 6, 0, 0],  # ends with the table, not with its last sale
    ]
    assert panel.ids == ("a", "b", "c", "d")
    assert panel.values.dtype == np.float32
    np.testing.assert_array_equal(panel.values, expected)
    assert panel.last.tolist() == [number_of(step_days(8, frequency)[-1])] * 4


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_absent_steps_are_missing_where_the_contract_says_so(frequency: Frequency) -> None:
    panel = to_panel(gappy(frequency), contract(frequency), where="x")
    expected = [
        [1, 2, 3, 4, 5, 6, 7, 8],
        [NAN, NAN, 3, 4, 5, 6, 7, 8],
        [1, 2, 3, NAN, 5, 6, 7, 8],
        [NAN, NAN, 1, 2, 3, 4, 5, 6],  # aligned at its own last step
    ]
    np.testing.assert_array_equal(panel.values, expected)
    days = step_days(8, frequency)
    assert panel.last.tolist() == [number_of(day) for day in (days[7], days[7], days[7], days[5])]


def test_one_series_of_one_step_is_a_panel() -> None:
    panel = to_panel(frame_of(("a", date(2024, 2, 29), 5)), contract("monthly"), where="x")
    np.testing.assert_array_equal(panel.values, [[5]])
    assert panel.last.tolist() == [number_of(date(2024, 2, 29))]


def test_weeks_may_end_on_any_weekday_and_lie_before_1970() -> None:
    days = [date(1969, 12, 24) + timedelta(weeks=i) for i in range(4)]
    panel = to_panel(frame_of(*(("a", day, float(i)) for i, day in enumerate(days))), contract("weekly"), where="x")
    np.testing.assert_array_equal(panel.values, [[0, 1, 2, 3]])
    assert panel.last.tolist() == [number_of(days[-1])]


@pytest.mark.parametrize(
    ("frequency", "off", "grid"),
    [
        ("weekly", date(2023, 1, 17), "one weekday"),
        ("monthly", date(2024, 2, 28), "the last day of a month"),
        ("quarterly", date(2023, 4, 30), "the last day of a quarter"),
        ("yearly", date(2026, 6, 30), "the last day of a year"),
        ("hourly", datetime(2023, 1, 2, 3, 30), "full hours"),
    ],
)
def test_date_off_the_grid_is_named_with_its_row(frequency: Frequency, off: date, grid: str) -> None:
    days = [*step_days(3, frequency), off]
    message = refusal(frame_of(*(("a", day, 1.0) for day in days)), contract(frequency))
    assert f"1 dates are not on the {frequency} grid (row 5: {off})" in message
    assert "column 'day'" in message
    assert f"Use dates on {grid} throughout" in message


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_repeated_step_names_the_series(frequency: Frequency) -> None:
    frame = gappy(frequency)
    message = refusal(pl.concat([frame, frame.filter(pl.col("item") == "c").head(1)]), contract(frequency))
    assert "repeat a step of their series, the first of series 'c'" in message
    assert "add up or drop the repeats" in message


def test_too_short_histories_name_the_series_and_their_steps() -> None:
    message = refusal(gappy("monthly"), contract("monthly", minimum_history=7))
    assert "2 series have fewer than the 7 monthly steps that a forecast needs: 'b' has 6, 'd' has 6." in message
    assert "leave these series out" in message


def test_steps_filled_with_zeros_count_as_history() -> None:
    panel = to_panel(gappy("weekly"), contract("weekly", absent="zero", minimum_history=6), where="x")
    assert len(panel.ids) == 4


@pytest.mark.parametrize("frequency", FREQUENCIES)
@pytest.mark.parametrize("back", [0, 1, 3])
def test_panel_until_equals_the_panel_of_the_shorter_table(frequency: Frequency, back: int) -> None:
    agreed, days = contract(frequency, absent="zero"), step_days(8, frequency)
    earlier = to_panel(gappy(frequency), agreed, where="x").until(back, frequency)
    again = to_panel(gappy(frequency).filter(pl.col("day") <= days[7 - back]), agreed, where="x")
    same_panel(earlier, again)


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_panel_until_takes_off_each_series_own_last_steps(frequency: Frequency) -> None:
    agreed = contract(frequency)
    earlier = to_panel(gappy(frequency), agreed, where="x").until(2, frequency)
    newest_first = gappy(frequency).sort("day", descending=True)
    shorter = newest_first.filter(pl.int_range(pl.len()).over("item") >= 2)
    same_panel(earlier, to_panel(shorter, agreed, where="x"))


def same_panel(one: Panel, other: Panel) -> None:
    assert one.ids == other.ids
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.last, other.last)


def test_history_is_padded_on_the_left() -> None:
    panel = Panel(("a",), np.array([[1, 2, 3]], dtype=np.float32), np.array([0]))
    np.testing.assert_array_equal(panel.history(2), [[2, 3]])
    np.testing.assert_array_equal(panel.history(5), [[NAN, NAN, 1, 2, 3]])


@pytest.mark.parametrize(
    ("day", "steps", "frequency", "expected"),
    [
        (date(2024, 1, 31), 1, "monthly", date(2024, 2, 29)),
        (date(2023, 1, 31), 1, "monthly", date(2023, 2, 28)),
        (date(2024, 2, 29), 12, "monthly", date(2025, 2, 28)),
        (date(2023, 2, 28), 12, "monthly", date(2024, 2, 29)),
        (date(2024, 2, 29), 1, "monthly", date(2024, 3, 31)),
        (date(2000, 3, 31), -1, "monthly", date(2000, 2, 29)),
        (date(1900, 1, 31), 1, "monthly", date(1900, 2, 28)),
        (date(2024, 3, 31), -15, "monthly", date(2022, 12, 31)),
        (date(2023, 11, 30), 0, "monthly", date(2023, 11, 30)),
        (date(2024, 2, 28), 2, "daily", date(2024, 3, 1)),
        (date(2023, 12, 31), 2, "yearly", date(2025, 12, 31)),
        (datetime(2024, 2, 28, 23), 25, "hourly", datetime(2024, 3, 1, 0)),
        (date(2023, 12, 31), 1, "quarterly", date(2024, 3, 31)),
        (date(2024, 3, 31), 1, "quarterly", date(2024, 6, 30)),
        (date(1970, 3, 31), -2, "quarterly", date(1969, 9, 30)),
        (date(2024, 2, 26), 1, "weekly", date(2024, 3, 4)),
        (date(1970, 1, 4), -1, "weekly", date(1969, 12, 28)),
    ],
)
def test_shifted_day_keeps_to_the_grid(day: date, steps: int, frequency: Frequency, expected: date) -> None:
    assert shifted(number_of(day), steps, frequency) == number_of(expected)


def windows(panel: Panel, agreed: Contract, context: int) -> tuple[list[Any], Any]:
    """Inputs and target of all windows as arrays."""
    inputs, target = training_windows(panel, agreed, context)
    return [values.numpy() for values in inputs], target.numpy()


@pytest.mark.parametrize("context", [3, 20])
@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_training_windows_hold_no_value_from_the_future(frequency: Frequency, context: int) -> None:
    """Each value is the number of its step, so a window tells by itself where it was cut."""
    steps, horizon, least = 12, 2, 4
    agreed = contract(frequency, horizon=horizon, minimum_history=least)
    days = step_days(steps, frequency)
    rows = [("a", days[i], float(i)) for i in range(steps)] + [("b", days[i], float(i)) for i in range(5, steps)]
    (history, origin_days), future = windows(to_panel(frame_of(*rows), agreed, where="x"), agreed, context)
    origins = [*range(least - 1, steps - 1), *range(5 + least - 1, steps - 1)]
    begins = [0] * (steps - least) + [5] * (steps - 5 - least)
    assert history.shape == (len(origins), context)
    assert future.shape == (len(origins), horizon)
    for past, truth, day, origin, begin in zip(history, future, origin_days, origins, begins, strict=True):
        expected_past = np.arange(origin - context + 1, origin + 1, dtype=float)
        expected_truth = np.arange(origin + 1, origin + 1 + horizon, dtype=float)
        np.testing.assert_array_equal(past, np.where(expected_past >= begin, expected_past, NAN))
        np.testing.assert_array_equal(truth, np.where(expected_truth < steps, expected_truth, NAN))
        assert abs(int(day) - number_of(days[origin])) <= (0 if frequency == "weekly" else 2)


def test_window_needs_a_known_step_after_its_origin() -> None:
    agreed = contract("weekly", horizon=2)
    panel = Panel(("a",), np.array([[1, 2, NAN, NAN]], dtype=np.float32), np.array([70]))
    (history, days), future = windows(panel, agreed, 2)
    np.testing.assert_array_equal(history, [[NAN, 1]])
    np.testing.assert_array_equal(future, [[2, NAN]])
    assert days.tolist() == [70 - 3 * 7]


def test_gaps_do_not_count_as_history_of_a_window() -> None:
    agreed = contract("weekly", horizon=1, minimum_history=3)
    panel = Panel(("a",), np.array([[1, NAN, 3, NAN, 5, 6]], dtype=np.float32), np.array([70]))
    (history, _), future = windows(panel, agreed, 5)
    np.testing.assert_array_equal(history, [[1, NAN, 3, NAN, 5]])
    np.testing.assert_array_equal(future, [[6]])
