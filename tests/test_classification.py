"""Classes are full members of the quality family: folds, training, scores, report, graph, predictions.

What is rare must be found, probabilities must be honest, and a class must keep its name from the contract to the
answer, in whatever script it is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import write_manifest
from dxai.bundle.profile import profile_rows
from dxai.catalog.ceremony import make_keys
from dxai.catalog.keys import KeyRing
from dxai.catalog.repository import Catalog
from dxai.config.compose import settings_from
from dxai.config.settings import GroupedSplit, RandomSplit, RunSettings
from dxai.contract import Column, Contract
from dxai.contract.signature import signature_of
from dxai.contract.terms import terms_of
from dxai.data import splits
from dxai.data.batch import Arrays, RowCodec, class_array
from dxai.data.table import _made_from
from dxai.data.table import contract_of as contract_in
from dxai.errors import DataError, ModelError
from dxai.evaluate import Evaluation, evaluate
from dxai.inference.graph import refuse_other_interface, walk
from dxai.inference.loader import load_model
from dxai.inference.model import Model
from dxai.inference.predict import Prediction
from dxai.learn.classification import ClassTask
from dxai.learn.families import task_for
from dxai.learn.predictor import ClassPredictor
from dxai.learn.rows import row_cases
from dxai.learn.transform import encode
from dxai.record.figures import drawable
from dxai.record.progress import fit_bar
from dxai.record.runs import Run
from dxai.release import release
from dxai.ship.card import card
from dxai.ship.export import export
from dxai.ship.parity import Parity, parity
from dxai.train import train

KINDS = {
    "linear": ["model=linear"],
    "mlp": ["model=mlp", "model.width=16", "model.frequencies=4"],
    "tabm": ["model=tabm", "model.width=16", "model.frequencies=4", "model.k=3"],
}
CLASSES = {"two": ("양품", "불량"), "three": ("good", "Hair crack", "pore")}
TOLERANCE = 1e-4


def column(name: str, kind: str, role: str, **more: object) -> Column:
    return Column.model_validate({"name": name, "kind": kind, "role": role, "title_en": name, "title_ko": "열", **more})


def contract_of(classes: tuple[str, ...], *, group: tuple[str, ...] = ()) -> Contract:
    columns = (
        column("pressure", "number", "feature", unit="MPa", minimum=0, maximum=200),
        column("plant", "category", "feature", categories=("부산", "창원", "Ulsan")),
        column("melt", "number", "feature", unit="Cel"),
        *([column("lot", "category", "group")] if group else []),
        column("fault", "category", "target", categories=classes),
    )
    return Contract(
        id="casting-fault", version="1.0.0", title_en="Casting fault", title_ko="주물 결함", purpose="test",
        task="quality", columns=columns, group=group,
    )  # fmt: skip


def castings(classes: tuple[str, ...], rows: int = 400, seed: int = 0) -> pl.DataFrame:
    """The last class is rare and hangs on the pressure, a third one on the melt; every tenth cell or so is missing."""
    random = np.random.default_rng(seed)
    pressure, melt, plant = random.gamma(3.0, 20.0, rows), random.normal(700, 25, rows), random.integers(0, 3, rows)
    fault = np.where(pressure + random.normal(0, 10, rows) > 110, len(classes) - 1, 0)
    if len(classes) > 2:
        fault = np.where(melt + random.normal(0, 5, rows) > 715, 1, fault)
    frame = pl.DataFrame({
        "pressure": pressure, "plant": [("부산", "창원", "Ulsan")[i] for i in plant], "melt": melt,
        "lot": [f"lot {i}" for i in np.arange(rows) // 4], "fault": [classes[i] for i in fault],
    })  # fmt: skip
    gaps = {name: random.random(rows) < 0.1 for name in ("pressure", "plant", "melt")}
    return frame.with_columns(
        pl.when(pl.Series(gap)).then(None).otherwise(pl.col(name)).alias(name) for name, gap in gaps.items()
    )


def proven(predictor: ClassPredictor, cases: Mapping[str, Arrays], model: Model) -> Parity:
    """The proof of a release."""
    return parity(predictor, cases, model, scale=1.0, tolerance=TOLERANCE)


def settings(checkout: Path, *overrides: str) -> RunSettings:
    short = ["trainer.max_epochs=3", "trainer.batch_size=64", "split.folds=2", "evaluate.permutations=1"]
    return settings_from(["experiment=concrete_tabm", "split=random", *short, *overrides], checkout=checkout)


@dataclass(frozen=True)
class Fitted:
    contract: Contract
    task: ClassTask
    predictor: ClassPredictor
    graph: bytes

    @property
    def model(self) -> Model:
        return Model(self.graph, self.contract)

    @property
    def unseen(self) -> pl.DataFrame:
        return self.task.table[self.task.honest[0].rows.test]


def calibrated(task: ClassTask) -> dict[str, ClassPredictor]:
    """All fits of a task, by label."""
    made = {fold.label: task.fit(fold)[0].eval() for fold in task.folds}
    task.calibrate(made)
    return made


def fitted(contract: Contract, table: pl.DataFrame, made_with: RunSettings) -> Fitted:
    task = task_for(contract, table, made_with)
    assert isinstance(task, ClassTask)
    predictor = calibrated(task)[task.folds[-1].label]
    return Fitted(contract, task, predictor, export(predictor, contract))


Make = Callable[[str, str], Fitted]


@pytest.fixture(scope="module")
def make(checkout: Path) -> Make:
    made: dict[tuple[str, str], Fitted] = {}

    def of(kind: str, classes: str) -> Fitted:
        if (kind, classes) not in made:
            contract = contract_of(CLASSES[classes])
            table = castings(CLASSES[classes])
            made[kind, classes] = fitted(contract, table, settings(checkout, *KINDS[kind]))
        return made[kind, classes]

    return of


every = pytest.mark.parametrize(("kind", "classes"), [(k, c) for k in KINDS for c in CLASSES])


@pytest.mark.slow
@every
def test_probabilities_add_up_to_one_and_the_favoured_class_is_predicted(kind: str, classes: str, make: Make) -> None:
    one = make(kind, classes)
    answers = one.task.answers(one.predictor, encode(RowCodec(one.contract).encode(one.unseen).arrays, one.contract))
    predicted, probability = answers["predicted"], np.stack(list(answers.values())[1:], axis=1)
    assert probability.shape == (len(one.unseen), len(CLASSES[classes]))
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)
    if (threshold := one.task.threshold(one.predictor)) is not None:
        np.testing.assert_array_equal(predicted == 1, probability[:, 1] > threshold)
    else:
        np.testing.assert_array_equal(predicted, probability.argmax(axis=1))


@pytest.mark.slow
@every
def test_graph_repeats_torch_and_has_the_interface_of_its_contract(kind: str, classes: str, make: Make) -> None:
    one = make(kind, classes)
    graph = walk(one.graph)
    refuse_other_interface(graph, one.contract)
    assert tuple(value.name for value in graph.outputs) == tuple(signature_of(one.contract).columns)
    parity = proven(one.predictor, row_cases(one.unseen, one.contract), one.model)
    assert parity.worst < TOLERANCE / 4
    assert {"missing values", "unseen categories", "10,000 rows"} <= set(parity.cases)


@pytest.mark.slow
@every
def test_same_seed_gives_the_same_graph(kind: str, classes: str, make: Make, checkout: Path) -> None:
    one = make(kind, classes)
    again = fitted(one.contract, one.task.table, one.task.settings)
    assert again.graph == one.graph
    other = fitted(one.contract, one.task.table, settings(checkout, *KINDS[kind], "seed=1", "split.seed=1"))
    assert other.graph != one.graph


@pytest.mark.slow
@pytest.mark.parametrize("buffer", ["temperature", "favour", "prior"])
def test_a_graph_of_another_calibration_is_refused(buffer: str, make: Make) -> None:
    one = make("linear", "two")
    other = fitted(one.contract, one.task.table, one.task.settings).predictor
    tensor = getattr(other, buffer)
    tensor.copy_(tensor * 0.5 if buffer == "temperature" else torch.tensor([5.0, -5.0]))
    with pytest.raises(ModelError, match="does not repeat the trained model"):
        proven(other, row_cases(one.unseen, one.contract), one.model)


@pytest.mark.slow
def test_a_class_on_the_edge_of_its_threshold_is_no_difference(make: Make) -> None:
    one = make("tabm", "two")
    predictor = fitted(one.contract, one.task.table, one.task.settings).predictor
    first = encode(RowCodec(one.contract).encode(one.unseen.head(1)).arrays, one.contract)
    p = one.task.answers(predictor, first)["p1"]
    predictor.favour = torch.as_tensor(np.array([p[0], 1 - p[0]], np.float32))  # the first row stands on the edge
    graph = export(predictor, one.contract)
    parity = proven(predictor, row_cases(one.unseen, one.contract), Model(graph, one.contract))
    assert parity.worst < TOLERANCE / 4


@pytest.mark.slow
def test_predictions_name_classes_as_the_contract_does(make: Make) -> None:
    one = make("tabm", "three")
    rows = castings(CLASSES["three"], 60, seed=5).drop("fault", "lot").with_columns(pl.all().cast(pl.String))
    (answer,) = Prediction(one.model, profile_rows(one.task.table, one.contract)).blocks([rows])
    assert answer.columns == [
        "pressure", "plant", "melt", "fault_predicted", "fault_p_good", "fault_p_hair_crack", "fault_p_pore",
    ]  # fmt: skip
    assert set(answer["fault_predicted"]) <= set(CLASSES["three"])
    probability = answer.select(pl.col("^fault_p_.*$")).to_numpy()
    assert answer["fault_predicted"].to_list() == [CLASSES["three"][i] for i in probability.argmax(axis=1)]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["skip", "flag"])
def test_a_table_of_bad_rows_only_has_an_answer(mode: Any, make: Make) -> None:
    one = make("linear", "two")
    rows = pl.DataFrame({"pressure": ["a lot"], "plant": ["부산"], "melt": ["700"]})
    (answer,) = Prediction(one.model, on_bad_rows=mode).blocks([rows])
    assert answer.schema["fault_predicted"] == pl.String
    assert answer["fault_predicted"].to_list() == ([None] if mode == "flag" else [])


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (("0", "1"), ["p_0", "p_1"]),
        (("Z_Scratch", "Hair crack!"), ["p_z_scratch", "p_hair_crack"]),
        (("양품", "불량"), ["p_0", "p_1"]),
        (("양품 A", "불량 B"), ["p_0", "p_1"]),
        (("-1", "1"), ["p_0", "p_1"]),
        (("A b", "a_b", "c"), ["p_0", "p_1", "p_2"]),
        (("+", "-"), ["p_0", "p_1"]),
    ],
)
def test_probabilities_have_readable_names_or_numbers(classes: tuple[str, ...], names: list[str]) -> None:
    assert tuple(signature_of(contract_of(classes)).columns) == tuple(f"fault_{name}" for name in ("predicted", *names))


def parts(fold: splits.Fold) -> list[splits.Rows]:
    return [part for part in (fold.fit, fold.test) if len(part)]


@pytest.mark.parametrize("kind", ["random", "grouped"])
def test_every_part_of_every_fold_has_its_share_of_every_class(kind: str) -> None:
    classes = CLASSES["three"]
    contract = contract_of(classes, group=("lot",) if kind == "grouped" else ())
    table = castings(classes, 1200)
    split: Any = GroupedSplit if kind == "grouped" else RandomSplit
    chosen = split(kind=kind, folds=5, seed=0)
    truth = class_array(table, contract)
    shares = np.bincount(truth) / len(truth)
    made = [*splits.folds(table, contract, chosen), splits.whole(table)]
    for fold in made:
        assert sorted(np.concatenate(parts(fold))) == list(range(1200))
        for part in parts(fold):
            np.testing.assert_allclose(np.bincount(truth[part], minlength=3) / len(part), shares, atol=0.035)
        lots = [set(table["lot"][part]) for part in parts(fold)]
        if kind == "grouped":
            assert not any(a & b for i, a in enumerate(lots) for b in lots[i + 1 :])
    assert sorted(np.concatenate([fold.test for fold in made])) == list(range(1200))


def test_a_class_with_too_few_rows_is_refused_by_name() -> None:
    classes = (*CLASSES["three"], "unicorn")
    table = castings(CLASSES["three"]).with_columns(
        pl.when(pl.int_range(pl.len()) < 3).then(pl.lit("unicorn")).otherwise("fault").alias("fault")
    )
    split = RandomSplit(kind="random", folds=5, seed=0)
    with pytest.raises(DataError) as caught:
        splits.folds(table, contract_of(classes), split)
    assert "5 folds need 7 rows of every class, however there are fewer of: 'unicorn' (3)." in str(caught.value)


def test_a_row_with_another_class_is_refused_with_its_text(checkout: Path) -> None:
    contract = contract_of(CLASSES["two"])
    table = castings(CLASSES["two"]).with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("a crack")).otherwise("fault").alias("fault")
    )
    with pytest.raises(DataError) as caught:
        task_for(contract, table, settings(checkout, "model=linear"))
    assert "1 rows of the target 'fault' have no class, such as 'a crack'." in str(caught.value)
    assert "양품, 불량" in str(caught.value)


@pytest.mark.parametrize("classes", [("양품", "불량"), ("불량", "양품")])
def test_the_rarer_of_two_classes_is_the_one_looked_for(classes: tuple[str, ...], checkout: Path) -> None:
    made_with = settings(checkout, "model=linear")
    task = task_for(contract_of(classes), castings(("양품", "불량")), made_with)
    assert isinstance(task, ClassTask)
    assert task.positive == classes.index("불량")
    assert task.counted == (task.positive,)


def checkout_with(folder: Path, contract: Contract, table: pl.DataFrame, real: Path) -> RunSettings:
    """A checkout of its own with this contract and this table, prepared; settings of a run there."""
    custom = {"titleEn": "en", "titleKo": "ko"}

    def prop(c: Column) -> dict[str, Any]:
        told = {"role": c.role, "unit": c.unit, **custom}
        made: dict[str, Any] = {
            "name": c.name, "logicalType": "number" if c.kind == "number" else "string",
            "customProperties": [{"property": key, "value": value} for key, value in told.items()],
        }  # fmt: skip
        if c.categories:
            made["quality"] = [{"metric": "invalidValues", "arguments": {"validValues": list(c.categories)}}]
        return made

    odcs = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": contract.id, "version": contract.version,
        "status": "active", "description": {"purpose": "Find faults."},
        "customProperties": [{"property": key, "value": value} for key, value in custom.items()],
        "schema": [{
            "name": "rows", "customProperties": [{"property": "task", "value": "quality"}],
            "properties": [prop(c) for c in contract.columns],
        }],
    }  # fmt: skip
    (folder / "contracts").mkdir(parents=True)
    (folder / "contracts" / "castings.yaml").write_text(json.dumps(odcs, ensure_ascii=False), "utf-8")
    (folder / "data" / "prepared").mkdir(parents=True)
    base = settings(real, *KINDS["tabm"])
    data = base.data.model_copy(update={"name": "castings", "contract": "castings"})
    made_from = {"dxai.made_from": _made_from(data, contract_in(data, folder))}
    table.write_parquet(folder / "data" / "prepared" / "castings.parquet", metadata=made_from)
    return base.model_copy(update={"name": "castings", "data": data})


@pytest.fixture(scope="module")
def evaluated(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evaluation]:
    """A checkout with a run of Korean classes in run/, and its evaluation in report/."""
    folder = tmp_path_factory.mktemp("checkout")
    made_with = checkout_with(folder, contract_of(CLASSES["two"]), castings(CLASSES["two"]), checkout)
    with fit_bar() as bar:
        run = train(made_with, folder / "run", folder, bar)
    return folder, evaluate(run, folder / "report", folder)


@pytest.mark.process
def test_a_run_is_trained_and_evaluated_with_report_pictures_and_numbers(evaluated: tuple[Path, Evaluation]) -> None:
    (folder, made), table = evaluated, castings(CLASSES["two"])
    assert made.report.verdict.metric == "PR-AUC"
    assert list(made.scores["yardstick"]) == ["prior", "logistic", "nearest"]
    pictures = {path.name for path in (folder / "report" / "figures").iterdir()}
    assert pictures == {"confusion.png", "precision_recall.png", "reliability.png", "importance.png", "dependence.png"}
    metrics = json.loads((folder / "report" / "metrics.json").read_text("utf-8"))
    share = (table["fault"] == "불량").mean()
    assert metrics["yardstick"]["prior"]["pr_auc"] == pytest.approx(share, rel=0.02)  # of a guess
    text = (folder / "report" / "report.md").read_text("utf-8")
    assert f"양품 {1 - share:.1%}, 불량 {share:.1%}" in text
    assert "A row is called '불량' from a probability of" in text
    assert "temperature" in text
    assert ("0: 양품, 1: 불량" in text) == (not drawable("양품", ""))  # without a font with Hangul
    counted = pl.read_csv(folder / "report" / "plots" / "confusion.csv")
    assert set(counted["truth"]) == set(CLASSES["two"])
    assert len(counted) == len(table)


@pytest.mark.process
def test_a_run_is_released_and_its_bundle_predicts(evaluated: tuple[Path, Evaluation]) -> None:
    folder, _ = evaluated
    bundle = release(Run(folder / "run"), folder / "report", folder / "model", folder)
    assert set(bundle.profile.columns["fault"].categories) == set(CLASSES["two"])
    golden = pl.read_csv(folder / "model" / "golden" / "outputs.csv", infer_schema=False)
    rows = golden.select("pressure", "plant", "melt")
    (answer,) = Prediction(load_model(bundle), bundle.profile).blocks([rows])
    assert set(answer["fault_predicted"]) <= set(CLASSES["two"])
    assert answer.cast(pl.String)["fault_predicted"].to_list() == golden["fault_predicted"].to_list()
    text = (folder / "model" / "card.md").read_text("utf-8")
    assert "PR-AUC" in text
    assert "A row is called '불량' from a probability of" in text


@pytest.mark.process
def test_a_catalog_tells_its_pr_auc_beside_the_best_yardsticks(
    evaluated: tuple[Path, Evaluation], tmp_path: Path
) -> None:
    folder, made = evaluated
    bundle = release(Run(folder / "run"), folder / "report", tmp_path / "model", folder)
    make_keys(tmp_path / "keys")
    keys = KeyRing(tmp_path / "keys")
    catalog = Catalog.make(tmp_path / "catalog", keys)
    catalog.add(bundle, keys)
    (entry,) = catalog.index.models
    yardsticks = {name: scores["pr_auc"] for name, scores in made.scores["yardstick"].items()}
    assert entry.score.metric == "pr_auc"
    assert entry.score.model == pytest.approx(made.scores["model"]["pr_auc"], rel=1e-5)
    assert entry.score.yardstick == pytest.approx(max(yardsticks.values()), rel=1e-5)
    assert yardsticks[entry.score.yardstick_name] == max(yardsticks.values())


@pytest.mark.process
def test_a_golden_class_that_the_contract_lacks_is_refused(evaluated: tuple[Path, Evaluation], tmp_path: Path) -> None:
    folder, _ = evaluated
    release(Run(folder / "run"), folder / "report", tmp_path / "model", folder)
    outputs = tmp_path / "model" / "golden" / "outputs.csv"
    told = outputs.read_text("utf-8")
    outputs.write_text(told.replace("양품", "좋음").replace("불량", "나쁨"), "utf-8")
    write_manifest(tmp_path / "model", Bundle.open(folder / "model").manifest)
    with pytest.raises(ModelError, match="golden rows cannot be used"):
        load_model(Bundle.open(tmp_path / "model"))


@pytest.mark.slow
def test_a_group_shows_what_a_random_split_would_hide(checkout: Path) -> None:
    """All rows of a lot are alike and share their class: a random split tells the class from the lot's other rows."""
    random = np.random.default_rng(0)
    fault = [int(f) for f in random.random(120) < 0.3 for _ in range(4)]
    lots = random.gamma(3.0, 20.0, 120).repeat(4)
    table = castings(CLASSES["two"], 480).with_columns(
        pressure=lots, melt=lots[::-1].copy(), plant=pl.lit("부산"), fault=pl.Series([CLASSES["two"][f] for f in fault])
    )
    contract = contract_of(CLASSES["two"], group=("lot",))
    task = task_for(contract, table, settings(checkout, "split=grouped", "split.folds=2", "trainer.max_epochs=30"))
    assert isinstance(task, ClassTask)
    held_out = pl.concat([task.held_out(task.fit(f)[0], f) for f in task.folds if f.is_test])
    assert task.scores(held_out)["random_split"]["pr_auc_gap"] > 0.1


@pytest.mark.slow
def test_card_says_classes_and_their_columns(make: Make) -> None:
    one = make("linear", "two")
    summary = {
        "sentence": "It beats.",
        "notes": ["A row is called '불량' from 30 % on."],
        "scores": {"head": [], "rows": []},
    }
    text = card(
        one.contract, terms_of(one.contract), bundle="casting-fault", version="1.0.0", context=0, shortest=0,
        outputs=one.model.outputs, summary=summary, figures=["confusion.png"],
        parity=proven(one.predictor, row_cases(one.unseen, one.contract), one.model),
    )  # fmt: skip
    assert "fault_predicted, fault_p_0, fault_p_1: the number of the predicted class" in text
    assert "양품, 불량." in text
    assert "80 % interval" not in text
    assert "every difference is below 0.0001\nin a probability." in text


def ai4i(shared_data: Path) -> tuple[Contract, pl.DataFrame]:
    """Milling machines, 3.4 % failures; the columns that name the kind of failure would tell, and are left out."""
    titles = {
        "Type": "grade", "Air temperature [K]": "air", "Process temperature [K]": "process",
        "Rotational speed [rpm]": "speed", "Torque [Nm]": "torque", "Tool wear [min]": "wear",
        "Machine failure": "failure",
    }  # fmt: skip
    table = pl.read_csv(shared_data / "ai4i2020.csv").select(*titles).rename(titles)
    table = table.with_columns(pl.col("failure").cast(pl.String), pl.exclude("grade", "failure").cast(pl.Float64))
    return contract_for(table, "failure", ("0", "1"), grade=("H", "L", "M")), table


def steel_plates(shared_data: Path) -> tuple[Contract, pl.DataFrame]:
    """1,941 plates with one of seven faults, told by seven columns of 0 and 1."""
    table = pl.read_csv(shared_data / "steel_plates_faults.csv")
    faults = tuple(table.columns[-7:])
    named = pl.coalesce(pl.when(pl.col(fault) == 1).then(pl.lit(fault)) for fault in faults).alias("fault")
    table = table.select(pl.exclude(faults).cast(pl.Float64).name.to_lowercase(), named)
    return contract_for(table, "fault", faults), table


def contract_for(table: pl.DataFrame, target: str, classes: tuple[str, ...], **categories: tuple[str, ...]) -> Contract:
    features = (
        column(name, "category" if name in categories else "number", "feature", categories=categories.get(name, ()))
        for name in table.columns
        if name != target
    )
    columns = (*features, column(target, "category", "target", categories=classes))
    return Contract(
        id="real", version="1.0.0", title_en="Real", title_ko="실제", purpose="test", task="quality", columns=columns
    )


@pytest.mark.slow
@pytest.mark.parametrize(("table_of", "epochs"), [(ai4i, 6), (steel_plates, 10)])
def test_tabm_beats_every_yardstick_on_real_tables(
    table_of: Any, epochs: int, shared_data: Path, checkout: Path
) -> None:
    contract, table = table_of(shared_data)
    made_with = settings_from(
        ["experiment=concrete_tabm", "split=random", "split.folds=2", f"trainer.max_epochs={epochs}", "model.k=4"],
        checkout=checkout,
    )
    one = fitted(contract, table, made_with)
    fits = calibrated(one.task)
    held_out = pl.concat([one.task.held_out(fits[f.label], f) for f in one.task.honest])
    scores = one.task.scores(held_out)
    assert scores["model"]["pr_auc"] > max(yard["pr_auc"] for yard in scores["yardstick"].values()) + 0.03
    assert scores["model"]["ece"] < 0.05
    assert proven(one.predictor, row_cases(one.unseen, contract), one.model).worst < TOLERANCE / 4


@pytest.mark.slow
def test_importance_of_a_wide_or_long_table_takes_fewer_shuffles_and_rows(
    make: Make, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make("linear", "two").task
    predictors = {fold.label: task.fit(fold)[0].eval() for fold in task.honest}
    few = len(task.contract.features)
    monkeypatch.setattr("dxai.learn.rows._MOST_SHUFFLES", few * 3 + 1)
    whole = task.importance(predictors, repeats=5)
    assert {len(rises) for rises in whole.values()} == {3}
    assert {len(rises) for rises in task.importance(predictors, repeats=1).values()} == {2}
    monkeypatch.setattr("dxai.learn.rows._MOST_SHUFFLES", few - 1)
    assert {len(rises) for rises in task.importance(predictors, repeats=5).values()} == {1}
    seen, error = set(), task.error
    monkeypatch.setattr(task, "error", lambda *told: seen.add(len(told[2])) or error(*told))
    monkeypatch.setattr("dxai.learn.rows._MOST_ROWS", 50)
    task.importance(predictors, repeats=1)
    assert seen == {50}
