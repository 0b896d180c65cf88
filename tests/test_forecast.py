"""`dxai forecast`: a firm's own series in one command, every guess told, every mistake in one message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import onnxruntime as ort
import polars as pl
import pytest
from click.testing import CliRunner, Result
from polars.testing import assert_frame_equal

import dxai
from benchmarks import firms
from dxai.api import ForecastWarning
from dxai.cli.main import cli
from dxai.errors import DataError, DxaiError, NotFoundError, SettingsError
from dxai.forecaster.backtest import BackTest, Scores
from dxai.forecaster.columns import QUARTER, read_dates
from dxai.forecaster.forecast import HORIZONS
from dxai.forecaster.graph import AT_ONCE, Forecaster, packed_graph
from dxai.forecaster.steps import FREQUENCIES

pytestmark = pytest.mark.filterwarnings("error")
QUANTILES = ("q2.5", "q10", "q50", "q90", "q97.5")


def months(count: int, first: int = 2018, *, end: bool = False) -> list[date]:
    days = [date(first + i // 12, i % 12 + 1, 1) for i in range(count + 1)]
    return [day - timedelta(1) for day in days[1:]] if end else days[:-1]


def weeks(count: int, first: date = date(2022, 1, 3)) -> list[date]:
    return [first + timedelta(7 * i) for i in range(count)]


def wave(count: int, season: int = 12) -> list[float]:
    """A level, a trend and a season, without noise."""
    return [round(100 + i / 4 + 20 * float(np.sin(2 * np.pi * i / season)), 3) for i in range(count)]


def monthly(count: int = 60, names: Sequence[str] = ("A", "B")) -> pl.DataFrame:
    days, values = months(count), wave(count)
    return pl.DataFrame({
        "product": [name for name in names for _ in days],
        "month": [str(day) for _ in names for day in days],
        "sales": [value * (i + 1) for i in range(len(names)) for value in values],
    })  # fmt: skip


def written(table: pl.DataFrame, folder: Path, name: str = "sales.csv") -> Path:
    path = folder / name
    {".csv": table.write_csv, ".parquet": table.write_parquet, ".xlsx": table.write_excel}[path.suffix](path)
    return path


def ran(*words: object) -> Result:
    """The verb in this process; an error of ours comes as it is."""
    done = CliRunner().invoke(cli, ["forecast", *map(str, words)], standalone_mode=False)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def sensible(answer: pl.DataFrame, value: str) -> None:
    """Finite everywhere, quantiles in order, nothing below 0."""
    made = answer.select(pl.col(f"{value}_mean"), *(f"{value}_{name}" for name in QUANTILES)).to_numpy()
    assert np.isfinite(made).all() and (made >= 0).all()
    assert (np.diff(made[:, 1:], axis=1) >= 0).all()


# --- a file in, a file out --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sales.csv", "sales.xlsx", "sales.parquet"])
def test_every_kind_of_file_gives_the_next_year(name: str, tmp_path: Path) -> None:
    table = monthly().with_columns(pl.col("month").str.to_date())
    done = ran(written(table, tmp_path, name), "-o", tmp_path / "out.csv")
    assert "monthly: 60 months from 2018-01 to 2022-12, 2 series" in done.output
    assert "columns: time 'month', value 'sales', series 'product'" in done.output
    answer = pl.read_csv(tmp_path / "out.csv", try_parse_dates=True)
    assert answer.columns == ["product", "month", "sales_mean", *(f"sales_{each}" for each in QUANTILES)]
    assert answer["month"].to_list() == 2 * [date(2023, month, 1) for month in range(1, 13)]
    truth = np.array(wave(72)[60:])
    assert np.abs(answer["sales_q50"].to_numpy()[:12] / truth - 1).max() < 0.05
    sensible(answer, "sales")


def test_parquet_and_standard_output_hold_the_same(tmp_path: Path) -> None:
    path = written(monthly(), tmp_path)
    ran(path, "-o", tmp_path / "out.parquet")
    done = ran(path, "-o", "-")
    assert_frame_equal(
        pl.read_parquet(tmp_path / "out.parquet"), pl.read_csv(done.stdout.encode(), try_parse_dates=True),
        check_dtypes=False,
    )  # fmt: skip
    assert "monthly: 60 months" in done.stderr


def test_korean_headers_numbers_and_encoding(tmp_path: Path) -> None:
    rows = ["품목,연월,판매량"] + [
        f'{name},{day:%Y년 %m월},"{1000 * value:,.0f}"'
        for name in ("볼트", "너트") for day, value in zip(months(40), wave(40), strict=True)
    ]  # fmt: skip
    (tmp_path / "판매.csv").write_bytes("\n".join(rows).encode("cp949"))
    done = ran(tmp_path / "판매.csv", "-o", tmp_path / "out.csv", "--horizon", 3)
    assert "columns: time '연월', value '판매량', series '품목'" in done.output
    answer = pl.read_csv(tmp_path / "out.csv")
    assert answer["품목"].to_list() == ["볼트"] * 3 + ["너트"] * 3
    assert answer["연월"].to_list()[:3] == ["2021-05-01", "2021-06-01", "2021-07-01"]
    assert answer["판매량_mean"].is_between(80_000, 140_000).all()


def test_a_column_per_month(tmp_path: Path) -> None:
    table = pl.DataFrame({"part": ["a", "b"]} | {f"{day:%Y-%m}": [i, 2 * i] for i, day in enumerate(months(30), 5)})
    done = ran(written(table, tmp_path), "-o", tmp_path / "out.csv")
    assert "30 columns are steps of time, 2018-01 to 2020-06" in done.output
    answer = pl.read_csv(tmp_path / "out.csv", try_parse_dates=True)
    assert answer["part"].to_list() == ["a"] * 12 + ["b"] * 12 and answer["date"][0] == date(2020, 7, 1)


def test_several_columns_name_a_series_and_stay_columns(tmp_path: Path) -> None:
    table = pl.concat([monthly().with_columns(store=pl.lit(store), note=pl.lit("x")) for store in ("Seoul", "Busan")])
    done = ran(written(table, tmp_path), "-o", tmp_path / "out.csv")
    assert "series 'product / store'" in done.output
    answer = pl.read_csv(tmp_path / "out.csv")
    assert answer.columns[:3] == ["product", "store", "month"]
    assert answer.unique(["product", "store"]).height == 4


def test_blocks_do_not_change_the_answer() -> None:
    table = monthly(30, [f"S{i}" for i in range(AT_ONCE + 3)])
    last = table.filter(pl.col("product") == f"S{AT_ONCE + 2}")
    together, alone = dxai.forecast(table), dxai.forecast(last, series="product")
    assert len(together) == 12 * (AT_ONCE + 3)
    assert_frame_equal(together.filter(pl.col("product") == f"S{AT_ONCE + 2}"), alone, rel_tol=1e-4)


# --- frequencies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "said", "first"),
    [
        (weeks(60), "weekly: 60 weeks from 2022-01-03 to 2023-02-20", date(2023, 2, 27)),
        (months(30), "monthly: 30 months from 2018-01 to 2020-06", date(2020, 7, 1)),
        (months(30, end=True), "monthly: 30 months from 2018-01 to 2020-06", date(2020, 7, 31)),
        ([day.replace(day=25) for day in months(30)], "monthly: 30 months", date(2020, 7, 25)),
        (months(60)[::3], "quarterly: 20 quarters from 2018-Q1 to 2022-Q4", date(2023, 1, 1)),
        (months(60, end=True)[2::3], "quarterly: 20 quarters from 2018-Q1 to 2022-Q4", date(2023, 3, 31)),
        ([d + timedelta(i % 13 == 12) for i, d in enumerate(weeks(60))], "weekly: 60 weeks", date(2023, 2, 27)),
    ],
)
def test_frequency_is_that_of_the_dates(days: list[date], said: str, first: date, tmp_path: Path) -> None:
    table = pl.DataFrame({"date": days, "kg": wave(len(days))})
    done = ran(written(table, tmp_path), "-o", tmp_path / "out.csv", "--horizon", 4)
    assert said in done.output
    assert pl.read_csv(tmp_path / "out.csv", try_parse_dates=True)["date"][0] == first


@pytest.mark.parametrize("text", ["2024-Q3", "2024Q3", "2024 3Q", "2024년 3분기", "Q3 2024", "3Q2024", "2024/3분기"])
def test_quarters_as_people_write_them(text: str) -> None:
    assert read_dates(pl.Series([text, "x", None]), QUARTER).dt.date().to_list() == [date(2024, 7, 1), None, None]


def test_quarters_and_weeks_as_text() -> None:
    quarters = pl.DataFrame({"q": [f"{2015 + i // 4}-Q{i % 4 + 1}" for i in range(24)], "v": wave(24, 4)})
    assert dxai.forecast(quarters)["q"].to_list() == [date(2021, month, 1) for month in (1, 4, 7, 10)]
    iso = pl.DataFrame({"week": [f"2023-W{i:02d}" for i in range(1, 51)], "v": wave(50)})
    assert dxai.forecast(iso)["week"][0] == date(2023, 12, 18)


@pytest.mark.parametrize(("aggregate", "value"), [("sum", 70.0), ("mean", 10.0)])
def test_days_are_added_up_to_weeks_and_said(aggregate: str, value: float, tmp_path: Path) -> None:
    days = [date(2023, 1, 4) + timedelta(i) for i in range(200)]  # a Wednesday first
    path = written(pl.DataFrame({"day": days, "kg": [10.0] * 200}), tmp_path)
    done = ran(path, "-o", tmp_path / "out.csv", "--aggregate", aggregate, "--frequency", "weekly")
    assert "daily rows are" in done.output and "the first week is not whole and is left out" in done.output
    answer = pl.read_csv(tmp_path / "out.csv", try_parse_dates=True)
    assert (answer["day"].dt.weekday() == 7).all()
    assert answer["kg_mean"].to_list() == pytest.approx([value] * 13, rel=1e-4)


def test_days_to_months_leave_out_what_is_not_whole() -> None:
    days = [date(2022, 1, 1) + timedelta(i) for i in range(400)]  # to 4 February
    with pytest.warns(ForecastWarning, match="the last month is not whole"):
        answer = dxai.forecast(pl.DataFrame({"day": days, "kg": [1.0] * 400}), frequency="monthly", aggregate="sum")
    assert answer["day"].to_list()[:2] == [date(2023, 2, 28), date(2023, 3, 31)]


def test_hours_and_day_first_dates() -> None:
    start = date(2023, 1, 2)
    clock = [f"{start + timedelta(i // 24):%d/%m/%Y} {i % 24:02d}:00" for i in range(24 * 7 * 20)]
    with pytest.warns(ForecastWarning, match="hourly rows are added up"):
        answer = dxai.forecast(pl.DataFrame({"at": clock, "kWh": [2.0] * len(clock)}), frequency="weekly")
    assert answer["kWh_mean"].to_list() == pytest.approx([336.0] * 13, rel=1e-4)
    first_of_month = [f"{day:%d/%m/%Y}" for day in months(36)]
    assert dxai.forecast(pl.DataFrame({"d": first_of_month, "v": wave(36)}))["d"][0] == date(2021, 1, 1)


# --- hours, days and years --------------------------------------------------------------------------------------------


def hours(count: int, first: datetime = datetime(2024, 3, 1)) -> list[datetime]:
    return [first + timedelta(hours=i) for i in range(count)]


def working_hours(times: Sequence[datetime]) -> list[float]:
    """More by day, less at weekends."""
    return [10.0 + 40 * (8 <= t.hour < 18) * (t.weekday() < 5) + t.hour / 4 for t in times]


def test_hours_have_a_day_and_a_week(tmp_path: Path) -> None:
    times = hours(24 * 40)  # to Tuesday night
    table = pl.DataFrame({"at": [f"{t:%Y-%m-%d %H:%M}" for t in times], "kWh": working_hours(times)})
    done = ran(written(table, tmp_path), "-o", tmp_path / "out.csv", "--horizon", 48)
    assert "hourly: 960 hours from 2024-03-01 00:00 to 2024-04-09 23:00" in done.output
    answer = pl.read_csv(tmp_path / "out.csv", try_parse_dates=True)
    after = [times[-1] + timedelta(hours=i + 1) for i in range(48)]
    assert answer["at"].to_list() == after
    np.testing.assert_allclose(answer["kWh_q50"].to_numpy(), working_hours(after), rtol=0.1, atol=2)
    with pytest.raises(SettingsError, match="48 steps at most"):
        ran(written(table, tmp_path), "-o", tmp_path / "out.csv", "--horizon", 49)


def test_quarters_of_an_hour_are_added_up_to_hours() -> None:
    times = [datetime(2024, 1, 1) + timedelta(minutes=15 * i) for i in range(4 * 24 * 9 + 2)]
    with pytest.warns(ForecastWarning, match="added up(?s:.*)to hours; the last hour is not whole"):
        answer = dxai.forecast(pl.DataFrame({"at": times, "kWh": [2.0] * len(times)}))
    assert answer["at"][0] == datetime(2024, 1, 10) and answer["kWh_q50"].to_list() == pytest.approx(
        [8.0] * 24, rel=1e-3
    )


def test_a_clock_that_is_set_back_shows_one_hour_twice() -> None:
    times = hours(24 * 40, datetime(2023, 10, 1))
    again = times.index(datetime(2023, 10, 29, 2))
    autumn = times[: again + 1] + times[again:]
    with pytest.warns(ForecastWarning, match="1 hours that the clock shows twice"):
        answer = dxai.forecast(pl.DataFrame({"at": autumn, "kWh": working_hours(autumn)}))
    assert answer["at"][0] == datetime(2023, 11, 10)
    with pytest.raises(DataError, match="share an hourly step"):
        dxai.forecast(pl.DataFrame({"at": times[:600] + times[500:], "kWh": working_hours(times[:600] + times[500:])}))


def test_a_clock_that_is_set_forward_lacks_one_hour() -> None:
    times = [t for t in hours(24 * 40) if t != datetime(2024, 3, 31, 2)]
    made = dxai.forecast(pl.DataFrame({"at": times, "kWh": working_hours(times)}))
    assert made["at"][0] == datetime(2024, 4, 10) and made["kWh_q50"][12] > 40


def test_times_with_an_offset_are_forecast_in_utc(tmp_path: Path) -> None:
    table = pl.DataFrame({"at": [f"{t:%Y-%m-%dT%H:%M:%S}+09:00" for t in hours(400)], "kWh": [3.0] * 400})
    done = ran(written(table, tmp_path), "-o", tmp_path / "out.csv")
    assert "in UTC" in done.output and "from 2024-02-29 15:00" in done.output


def test_days_keep_their_week_and_one_time_of_day_makes_no_hours() -> None:
    times = [datetime(2024, 1, 1, 8) + timedelta(i) for i in range(120)]
    table = pl.DataFrame({"day": times, "units": [50.0 * (t.weekday() < 5) + 20 for t in times]})
    made = dxai.forecast(table)
    assert made["day"].to_list() == [date(2024, 4, 30) + timedelta(i) for i in range(14)]
    truth = [50.0 * (day.weekday() < 5) + 20 for day in made["day"]]
    np.testing.assert_allclose(made["units_q50"].to_numpy(), truth, rtol=0.05)


@pytest.mark.parametrize("last", [date(2003, 12, 31), date(2004, 3, 31), date(2004, 2, 29)])
def test_years_end_where_those_of_the_table_do(last: date) -> None:
    """Calendar years and those of a firm; a leap day is followed by last days of February."""
    days = pl.Series([last]).dt.offset_by(pl.Series([f"-{i}y" for i in range(19, -1, -1)])).dt.month_end()
    made = dxai.forecast(pl.DataFrame({"closed": days, "tons": [100.0 + 5 * i for i in range(20)]}), horizon=6)
    assert made["closed"].dt.year().to_list() == [last.year + i for i in range(1, 7)]
    assert made["closed"].to_list() == made["closed"].dt.month_end().to_list()
    np.testing.assert_allclose(made["tons_q50"].to_numpy(), [200.0 + 5 * i for i in range(6)], rtol=0.05)


def test_years_alone_are_dates_where_they_are_named(tmp_path: Path) -> None:
    table = pl.DataFrame({"year": range(2000, 2020), "tons": [100.0 + 5 * i for i in range(20)]})
    done = ran(written(table, tmp_path), "--time", "year", "-o", tmp_path / "out.csv")
    assert "yearly: 20 years from 2000 to 2019, 1 series" in done.output
    answer = pl.read_csv(tmp_path / "out.csv", try_parse_dates=True)
    assert answer["year"].to_list() == [date(year, 1, 1) for year in range(2020, 2024)]
    with pytest.raises(DataError, match="No column holds dates"):
        ran(written(table, tmp_path), "-o", tmp_path / "out.csv")


def test_months_are_added_up_to_whole_years() -> None:
    table = pl.DataFrame({"month": months(12 * 10 + 5, 2010), "tons": [2.0] * 125})
    with pytest.warns(
        ForecastWarning, match="monthly rows are added up(?s:.*)to years(?s:.*)the last year is not whole"
    ):
        made = dxai.forecast(table, frequency="yearly", aggregate="sum")
    assert made["month"].to_list() == [date(2020 + i, 12, 31) for i in range(4)]
    assert made["tons_mean"].to_list() == pytest.approx([24.0] * 4, rel=1e-3)


# --- awkward histories ------------------------------------------------------------------------------------------------


def test_gaps_are_missing_not_zero() -> None:
    table = pl.DataFrame({"month": months(48), "v": [100.0] * 48})
    holed = table.with_columns(pl.when(pl.int_range(48) % 5 == 3).then(None).otherwise("v").alias("v"))
    left_out = table.filter(pl.int_range(48) % 5 != 3)
    for each in (holed, left_out):
        assert dxai.forecast(each)["v_q10"].to_list() == pytest.approx([100.0] * 12, rel=1e-3)


def dates_of(frequency: str) -> list[date] | list[datetime]:
    if frequency == "hourly":
        return [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(50)]
    every = {"monthly": 1, "quarterly": 3, "yearly": 12}
    if frequency in every:
        return months(600, 1975)[:: every[frequency]]
    return weeks(50) if frequency == "weekly" else [date(2024, 1, 1) + timedelta(i) for i in range(50)]


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [([7.0], 6.9, 7.1), ([1.0, 2.0, 3.0, 4.0, 5.0], 3.0, 8.0), ([50.0] * 40, 49.9, 50.1), ([0.0] * 40, 0.0, 0.0),
     ([0.0, 0.0, 3.0, 0.0] * 10, 0.2, 2.0), ([1e9 + i for i in range(30)], 9e8, 1.1e9)],
)  # fmt: skip
@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_short_constant_and_lumpy_histories_are_sensible(
    values: list[float], low: float, high: float, frequency: str
) -> None:
    days = dates_of(frequency)[: len(values)]
    answer = dxai.forecast(pl.DataFrame({"date": days, "v": values}), value="v", frequency=frequency)
    assert len(answer) == HORIZONS[frequency]
    mean = answer["v_mean"].rolling_mean(4).drop_nulls() if frequency == "hourly" else answer["v_mean"]
    if frequency == "yearly" and values[0] < values[-1] <= 5:
        high = 9.0  # the line of five years, gone on with for four more
    assert mean.is_between(low, high).all()  # four hours in turn are a pattern of the day
    sensible(answer, "v")


def test_negative_values_may_go_on() -> None:
    answer = dxai.forecast(pl.DataFrame({"month": months(48), "v": [-5.0 - i % 3 for i in range(48)]}))
    assert (answer["v_q97.5"] < 0).all()


def test_series_that_ended_are_told_and_go_on_from_their_end(tmp_path: Path) -> None:
    table = pl.concat([monthly(60, ["A"]), monthly(40, ["B"])])
    done = ran(written(table, tmp_path), "-o", tmp_path / "out.csv")
    assert "1 series ended earlier" in done.output
    answer = pl.read_csv(tmp_path / "out.csv", try_parse_dates=True)
    assert answer.filter(pl.col("product") == "B")["month"][0] == date(2021, 5, 1)


# --- mistakes ---------------------------------------------------------------------------------------------------------


def with_two_values() -> pl.DataFrame:
    return monthly().with_columns(price=pl.lit(3.5) + pl.int_range(120) / 7)


def with_bad_dates() -> pl.DataFrame:
    return monthly().with_columns(month=pl.when(pl.int_range(120) == 7).then(pl.lit("soon")).otherwise("month"))


def with_bad_numbers() -> pl.DataFrame:
    return monthly().with_columns(sales=pl.when(pl.int_range(120) == 7).then(pl.lit("many")).otherwise("sales"))


def with_repeats() -> pl.DataFrame:
    return pl.concat([monthly(), monthly().head(2)])


@pytest.mark.parametrize(
    ("table", "words", "error", "told"),
    [
        (monthly(), ("--value", "sale"), NotFoundError, r"no column 'sale'(?s:.*)'sales'"),
        (monthly(), ("--series", "shop"), NotFoundError, "no column 'shop'"),
        (monthly(), ("--time", "product"), DataError, "'product' holds no dates"),
        (monthly().drop("month"), (), DataError, "No column holds dates"),
        (monthly().drop("sales"), (), DataError, "No column holds numbers"),
        (with_two_values(), (), SettingsError, r"'sales', 'price'(?s:.*)--value sales"),
        (with_bad_dates(), (), DataError, "1 dates of 'month' that cannot be read: row 9: 'soon'"),
        (with_bad_numbers(), ("--value", "sales"), DataError, "1 texts of 'sales' that are no numbers: row 9: 'many'"),
        (with_repeats(), (), DataError, r"4 rows share a monthly step(?s:.*)'A' at 2018-01-01(?s:.*)--aggregate sum"),
        (monthly(1), (), DataError, r"No series has two dates(?s:.*)--frequency"),
        (monthly().with_columns(sales=pl.lit(None, pl.Float64)), ("--value", "sales"), DataError, "no value"),
        (monthly(), ("--frequency", "weekly"), SettingsError, "dates are monthly"),
        (monthly(), ("--horizon", 25), SettingsError, "24 steps at most"),
        (monthly().with_columns(product=pl.lit(None, pl.String)), ("--series", "product"), DataError, "without a 'pro"),
        (monthly(240, "A")[::12], ("--frequency", "quarterly"), SettingsError, "dates are yearly"),
        (monthly(240, "A")[::12], ("--horizon", 7), SettingsError, "6 steps at most"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message_and_nothing_is_written(
    table: pl.DataFrame, words: tuple[object, ...], error: type[DxaiError], told: str, tmp_path: Path
) -> None:
    path = written(table, tmp_path)
    with pytest.raises(error, match=told) as raised:
        ran(path, "-o", tmp_path / "out.csv", *words)
    assert raised.value.where and raised.value.fix
    assert [each.name for each in tmp_path.iterdir()] == ["sales.csv"]


def test_repeats_can_be_added_up() -> None:
    with pytest.warns(ForecastWarning, match="4 rows that share a step"):
        answer = dxai.forecast(with_repeats(), aggregate="mean")
    assert_frame_equal(answer, dxai.forecast(monthly()))


def test_no_file_and_no_place(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        ran(tmp_path / "sales.csv", "-o", tmp_path / "out.csv")
    with pytest.raises(NotFoundError, match="mkdir"):
        ran(written(monthly(), tmp_path), "-o", tmp_path / "there" / "out.csv")


# --- back-test and report ---------------------------------------------------------------------------------------------


def test_back_test_is_of_the_last_horizon_and_honest(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    days = months(72)
    table = pl.DataFrame({
        "product": [f"P{s}" for s in range(12) for _ in days], "month": days * 12,
        "sales": np.concatenate([np.array(wave(72)) + random.normal(0, 8, 72) for _ in range(12)]),
    })  # fmt: skip
    done = ran(written(table, tmp_path), "-o", tmp_path / "out.csv")
    assert "back-test, last 12 steps of 12 of 12 series held out once, beside seasonal naive:" in done.output
    assert "WQL" in done.output and "% better" in done.output and "chance" not in done.output
    short = ran(written(monthly(10), tmp_path), "-o", tmp_path / "out.csv")
    assert "too short to hold 12 steps out" in short.output


def test_a_worse_forecast_is_called_worse() -> None:
    said = "\n".join(BackTest(3, 3, 12, Scores(1.2, 0.3), Scores(1.0, 0.2), 0.4, False).sentences)
    assert "MASE 1.20 against 1.00: 20 % worse" in said and "WQL 0.300 against 0.200: 50 % worse" in said
    assert "too narrow" in said and "chance may have decided" in said


@pytest.mark.parametrize(("language", "told"), [("en", "total of all series"), ("ko", "전체 합계")])
def test_report_draws_the_total_and_the_largest(language: str, told: str, tmp_path: Path) -> None:
    path = written(monthly(48, ["<b>", "B", "C", "D", "E", "F", "G"]), tmp_path)
    ran(path, "-o", tmp_path / "out.csv", "--report", tmp_path / "r.html", "--language", language)
    page = (tmp_path / "r.html").read_text("utf-8")
    assert told in page and page.count("<svg") == 6 and f'lang="{language}"' in page
    assert "MASE" in page and "monthly: 48 months" in page
    assert "<b>" not in page and "http" not in page.replace("http-equiv", "")


# --- in Python --------------------------------------------------------------------------------------------------------


def test_python_takes_and_gives_frames_and_arrays() -> None:
    table = monthly()
    made = dxai.forecast(table, horizon=6)
    assert isinstance(made, pl.DataFrame) and len(made) == 12
    arrays = dxai.forecast({name: table[name].to_numpy() for name in table.columns}, horizon=6)
    assert list(arrays["sales_mean"]) == made["sales_mean"].to_list()
    pandas = pytest.importorskip("pandas")
    frame = dxai.forecast(pandas.DataFrame(table.to_dict(as_series=False)), horizon=6)
    assert isinstance(frame, pandas.DataFrame) and frame["sales_mean"].tolist() == made["sales_mean"].to_list()


# --- the graphs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_graphs_are_small_and_say_what_they_are(frequency: str) -> None:
    forecaster = Forecaster(frequency)
    assert forecaster.levels == (0.025, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.975)
    assert forecaster.horizon >= HORIZONS[frequency] and len(packed_graph(frequency)) < 3_000_000


@pytest.mark.slow
@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_graphs_are_those_of_the_code(frequency: str) -> None:
    torch = pytest.importorskip("torch")
    from pipelines.forecaster import network

    history = torch.tensor(np.random.default_rng(1).gamma(2.0, 50.0, (4, 120)), dtype=torch.float32)
    history[1, :70], history[2, ::3], history[3, ::2] = torch.nan, torch.nan, 0.0
    with torch.inference_mode():
        quantiles, mean = network(frequency)(history)
    made = Forecaster(frequency).forecast(history.numpy(), mean.shape[1])
    np.testing.assert_allclose(made.mean, mean.numpy(), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(made.quantiles, quantiles.numpy(), rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_short_and_lumpy_weeks_are_forecast_alike_by_both_engines() -> None:
    """Where a rounding chose a row of a grid, one engine took another season; near a median of sales it grew."""
    torch = pytest.importorskip("torch")
    from pipelines.forecaster import network

    generator = np.random.default_rng(0)
    short = np.full((300, 104), np.nan)
    short[:, -42:] = generator.gamma(1.5, 40.0, (300, 42)).round() + 1
    lumpy = generator.gamma(0.8, 200.0, (300, 104)).round() * (generator.random((300, 104)) < 0.6)
    history = np.concatenate([short, lumpy]).astype(np.float32)
    with torch.inference_mode():
        quantiles, mean = network("weekly")(torch.as_tensor(history))
    made = Forecaster("weekly").forecast(history, mean.shape[1])
    spread = 1e-4 * np.nanstd(history)
    np.testing.assert_allclose(made.mean, mean.numpy(), rtol=0, atol=spread)
    np.testing.assert_allclose(made.quantiles, quantiles.numpy(), rtol=0, atol=spread)


@pytest.mark.slow(seconds=100)
def test_the_same_code_gives_the_bytes_of_the_graph() -> None:
    pytest.importorskip("torch")
    from pipelines.forecaster import graph

    same = graph("quarterly") == packed_graph("quarterly")
    assert same, "python -m pipelines.forecaster"


@pytest.mark.slow(seconds=10)
def test_a_shorter_forecast_is_that_of_a_graph_of_its_own() -> None:
    torch = pytest.importorskip("torch")
    from dxai.networks.experts import Experts
    from pipelines.forecaster import InUnits

    history = np.random.default_rng(3).gamma(2.0, 50.0, (4, 80)).astype(np.float32)
    for frequency in FREQUENCIES:
        whole, horizon = Forecaster(frequency), HORIZONS[frequency]
        context = Experts.context_of(whole.season, horizon)
        alone = InUnits(Experts(context=context, horizon=horizon, season=whole.season)).eval()
        with torch.inference_mode():
            quantiles, _ = alone(torch.tensor(history))
        made = whole.forecast(history, horizon).quantiles
        np.testing.assert_allclose(made, quantiles.numpy(), rtol=1e-4, atol=1e-3)


def test_graphs_use_no_operator_beyond_two_years_old_runtimes() -> None:
    onnx = pytest.importorskip("onnx")
    for frequency in FREQUENCIES:
        model = onnx.load_model_from_string(packed_graph(frequency))
        assert {(each.domain, each.version) for each in model.opset_import} == {("", 20)} and model.ir_version <= 10
    assert ort.__version__


# --- real files -------------------------------------------------------------------------------------------------------

REAL = [
    ("carparts_monthly_demand.csv", (), ("monthly: 51 months from 1998-01 to 2002-03, 2,674 series", "% better"),
     12 * 2674),
    ("orange_juice_weekly.csv.gz", ("--value", "units", "--series", "store", "--series", "product"),
     ("weekly: 121 weeks from 1990-06-14 to 1992-10-01, 913 series", "3,619 steps without", "% better"), 13 * 913),
    ("korea_steel_industry_energy.csv", ("--value", "Usage_kWh", "--frequency", "monthly", "--horizon", "3"),
     ("minutely rows are added up", "monthly: 12 months from 2018-01 to 2018-12, 1 series"), 3),
    ("seoul_bike_hourly.csv.gz", ("--value", "Rented Bike Count", "--aggregate", "sum", "--frequency", "weekly"),
     ("the first week is not whole", "weekly: 51 weeks from 2017-12-10 to 2018-11-25"), 13),
]  # fmt: skip


@pytest.mark.slow(seconds=10)
def test_car_parts_are_forecast_without_bias(shared_data: Path) -> None:
    if not (shared_data / "carparts_monthly_demand.csv").is_file():
        pytest.skip(f"there is no carparts_monthly_demand.csv in {shared_data}")
    *_, last = firms.scored("car-parts", shared_data)
    scores = last["metrics"]
    assert scores["wql"] <= 0.88 and scores["rmsse"] <= 0.69 and abs(scores["bias"]) <= 0.1


@pytest.mark.slow(seconds=10)
@pytest.mark.parametrize(("name", "words", "told", "rows"), REAL, ids=[each[0] for each in REAL])
def test_real_files(
    name: str, words: Sequence[str], told: Sequence[str], rows: int, shared_data: Path, tmp_path: Path
) -> None:
    if not (shared_data / name).is_file():
        pytest.skip(f"there is no {name} in {shared_data}")
    done = ran(shared_data / name, "-o", tmp_path / "out.parquet", *words)
    for text in told:
        assert text in done.output
    answer = pl.read_parquet(tmp_path / "out.parquet")
    assert len(answer) == rows
    sensible(answer, next(column for column in answer.columns if column.endswith("_mean")).removesuffix("_mean"))
