"""Histories that cannot be forecast from are found series by series, and named by the rows of the file."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from dxai.contract import Contract, load_contract
from dxai.errors import DataError
from dxai.inference.histories import broken_histories


@pytest.fixture(scope="module")
def retail(checkout: Path) -> Contract:
    return load_contract(checkout / "contracts/retail_demand.yaml")


def weeks(series: str, count: int, end: date = date(2011, 12, 4)) -> list[tuple[str, date, float]]:
    return [(series, end - timedelta(weeks=back), 5.0) for back in range(count)][::-1]


def table(*rows: tuple[str, date, float]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"stock_code": pl.String, "week": pl.Date, "units": pl.Float64}, orient="row")


def numbers(frame: pl.DataFrame) -> pl.Series:
    return pl.int_range(2, len(frame) + 2, eager=True)


def test_sound_histories_have_no_problem(retail: Contract) -> None:
    rows = table(*weeks("A", 30), *weeks("B", 12))
    assert broken_histories(rows, numbers(rows), retail, where="x.csv") == []


def test_repeated_step_marks_its_whole_series(retail: Contract) -> None:
    rows = table(*weeks("A", 30), *weeks("B", 30), ("A", date(2011, 12, 4), 7.0))
    (problem,) = broken_histories(rows, numbers(rows), retail, where="x.csv")
    assert (problem.rule, problem.count) == ("has one row per step", 2)
    assert problem.examples == [(31, "A"), (62, "A")]
    assert problem.broken is not None
    assert problem.broken.to_list() == [True] * 30 + [False] * 30 + [True]


def test_short_history_marks_its_series_once(retail: Contract) -> None:
    rows = table(*weeks("A", 30), *weeks("NEW", retail.minimum_history - 1))
    (problem,) = broken_histories(rows, numbers(rows), retail, where="x.csv")
    assert problem.count == 1
    assert problem.examples == [(32, "NEW")]
    assert problem.broken is not None
    assert problem.broken.sum() == retail.minimum_history - 1


def test_rows_are_named_by_their_numbers_in_the_file(retail: Contract) -> None:
    rows = table(*weeks("A", 30), *weeks("NEW", 1))
    (problem,) = broken_histories(rows, numbers(rows) + 100, retail, where="x.csv")
    assert problem.examples == [(132, "NEW")]


def test_nothing_but_repeated_series_is_told_too(retail: Contract) -> None:
    rows = table(*weeks("A", 30), *weeks("A", 30))
    (problem,) = broken_histories(rows, numbers(rows), retail, where="x.csv")
    assert problem.count == 60


def test_dates_off_the_grid_refuse_the_table(retail: Contract) -> None:
    rows = table(*weeks("A", 30), ("B", date(2011, 12, 6), 1.0))
    with pytest.raises(DataError, match="grid"):
        broken_histories(rows, numbers(rows), retail, where="x.csv")
