"""A firm's table in, predictions out: the rows keep their place and their own columns, and every mistake is told."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from conftest import MakeBundle

from dxai.bundle.folder import Bundle
from dxai.data.output import write_table
from dxai.data.tables import read_blocks
from dxai.errors import DataError
from dxai.inference.model import SERIES_AT_ONCE, Model
from dxai.inference.predict import PROBLEM, Counts, Prediction

Lines = list[list[str]]
BOUNDS = ["hardness_predicted", "hardness_lower", "hardness_upper"]
HEADER = ["pressure", "melt", "plant"]


def hardness(pressure: float, melt: float = 700.0, plant: str = "부산") -> float:
    """What the graph stands for."""
    return 80 + 0.2 * pressure - 0.1 * (melt - 700) + {"창원": 6.0, "Ulsan": 12.0}.get(plant, 0.0)


@pytest.fixture(scope="module")
def quality(make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.open(make_bundle(tmp_path_factory.mktemp("quality") / "b"))


@pytest.fixture(scope="module")
def demand(make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.open(make_bundle(tmp_path_factory.mktemp("demand") / "b", task="demand", name="spare-parts"))


def write(path: Path, lines: Lines, encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)
    return path


def castings(count: int) -> Lines:
    plants = ("부산", "창원", "Ulsan")
    return [HEADER, *([f"{20 + i % 80}.5", f"{680 + i % 50}", plants[i % 3]] for i in range(count))]


def changed(lines: Lines, row: int, column: str, text: str) -> Lines:
    """The lines with another cell in a row of the file, counted from 1."""
    lines = [list(line) for line in lines]
    lines[row - 1][lines[0].index(column)] = text
    return lines


def predict(bundle: Bundle, source: Path, target: Path, **options: Any) -> Prediction:
    """What `dxai predict` does with a loaded model."""
    model = Model(bundle.read("model.onnx"), bundle.contract, context=bundle.manifest.context)
    prediction = Prediction(model, bundle.profile, where=str(source), **options)
    write_table(prediction.blocks(read_blocks(source)), target)
    return prediction


def answer(bundle: Bundle, folder: Path, lines: Lines, **options: Any) -> tuple[pl.DataFrame, Counts]:
    """The table that comes out, all text, and the counts."""
    prediction = predict(bundle, write(folder / "rows.csv", lines), folder / "out.csv", **options)
    return pl.read_csv(folder / "out.csv", infer_schema=False), prediction.counts


def refusal(bundle: Bundle, source: Path, **options: Any) -> DataError:
    """The error of a bad file; neither an output nor a part of one is left, and an older output is untouched."""
    for name in ("old.csv", "old.parquet"):
        source.with_name(name).write_bytes(b"an older answer\n")
    before = sorted(p.name for p in source.parent.iterdir())
    for name in ("new.csv", "old.csv", "new.parquet", "old.parquet"):
        with pytest.raises(DataError) as caught:
            predict(bundle, source, source.with_name(name), **options)
        assert sorted(p.name for p in source.parent.iterdir()) == before
    assert {source.with_name(n).read_bytes() for n in ("old.csv", "old.parquet")} == {b"an older answer\n"}
    assert caught.value.exit_code == 6
    assert str(source) in caught.value.where
    assert caught.value.fix
    return caught.value


def test_rows_keep_columns_and_order_and_get_the_model_s_answers(quality: Bundle, tmp_path: Path) -> None:
    lines = castings(25)
    out, counts = answer(quality, tmp_path, lines)
    assert out.columns == [*HEADER, *BOUNDS]
    assert out.select(HEADER).rows() == [tuple(line) for line in lines[1:]]  # text as it came
    expected = [hardness(float(p), float(m), plant) for p, m, plant in lines[1:]]
    for name, shift in zip(BOUNDS, (0, -5, 5), strict=True):
        np.testing.assert_allclose(out[name].cast(pl.Float64), np.array(expected) + shift, rtol=1e-5)
    assert counts == Counts(read=25, written=25)


def test_order_of_columns_does_not_matter(quality: Bundle, tmp_path: Path) -> None:
    out, _ = answer(quality, tmp_path, castings(9))
    turned, _ = answer(quality, tmp_path, [line[::-1] for line in castings(9)])
    assert turned.columns == [*HEADER[::-1], *BOUNDS]
    assert turned.select(out.columns).equals(out)


def test_own_columns_stay_where_they_are_as_they_are(quality: Bundle, tmp_path: Path) -> None:
    lines = castings(9)
    own = [["시험번호", *lines[0], "비고"], *([f"{i:03d}", *line, ' a,\n"b" '] for i, line in enumerate(lines[1:]))]
    out, _ = answer(quality, tmp_path, own)
    assert out.columns == ["시험번호", *HEADER, "비고", *BOUNDS]
    assert out["시험번호"].to_list() == [f"{i:03d}" for i in range(9)]
    assert set(out["비고"]) == {' a,\n"b" '}


def test_columns_go_by_titles_with_units_and_keep_these_names(quality: Bundle, tmp_path: Path) -> None:
    names = ["금형 압력 (MPa)", "Melt temperature [℃]", "공장"]
    out, _ = answer(quality, tmp_path, [names, *castings(9)[1:]])
    assert out.columns == [*names, *BOUNDS]
    assert out.select(BOUNDS).equals(answer(quality, tmp_path, castings(9))[0].select(BOUNDS))


def test_a_column_of_the_measured_target_is_carried_along_unread(quality: Bundle, tmp_path: Path) -> None:
    lines = [[*line, "Hardness (HV)" if i == 0 else "미측정"] for i, line in enumerate(castings(9))]
    out, counts = answer(quality, tmp_path, lines)
    assert set(out["Hardness (HV)"]) == {"미측정"}
    assert counts == Counts(read=9, written=9)


def test_an_own_column_named_like_an_output_is_refused(quality: Bundle, tmp_path: Path) -> None:
    lines = [[*line, "hardness_lower" if i == 0 else "1"] for i, line in enumerate(castings(9))]
    assert "'hardness_lower'" in refusal(quality, write(tmp_path / "rows.csv", lines)).problem


def test_an_own_column_named_like_the_flags_is_refused_where_they_are_written(quality: Bundle, tmp_path: Path) -> None:
    lines = [[*line, PROBLEM if i == 0 else "1"] for i, line in enumerate(castings(9))]
    assert PROBLEM in refusal(quality, write(tmp_path / "rows.csv", lines), on_bad_rows="flag").problem
    assert answer(quality, tmp_path, lines)[0][PROBLEM].to_list() == ["1"] * 9


def test_gaps_are_filled_where_the_contract_lets_them_and_counted(quality: Bundle, tmp_path: Path) -> None:
    lines = changed(changed(changed(castings(9), 3, "melt", ""), 3, "plant", " "), 7, "plant", "")
    out, counts = answer(quality, tmp_path, lines)
    assert (out["melt"][1], out["plant"][1]) == (None, " ")
    assert float(out["hardness_predicted"][1]) == pytest.approx(hardness(21.5))
    assert counts.imputed == 2


def test_rows_outside_the_training_range_are_counted_and_predicted(quality: Bundle, tmp_path: Path) -> None:
    """Training rows: pressure 20 to 108.5, melt 680 to 739, three plants."""
    lines = castings(9)
    for row, column, text in ((2, "pressure", "19.9"), (3, "melt", "740"), (4, "plant", "서울"), (4, "pressure", "0")):
        lines = changed(lines, row, column, text)
    out, counts = answer(quality, tmp_path, lines)
    assert (counts.outside, counts.bad, counts.written) == (3, 0, 9)
    assert out["hardness_predicted"].null_count() == 0
    _, without = answer(quality, tmp_path, changed(castings(9), 3, "melt", ""))
    assert without.outside == 0, "a gap is not outside"


@pytest.mark.parametrize("row", [2, 15, 26])
@pytest.mark.parametrize(
    ("column", "text", "told"),
    [
        ("pressure", "", "must not be empty"),
        ("pressure", "28 bar", "holds numbers"),
        ("melt", "1,040", "holds numbers"),
        ("pressure", "200.5", "is at most 200 MPa"),
        ("pressure", "-1", "is at least 0 MPa"),
        ("melt", "nan", "holds finite numbers"),
        ("melt", "inf", "holds finite numbers"),
        ("melt", "1e39", "holds finite numbers"),
    ],
)
def test_one_bad_cell_anywhere_is_refused_with_row_and_value(
    row: int, column: str, text: str, told: str, quality: Bundle, tmp_path: Path
) -> None:
    error = refusal(quality, write(tmp_path / "rows.csv", changed(castings(25), row, column, text)))
    assert f"Column {column!r} {told}" in error.problem
    assert f"row {row}: {text!r}" in error.problem  # line 1 is the header


BAD = [(3, "pressure", ""), (6, "melt", "abc"), (6, "pressure", "300"), (10, "melt", "x"), (21, "pressure", "-2")]


def with_bad_cells() -> Lines:
    lines = castings(25)
    for cell in BAD:
        lines = changed(lines, *cell)
    return lines


def test_all_problems_of_a_file_are_told_in_one_message(quality: Bundle, tmp_path: Path) -> None:
    problem = refusal(quality, write(tmp_path / "rows.csv", with_bad_cells())).problem
    assert problem.startswith("4 problems:")
    for told in (
        "'pressure' must not be empty",
        "row 3: ''",
        "row 6: 'abc', row 10: 'x'",
        "row 6: '300'",
        "row 21: '-2'",
    ):
        assert told in problem


def test_header_problems_are_told_together(quality: Bundle, tmp_path: Path) -> None:
    lines = [["presure", "melt", "operator"], *castings(3)[1:]]
    error = refusal(quality, write(tmp_path / "rows.csv", lines))
    assert "'pressure' (Die pressure, 금형 압력) is missing. Is it 'presure'?" in error.problem
    assert "'plant' (Plant, 공장) is missing" in error.problem
    assert "line 1" in error.where


def test_bad_rows_are_left_out_when_asked(quality: Bundle, tmp_path: Path) -> None:
    lines = with_bad_cells()
    out, counts = answer(quality, tmp_path, lines, on_bad_rows="skip")
    good = [line for number, line in enumerate(lines, start=1) if number not in {1, 3, 6, 10, 21}]
    assert out.select(HEADER).rows() == [tuple(line) for line in good]
    expected = [hardness(float(p), float(m), plant) for p, m, plant in good]
    np.testing.assert_allclose(out["hardness_predicted"].cast(pl.Float64), expected, rtol=1e-5)
    assert counts == Counts(read=25, written=21, bad=4)


def test_bad_rows_are_kept_with_their_reasons_when_asked(quality: Bundle, tmp_path: Path) -> None:
    lines = with_bad_cells()
    out, counts = answer(quality, tmp_path, lines, on_bad_rows="flag")
    assert out.columns == [*HEADER, *BOUNDS, PROBLEM]
    assert [tuple(cell or "" for cell in row) for row in out.select(HEADER).rows()] == [tuple(r) for r in lines[1:]]
    flagged = {number + 2: text for number, text in enumerate(out[PROBLEM]) if text is not None}
    assert set(flagged) == {3, 6, 10, 21}
    assert "pressure must not be empty" in flagged[3]
    assert "melt holds numbers" in flagged[6]
    assert "pressure is at most 200 MPa" in flagged[6]
    for name in BOUNDS:
        assert [i + 2 for i, cell in enumerate(out[name]) if cell is None] == [3, 6, 10, 21]
    good = out.filter(pl.col(PROBLEM).is_null())
    expected = [hardness(float(p), float(m), plant) for p, m, plant in good.select(HEADER).rows()]
    np.testing.assert_allclose(good["hardness_predicted"].cast(pl.Float64), expected, rtol=1e-5)
    assert counts == Counts(read=25, written=25, bad=4)


@pytest.mark.parametrize("mode", ["skip", "flag"])
def test_a_table_of_bad_rows_only_has_an_answer(quality: Bundle, tmp_path: Path, mode: str) -> None:
    out, counts = answer(quality, tmp_path, [HEADER, ["", "1", "부산"], ["x", "1", "부산"]], on_bad_rows=mode)
    assert (counts.read, counts.bad, counts.written, len(out)) == (2, 2, len(out), 0 if mode == "skip" else 2)
    assert out.columns == [*HEADER, *BOUNDS, *([PROBLEM] if mode == "flag" else [])]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("mode", ["stop", "skip", "flag"])
def test_a_header_alone_gives_a_header_alone(quality: Bundle, tmp_path: Path, mode: str, suffix: str) -> None:
    prediction = predict(
        quality, write(tmp_path / "rows.csv", [HEADER]), target := tmp_path / f"out{suffix}", on_bad_rows=mode
    )
    table = pl.read_parquet(target) if suffix == ".parquet" else pl.read_csv(target)
    assert table.columns == [*HEADER, *BOUNDS, *([PROBLEM] if mode == "flag" else [])]
    assert (len(table), prediction.counts) == (0, Counts())


def test_the_answer_may_take_the_place_of_the_rows(quality: Bundle, tmp_path: Path) -> None:
    source = write(tmp_path / "rows.csv", castings(25))
    predict(quality, source, source)
    assert pl.read_csv(source).columns == [*HEADER, *BOUNDS]
    assert len(pl.read_csv(source)) == 25


LONG = 120_003


@pytest.fixture(scope="module")
def long_lines() -> Lines:
    """More rows than two blocks of the reader hold, numbered in a column of their own."""
    body = castings(240)[1:]
    return [[*HEADER, "number"], *([*body[i % 240], str(i)] for i in range(LONG))]


@pytest.mark.parametrize("quoted", [False, True], ids=["plain", "quoted"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_long_file_keeps_its_order(
    quality: Bundle, long_lines: Lines, tmp_path: Path, suffix: str, quoted: bool
) -> None:
    lines = changed(long_lines, 2, "plant", 'a "quoted" plant') if quoted else long_lines
    predict(quality, write(tmp_path / "rows.csv", lines), target := tmp_path / f"out{suffix}")
    out = pl.read_parquet(target) if suffix == ".parquet" else pl.read_csv(target, infer_schema=False)
    assert out["number"].cast(pl.Int64).equals(pl.int_range(LONG, eager=True).alias("number"))
    expected = [hardness(float(p), float(m), plant) for p, m, plant, _ in lines[1:241]]
    np.testing.assert_allclose(out["hardness_predicted"].cast(pl.Float64), np.resize(expected, LONG)[:LONG], rtol=1e-5)


def test_problems_of_all_blocks_are_told_with_their_rows(quality: Bundle, long_lines: Lines, tmp_path: Path) -> None:
    lines = list(long_lines)
    for row in (50_002, 100_003, LONG):
        lines[row - 1] = [lines[row - 1][0], f"bad {row}", *lines[row - 1][2:]]
    problem = refusal(quality, write(tmp_path / "rows.csv", lines)).problem
    assert f"3 rows break that (row 50002: 'bad 50002', row 100003: 'bad 100003', row {LONG}: 'bad {LONG}')" in problem


def test_flags_of_all_blocks_stand_beside_their_rows(quality: Bundle, long_lines: Lines, tmp_path: Path) -> None:
    lines = list(long_lines)
    lines[100_002] = ["201", *lines[100_002][1:]]
    source = write(tmp_path / "rows.csv", lines)
    prediction = predict(quality, source, tmp_path / "out.parquet", on_bad_rows="flag")
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out.filter(pl.col(PROBLEM).is_not_null())["number"].to_list() == ["100001"]
    assert prediction.counts == Counts(read=LONG, written=LONG, bad=1)


MONTHS = pl.date_range(pl.date(2021, 1, 31), pl.date(2021, 12, 31), "1mo", eager=True).dt.month_end()


def sales(parts: int = 3) -> pl.DataFrame:
    """Twelve months of some parts: part i sells i and i + 2 units in turn."""
    return pl.concat([
        pl.DataFrame({"part": f"부품 {i}", "month": MONTHS, "units": [float(i), float(i + 2)] * 6})
        for i in range(1, parts + 1)
    ])  # fmt: skip


def lines_of(frame: pl.DataFrame) -> Lines:
    return list(csv.reader(frame.write_csv().splitlines()))


def test_a_long_table_gives_the_next_steps_of_every_series(demand: Bundle, tmp_path: Path) -> None:
    out, counts = answer(demand, tmp_path, lines_of(sales()))
    levels = [f"units_q{level}" for level in range(10, 100, 10)]
    assert out.columns == ["part", "month", "units_mean", "units_lower", "units_upper", *levels]
    assert out["part"].to_list() == [f"부품 {i}" for i in (1, 2, 3) for _ in range(3)]
    assert out["month"].to_list() == ["2022-01-31", "2022-02-28", "2022-03-31"] * 3
    np.testing.assert_allclose(out["units_mean"].cast(pl.Float64), np.repeat([2.0, 3.0, 4.0], 3))
    assert counts == Counts(read=36, written=9)


def test_order_of_rows_and_columns_of_a_long_table_does_not_matter(demand: Bundle, tmp_path: Path) -> None:
    out, _ = answer(demand, tmp_path, lines_of(sales()))
    mixed = sales().sample(fraction=1.0, shuffle=True, seed=0).select("units", "month", "part")
    assert answer(demand, tmp_path, lines_of(mixed))[0].equals(out)


def test_a_month_without_a_row_is_a_month_without_sales(demand: Bundle, tmp_path: Path) -> None:
    some = (pl.col("part") == "부품 1") & (pl.col("month").dt.month() == 5)
    zero = sales().with_columns(pl.when(some).then(0.0).otherwise("units").alias("units"))
    assert answer(demand, tmp_path, lines_of(zero.remove(some)))[0].equals(answer(demand, tmp_path, lines_of(zero))[0])


def test_a_long_table_goes_by_titles_and_keeps_its_names(demand: Bundle, tmp_path: Path) -> None:
    out, _ = answer(
        demand, tmp_path, lines_of(sales().rename({"part": "부품", "month": "Month end", "units": "수량 (개)"}))
    )
    assert out.columns[:3] == ["부품", "Month end", "units_mean"]


def test_own_columns_with_one_value_per_series_stand_beside_the_forecast(demand: Bundle, tmp_path: Path) -> None:
    own = sales().with_columns(shop=pl.col("part").str.replace("부품", "매장"), price=pl.int_range(pl.len()))
    out, _ = answer(demand, tmp_path, lines_of(own))
    assert out["shop"].to_list() == [f"매장 {i}" for i in (1, 2, 3) for _ in range(3)]
    assert "price" not in out.columns


def test_blanks_around_the_name_of_a_series_do_not_part_it(demand: Bundle, tmp_path: Path) -> None:
    padded = sales().with_columns(
        part=pl.when(pl.col("month").dt.month() > 6).then(pl.col("part") + " ").otherwise("part"), shop=pl.lit("A")
    )
    out, _ = answer(demand, tmp_path, lines_of(padded))
    assert out["part"].to_list() == [f"부품 {i}" for i in (1, 2, 3) for _ in range(3)]
    assert set(out["shop"]) == {"A"}


def eighth_row() -> pl.Expr:
    """1 in the eighth row of data, line 9 of the file, and 0 elsewhere."""
    return (pl.int_range(pl.len()) == 7).cast(pl.Int64)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: f.filter((pl.col("part") != "부품 2") | (pl.col("month").dt.month() > 9)), "'부품 2' has 3"),
        (lambda f: f.with_columns(pl.col("month") - pl.duration(days=eighth_row())), "row 9: 2021-08-30"),
        (lambda f: pl.concat([f, f.tail(1)]), "repeat a step of their series, the first of series '부품 3'"),
        (lambda f: f.with_columns(-pl.col("units")), "is at least 0"),
        (lambda f: f.with_columns(pl.lit("1e39").alias("units")), "holds finite numbers"),
        (lambda f: f.with_columns(pl.col("month").dt.strftime("%d.%m.%Y")), "holds dates like 2011-12-04"),
        (lambda f: f.drop("units"), "Column 'units' (Units, 수량) is missing"),
        (lambda f: f.with_columns(pl.lit(None, pl.String).alias("part")), "'part' must not be empty"),
        (lambda f: f.head(0), "no rows"),
    ],
    ids=["short", "off the grid", "repeated", "negative", "huge", "other dates", "no units", "no part", "no rows"],
)
def test_a_long_table_that_breaks_its_contract_is_refused(
    change: Callable[[pl.DataFrame], pl.DataFrame], told: str, demand: Bundle, tmp_path: Path
) -> None:
    assert told in refusal(demand, write(tmp_path / "sales.csv", lines_of(change(sales())))).problem


def test_an_own_column_named_like_a_forecast_is_refused(demand: Bundle, tmp_path: Path) -> None:
    own = sales().with_columns(units_mean=pl.lit(1.0))
    assert "'units_mean'" in refusal(demand, write(tmp_path / "sales.csv", lines_of(own))).problem


SPOILT: dict[str, tuple[Callable[[Lines], Lines], str]] = {
    "no number": (lambda lines: changed(lines, 3, "units", "3 EA"), "units holds numbers"),
    "empty": (lambda lines: changed(lines, 13, "units", ""), "units must not be empty"),
    "no date": (lambda lines: changed(lines, 2, "month", "January"), "month holds dates"),
    "twice": (lambda lines: [*lines, lines[5]], "one row per step"),
    "short": (lambda lines: [lines[0], *lines[10:]], "history of 4 monthly steps or more"),
}  # fmt: skip
"""What may be wrong with the first of three histories."""


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_bad_history_is_left_out_whole_when_asked(spoilt: str, demand: Bundle, tmp_path: Path) -> None:
    """A month that was sold in but cannot be read must not become a month without sales."""
    lines = SPOILT[spoilt][0](lines_of(sales()))
    refusal(demand, write(tmp_path / "rows.csv", lines))
    out, counts = answer(demand, tmp_path, lines, on_bad_rows="skip")
    whole, _ = answer(demand, tmp_path, lines_of(sales().filter(pl.col("part") != "부품 1")))
    assert out.equals(whole)
    assert (counts.read, counts.written, counts.bad) == (len(lines) - 1, 6, len(lines) - 25)


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_bad_history_is_named_with_its_reason_when_asked(spoilt: str, demand: Bundle, tmp_path: Path) -> None:
    change, told = SPOILT[spoilt]
    out, _ = answer(demand, tmp_path, change(lines_of(sales())), on_bad_rows="flag")
    assert out.columns[-1] == PROBLEM
    assert out["part"].to_list() == ["부품 2"] * 3 + ["부품 3"] * 3 + ["부품 1"]
    assert out[PROBLEM].is_null().to_list() == [True] * 6 + [False]
    assert told in out[PROBLEM][-1]
    assert out["units_mean"].is_null().to_list() == [False] * 6 + [True]


def test_many_series_are_answered_in_parts_that_make_up_the_whole(demand: Bundle) -> None:
    many = SERIES_AT_ONCE + 3
    table = sales(many).with_columns(shop=pl.lit("A"))
    last = pl.col("part") == f"부품 {many}"
    table = table.with_columns(
        pl.when(last).then(pl.lit("x")).otherwise(pl.col("units").cast(pl.String)).alias("units")
    )
    model = Model(demand.read("model.onnx"), demand.contract, context=demand.manifest.context)
    prediction = Prediction(model, on_bad_rows="flag")
    parts = list(prediction.blocks([table]))
    assert [len(part) for part in parts] == [3 * SERIES_AT_ONCE, 3 * 2, 1]
    assert len({tuple(part.schema.items()) for part in parts}) == 1
    assert (prediction.series, prediction.counts.written) == (many - 1, 3 * (many - 1) + 1)
    whole = pl.concat(parts)
    assert whole["part"].n_unique() == many and whole[:-1]["shop"].unique().to_list() == ["A"]
    for number in (1, 2, many - 1):
        assert whole.filter(part=f"부품 {number}")["units_mean"].to_list() == [number + 1] * 3
    again = Prediction(model, on_bad_rows="skip")
    ordered = list(again.orders(again.blocks([table]), 0.9, 2, {}))
    assert [len(part) for part in ordered] == [SERIES_AT_ONCE, 2] and again.counts.written == many - 1


def test_histories_that_are_all_bad_are_refused_whatever_was_asked(demand: Bundle, tmp_path: Path) -> None:
    source = write(tmp_path / "rows.csv", lines_of(sales().with_columns(units=pl.lit("x"))))
    for mode in ("skip", "flag"):
        assert "no rows to forecast from" in refusal(demand, source, on_bad_rows=mode).problem
