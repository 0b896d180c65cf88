"""Does this model fit my plant? The right verdict for the right reason, and no alarm over mere chance.

The bundles are made here: small graphs whose answers are known, in closed folders with profile, card and contract.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper, numpy_helper
from scipy import stats

from dxai import metrics
from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import CONTRACT, METRICS, MODEL, PROFILE, Manifest, write_manifest
from dxai.bundle.profile import profile_numbers, profile_panel, profile_rows
from dxai.contract import Column, parse_contract
from dxai.data import naive
from dxai.data.batch import SeriesCodec
from dxai.data.marks import COLORS, Marks
from dxai.data.windows import to_panel
from dxai.errors import DataError
from dxai.forecaster.graph import Forecaster
from dxai.forecaster.yardstick import experts
from dxai.inference.fit import classes, quality
from dxai.inference.fit.check import check_table
from dxai.inference.fit.record import Check, Language
from dxai.inference.fit.report import write_report
from dxai.inference.fit.statistics import drift, ratio_bounds, share_bounds
from dxai.inference.fit.verdict import judge
from dxai.inference.fit.words import SENTENCES, YARDSTICKS
from dxai.inference.model import Model

NOISE = 2.0
"""Standard deviation of the true values around the model's prediction."""

NUMBERS = [f"x{i}" for i in range(7)]

COLUMN = """\
      - name: {name}
        logicalType: {kind}
        required: {required}
        logicalTypeOptions: {{{limits}}}
        quality: [{quality}]
        customProperties:
          - {{property: role, value: {role}}}
          - {{property: unit, value: "{unit}"}}
          - {{property: titleEn, value: "{en}"}}
          - {{property: titleKo, value: "{ko}"}}
"""

HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: {id}
version: 1.0.0
status: active
description: {{purpose: A test.}}
customProperties:
  - {{property: titleEn, value: "A test"}}
  - {{property: titleKo, value: "시험"}}
schema:
  - name: rows
    logicalType: object
    customProperties:
{table}
    properties:
"""


def column(name: str, role: str, ko: str, *, kind: str = "number", required: bool = False, **more: str) -> str:
    values = {"limits": "", "quality": "", "unit": "1", "en": name.upper(), **more}
    return COLUMN.format(name=name, role=role, ko=ko, kind=kind, required=str(required).lower(), **values)


def table_keys(**keys: object) -> str:
    return "\n".join(f"      - {{property: {name}, value: {value}}}" for name, value in keys.items())


LINES = "{metric: invalidValues, arguments: {validValues: [A, B]}, mustBe: 0}"
QUALITY = (
    HEAD.format(id="plant", table=table_keys(task="quality", group="[batch]"))
    + column("batch", "feature", "배치")
    + "".join(column(name, "feature", f"입력 {name}", limits="minimum: -1000, maximum: 1000") for name in NUMBERS)
    + column("line", "feature", "라인", kind="string", quality=LINES)
    + column("y", "target", "강도", required=True, unit="MPa", limits="maximum: 900")
)
DEMAND = (
    HEAD.format(id="shop", table=table_keys(
        task="demand", frequency="monthly", horizon=4, season=12, minimumHistory=6, absentSteps="missing"
    ))
    + column("item", "series", "상품", kind="string", required=True)
    + column("month", "time", "월", kind="date", required=True)
    + column("units", "target", "판매량", limits="minimum: 0")
)  # fmt: skip


def rows_of(count: int, seed: int) -> pl.DataFrame:
    """Rows of the training plant: numbers of many shapes, two lines, true values around twice the first number."""
    random = np.random.default_rng(seed)
    x = random.normal(0, 5, count)
    return pl.DataFrame({
        "batch": np.arange(count) + 1000.0 * seed,
        "x0": x,
        "x1": np.exp(random.normal(0, 1, count)),
        "x2": np.where(random.random(count) < 0.45, 0, random.gamma(2, 10, count)),
        "x3": random.choice([1.0, 3, 7, 14, 28, 56, 90, 365], count, p=[0.02, 0.13, 0.12, 0.06, 0.41, 0.1, 0.1, 0.06]),
        "x4": random.poisson(3, count).astype(float),
        "x5": random.uniform(0, 1000, count),
        "x6": np.round(random.normal(298, 2, count)),
        "line": random.choice(["A", "B"], count, p=[0.7, 0.3]),
        "y": 2 * x + random.normal(0, NOISE, count),
    })  # fmt: skip


def sales(count: int, seed: int, *, months: int = 36) -> pl.DataFrame:
    """Series that keep their own level; the best forecast is the mean of a long past."""
    random = np.random.default_rng(seed)
    ends = pl.date_range(pl.date(2020, 1, 1), pl.date(2029, 12, 1), "1mo", eager=True).dt.month_end()[-months:]
    level = random.gamma(3, 30, count)
    return pl.concat([
        pl.DataFrame({
            "item": f"item {i}", "month": ends,
            "units": np.maximum(0, level[i] * (1 + 0.2 * random.normal(0, 1, months))),
        })
        for i in range(count)
    ])  # fmt: skip


def bundle_of(folder: Path, contract: str, graph: onnx.ModelProto, profile: str, card: dict[str, float]) -> Bundle:
    folder.mkdir(parents=True)
    (folder / MODEL).write_bytes(graph.SerializeToString())
    (folder / CONTRACT).write_text(contract, "utf-8")
    (folder / METRICS).write_text(json.dumps({"model": card, "yardstick": {}}), "utf-8")
    (folder / PROFILE).write_text(profile, "utf-8")
    manifest = Manifest(
        name="test", version="1.0.0", task="any", files={}, versions={}, settings={}, data_sha256="", code=""
    )
    write_manifest(folder, manifest)
    return Bundle.open(folder)


def graph_of(nodes: list[onnx.NodeProto], inputs: list[onnx.ValueInfoProto], outputs: dict[str, list[str | int]],
             constants: dict[str, np.ndarray]) -> onnx.ModelProto:  # fmt: skip
    made = helper.make_graph(
        nodes, "test", inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Predicts 2·x0 with the 80 % interval that fits the noise; profiled on 1,000 rows."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ["batch", *NUMBERS]]
    inputs.append(helper.make_tensor_value_info("line", TensorProto.STRING, ["n"]))
    nodes = [
        helper.make_node("Mul", ["x0", "two"], ["y_predicted"]),
        helper.make_node("Sub", ["y_predicted", "reach"], ["y_lower"]),
        helper.make_node("Add", ["y_predicted", "reach"], ["y_upper"]),
    ]
    constants = {"two": np.float32(2), "reach": np.float32(1.2816 * NOISE)}
    graph = graph_of(nodes, inputs, {f"y_{name}": ["n"] for name in ("predicted", "lower", "upper")},
                     {name: np.array(value) for name, value in constants.items()})  # fmt: skip
    profile = profile_rows(rows_of(1000, 0), parse_contract(QUALITY, where="")).model_copy()
    columns = {name: told for name, told in profile.columns.items() if name != "batch"}  # its number means nothing
    card = {"rmse": NOISE, "mae": 0.8 * NOISE, "r2": 0.9, "coverage": 0.8, "width": 2.56 * NOISE}
    return bundle_of(
        tmp_path_factory.mktemp("plant") / "b", QUALITY, graph,
        profile.model_copy(update={"columns": columns}).model_dump_json(), card,
    )  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Forecasts the mean of the last twelve months with quantiles that fit `sales`; profiled on 300 series."""
    z = np.array([stats.norm.ppf(level) for level in naive.LEVELS], dtype=np.float32)
    factors = np.tile(1 + 0.2 * z, (4, 1))[None]
    constants = {
        "factors": factors, "ends": factors[:, :, [0, 8]].copy(), "first": np.array([-12]), "last": np.array([2**31]),
        "axis": np.array([1]), "shape": np.array([-1, 1, 1]), "ones": np.ones((1, 4), np.float32), "two": np.array([2]),
        "zero": np.zeros(1, np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Slice", ["history", "first", "last", "axis"], ["year"]),
        helper.make_node("IsNaN", ["year"], ["gap"]),
        helper.make_node("Where", ["gap", "zero", "year"], ["filled"]),
        helper.make_node("Not", ["gap"], ["known"]),
        helper.make_node("Cast", ["known"], ["counts"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["filled", "axis"], ["total"], keepdims=1),
        helper.make_node("ReduceSum", ["counts", "axis"], ["steps"], keepdims=1),
        helper.make_node("Div", ["total", "steps"], ["level"]),
        helper.make_node("Reshape", ["level", "shape"], ["wide"]),
        helper.make_node("Mul", ["wide", "factors"], ["quantiles"]),
        helper.make_node("Mul", ["level", "ones"], ["mean"]),
        helper.make_node("Mul", ["wide", "ends"], ["bounds"]),
        helper.make_node("Split", ["bounds"], ["low", "high"], axis=2, num_outputs=2),
        helper.make_node("Squeeze", ["low", "two"], ["lower"]),
        helper.make_node("Squeeze", ["high", "two"], ["upper"]),
    ]
    inputs = [
        helper.make_tensor_value_info("history", TensorProto.FLOAT, ["n", "t"]),
        helper.make_tensor_value_info("last_day", TensorProto.INT64, ["n"]),
    ]
    outputs = {"quantiles": ["n", 4, 9], "mean": ["n", 4], "lower": ["n", 4], "upper": ["n", 4]}
    graph = graph_of(nodes, inputs, outputs, constants)
    contract = parse_contract(DEMAND, where="")
    profile = profile_panel(to_panel(sales(300, 0), contract, where=""), contract, sales(300, 0))
    card = {"wql": 0.12, "wape": 0.16, "mase": 0.7, "bias": 0.0, "coverage": 0.8, "width": 40.0}
    return bundle_of(tmp_path_factory.mktemp("shop") / "b", DEMAND, graph, profile.model_dump_json(), card)


def model_of(bundle: Bundle) -> Model:
    return Model(bundle.read(MODEL), bundle.contract, context=24 if bundle.contract.task == "demand" else 0)


Checker = Callable[..., Check]


@pytest.fixture(scope="module")
def check(plant: Bundle) -> Checker:
    model = model_of(plant)
    return lambda *blocks: check_table(plant, model, [as_text(b) for b in blocks], where="배합.csv")


@pytest.fixture(scope="module")
def check_shop(shop: Bundle) -> Checker:
    model = model_of(shop)
    return lambda table: check_table(shop, model, [as_text(table)], where="sales.csv")


def as_text(table: pl.DataFrame) -> pl.DataFrame:
    return table.select(pl.all().cast(pl.String))


def told(check: Check, grade: str) -> list[str]:
    return [reason.text.en for reason in check.reasons if reason.grade == grade]


def test_the_experts_of_a_check_are_those_of_dxai_forecast(shop: Bundle) -> None:
    table = sales(30, 1)
    panel = to_panel(table, shop.contract, where="")
    made = experts(panel.values, shop.contract)
    forecast = Forecaster("monthly").forecast(panel.values, shop.contract.horizon)
    assert made is not None and made.point == pytest.approx(forecast.quantiles[..., 5])
    check = check_table(shop, model_of(shop), [as_text(table)], where="sales.csv", experts=experts)
    assert check.truth is not None and set(check.truth.yardsticks) == {*naive.DEMAND, "experts"}
    far = shop.contract.model_copy(update={"horizon": 100})
    assert experts(panel.values, far) is None


# Figures against other people's figures, and against their own promise


def test_the_chance_level_is_the_quantile_of_chi_square() -> None:
    for bins in (2, 5, 10):
        profile = profile_numbers(pl.Series(np.random.default_rng(0).normal(0, 1, 10_000)))
        profile = profile.model_copy(update={"edges": profile.edges[: bins - 1], "shares": (1 / bins,) * bins})
        found = drift(np.full(bins, 1000), profile, cases=500, training_cases=2000, columns=5)
        noise = 1 / 500 + 1 / 2000
        assert found.chance == pytest.approx(noise * (stats.chi2.ppf(1 - 0.01 / 5, bins - 1) - bins + 1), rel=0.05)
        assert found.psi == 0


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.83])
@pytest.mark.parametrize("cases", [20, 100, 1000])
def test_a_share_surely_lies_above_its_lower_and_below_its_upper_bound(share: float, cases: int) -> None:
    parts = np.arange(cases + 1)
    weight = stats.binom.pmf(parts, cases, share)
    bounds = [share_bounds(part, cases) for part in parts.tolist()]
    for missed in ([b.low > share for b in bounds], [b.high < share for b in bounds]):
        assert weight[np.array(missed)].sum() < 0.09  # Wilson's bound keeps its 5 % on average, not for every share
    lower, upper = stats.binomtest(30, 100).proportion_ci(0.9, method="wilson")
    assert share_bounds(30, 100)[1:] == pytest.approx((lower, upper))


def test_a_ratio_of_few_long_tailed_cases_keeps_within_its_bounds() -> None:
    random, missed = np.random.default_rng(0), 0
    for _ in range(500):
        size = random.gamma(2, 1, 40)
        bounds = ratio_bounds(0.7 * size * random.gamma(2, 0.5, 40), size)
        missed += (bounds.low > 0.7) + (bounds.high < 0.7)
    assert missed / 500 < 0.14  # 10 % in the long run


def test_rows_that_repeat_one_case_do_not_narrow_the_bounds(check: Checker) -> None:
    once = rows_of(30, 5)
    tenfold = pl.concat([once] * 10)
    assert check(once).truth.error.high == pytest.approx(check(tenfold).truth.error.high, rel=0.01)
    assert check(tenfold).cases == 30


# No alarm over rows of the training plant


@pytest.mark.parametrize("rows", [20, 50, 200, 2000])
def test_rows_of_the_training_plant_raise_no_alarm(check: Checker, rows: int) -> None:
    verdicts = [check(rows_of(rows, 100 + seed).drop("y")).verdict for seed in range(80)]
    assert verdicts.count("use") >= 0.95 * len(verdicts)


def test_with_true_values_they_raise_no_alarm_either(check: Checker) -> None:
    verdicts = [check(rows_of(60, 300 + seed)).verdict for seed in range(80)]
    assert verdicts.count("use") >= 0.9 * len(verdicts)


@pytest.mark.parametrize("name", ["x0", "x5", "x6"])
def test_a_shift_of_one_standard_deviation_is_found_in_a_hundred_rows(check: Checker, name: str) -> None:
    found = 0
    for seed in range(30):
        rows = rows_of(100, 500 + seed).drop("y")
        moved = check(rows.with_columns(pl.col(name) + rows[name].std()))
        found += moved.verdict != "use" and any(name.upper() in reason for reason in told(moved, "care"))
    assert found >= 29


def test_chance_grows_as_rows_grow_fewer_and_falls_to_nothing(check: Checker) -> None:
    levels = [check(rows_of(count, 1).drop("y")).columns[0].drift.chance for count in (30, 300, 3000)]
    assert all(few > 2 * many for few, many in pairwise(levels))


# Every rule of the table at the head of verdict.py


def test_a_good_model_is_told_to_be_good(check: Checker) -> None:
    found = check(rows_of(300, 7))
    assert (found.verdict, found.exit_code) == ("use", 0)
    assert told(found, "care") == told(found, "refuse") == []
    assert found.truth.scores["rmse"] == pytest.approx(NOISE, rel=0.1)
    assert found.truth.covered.value == pytest.approx(0.8, abs=0.06)
    assert any("beats the mean of these rows" in reason for reason in told(found, "good"))
    assert any("close to the card's" in reason for reason in told(found, "good"))


def test_a_model_no_better_than_the_mean_is_refused(check: Checker) -> None:
    rows = rows_of(200, 8)
    found = check(rows.with_columns(pl.col("y").shuffle(seed=1)))
    assert (found.verdict, found.exit_code) == ("do not use", 6)
    assert "no better than the mean of these rows" in told(found, "refuse")[0]


def test_a_model_that_is_hardly_better_than_the_mean_is_used_with_care(check: Checker) -> None:
    rows = rows_of(3000, 9).filter(pl.col("x0").abs() < 1.1).head(30)  # alike rows: a constant does nearly as well
    found = check(rows)
    assert 0.5 < found.truth.skill.value < 1 < found.truth.skill.high
    assert any("not surely better" in reason for reason in told(found, "care"))


def test_an_error_beyond_the_card_asks_for_care_and_twice_the_error_is_refused(check: Checker) -> None:
    rows, random = rows_of(300, 10), np.random.default_rng(0)
    worse = check(rows.with_columns(pl.col("y") + pl.Series(random.normal(0, 1.3 * NOISE, 300))))
    assert worse.verdict == "use with care"
    assert "larger than the card promises" in told(worse, "care")[0]
    assert "interval holds only" in told(worse, "care")[1]
    bad = check(rows.with_columns(pl.col("y") + 2.5 * NOISE))
    assert bad.verdict == "do not use"
    assert "larger than the card promises" in told(bad, "refuse")[0]


def test_a_suspiciously_small_error_is_noted_and_proves_nothing(check: Checker) -> None:
    rows = rows_of(300, 11).with_columns(y=2 * pl.col("x0") + (pl.col("y") - 2 * pl.col("x0")) / 4)
    assert any("part of training" in reason for reason in told(check(rows), "note"))
    moved = check(rows.with_columns(pl.col("x5") / 3))
    assert moved.verdict == "use with care"


def test_rows_that_break_the_contract_count(check: Checker) -> None:
    rows = as_text(rows_of(100, 12))

    def broken(count: int) -> Check:
        return check(rows.with_columns(x1=pl.when(pl.int_range(100) < count).then(pl.lit("9e9")).otherwise("x1")))

    assert (broken(3).verdict, broken(3).bad) == ("use", 3)
    assert broken(10).verdict == "use with care"
    assert broken(60).verdict == "do not use"
    assert "60 of 100 rows (60%) break the contract. X1 (x1) is at most 1000" in told(broken(60), "refuse")[0]
    everything = broken(100)
    assert everything.verdict == "do not use"
    assert told(everything, "refuse")[1] == "Nothing is left to predict."


def test_rows_far_outside_the_training_range_are_refused(check: Checker) -> None:
    rows = rows_of(100, 13).drop("y")
    few = check(rows.with_columns(x4=pl.when(pl.int_range(100) < 25).then(500.0).otherwise("x4")))
    most = check(rows.with_columns(x4=pl.when(pl.int_range(100) < 80).then(500.0).otherwise("x4")))
    assert few.outside in range(25, 30)
    assert any("outside the range of training: X4 25%" in reason for reason in told(few, "care"))
    assert any("outside the range of training: X4 80%" in reason for reason in told(most, "refuse"))


def test_texts_that_the_contract_lacks_are_outside(check: Checker) -> None:
    found = check(rows_of(100, 14).drop("y").with_columns(line=pl.lit("C")))
    assert found.outside == 100
    (line,) = [c for c in found.columns if c.column.name == "line"]
    assert line.above == 1.0
    assert found.verdict == "do not use"


def test_a_new_mix_of_known_texts_is_drift(check: Checker) -> None:
    rows = rows_of(200, 15).drop("y").with_columns(line=pl.Series(["B"] * 190 + ["A"] * 10))
    assert any(reason.startswith("LINE is spread very differently") for reason in told(check(rows), "care"))


def test_gaps_that_training_had_not_are_told(check: Checker) -> None:
    rows = rows_of(200, 16).drop("y")
    gaps = check(rows.with_columns(x1=pl.when(pl.int_range(200) % 3 > 0).then("x1")))
    assert "X1 is missing in 34% of the rows, in training in 0%: the model fills it in." in told(gaps, "care")
    few = check(rows.with_columns(x1=pl.when(pl.int_range(200) % 20 > 0).then("x1")))
    assert few.verdict == "use"
    empty = check(rows.with_columns(x1=None))
    assert any("missing in 100%" in reason for reason in told(empty, "care"))
    assert not any("inf" in reason.text.en for reason in empty.reasons)


def test_too_few_cases_ask_for_care(check: Checker) -> None:
    found = check(rows_of(12, 17))
    assert found.verdict == "use with care"
    assert "Only 12 independent cases" in told(found, "care")[0]
    assert any("too few to judge the error" in reason for reason in told(found, "note"))
    repeated = check(pl.concat([rows_of(12, 17).drop("y")] * 50))
    assert told(repeated, "care") == [
        "Only 12 independent cases: too few to tell whether they are like those of training."
    ]


def test_true_values_that_keep_the_promise_outweigh_drift_but_only_if_half_the_rows_have_them(check: Checker) -> None:
    rows = rows_of(400, 18).with_columns(pl.col("x5") / 4)  # plays no part in the prediction
    assert check(rows.drop("y")).verdict == "use with care"
    proven = check(rows)
    assert proven.verdict == "use"
    assert any("keep the card's promises" in reason for reason in told(proven, "note"))
    assert any(reason.startswith("X5 is spread very differently") for reason in told(proven, "note"))
    half = check(rows.with_columns(y=pl.when(pl.int_range(400) < 100).then("y")))
    assert half.verdict == "use with care"


def test_reasons_come_with_the_weightiest_first(check: Checker) -> None:
    found = check(rows_of(300, 19).with_columns(pl.col("x0") * 10))
    grades = [reason.grade for reason in found.reasons]
    assert grades == sorted(grades, key=["refuse", "care", "note", "good"].index)
    assert grades[0] == "refuse"
    assert str(found.reasons[0]) == f"against: {found.reasons[0].text.en}"
    assert found.reasons[-1].told("ko") == f"적합: {found.reasons[-1].text.ko}"


# Files as firms have them


def test_blocks_of_a_table_tell_what_the_whole_table_tells(check: Checker) -> None:
    rows = rows_of(500, 20).with_columns(x1=pl.when(pl.int_range(500) % 7 > 0).then("x1"))
    whole, parts = check(rows), check(*rows.iter_slices(37))
    assert parts.truth.error == pytest.approx(whole.truth.error)
    assert np.sort(parts.truth.points, axis=0).shape == whole.truth.points.shape
    assert replace(parts, truth=None) == replace(whole, truth=None, reasons=parts.reasons)


def test_korean_headers_and_own_columns_are_understood(check: Checker, plant: Bundle) -> None:
    rows = rows_of(100, 21)
    titles = {c.name: f"{c.title_ko} ({c.unit})" for c in plant.contract.columns}
    assert check(rows.rename(titles).with_columns(비고=pl.lit("x"))).truth.scores == check(rows).truth.scores


def test_unreadable_true_values_are_left_out_and_told_and_empty_ones_are_no_problem(check: Checker) -> None:
    rows = as_text(rows_of(100, 22))
    marked = rows.with_columns(
        y=pl.when(pl.int_range(100) < 5).then(pl.lit("n/a")).when(pl.int_range(100) < 15).then(None).otherwise("y")
    )
    found = check(marked)
    assert (found.bad, found.truth.rows) == (0, 85)
    assert [(p.column, p.count) for p in found.problems] == [("y", 5)]
    assert any("true values break the contract and are not used" in reason for reason in told(found, "note"))


def test_a_table_that_lacks_a_column_or_has_no_rows_is_an_error(check: Checker) -> None:
    with pytest.raises(DataError, match="'x3'"):
        check(rows_of(10, 0).drop("x3"))
    with pytest.raises(DataError, match="no rows"):
        check(rows_of(10, 0).clear())


def test_a_large_file_is_scored_on_a_sample_of_its_rows(check: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(4000, 23)
    exact = check(rows)
    monkeypatch.setattr(quality, "TRUTHS", 1000)
    sampled = check(*rows.iter_slices(300))
    assert (sampled.truth.rows, sampled.truth.sampled, exact.truth.sampled) == (1000, True, False)
    assert sampled.truth.scores["rmse"] == pytest.approx(exact.truth.scores["rmse"], rel=0.1)
    ordered = check(*rows.sort("x0").iter_slices(300))
    assert np.median(ordered.truth.points[:, 0]) == pytest.approx(rows["y"].median(), abs=2.5)


# Demand


def test_scores_are_those_of_the_card(check: Checker, check_shop: Checker, shop: Bundle, plant: Bundle) -> None:
    rows = rows_of(200, 24)
    answer = model_of(plant).predict(rows)
    truth, made, lower, upper = (c.to_numpy() for c in (rows["y"], *answer))
    scores = check(rows).truth.scores
    assert scores["rmse"] == pytest.approx(metrics.rmse(truth, made))
    assert scores["mae"] == pytest.approx(metrics.mae(truth, made))
    assert scores["r2"] == pytest.approx(metrics.r2(truth, made))
    assert scores["coverage"] == pytest.approx(metrics.coverage(truth, lower, upper))
    assert scores["width"] == pytest.approx(metrics.width(lower, upper))

    table = sales(50, 1).filter(~((pl.col("item") == "item 3") & (pl.col("month").dt.month() == 11)))
    panel = to_panel(table, shop.contract, where="")
    past, truth = panel.values[:, :-4], panel.values[:, -4:]
    model, before = model_of(shop), panel.until(4, "monthly")
    forecast = model.answer(SeriesCodec(shop.contract, model.context).encode_panel(before))
    quantiles = np.stack([forecast[f"units_q{q}"].to_numpy().reshape(-1, 4) for q in range(10, 100, 10)], axis=-1)
    bounds = [forecast[f"units_{end}"].to_numpy().reshape(-1, 4) for end in ("lower", "upper")]
    scores = check_shop(table).truth.scores
    assert scores["wql"] == pytest.approx(metrics.wql(truth, quantiles))
    assert scores["wape"] == pytest.approx(metrics.wape(truth, quantiles[..., 4]))
    assert scores["mase"] == pytest.approx(metrics.mase(truth, quantiles[..., 4], past, 1))
    assert scores["bias"] == pytest.approx(metrics.bias(truth, quantiles[..., 4]))
    assert scores["coverage"] == pytest.approx(metrics.coverage(truth, *bounds))


def test_a_good_forecaster_is_told_to_be_good(check_shop: Checker) -> None:
    found = check_shop(sales(60, 2))
    assert (found.verdict, found.units, found.untested) == ("use", 60, 0)
    assert any("The model beats" in reason for reason in told(found, "good"))
    assert found.truth.covered.value == pytest.approx(0.8, abs=0.07)
    assert len(found.truth.fans) == 3
    assert found.truth.fans[0].quantiles.shape == (4, 9)


@pytest.mark.parametrize(("language", "told"), [("en", "Sale at 2 steps ahead"), ("ko", "할인: 앞으로 2시점")])
def test_fans_mark_what_was_planned(check_shop: Checker, tmp_path: Path, language: Language, told: str) -> None:
    found = check_shop(sales(60, 2))
    sale = Marks(
        Column(name="sale", kind="number", role="known_future", title_en="Sale", title_ko="할인"), ((-3, -3), (1, 2))
    )
    fans = tuple(replace(fan, marks=(sale,)) for fan in found.truth.fans)
    write_report(replace(found, truth=replace(found.truth, fans=fans)), tmp_path / "a.html", language=language)
    text = (tmp_path / "a.html").read_text("utf-8")
    assert (
        text.count(told) == 3 and text.count(f'fill="{COLORS[0]}"') == 6 and text.count(f"background: {COLORS[0]}") == 1
    )


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_model_of_one_series_has_a_report_although_its_profile_tells_of_none(
    shop: Bundle, tmp_path: Path, language: Language
) -> None:
    contract, table = shop.contract, sales(1, 0)
    profile = profile_panel(to_panel(table, contract, where=""), contract, table)
    assert not profile.columns["level"].shares, "nothing is told of one series"
    graph, card = onnx.load_model_from_string(shop.read(MODEL)), json.loads(shop.read(METRICS))["model"]
    one = bundle_of(tmp_path / "one", DEMAND, graph, profile.model_dump_json(), card)
    write_report(
        check_table(one, model_of(one), [as_text(table)], where="a.csv"), tmp_path / "a.html", language=language
    )
    assert "level" in (tmp_path / "a.html").read_text("utf-8")


def test_sales_of_another_size_are_drift_of_the_level_alone_and_the_back_test_clears_them(check_shop: Checker) -> None:
    found = check_shop(sales(60, 3).with_columns(pl.col("units") * 1000))
    assert found.verdict == "use"
    assert [c.column.name for c in found.columns if c.outside > 0.5] == ["level"]
    assert any(reason.startswith("Mean level is spread very differently") for reason in told(found, "note"))


def test_series_that_behave_otherwise_are_refused(check_shop: Checker) -> None:
    growing = sales(60, 4).with_columns(pl.col("units") * (1.15 ** pl.int_range(pl.len()).over("item")))
    found = check_shop(growing)
    assert found.verdict == "do not use"
    assert "no better than" in told(found, "refuse")[0]


def test_short_series_are_counted_and_left_out(check_shop: Checker) -> None:
    table = sales(40, 5)
    last = table["month"].max()
    recent = pl.col("month").rank("dense", descending=True)
    cut = table.filter(
        (pl.col("item") != "item 0") | (recent <= 3),
        (pl.col("item") != "item 1") | (recent <= 8),
        pl.col("month") <= last,
    )
    found = check_shop(cut)
    assert (found.short, found.units, found.untested, found.truth.cases) == (1, 39, 1, 38)
    assert any("fewer than 6 steps: 1 series" in reason for reason in told(found, "note"))


def test_histories_too_short_to_hold_back_are_told(check_shop: Checker) -> None:
    found = check_shop(sales(40, 6, months=8))
    assert found.truth is None
    assert any("No history is long enough" in reason for reason in told(found, "note"))


def test_sold_out_series_end_in_no_crash(check_shop: Checker) -> None:
    table = sales(40, 7).with_columns(units=pl.lit(0.0))
    assert check_shop(table).truth is None


def test_dates_off_the_grid_are_an_error(check_shop: Checker) -> None:
    with pytest.raises(DataError, match="grid"):
        check_shop(sales(5, 8).with_columns(pl.col("month").dt.offset_by("-3d")))


# The report


def report(check: Check, folder: Path, language: str) -> str:
    write_report(check, folder / "report.html", language=language)
    return (folder / "report.html").read_text("utf-8")


@pytest.fixture(scope="module")
def checks(check: Checker, check_shop: Checker) -> list[Check]:
    rows = as_text(rows_of(60, 25))
    return [
        check(rows), check(rows.drop("y")), check(rows.with_columns(x1=pl.lit("x"))), check(rows.with_columns(x1=None)),
        check(rows.head(1)), check(rows.with_columns(pl.col("x0").cast(pl.Float64) * 9)), check_shop(sales(40, 9)),
        check_shop(sales(1, 9)), check_shop(sales(2, 9)), check_shop(sales(40, 9, months=8)),
    ]  # fmt: skip


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_check_has_a_report_that_needs_nothing_but_itself(
    checks: list[Check], tmp_path: Path, language: str
) -> None:
    for found in checks:
        html = report(found, tmp_path, language)
        assert not re.search(r"<script|https?://|src=|@import|url\(", html)
        assert not re.search(r"\b(nan|inf|None|Undefined)\b", re.sub(r"<[^>]*>", " ", html))
        assert f'lang="{language}"' in html
        for reason in found.reasons:
            assert escaped(reason.text.en if language == "en" else reason.text.ko) in html


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("'", "&#39;").replace(">", "&gt;")


def test_a_korean_report_speaks_korean(checks: list[Check], tmp_path: Path) -> None:
    html = report(checks[0], tmp_path, "ko")
    assert "사용 가능" in html
    assert "입력 x0" in html
    words = re.sub(r"<style.*?</style>|<[^>]*>", " ", html, flags=re.DOTALL)
    assert not re.search(r"\b(the|training|rows)\b", words)


def test_a_value_from_the_file_cannot_become_part_of_the_page(check: Checker, tmp_path: Path) -> None:
    found = check(as_text(rows_of(30, 26)).with_columns(x1=pl.lit("<script>alert(1)</script>")))
    html = report(found, tmp_path, "en")
    assert "&lt;script&gt;alert(1)" in html
    assert "<script" not in html


def test_both_languages_say_the_same_with_the_same_figures() -> None:
    names = [re.findall(r"{(\w+)}", text.en) for text in SENTENCES.values()]
    assert [sorted(re.findall(r"{(\w+)}", text.ko)) for text in SENTENCES.values()] == [sorted(n) for n in names]
    assert all(re.search("[가-힣]", text.ko) for text in (*SENTENCES.values(), *YARDSTICKS.values()))
    assert set(YARDSTICKS) == {quality.OWN_MEAN, classes.GUESS, *naive.DEMAND, "experts"}


def test_a_verdict_follows_from_the_evidence_alone(checks: list[Check]) -> None:
    for found in checks:
        assert judge(found) == (found.verdict, found.reasons)
