"""`dxai check` of models that tell classes: judged by what is known of the classes, without alarms over mere chance."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from sklearn import metrics as reference
from test_check import HEAD, as_text, bundle_of, column, graph_of, model_of, table_keys, told

from dxai.bundle.folder import Bundle
from dxai.bundle.profile import profile_rows
from dxai.contract import parse_contract
from dxai.inference.fit.check import check_table
from dxai.inference.fit.record import Check, ClassTruth
from dxai.inference.fit.report import write_report
from dxai.inference.fit.statistics import pr_auc_bounds
from dxai.metrics import CLASS, average_precision, score

Array = NDArray[np.float64]

TWO, THREE = ("양품", "불량"), ("good", "Hair crack", "pore")
START = {TWO: (0.0, -4.0), THREE: (1.0, -2.0, -1.5)}
"""Logits where the inputs are 0: faults are rare."""
SLOPE = {TWO: (0.0, 2.5), THREE: (0.0, 3.0, -3.0)}
THRESHOLD = 0.35
PARTS = {TWO: ("predicted", "p_0", "p_1"), THREE: ("predicted", "p_good", "p_hair_crack", "p_pore")}


def contract_of(classes: tuple[str, ...]) -> str:
    valid = f"{{metric: invalidValues, arguments: {{validValues: [{', '.join(classes)}]}}, mustBe: 0}}"
    return (
        HEAD.format(id="faults", table=table_keys(task="quality", group="[batch]"))
        + column("batch", "group", "배치", kind="string")
        + column("x0", "feature", "압력", limits="minimum: -100, maximum: 100")
        + column("x1", "feature", "온도", limits="minimum: -100, maximum: 100")
        + column("fault", "target", "결함", kind="string", required=True, quality=valid)
    )


def probabilities(x: Array, classes: tuple[str, ...], shift: float = 0.0) -> Array:
    logits = np.multiply.outer(x, SLOPE[classes]) + np.array(START[classes])
    logits[:, 1:] += shift
    weights = np.exp(logits)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def rows_of(
    classes: tuple[str, ...], count: int, seed: int, *, shift: float = 0.0, noise: float = 0.0, lots: int = 1
) -> pl.DataFrame:
    """Rows whose class is drawn from the very probabilities that the model tells, but for a shift or a blurred x0."""
    random = np.random.default_rng(seed)
    x = random.normal(0, 1, count)
    drawn = probabilities(x, classes, shift).cumsum(axis=1) < random.random(count)[:, None]
    seen = np.sqrt(1 - noise**2) * x + noise * random.normal(0, 1, count)
    return pl.DataFrame({
        "batch": [f"{seed}.{i // lots}" for i in range(count)], "x0": seen, "x1": random.normal(0, 1, count),
        "fault": [classes[min(i, len(classes) - 1)] for i in drawn.sum(axis=1)],
    })  # fmt: skip


def graph(classes: tuple[str, ...]) -> onnx.ModelProto:
    """The very probabilities; of two classes the second is predicted from `THRESHOLD` on."""
    count = len(classes)
    favour = (THRESHOLD, 1 - THRESHOLD) if count == 2 else (1.0,) * count
    constants = {
        "slope": np.array([SLOPE[classes]], np.float32), "start": np.array([START[classes]], np.float32),
        "favour": np.array([favour], np.float32), "nothing": np.zeros(1, np.float32), "second": np.array([1]),
        **{f"place{i}": np.array(i) for i in range(count)},
    }  # fmt: skip
    names = [f"fault_{part}" for part in PARTS[classes]]
    nodes = [
        helper.make_node("IsNaN", ["x0"], ["gap"]), helper.make_node("Where", ["gap", "nothing", "x0"], ["level"]),
        helper.make_node("Unsqueeze", ["level", "second"], ["wide"]),
        helper.make_node("Mul", ["wide", "slope"], ["steep"]), helper.make_node("Add", ["steep", "start"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["shares"], axis=1),
        helper.make_node("Mul", ["shares", "favour"], ["favoured"]),
        helper.make_node("ArgMax", ["favoured"], ["best"], axis=1, keepdims=0),
        helper.make_node("Cast", ["best"], [names[0]], to=TensorProto.FLOAT),
        *(helper.make_node("Gather", ["shares", f"place{i}"], [names[1 + i]], axis=1) for i in range(count)),
    ]  # fmt: skip
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x0", "x1")]
    return graph_of(nodes, inputs, {name: ["n"] for name in names}, constants)


def card_of(classes: tuple[str, ...]) -> dict[str, float]:
    """Scores on very many rows."""
    rows = rows_of(classes, 100_000, 77)
    probability = probabilities(rows["x0"].to_numpy(), classes)
    truth = rows["fault"].replace_strict(classes, range(len(classes))).to_numpy()
    predicted = (probability[:, 1] > THRESHOLD).astype(int) if len(classes) == 2 else probability.argmax(axis=1)
    positive = 1 if len(classes) == 2 else None
    return score(CLASS, truth=truth, prediction=predicted, probability=probability, positive=positive)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Bundle]:
    made = {}
    for classes in (TWO, THREE):
        text = contract_of(classes)
        profile = profile_rows(rows_of(classes, 20_000, 0), parse_contract(text, where=""))
        folder = tmp_path_factory.mktemp("faults") / "b"
        made[classes] = bundle_of(folder, text, graph(classes), profile.model_dump_json(), card_of(classes))
    return made


Bundles = dict[tuple[str, ...], Bundle]
every = pytest.mark.parametrize("classes", [TWO, THREE])


def check(bundle: Bundle, *blocks: pl.DataFrame) -> Check:
    return check_table(bundle, model_of(bundle), [as_text(block) for block in blocks], where="결함.csv")


def truth_of(result: Check) -> ClassTruth:
    assert isinstance(result.truth, ClassTruth)
    return result.truth


@every
def test_rows_like_those_of_training_may_be_predicted(classes: tuple[str, ...], bundles: Bundles) -> None:
    result = check(bundles[classes], rows_of(classes, 2000, 1), rows_of(classes, 2000, 2))
    assert result.verdict == "use"
    good = "\n".join(told(result, "good"))
    assert "The model tells the classes better than guessing: PR-AUC" in good
    assert "The model tells the classes as well as the card promises: PR-AUC" in good
    assert re.search(rf"The probabilities hold here: ({'|'.join(classes)}) was expected in", good)
    (found,) = (reason for reason in told(result, "note") if "finds" in reason)
    assert all(f"{text} " in found for text in classes)


@every
def test_scores_are_those_of_scikit_learn(classes: tuple[str, ...], bundles: Bundles) -> None:
    rows = rows_of(classes, 3000, 3)
    truth = truth_of(check(bundles[classes], rows))
    number = rows["fault"].replace_strict(classes, range(len(classes))).to_numpy()
    probability = model_of(bundles[classes]).predict(rows).select(pl.col("^fault_p_.*$")).to_numpy()
    one_hot = np.eye(len(classes))[number]
    areas = [reference.average_precision_score(one_hot[:, c], probability[:, c]) for c in range(len(classes))]
    expected = areas[1] if len(classes) == 2 else float(np.mean(areas))
    assert truth.counted == ((1,) if len(classes) == 2 else (0, 1, 2))
    assert truth.scores["pr_auc"] == pytest.approx(expected, abs=1e-6)
    assert truth.here is not None
    assert truth.here.value == pytest.approx(expected, abs=1e-6)
    assert truth.here.low < expected < truth.here.high
    predicted = (probability[:, 1] > THRESHOLD).astype(int) if len(classes) == 2 else probability.argmax(axis=1)
    np.testing.assert_array_equal(truth.confusion, reference.confusion_matrix(number, predicted))
    assert [c.found.value for c in truth.classes] == pytest.approx(
        reference.recall_score(number, predicted, average=None)
    )
    assert [c.expected for c in truth.classes] == pytest.approx(probability.mean(axis=0), abs=1e-6)
    (guess,) = truth.yardsticks.values()
    assert guess["pr_auc"] == pytest.approx(truth.guess_here)


def test_the_pull_of_a_row_is_the_slope_of_scikit_learns_area() -> None:
    """Weights that grow a little move the area as the variance assumes; ties count together."""
    random = np.random.default_rng(0)
    positive = random.random(80) < 0.3
    score, weight = np.round(random.random(80) + 0.3 * positive, 1), random.uniform(0.5, 2, 80)
    area = reference.average_precision_score(positive, score, sample_weight=weight)
    assert average_precision(positive, score, weight) == pytest.approx(area)
    slopes = []
    for i in range(80):
        more = weight * np.where(np.arange(80) == i, 1 + 1e-6, 1)
        slopes.append((reference.average_precision_score(positive, score, sample_weight=more) - area) / 1e-6)
    probability = np.stack([1 - score, score], axis=1)
    bounds = pr_auc_bounds(positive.astype(int), probability, [1], weight, np.arange(80))
    variance = float(np.square(slopes).sum())
    alike = min(area * (1 - area) / variance, positive.sum())
    z = 1.6449
    middle, reach = area + z * z / (2 * alike), z * np.sqrt(area * (1 - area) / alike + (z / (2 * alike)) ** 2)
    assert bounds.low == pytest.approx((middle - reach) / (1 + z * z / alike), rel=1e-3)


@pytest.mark.parametrize("count", [150, 600])
def test_an_honest_model_is_not_said_to_be_worse_than_its_card(count: int, bundles: Bundles) -> None:
    alarms = 0
    for seed in range(60):
        result = check(bundles[TWO], rows_of(TWO, count, 1000 + seed))
        alarms += any("worse than" in r or "do not hold" in r for r in told(result, "care") + told(result, "refuse"))
    assert alarms <= 6  # each of two figures has 95 % confidence; 6 in 60 would be rare


@every
def test_classes_of_another_plant_are_refused(classes: tuple[str, ...], bundles: Bundles) -> None:
    rows = rows_of(classes, 2000, 4).with_columns(pl.col("fault").shuffle(seed=1))
    result = check(bundles[classes], rows)
    truth = truth_of(result)
    assert truth.as_trained is not None
    assert truth.as_trained.value < truth.guess_as_trained + 0.1
    assert result.verdict == "do not use"
    assert any("worse than the card promises" in reason for reason in told(result, "refuse"))


def test_a_model_that_points_the_wrong_way_is_no_better_than_guessing(bundles: Bundles) -> None:
    result = check(bundles[TWO], rows_of(TWO, 2000, 5).with_columns(-pl.col("x0")))
    assert any("no better than guessing" in reason for reason in told(result, "refuse"))


def test_a_blurred_input_lowers_the_area_and_is_told_with_figures(bundles: Bundles) -> None:
    result = check(bundles[TWO], rows_of(TWO, 6000, 6, noise=0.6))
    against = told(result, "care") + told(result, "refuse")
    (reason,) = (r for r in against if "worse than the card promises" in r)
    card = bundles[TWO].metrics["model"]["pr_auc"]
    assert re.search(rf"PR-AUC 0\.\d+ \(surely below 0\.\d+\) against {card:#.3g}", reason)


def test_a_rarer_fault_has_a_smaller_area_that_the_card_is_not_held_against(bundles: Bundles) -> None:
    """Three of four faulty rows are gone; how well the rest is told has not changed."""
    rows = rows_of(TWO, 12_000, 7)
    keep = (pl.col("fault") == TWO[0]) | (pl.int_range(pl.len()) % 4 == 0)
    result = check(bundles[TWO], rows.filter(keep))
    truth = truth_of(result)
    assert truth.here is not None
    assert truth.as_trained is not None
    assert truth.here.high < truth.card["pr_auc"]
    assert truth.as_trained.low < truth.card["pr_auc"] < truth.as_trained.high
    assert any("the classes shared as in training" in reason for reason in told(result, "good"))
    (shares,) = (reason for reason in told(result, "note") if "shared otherwise" in reason)
    assert re.search(r"불량 9\.\d% → 2\.\d%", shares)


def test_probabilities_that_promise_too_little_are_told(bundles: Bundles) -> None:
    result = check(bundles[TWO], rows_of(TWO, 3000, 8, shift=1.5))
    (reason,) = (reason for reason in told(result, "care") if "probabilities" in reason)
    assert re.search(r"불량 was expected in 9\.\d% of the rows and came in 2\d%", reason)
    assert result.verdict != "use"


def test_rows_of_training_prove_nothing(bundles: Bundles) -> None:
    rows = rows_of(TWO, 3000, 9)
    learned = rows.with_columns(x0=pl.when(pl.col("fault") == TWO[1]).then(pl.lit(6.0)).otherwise(-2.0))
    assert any("Rows that were part of training prove nothing" in r for r in told(check(bundles[TWO], learned), "note"))


def test_faults_that_hardly_came_are_not_judged(bundles: Bundles) -> None:
    rows = rows_of(TWO, 900, 10)
    few = pl.concat([rows.filter(fault=TWO[0]), rows.filter(fault=TWO[1]).head(4)])
    result = check(bundles[TWO], few)
    assert truth_of(result).here is None
    assert any("Too few rows are of 불량 (4): PR-AUC cannot be judged" in reason for reason in told(result, "note"))
    three = rows_of(THREE, 900, 10).filter(pl.col("fault") != "pore")
    result = check(bundles[THREE], three)
    assert truth_of(result).here is not None
    assert any("Too few rows are of pore (0): PR-AUC cannot be held" in reason for reason in told(result, "note"))


def test_a_text_that_is_no_class_is_told_and_not_scored(bundles: Bundles) -> None:
    rows = rows_of(TWO, 400, 11).with_columns(
        fault=pl.when(pl.int_range(pl.len()) == 3).then(pl.lit("미정")).otherwise("fault")
    )
    result = check(bundles[TWO], rows)
    assert (result.bad, truth_of(result).rows) == (0, 399)
    (reason,) = (reason.text for reason in result.reasons if "true values break" in reason.text.en)
    assert "is one of '양품', '불량', however 1 row breaks that (row 5: '미정')" in reason.en
    assert "'양품', '불량' 중 하나여야 합니다. 위반 1행 (5행: '미정')" in reason.ko


def test_rows_of_one_lot_count_once(bundles: Bundles) -> None:
    alone, together = (check(bundles[TWO], rows_of(TWO, 1200, 12, lots=lots)) for lots in (1, 30))
    assert (truth_of(alone).cases, truth_of(together).cases) == (1200, 40)
    narrow, wide = (truth_of(result).classes[1].share for result in (alone, together))
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_without_known_classes_the_rest_is_told(bundles: Bundles) -> None:
    result = check(bundles[TWO], rows_of(TWO, 500, 13).drop("fault"))
    assert result.truth is None
    assert any("Add a column 'fault' (FAULT)" in reason for reason in told(result, "note"))


@every
@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_report_shows_every_class(
    classes: tuple[str, ...], language: str, bundles: Bundles, tmp_path: Path
) -> None:
    result = check(bundles[classes], rows_of(classes, 1500, 14))
    write_report(result, tmp_path / "report.html", language="ko" if language == "ko" else "en")
    page = (tmp_path / "report.html").read_text("utf-8")
    truth = truth_of(result)
    for c in truth.classes:
        assert f"<td>{c.text}</td><td>{c.rows:,}</td>" in page
    for count in np.diag(truth.confusion):
        assert f'<td class="right">{count:,}</td>' in page
    assert ("부류별 결과" if language == "ko" else "Every class") in page
    assert f"{truth.scores['pr_auc']:#.3g}" in page
    assert not re.search("RMSE|80% interval|80% 구간", page)
