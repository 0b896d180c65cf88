"""Public holidays fill a column where a table has no value: lunar days and substitutes, at every door."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from test_covariates import COLUMNS, contract_text, described

from dxai.contract import Contract
from dxai.contract.odcs import load_contract, parse_contract
from dxai.data.batch import SeriesCodec
from dxai.data.calendar import with_holidays
from dxai.data.checks import cast
from dxai.data.header import match_header
from dxai.errors import DataError

HOLIDAY = described("holiday", "number", "known_future")
HOLIDAY["customProperties"].append({"property": "holiday", "value": "KR"})
DAILY: list[dict[str, Any]] = [*COLUMNS[:4], HOLIDAY]


def agreed(columns: list[dict[str, Any]] = DAILY) -> Contract:
    text = contract_text(columns, minimum=2).replace("weekly", "daily").replace("value: 52", "value: 7")
    return parse_contract(text, where="grocery.yaml")


def rows(*days: date | None, **more: Any) -> pl.DataFrame:
    return pl.DataFrame({
        "store": "north", "product": "milk", "week": pl.Series(days, dtype=pl.Date), "units": 3.0, **more
    })  # fmt: skip


@pytest.mark.parametrize(
    ("day", "is_holiday"),
    [
        (date(2024, 2, 9), 1), (date(2024, 2, 10), 1), (date(2024, 2, 12), 1),  # the lunar new year, and its substitute
        (date(2024, 2, 13), 0), (date(2024, 9, 16), 1), (date(2024, 9, 17), 1), (date(2024, 9, 18), 1),  # Chuseok
        (date(2024, 4, 10), 1),  # an election
        (date(2024, 5, 6), 1), (date(2024, 3, 15), 0), (date(2025, 10, 6), 1),
    ],
)  # fmt: skip
def test_korean_days_are_those_of_the_law(day: date, is_holiday: int) -> None:
    made = with_holidays(rows(day), agreed())
    assert made["holiday"].to_list() == [is_holiday]


def test_a_value_of_the_table_stands_and_a_row_without_a_date_gets_none() -> None:
    table = rows(date(2024, 2, 9), date(2024, 2, 9), date(2024, 3, 15), None)
    table = table.with_columns(holiday=pl.Series([0.0, None, None, None], dtype=pl.Float64))
    assert with_holidays(table, agreed())["holiday"].to_list() == [0, 1, 0, None]


def test_hours_have_the_holiday_of_their_day() -> None:
    table = rows(date(2024, 2, 9)).with_columns(week=pl.lit(datetime(2024, 2, 9, 23)))
    assert with_holidays(table, agreed())["holiday"].to_list() == [1]


def test_every_door_casts_a_table_without_the_column_and_asks_for_no_other_less() -> None:
    header = match_header(["store", "product", "week", "units"], agreed(), target=True, where="x")
    assert "holiday" not in header.names
    text = rows(date(2024, 2, 8), date(2024, 2, 9)).with_columns(pl.all().cast(pl.String))
    typed, found = cast(text, agreed())
    assert not found
    assert typed.columns == list(agreed().names)
    assert typed["holiday"].to_list() == [0, 1]
    with pytest.raises(DataError, match="'units'"):
        match_header(["store", "product", "week"], agreed(), target=True, where="x")


def test_steps_ahead_get_their_own_days_not_the_last_one_carried_forward() -> None:
    last = date(2024, 2, 8)
    contract = agreed()
    history = with_holidays(rows(*(last - timedelta(days=back) for back in range(9, -1, -1))), contract)
    batch = SeriesCodec(contract, 5).encode(history, carry_forward=True)
    assert batch.arrays["holiday"][0].tolist() == [0] * 5 + [1, 1, 1, 1]  # 9 to 12 February


@pytest.mark.parametrize(("code", "told"), [("KO", "no country"), ("kr", "Did you mean 'KR'"), ("Korea", "no country")])
def test_unknown_country_is_refused(code: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "grocery.yaml"
    text = contract_text(DAILY, minimum=2).replace("value: KR", f"value: {code}")
    path.write_text(text, "utf-8")
    with pytest.raises(DataError) as caught:
        load_contract(path)
    assert told in caught.value.message()


def test_calendar_of_a_column_that_is_not_known_ahead_is_refused() -> None:
    column = described("holiday", "number", "past")
    column["customProperties"].append({"property": "holiday", "value": "KR"})
    with pytest.raises(DataError, match="holiday is said of numbers"):
        agreed([*COLUMNS[:4], column])
