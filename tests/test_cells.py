"""Numbers, dates and rows as people write them have one meaning, which a draft says and a conversion keeps."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from dxai.cli.main import cli
from dxai.errors import SettingsError
from dxai.intake import cells


def dxai(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == code, done.output + str(done.exception)
    return done


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(header: str, rows: list[str], *options: str) -> tuple[pl.DataFrame, str]:
    """A file on the way that `init` drafts: the table made of it, and what both commands said."""
    Path("own.csv").write_text("\n".join([header, *rows]) + "\n")
    told = dxai("data", "init", "own.csv", *options).output
    told += dxai(
        "data", "convert", "own.csv", "-c", "own/contract.yaml", "-m", "own/mapping.yaml", "-o", "t.parquet"
    ).output
    dxai("data", "check", "t.parquet", "-c", "own/contract.yaml")
    return pl.read_parquet("t.parquet"), told


def values(texts: list[str], header: str = "a") -> tuple[list[object], str]:
    """What becomes of one column of features, and what was said."""
    rows = [f'{i * 7 % 11 + i / 100},"{text}"' for i, text in enumerate(texts)]
    found, told = table(f"y,{header}", rows, "-t", "y")
    return found.drop("y").to_series().to_list(), told


@pytest.mark.parametrize(
    "written",
    ["−{}", "△{}", "△ {}", "({})", "（{}）", "{}-", "- {}", "‒{}"],
    ids=["true minus", "triangle", "triangle, space", "brackets", "wide brackets", "behind", "apart", "figure dash"],
)  # fmt: skip
def test_a_negative_number_is_one_however_its_sign_is_written(written: str) -> None:
    found, told = values([written.format("1.5"), "2.25", written.format("12"), "0.5"] * 10)
    assert found[:4] == [-1.5, 2.25, -12.0, 0.5]
    assert "the sign in front, spaces plain, 20" in told


@pytest.mark.parametrize("space", [" ", "\u00a0", "\u202f", "\u2009"])
def test_spaces_part_thousands(space: str) -> None:
    found, _ = values([f"1{space}234.5", f"12{space}345{space}678.25", "0.5", "7.5"] * 10)
    assert found[:4] == [1234.5, 12345678.25, 0.5, 7.5]


def test_commas_and_a_minus_behind() -> None:
    found, _ = values(["1.234,56-", "2.000,5", "0,25", "7,5-"] * 10)
    assert found[:4] == [-1234.56, 2000.5, 0.25, -7.5]


def test_brackets_around_a_word_or_a_note_are_no_minus() -> None:
    assert cells.plainly_signed(pl.Series(["(a)", "(1) A", "1-2", "5 - 7", "()"])).to_list() == [
        "(a)", "-1 A", "1-2", "5 - 7", "()",
    ]  # fmt: skip
    assert cells.written_numbers(pl.Series(["1-2", "5 - 7", "(a)", "2024-01-05"]))["style"].null_count() == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("low", "high"), [("<0.5", ">100"), ("≤0.5", "≥ 100"), ("0.5 미만", "100 초과"), ("＜0.5", "＞100")]
)
@pytest.mark.parametrize(("how", "taken"), [("limit", [0.5, 100.0]), ("half", [0.25, 100.0]), ("gap", [None, None])])
def test_a_limit_is_what_the_mapping_says(low: str, high: str, how: str, taken: list[float | None]) -> None:
    _, told = values([low, "3.25", high, "4.5", "0.75"] * 10, "cu (ppm)")
    assert "decide: cu (ppm): limits such as <0.5 are taken as the number; or `half` of it, or a `gap`?" in told
    mapping = Path("own/mapping.yaml")
    assert "censored: limit" in mapping.read_text()
    mapping.write_text(mapping.read_text().replace("censored: limit", f"censored: {how}"))
    told = dxai("data", "convert", "own.csv", "-c", "own/contract.yaml", "-m", str(mapping), "-o", "t.parquet").output
    assert pl.read_parquet("t.parquet")["cu"].to_list()[:5] == [taken[0], 3.25, taken[1], 4.5, 0.75]
    assert "a limit taken as" in told and ", 20 (row 2:" in told


@pytest.mark.slow
@pytest.mark.parametrize(
    "written",
    [
        "2024-01-{d:02d} {h} {i}:30", "2024. 1. {d}. {h} {i}:30:00", "2024/01/{d:02d} {i}:30 {h}",
        "2024년 1월 {d}일 {h} {i}시 30분",
    ],
)  # fmt: skip
@pytest.mark.parametrize("words", [("오전", "오후"), ("AM", "PM"), ("午前", "午後"), ("a.m.", "p.m.")])
def test_clocks_of_twelve_hours_are_times(written: str, words: tuple[str, str]) -> None:
    times = [datetime(2024, 1, 1, 0, 30) + timedelta(hours=5 * i) for i in range(40)]
    texts = [written.format(d=t.day, h=words[t.hour >= 12], i=t.hour % 12 or 12) for t in times]
    rows = [f"{text},{i % 7}.5,{i * 3 % 11}.25" for i, text in enumerate(texts)]
    found, told = table("측정시각,a,y", rows, "-t", "y")
    assert found["cheugjeongsigag"].to_list() == times
    assert "split: ordered by 측정시각" in told


def test_the_end_of_a_day_is_its_midnight() -> None:
    texts = [f"2024-01-{1 + i // 4:02d} {6 * (1 + i % 4):02d}:00" for i in range(40)]
    found, _ = table("at,a,y", [f"{text},{i % 7}.5,{i * 3 % 11}.25" for i, text in enumerate(texts)], "-t", "y")
    assert texts[3] == "2024-01-01 24:00"
    assert found["at"].to_list() == [datetime(2024, 1, 1) + timedelta(hours=6 * (i + 1)) for i in range(40)]


@pytest.mark.parametrize("written", ["%G-W%V", "%GW%V", "%G년 %V주차", "%G%V"])
def test_weeks_are_those_of_iso_8601(written: str) -> None:
    mondays = [date(2023, 1, 2) + timedelta(weeks=i) for i in range(110)]
    rows = [f"P{s},{day.strftime(written)},{(i * 7 + s) % 23}" for s in range(2) for i, day in enumerate(mondays)]
    found, told = table(
        "product,week,qty", rows, *["--kind", "demand", "--series", "product", "--time", "week", "-t", "qty"]
    )
    assert found["week"].to_list() == mondays * 2
    assert "weeks as ISO 8601 counts them" in told
    assert "frequency, value: weekly" in Path("own/contract.yaml").read_text()


def test_days_as_excel_counts_them() -> None:
    found, told = table("측정일,a,y", [f"{45292 + i},{i % 7}.5,{i * 3 % 11}.25" for i in range(40)], "-t", "y")
    assert found.to_series(0).to_list()[:2] == [date(2024, 1, 1), date(2024, 1, 2)]
    assert "split: ordered by 측정일" in told
    whole, _ = table("a,y", [f"{45292 + i * 37 % 41},{i * 3 % 11}.25" for i in range(40)], "-t", "y", "--force")
    assert whole["a"].dtype == pl.Float64


def test_a_column_of_two_formats_of_dates_is_told(folder: Path) -> None:
    rows = [f"2024-01-{1 + i % 28:02d},{i},{i * 3 % 11}" if i % 4 else f"{1 + i % 28}. Jan,{i},{i}" for i in range(60)]
    Path("own.csv").write_text("\n".join(["day,a,y", *rows]) + "\n")
    told = dxai("data", "describe", "own.csv").output
    assert "15 of 60 cells are no date like the others" in told


@pytest.mark.parametrize("word", ["합계", "소 계", "Grand Total:", "[평균]", "subtotal", "合計"])
def test_a_row_of_totals_is_left_out(word: str) -> None:
    rows = [f"P{i % 4},{i % 7}.5,{i * 3 % 11}.25" for i in range(40)]
    found, told = table("제품,a,y", [*rows[:20], f"{word},1,1", *rows[20:], f"{word},2,2"], "-t", "y")
    assert len(found) == 40 and word not in set(found.to_series(0))
    assert f"decide: 제품: rows with {word} are left out as totals" in told
    assert "row left out: a total of others, 2 (row 22:" in told


def test_totals_that_are_half_of_the_rows_are_names(folder: Path) -> None:
    found, _ = table(
        "kind,a,y", [f"{('total', 'part')[i % 2]},{i % 7}.5,{i * 3 % 11}.25" for i in range(40)], "-t", "y"
    )
    assert len(found) == 40


@pytest.mark.parametrize("code", ["-999", "9999", "-9999.0", "99999"])
def test_a_placeholder_becomes_a_gap(code: str) -> None:
    found, told = values([code, "50.25", "51.5", "49.75", "52.5"] * 10)
    assert found[:2] == [None, 50.25]
    assert f"decide: a: {code} is taken as a gap" in told


def test_a_value_far_off_is_told_and_stays() -> None:
    found, told = values([*(f"{50 + i % 13}.5" for i in range(59)), "9e9"])
    assert found[-1] == 9e9
    assert "decide: a: 9,000,000,000 stands far off from all other values" in told


def test_a_whole_number_that_never_repeats_stays_a_feature() -> None:
    rows = [f"{21_000 + i * 7_919 % 70_000},{i * 3 % 11}.25" for i in range(60)]
    found, told = table("a,y", rows, "-t", "y")
    assert found.columns == ["a", "y"]
    assert "decide: a: whole numbers that never repeat: an identifier, or a measurement?" in told
    found, told = table("점도(cP),y", rows, "-t", "y", "--force")
    assert "decide" not in told.replace("to decide", "")


@pytest.mark.parametrize("first", [8809912345678, 8809912345678901, 10**19])
def test_long_codes_keep_every_digit(first: int) -> None:
    codes = [str(first + i % 4) for i in range(40)]
    found, _ = values(codes, "barcode")
    assert found == codes


def test_days_are_added_up_to_whole_weeks() -> None:
    days = [date(2022, 1, 5) + timedelta(days=i) for i in range(800)]  # a Wednesday
    thirds = [f"P,{day},1" for day in days[::3]]
    Path("thirds.csv").write_text("\n".join(["product,date,qty", *thirds]) + "\n")
    rows = [f"P{s},{day},{1 + s + (day.day == 1)}" for s in range(2) for day in days]
    words = ["--kind", "demand", "--series", "product", "--time", "date", "-t", "qty"]
    with pytest.raises(SettingsError, match=r"most follow each other by 3 days.*"):
        CliRunner().invoke(cli, ["data", "init", "thirds.csv", *words], catch_exceptions=False)
    found, told = table("product,date,qty", rows, *words, "--add-up", "weekly")
    assert found["date"].min() == date(2022, 1, 16) and found["date"].max() == date(2024, 3, 10)
    weeks = found.group_by("product").agg(pl.col("qty").unique().sort()).sort("product")
    assert weeks["qty"].to_list() == [[7.0, 8.0], [14.0, 15.0]]
    assert "row of a weekly step that the file holds a part of" in told


def test_hours_are_added_up_to_whole_days() -> None:
    hours = [datetime(2023, 1, 1, 5) + timedelta(hours=i) for i in range(24 * 60)]
    rows = [f"P,{hour:%Y-%m-%d %H:%M},{1 + hour.day}" for hour in hours]
    words = ["--kind", "demand", "--series", "product", "--time", "date", "-t", "qty", "--add-up", "daily"]
    found, _ = table("product,date,qty", rows, *words)
    assert found["date"].to_list() == [date(2023, 1, 2) + timedelta(days=i) for i in range(59)]
    assert found["qty"].to_list() == [24.0 * (1 + day.day) for day in found["date"].to_list()]


def test_quarters_of_an_hour_are_added_up_to_whole_hours() -> None:
    times = [datetime(2023, 1, 1, 5, 15) + timedelta(minutes=15 * i) for i in range(4 * 80)]
    rows = [f"P,{at:%Y-%m-%d %H:%M},{1 + at.hour}" for at in times]
    words = ["--kind", "demand", "--series", "product", "--time", "date", "-t", "qty", "--add-up", "hourly"]
    found, _ = table("product,date,qty", rows, *words)
    assert found["date"].to_list() == [datetime(2023, 1, 1, 6) + timedelta(hours=i) for i in range(79)]
    assert found["qty"].to_list() == [4.0 * (1 + at.hour) for at in found["date"].to_list()]


def test_columns_that_a_mapping_joins_have_one_name() -> None:
    mondays = [date(2023, 1, 2) + timedelta(weeks=i) for i in range(100)]
    rows = [f"{s},{k},{day},{i % 9}" for s in "AB" for k in "xy" for i, day in enumerate(mondays)]
    words = ["--kind", "demand", "--series", "store", "--series", "sku", "--time", "week", "-t", "qty"]
    found, _ = table("store,sku,week,qty", rows, *words)
    assert found.columns == ["store", "sku", "week", "qty"] and found["sku"][100] == "y"
    mapping = Path("own/mapping.yaml")
    mapping.write_text(mapping.read_text().replace("from: sku", "joined: [store, sku]"))
    contract = Path("own/contract.yaml")
    contract.write_text(contract.read_text().replace("validValues: [x, y]", "validValues: [A / x]"))
    files = ["-c", str(contract), "-m", str(mapping), "-o", "joined.parquet"]
    assert "sku: store and sku as one, 400" in dxai("data", "convert", "own.csv", *files).output
    joined = pl.read_parquet("joined.parquet")["sku"].unique().sort().to_list()
    assert joined == ["A / x", "A / y", "B / x", "B / y"]


def test_demand_of_several_columns_of_series_is_added_up_by_all_of_them() -> None:
    days = [date(2023, 1, 2) + timedelta(days=i) for i in range(7 * 100)]
    rows = [f"{s},{k},{day},{1 + day.month + (s + k == 'By')}" for day in days for s in "AB" for k in "xy"]
    words = ["--kind", "demand", "--series", "store", "--series", "sku", "--time", "date", "-t", "qty"]
    found, _ = table("store,sku,date,qty", rows, *words, "--add-up", "weekly")
    weeks = found.group_by("store", "sku", maintain_order=True).agg(pl.len(), pl.col("qty").first())
    assert weeks.rows() == [("A", "x", 100, 14.0), ("A", "y", 100, 14.0), ("B", "x", 100, 14.0), ("B", "y", 100, 21.0)]


@pytest.mark.parametrize("hour", ["{}", "{:02d}", "{}시", "{:02d}:00"])
@pytest.mark.parametrize("first", [0, 1])
def test_date_and_hour_are_one_time(hour: str, first: int) -> None:
    days = [date(2024, 1, 20) + timedelta(days=i) for i in range(15)]
    rows = [f"{day:%Y.%m.%d},{hour.format(first + h)},{h + 1}" for day in days for h in range(24)]
    found, told = table("일자,시각,kWh", rows, "--kind", "demand", "--time", "일자", "--time", "시각", "-t", "kWh")
    begin = datetime(2024, 1, 20, first)  # the hour 24 is the midnight at the end of the day
    assert found["ilja_sigag"].to_list() == [begin + timedelta(hours=i) for i in range(24 * 15)]
    assert "일자 and 시각 as one" in told.replace("ilja_sigag: ", "")
    assert found.columns[0] == "series" and found["series"].unique().to_list() == ["own"]
    assert "series: no column was named, so that all rows are one; 'series' says 'own'" in told


def test_two_digits_of_a_year_are_no_hour() -> None:
    assert cells.date_formats(pl.Series(["01/12/2015", "02/12/2015", "31/12/2015"]))[0] == "%d/%m/%Y"


def test_what_is_left_out_is_said_with_the_reason() -> None:
    rows = [f"{i + 1},{i % 5}.5,same,{i * 3 % 11}.25,{(i * 3 % 11) * 2}.5,note {i}" for i in range(60)]
    _, told = table("no,a,b,y,z,text", rows, "-t", "y")
    assert "decide: no, text: left out, it names rows" in told
    assert "decide: b: left out, it says the same in every row" in told
    assert "decide: z: left out, it tells the target" in told
    contract = Path("own/contract.yaml").read_text()
    assert contract.count("# decide: left out: it") == 4
