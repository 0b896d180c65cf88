"""A firm's file in, predictions out, whole or not at all: the rows keep their place, and every mistake is told at once.

The models are small and made here, by the same fit and export as the released ones, under the contracts in configs/.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dxai.config.compose import settings_from
from dxai.contract import Column, Contract, load_contract
from dxai.data.batch import feature_arrays
from dxai.data.windows import to_panel
from dxai.errors import DataError, NotFoundError
from dxai.learn.demand import DemandTask
from dxai.learn.predictor import QualityPredictor
from dxai.learn.quality import QualityTask
from dxai.networks.linear import Linear
from dxai.ship.export import export_demand, export_quality
from dxai.ship.runtime import Model, predict_file

OUTPUTS = ["strength_predicted", "strength_lower", "strength_upper"]
STEPS = 40
FIRST_WEEK, LAST_WEEK = pl.date(2010, 1, 3), pl.date(2010, 10, 3)  # Sundays, 40 of them

Lines = list[list[str]]


def specimens(rows: int, contract: Contract, seed: int = 0) -> pl.DataFrame:
    """Made-up mixes within the ranges of the contract; a stronger mix has more cement and more days."""
    random = np.random.default_rng(seed)
    columns = {c.name: np.round(random.uniform(c.minimum, c.maximum / 2, rows), 1) for c in contract.numbers}
    strength = 10 + columns["cement"] / 10 + np.log1p(columns["age"]) * 3 + random.normal(0, 1, rows)
    return pl.DataFrame({**columns, "strength": np.clip(strength, 0, 200)})


def sales(series: int) -> pl.DataFrame:
    random = np.random.default_rng(0)
    weeks = pl.date_range(FIRST_WEEK, LAST_WEEK, "1w", eager=True)
    assert len(weeks) == STEPS
    return pl.concat([
        pl.DataFrame({"stock_code": f"8{i:04d}A", "week": weeks, "units": random.poisson(5.0 * (i + 1), STEPS) * 1.0})
        for i in range(series)
    ])  # fmt: skip


@pytest.fixture(scope="module")
def quality(checkout: Path) -> Model:
    contract = load_contract(checkout / "configs" / "contract" / "concrete_strength.yaml")
    overrides = ["experiment=concrete_tabm", "trainer.max_epochs=3", "model.k=2", "model.width=16"]
    task = QualityTask(contract, specimens(300, contract), settings_from(overrides, checkout=checkout))
    predictor, _ = task.fit(task.folds[-1], lambda _: None)
    return Model(export_quality(predictor, contract), contract)


@pytest.fixture(scope="module")
def demand(checkout: Path) -> Model:
    contract = load_contract(checkout / "configs" / "contract" / "retail_demand.yaml")
    overrides = ["experiment=retail_nhits", "trainer.max_epochs=2", "trainer.epoch_batches=3", "model.width=16"]
    settings = settings_from([*overrides, "model.context=16", "split.origins=1"], checkout=checkout)
    task = DemandTask(contract, sales(12), settings)
    predictor, _ = task.fit(task.folds[-1], lambda _: None)
    return Model(export_demand(predictor, contract), contract, context=16)


@pytest.fixture(scope="module")
def rows(quality: Model) -> pl.DataFrame:
    return specimens(25, quality.contract, seed=5).drop("strength")


def lines_of(frame: pl.DataFrame) -> Lines:
    return list(csv.reader(frame.write_csv().splitlines()))


def write(path: Path, lines: Lines, encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)
    return path


def read(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False)


def refusal(model: Model, path: Path, *, keep_extra: bool = False) -> DataError:
    """The error of a bad file; neither an output nor a part of one is left, and an older output is untouched."""
    before = sorted(p.name for p in path.parent.iterdir())
    with pytest.raises(DataError) as caught:
        predict_file(model, path, path.with_name("out.csv"), keep_extra=keep_extra)
    assert sorted(p.name for p in path.parent.iterdir()) == before
    old = path.with_name("old.csv")
    old.write_bytes(b"an older answer\n")
    with pytest.raises(DataError):
        predict_file(model, path, old, keep_extra=keep_extra)
    assert old.read_bytes() == b"an older answer\n"
    assert sorted(p.name for p in path.parent.iterdir()) == sorted([*before, "old.csv"])
    assert caught.value.exit_code == 6
    assert str(path) in caught.value.where
    assert caught.value.fix
    return caught.value


def changed(rows: pl.DataFrame, row: int, column: str, text: str) -> Lines:
    lines = lines_of(rows)
    lines[row][lines[0].index(column)] = text
    return lines


def test_rows_keep_columns_and_order_and_get_the_model_s_answers(
    quality: Model, rows: pl.DataFrame, tmp_path: Path
) -> None:
    source, target = write(tmp_path / "rows.csv", lines_of(rows)), tmp_path / "out.csv"
    told: list[int] = []
    assert predict_file(quality, source, target, on_rows=told.append) == len(rows) == sum(told)
    out = read(target)
    assert out.columns == [*rows.columns, *OUTPUTS]
    assert out.select(rows.columns).equals(read(source))  # text as it came
    expected = quality.run(feature_arrays(rows, quality.contract))
    for name in OUTPUTS:
        np.testing.assert_allclose(out[name].cast(pl.Float64), expected[name], atol=5.1e-5, rtol=1e-6)
    assert out["strength_predicted"].n_unique() > 10


def test_a_row_alone_is_predicted_as_among_others(quality: Model) -> None:
    frame = specimens(200, quality.contract, seed=6)
    together = quality.run(feature_arrays(frame, quality.contract))
    for name in OUTPUTS:
        alone = [quality.run(feature_arrays(frame[i], quality.contract))[name][0] for i in range(len(frame))]
        np.testing.assert_allclose(alone, together[name], rtol=1e-5, atol=1e-5 * float(np.std(together[name])))


def test_order_of_columns_does_not_matter(quality: Model, rows: pl.DataFrame, tmp_path: Path) -> None:
    predict_file(quality, write(tmp_path / "a.csv", lines_of(rows)), tmp_path / "a_out.csv")
    turned = rows.select(reversed(rows.columns))
    predict_file(quality, write(tmp_path / "b.csv", lines_of(turned)), tmp_path / "b_out.csv")
    assert read(tmp_path / "b_out.csv").columns == [*turned.columns, *OUTPUTS]
    assert read(tmp_path / "b_out.csv").select(OUTPUTS).equals(read(tmp_path / "a_out.csv").select(OUTPUTS))


def test_a_file_with_the_measured_target_is_predicted_all_the_same(
    quality: Model, rows: pl.DataFrame, tmp_path: Path
) -> None:
    """A firm checks the model on rows whose strength it has measured."""
    predict_file(quality, write(tmp_path / "a.csv", lines_of(rows)), tmp_path / "a_out.csv")
    measured = rows.with_columns(pl.lit(33.3).alias("strength"))
    written = predict_file(quality, write(tmp_path / "b.csv", lines_of(measured)), tmp_path / "b_out.csv")
    assert written == len(rows)
    bounds = ["strength_lower", "strength_upper"]
    assert read(tmp_path / "b_out.csv").select(bounds).equals(read(tmp_path / "a_out.csv").select(bounds))


def test_an_own_column_named_like_an_output_is_refused_with_a_message(
    quality: Model, rows: pl.DataFrame, tmp_path: Path
) -> None:
    own = rows.with_columns(pl.lit("1").alias("strength_lower"))
    error = refusal(quality, write(tmp_path / "rows.csv", lines_of(own)), keep_extra=True)
    assert "strength_lower" in error.problem


def test_missing_values_are_filled_where_the_contract_lets_them(
    quality: Model, rows: pl.DataFrame, tmp_path: Path
) -> None:
    source = write(tmp_path / "rows.csv", changed(rows, 3, "fly_ash", ""))
    assert predict_file(quality, source, tmp_path / "out.csv") == len(rows)
    out = read(tmp_path / "out.csv")
    assert out["fly_ash"][2] is None
    gap = rows.with_columns(pl.when(pl.int_range(pl.len()) == 2).then(None).otherwise("fly_ash").alias("fly_ash"))
    expected = quality.run(feature_arrays(gap, quality.contract))["strength_predicted"]
    np.testing.assert_allclose(out["strength_predicted"].cast(pl.Float64), expected, atol=5.1e-5, rtol=1e-6)


@pytest.mark.parametrize(
    ("column", "text", "told"),
    [
        ("water", "", "must not be empty"),
        ("age", "28 days", "holds numbers"),
        ("cement", "1,040", "holds numbers"),
        ("cement", "1000.5", "is at most 1000 kg/m3"),
        ("water", "49", "is at least 50 kg/m3"),
        ("fly_ash", "nan", "holds finite numbers"),
        ("fly_ash", "inf", "holds finite numbers"),
    ],
)
def test_one_bad_cell_anywhere_is_refused_with_row_and_value(
    column: str, text: str, told: str, quality: Model, rows: pl.DataFrame, tmp_path: Path
) -> None:
    for row in (1, 14, len(rows)):
        source = tmp_path / f"row_{row}" / "rows.csv"
        source.parent.mkdir()
        error = refusal(quality, write(source, changed(rows, row, column, text)))
        assert f"Column {column!r} {told}" in error.problem
        assert f"row {row + 1}: {text!r}" in error.problem  # line 1 is the header


def test_all_problems_of_a_file_are_told_in_one_message(quality: Model, rows: pl.DataFrame, tmp_path: Path) -> None:
    lines = changed(rows, 2, "water", "")
    lines[5][rows.columns.index("age")] = "abc"
    lines[9][rows.columns.index("age")] = "-1"
    lines[20][rows.columns.index("age")] = "-2"
    problem = refusal(quality, write(tmp_path / "rows.csv", lines)).problem
    assert problem.startswith("3 problems:")
    assert "'water' must not be empty" in problem and "row 3: ''" in problem
    assert "row 6: 'abc'" in problem
    assert "row 10: '-1', row 21: '-2'" in problem


def test_header_problems_are_told_together(quality: Model, rows: pl.DataFrame, tmp_path: Path) -> None:
    wrong = rows.rename({"water": "Watr", "age": "operator"})
    error = refusal(quality, write(tmp_path / "rows.csv", lines_of(wrong)))
    assert "Column 'water' (Water) is missing" in error.problem
    assert "did you mean 'water'?" in error.problem
    assert "Column 'age' (Age) is missing" in error.problem
    assert "'operator' is not in the contract" in error.problem
    assert "line 1" in error.where


def test_an_extra_column_is_refused_unless_it_is_to_be_kept(quality: Model, rows: pl.DataFrame, tmp_path: Path) -> None:
    lines = [[*line, "시험번호" if i == 0 else f"{i:03d}"] for i, line in enumerate(lines_of(rows))]
    source = write(tmp_path / "rows.csv", lines)
    error = refusal(quality, source)
    assert "Column '시험번호' is not in the contract" in error.problem
    assert "--keep-extra" in error.fix
    predict_file(quality, source, tmp_path / "out.csv", keep_extra=True)
    assert read(tmp_path / "out.csv")["시험번호"].to_list() == [f"{i:03d}" for i in range(1, len(rows) + 1)]


def test_a_column_that_stands_there_twice_is_refused(quality: Model, rows: pl.DataFrame, tmp_path: Path) -> None:
    lines = [[*line, line[0]] for line in lines_of(rows)]
    error = refusal(quality, write(tmp_path / "rows.csv", lines))
    assert "Column 'cement' stands there 2 times" in error.problem


def test_a_file_of_a_korean_spreadsheet_is_read(quality: Model, rows: pl.DataFrame, tmp_path: Path) -> None:
    names = ["비고", *(f"똠방 {i}번" for i in range(len(rows)))]  # 똠 is in CP949 and not in EUC-KR
    lines = [[name, *line] for name, line in zip(names, lines_of(rows), strict=True)]
    predict_file(quality, write(tmp_path / "plain.csv", lines_of(rows)), tmp_path / "plain_out.csv")
    expected = read(tmp_path / "plain_out.csv").select(OUTPUTS)
    for encoding in ("cp949", "utf-8-sig"):
        source = write(tmp_path / "rows.csv", lines, encoding)
        predict_file(quality, source, tmp_path / "out.csv", keep_extra=True)
        out = read(tmp_path / "out.csv")
        assert out["비고"].to_list() == names[1:]
        assert out.select(OUTPUTS).equals(expected)
        assert not (tmp_path / "out.csv").read_bytes().startswith(codecs.BOM_UTF8)


def test_bytes_that_are_no_text_are_refused(quality: Model, rows: pl.DataFrame, tmp_path: Path) -> None:
    source = write(tmp_path / "rows.csv", lines_of(rows))
    source.write_bytes(source.read_bytes() + b"\xff\xff\n")
    assert "neither UTF-8" in refusal(quality, source).problem


def test_a_row_of_another_width_is_refused(quality: Model, rows: pl.DataFrame, tmp_path: Path) -> None:
    lines = lines_of(rows)
    lines[7] = lines[7][:-1]
    assert "row 8 has 7" in refusal(quality, write(tmp_path / "rows.csv", lines)).problem


def test_a_header_alone_gives_a_header_alone(quality: Model, rows: pl.DataFrame, tmp_path: Path) -> None:
    source = write(tmp_path / "rows.csv", lines_of(rows)[:1])
    assert predict_file(quality, source, tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text("utf-8") == ",".join([*rows.columns, *OUTPUTS]) + "\n"


def test_a_file_that_is_not_there_is_not_found(quality: Model, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        predict_file(quality, tmp_path / "rows.csv", tmp_path / "out.csv")
    assert caught.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_an_output_folder_that_is_not_there_is_told(quality: Model, rows: pl.DataFrame, tmp_path: Path) -> None:
    source = write(tmp_path / "rows.csv", lines_of(rows))
    with pytest.raises(NotFoundError) as caught:
        predict_file(quality, source, tmp_path / "nowhere" / "out.csv")
    assert str(tmp_path / "nowhere") in str(caught.value)
    assert not (tmp_path / "nowhere").exists()


def test_the_answer_may_take_the_place_of_the_rows(quality: Model, rows: pl.DataFrame, tmp_path: Path) -> None:
    source = write(tmp_path / "rows.csv", lines_of(rows))
    predict_file(quality, source, source)
    assert read(source).columns == [*rows.columns, *OUTPUTS]
    assert len(read(source)) == len(rows)


def test_an_interruption_leaves_nothing_half_written(quality: Model, rows: pl.DataFrame, tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    source = write(tmp_path / "rows.csv", lines_of(rows))
    with pytest.raises(KeyboardInterrupt):
        predict_file(quality, source, tmp_path / "out.csv", on_rows=interrupt)
    assert [p.name for p in tmp_path.iterdir()] == ["rows.csv"]


def test_predictions_in_a_small_unit_keep_their_digits(tmp_path: Path) -> None:
    """A wear of 12 micrometres in metres is 0.000012, and not 0.0000."""
    columns = (
        Column(name="load", kind="number", role="feature", title_en="Load", title_ko="하중"),
        Column(name="wear", kind="number", role="target", unit="m", title_en="Wear", title_ko="마모"),
    )
    contract = Contract(
        id="wear", version="1.0.0", title_en="Wear", title_ko="마모", purpose="test", task="quality", columns=columns
    )
    predictor = QualityPredictor(contract, Linear(numbers=1, cardinalities=[])).eval()
    predictor.scale.fit(np.array([1e-5, 3e-5], dtype=np.float32))
    model = Model(export_quality(predictor, contract), contract)
    predict_file(model, write(tmp_path / "rows.csv", [["load"], ["0.5"], ["1.5"]]), tmp_path / "out.csv")
    expected = model.run({"load": np.array([0.5, 1.5], dtype=np.float32)})["wear_predicted"]
    np.testing.assert_allclose(read(tmp_path / "out.csv")["wear_predicted"].cast(pl.Float64), expected, rtol=1e-3)


@pytest.fixture(scope="module")
def long_lines(rows: pl.DataFrame) -> Lines:
    """More rows than two blocks of the reader hold, numbered in a column of their own."""
    body = lines_of(rows)
    numbered = [[*body[1 + i % len(rows)], str(i)] for i in range(100_003)]
    return [[*rows.columns, "number"], *numbered]


def test_a_long_file_keeps_its_order(quality: Model, rows: pl.DataFrame, long_lines: Lines, tmp_path: Path) -> None:
    source = write(tmp_path / "rows.csv", long_lines)
    told: list[int] = []
    assert predict_file(quality, source, tmp_path / "out.csv", keep_extra=True, on_rows=told.append) == 100_003
    assert len(told) > 2
    out = read(tmp_path / "out.csv")
    assert out["number"].cast(pl.Int64).equals(pl.int_range(100_003, eager=True).alias("number"))
    expected = quality.run(feature_arrays(rows, quality.contract))["strength_predicted"]
    found = out["strength_predicted"].cast(pl.Float64).to_numpy()
    np.testing.assert_allclose(found, np.resize(expected, 100_003), atol=1e-3)


def test_rows_of_later_blocks_are_told_by_their_number_in_the_file(
    quality: Model, rows: pl.DataFrame, long_lines: Lines, tmp_path: Path
) -> None:
    age = rows.columns.index("age")
    lines = list(long_lines)
    for row in (50_001, 100_003):
        lines[row] = [*lines[row][:age], f"bad {row}", *lines[row][age + 1 :]]
    problem = refusal(quality, write(tmp_path / "rows.csv", lines), keep_extra=True).problem
    assert "2 rows break that (row 50002: 'bad 50001', row 100004: 'bad 100003')" in problem


def long_table(model: Model, tmp_path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    predict_file(model, write(tmp_path / "sales.csv", lines_of(frame)), tmp_path / "out.csv")
    return pl.read_csv(tmp_path / "out.csv", try_parse_dates=True, schema_overrides={"stock_code": pl.String})


def test_a_long_table_gives_the_next_steps_of_every_series(demand: Model, tmp_path: Path) -> None:
    history = sales(5)
    out = long_table(demand, tmp_path, history)
    levels = [f"units_q{level}" for level in range(10, 100, 10)]
    assert out.columns == ["stock_code", "week", "units_mean", "units_lower", "units_upper", *levels]
    assert out["stock_code"].to_list() == [code for code in history["stock_code"].unique().sort() for _ in range(8)]
    weeks = pl.date_range(pl.date(2010, 10, 10), pl.date(2010, 11, 28), "1w", eager=True)
    assert out["week"].to_list() == weeks.to_list() * 5
    panel = to_panel(history, demand.contract, where="here")
    expected = demand.run({"history": panel.history(16), "last_day": panel.last_day})
    for name in ("mean", "lower", "upper"):
        np.testing.assert_allclose(out[f"units_{name}"], expected[name].ravel(), atol=5.1e-5, rtol=1e-5)
    for i, level in enumerate(levels):
        np.testing.assert_allclose(out[level], expected["quantiles"][..., i].ravel(), atol=5.1e-5, rtol=1e-5)


def test_order_of_rows_and_columns_of_a_long_table_does_not_matter(demand: Model, tmp_path: Path) -> None:
    history = sales(5)
    out = long_table(demand, tmp_path, history)
    mixed = history.sample(fraction=1.0, shuffle=True, seed=0).select("units", "week", "stock_code")
    assert long_table(demand, tmp_path, mixed).equals(out)


def test_a_series_alone_is_forecast_as_among_others(demand: Model, tmp_path: Path) -> None:
    history = sales(12)
    together = long_table(demand, tmp_path, history)
    for code in history["stock_code"].unique():
        alone = long_table(demand, tmp_path, history.filter(stock_code=code))
        for name in alone.columns[2:]:
            expected = together.filter(stock_code=code)[name].to_numpy()
            np.testing.assert_allclose(alone[name], expected, rtol=1e-5, atol=1.1e-4)  # written to four decimals


def test_a_week_without_a_row_is_a_week_without_sales(demand: Model, tmp_path: Path) -> None:
    history = sales(3)
    zero = history.with_columns(
        pl.when((pl.col("week") == pl.date(2010, 8, 1)) & (pl.col("stock_code") == "80001A")).then(0.0)
        .otherwise("units").alias("units")
    )  # fmt: skip
    assert long_table(demand, tmp_path, zero.filter(pl.col("units") > 0)).equals(long_table(demand, tmp_path, zero))


def eighth_row() -> pl.Expr:
    """1 in the eighth row of data, line 9 of the file, and 0 elsewhere."""
    return (pl.int_range(pl.len()) == 7).cast(pl.Int64)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: f.filter((pl.col("stock_code") != "80002A") | (pl.col("week").dt.month() > 8)), "'80002A' has 5"),
        (lambda f: f.with_columns(pl.col("week") + pl.duration(days=eighth_row())), "row 9: 2010-02-22"),
        (lambda f: pl.concat([f, f.tail(1)]), "repeat a step of their series, the first of series '80002A'"),
        (lambda f: f.with_columns(-pl.col("units")), "is at least 0"),
        (lambda f: f.with_columns(pl.col("week").dt.strftime("%d.%m.%Y")), "holds dates like 2011-12-04"),
        (lambda f: f.drop("units"), "Column 'units' (Units sold) is missing"),
        (lambda f: f.with_columns(pl.lit(None, pl.String).alias("stock_code")), "'stock_code' must not be empty"),
    ],
    ids=["short history", "off the grid", "repeated step", "negative", "other dates", "no units", "no code"],
)  # fmt: skip
def test_a_long_table_that_breaks_its_contract_is_refused(
    change: Callable[[pl.DataFrame], pl.DataFrame], told: str, demand: Model, tmp_path: Path
) -> None:
    source = write(tmp_path / "sales.csv", lines_of(change(sales(3))))
    assert told in refusal(demand, source).problem


def test_an_extra_column_of_a_long_table_is_refused_without_a_promise_to_keep_it(demand: Model, tmp_path: Path) -> None:
    """The answer has other rows than the table: there is no place for an own column."""
    source = write(tmp_path / "sales.csv", lines_of(sales(3).with_columns(pl.lit("x").alias("shop"))))
    error = refusal(demand, source)
    assert "Column 'shop' is not in the contract" in error.problem
    assert "--keep-extra" not in error.fix


def test_a_long_table_without_rows_has_an_answer_or_a_message(demand: Model, tmp_path: Path) -> None:
    source = write(tmp_path / "sales.csv", [["stock_code", "week", "units"]])
    try:
        assert predict_file(demand, source, tmp_path / "out.csv") == 0
    except DataError as error:
        assert str(source) in error.where
    else:
        assert read(tmp_path / "out.csv").columns[:2] == ["stock_code", "week"]
