"""A fitted ensemble of LightGBM or scikit-learn is the same in torch and in the one graph, down to every row.

Trees turn at thresholds: a number that goes the other way by a rounding is off by a whole leaf. So four of ten cells
stand exactly on thresholds here, others beside them, and some are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import lightgbm
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from torch import Tensor, nn

from dxai.contract import Column, Contract
from dxai.inference.graph import refuse_other_interface, walk
from dxai.inference.model import Model
from dxai.learn.lightgbm_trees import largest_float32, trees_of_forest, trees_of_lightgbm
from dxai.learn.predictor import ClassPredictor, Predictor, QualityPredictor
from dxai.networks.trees import TreeEnsemble, Trees
from dxai.ship.export import export

pytestmark = pytest.mark.slow

FEATURES, ROWS = 6, 10_000
NAMES = [f"x{i}" for i in range(FEATURES)]
Floats = NDArray[np.float32]


def contract(classes: int = 0) -> Contract:
    columns = [Column(name=n, kind="number", role="feature", title_en=n, title_ko=n) for n in NAMES]
    kind = {"kind": "category", "categories": tuple("abc"[:classes])} if classes else {"kind": "number"}
    columns.append(Column.model_validate({"name": "y", "role": "target", "title_en": "y", "title_ko": "y", **kind}))
    return Contract(
        id="forest", version="1.0.0", title_en="F", title_ko="숲", purpose="test", task="quality",
        columns=tuple(columns),
    )  # fmt: skip


class Sums(Predictor):
    """Raw columns to the sums of the trees, and nothing more; for fewer outputs than a contract has, the last again."""

    def __init__(self, contract: Contract, outputs: int, trees: Trees | None = None) -> None:
        super().__init__(contract)
        self.trees = TreeEnsemble(outputs=outputs, trees=trees)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        sums = self.trees(torch.stack([inputs[name] for name in NAMES], dim=1))
        return {name: sums[:, min(i, sums.shape[1] - 1)] for i, name in enumerate(self.output_names)}


class Members(nn.Module):
    """Trees as the network of a predictor of ours."""

    def __init__(self, outputs: int, trees: Trees) -> None:
        super().__init__()
        self.trees = TreeEnsemble(outputs=outputs, trees=trees)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        return self.trees(numbers).unsqueeze(1)


def table(rows: int, seed: int = 0, missing: float = 0.1) -> Floats:
    """Columns of many sizes, of few values, and of whole numbers; the last one is never missing."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, FEATURES)) * 10.0 ** np.array([0, -6, 6, 0, 2, 0])
    x[:, 3] = random.integers(0, 5, rows)
    x[:, 4] = np.round(x[:, 4])
    gaps = random.random(x.shape) < missing
    gaps[:, -1] = False
    return np.where(gaps, np.nan, x).astype(np.float32)


def target(x: Floats) -> NDArray[np.float64]:
    known = np.nan_to_num(x.astype(np.float64)) / 10.0 ** np.array([0, -6, 6, 0, 2, 0])
    noise = np.random.default_rng(1).normal(size=len(x))
    return np.sin(2 * known[:, 0]) + known[:, 1] * known[:, 2] + np.isnan(x[:, 0]) + known[:, 3] + 0.3 * noise


def awkward(trees: Trees, missing: bool = True) -> Floats:
    """Rows of which four of ten cells are a threshold of their column, and one of ten the next number above one."""
    random = np.random.default_rng(2)
    x = table(ROWS, seed=3, missing=0.1 if missing else 0.0)
    if missing:
        x[random.random(ROWS) < 0.1, -1] = np.nan  # never seen in training
    for feature in range(FEATURES):
        known = trees.threshold[trees.feature == feature]
        if not len(known):
            continue
        drawn, where = random.choice(known, ROWS), random.random(ROWS)
        above = np.nextafter(drawn, np.finfo(np.float32).max)
        x[:, feature] = np.select([where < 0.4, where < 0.5], [drawn, above], x[:, feature])
    return np.where(np.abs(x) <= 1e-35, np.float32(0), x)


def boosted(y: NDArray[Any], x: Floats, rounds: int = 60, **more: Any) -> lightgbm.Booster:
    settings = {"verbose": -1, "num_threads": 1, "num_leaves": 15, "min_data_in_leaf": 5, "seed": 0, **more}
    return lightgbm.train(settings, lightgbm.Dataset(x, y), rounds)


Case = tuple[Trees, int, Callable[[Floats], NDArray[Any]]]


def of_booster(booster: lightgbm.Booster, outputs: int = 1) -> Case:
    def answer(x: Floats) -> NDArray[Any]:
        return np.asarray(booster.predict(x, raw_score=True, num_threads=1)).reshape(len(x), outputs)

    return trees_of_lightgbm(booster.dump_model()), outputs, answer


def regression() -> Case:
    x = table(3000)
    return of_booster(boosted(target(x), x, objective="regression", zero_as_missing=False))


def regression_never_missing() -> Case:
    x = table(3000, missing=0.0)
    return of_booster(boosted(target(x), x, objective="regression"))


def binary() -> Case:
    x = table(3000)
    return of_booster(boosted((target(x) > 2).astype(int), x, objective="binary"))


def three_classes() -> Case:
    x = table(3000)
    return of_booster(boosted(np.digitize(target(x), [1, 3]), x, objective="multiclass", num_class=3), 3)


def one_leaf() -> Case:
    """Too few rows for any split."""
    x = table(30)
    case = of_booster(boosted(np.full(30, 2.5), x, rounds=1, objective="regression"))
    assert len(case[0].feature) == 1
    return case


def one_leaf_among_others() -> Case:
    x = table(3000)
    model = boosted(target(x), x, rounds=3, objective="regression").dump_model()
    model["tree_info"].insert(1, {"tree_structure": {"leaf_value": 0.25}})
    booster = boosted(target(x), x, rounds=3, objective="regression")
    return trees_of_lightgbm(model), 1, lambda rows: np.asarray(booster.predict(rows, raw_score=True))[:, None] + 0.25


def deep() -> Case:
    x = table(3000)
    return of_booster(boosted(target(x), x, rounds=5, objective="regression", num_leaves=1000, min_data_in_leaf=1))


def forest(kind: type, *, classes: bool = False, missing: float = 0.1) -> Case:
    x = table(800, missing=missing)
    y = np.digitize(target(x), [1, 3]) if classes else target(x)
    fitted = kind(n_estimators=20, min_samples_leaf=3, random_state=0).fit(x, y)
    answer = fitted.predict_proba if classes else (lambda rows: fitted.predict(rows)[:, None])
    return trees_of_forest(fitted), 3 if classes else 1, answer


CASES: dict[str, Callable[[], Case]] = {
    "LightGBM, regression": regression,
    "LightGBM, nothing missing": regression_never_missing,
    "LightGBM, two classes": binary,
    "LightGBM, three classes": three_classes,
    "LightGBM, one leaf": one_leaf,
    "LightGBM, one leaf among others": one_leaf_among_others,
    "LightGBM, deep": deep,
    "ExtraTrees, regression": lambda: forest(ExtraTreesRegressor),
    "ExtraTrees, classes": lambda: forest(ExtraTreesClassifier, classes=True),
    "RandomForest, regression": lambda: forest(RandomForestRegressor),
    "RandomForest, classes": lambda: forest(RandomForestClassifier, classes=True),
}


@pytest.fixture(scope="module")
def case() -> Callable[[str], Case]:
    made: dict[str, Case] = {}

    def of(name: str) -> Case:
        if name not in made:
            made[name] = CASES[name]()
        return made[name]

    return of


def assert_alike(found: NDArray[Any], expected: NDArray[Any]) -> None:
    """No row differs by more than 1e-5 of the largest answer."""
    assert found.shape == expected.shape
    np.testing.assert_array_less(np.abs(found - expected), 1e-5 * np.abs(expected).max())


def columns(x: Floats) -> dict[str, Floats]:
    return {name: np.ascontiguousarray(x[:, i]) for i, name in enumerate(NAMES)}


@pytest.mark.parametrize("name", CASES)
def test_torch_answers_as_the_library_does(name: str, case: Callable[[str], Case]) -> None:
    trees, outputs, answer = case(name)
    x = awkward(trees)
    assert_alike(TreeEnsemble(outputs=outputs, trees=trees)(torch.from_numpy(x)).numpy(), answer(x))


@pytest.mark.parametrize("name", CASES)
def test_the_graph_answers_as_torch_does_and_passes_the_walk(name: str, case: Callable[[str], Case]) -> None:
    trees, outputs, _ = case(name)
    task = contract(3 if outputs == 3 else 0)
    predictor = Sums(task, outputs, trees)
    graph = export(predictor, task)
    refuse_other_interface(walk(graph), task)
    x = awkward(trees)
    x[::50, 0], x[1::50, 1] = np.inf, -np.inf
    found, expected = Model(graph, task).run(columns(x)), predictor.answer(columns(x))
    assert list(found) == list(expected)
    assert_alike(np.stack(list(found.values()), 1), np.stack(list(expected.values()), 1))


def test_numbers_on_both_sides_of_a_threshold_go_as_in_the_library(case: Callable[[str], Case]) -> None:
    """LightGBM's thresholds have 64 bits, and lie between numbers of 32."""
    trees, _, _ = case("LightGBM, regression")
    _, _, answer = case("LightGBM, regression")
    layer = TreeEnsemble(outputs=1, trees=trees)
    x = np.full((len(trees.feature), FEATURES), np.nan, np.float32)
    splits = np.flatnonzero(trees.feature >= 0)
    for step in (-np.inf, None, np.inf):
        t = trees.threshold[splits]
        x[splits, trees.feature[splits]] = t if step is None else np.nextafter(t, np.float32(step))
        rows = np.where(np.abs(x) <= 1e-35, np.float32(0), x)
        assert_alike(layer(torch.from_numpy(rows)).numpy(), answer(rows))


def test_thresholds_become_the_largest_float_not_above_them() -> None:
    one, most = np.float32(1), np.finfo(np.float32).max
    above = np.nextafter(one, np.float32(2))
    given = np.array([1.0, 1.0 + 1e-12, 1.0 - 1e-12, float(above) - 1e-12, 0.1, 1e300, -0.0, 1e-35])
    found = largest_float32(given)
    assert found.dtype == np.float32
    assert found[:4].tolist() == [one, one, np.nextafter(one, np.float32(0)), one]
    assert found[5] == most
    assert (found <= given).all()
    assert (np.nextafter(found[:5], np.float32(np.inf)) > given[:5]).all()
    with pytest.raises(ValueError, match="below all numbers of 32 bits"):
        largest_float32(np.array([-1e300]))


@pytest.mark.parametrize("name", ["LightGBM, three classes", "ExtraTrees, classes", "LightGBM, one leaf"])
def test_stored_trees_come_back_into_an_empty_layer(name: str, case: Callable[[str], Case]) -> None:
    trees, outputs, _ = case(name)
    task = contract(3 if outputs == 3 else 0)
    fitted, empty = Sums(task, outputs, trees), Sums(task, outputs)
    rows = {n: torch.from_numpy(v) for n, v in columns(awkward(trees)).items()}
    assert all(not values.any() for values in empty(rows).values())
    empty.load_state_dict(fitted.state_dict())
    for name, values in fitted(rows).items():
        assert torch.equal(values, empty(rows)[name])
    for name, values in fitted.state_dict().items():
        assert empty.state_dict()[name].dtype == values.dtype
    missing = {name: v for name, v in fitted.state_dict().items() if not name.endswith("root")}
    with pytest.raises(RuntimeError, match=r"trees\.root"):
        Sums(task, outputs).load_state_dict(missing)


def test_the_same_trees_give_the_same_bytes(case: Callable[[str], Case]) -> None:
    trees, outputs, _ = case("LightGBM, three classes")
    task = contract(3)
    again = Sums(task, outputs)
    again.load_state_dict(Sums(task, outputs, trees).state_dict())
    graph = export(Sums(task, outputs, trees), task)
    assert graph == export(again, task)
    model = onnx.load_from_string(graph)
    assert {o.domain: o.version for o in model.opset_import} == {"": 20, "ai.onnx.ml": 3}
    assert "TreeEnsembleRegressor" in {node.op_type for node in model.graph.node}
    assert not [i.name for i in model.graph.initializer if "trees" in i.name]


def test_two_ensembles_in_one_predictor_of_ours(case: Callable[[str], Case]) -> None:
    """As the network of the real predictors, with all that stands around it in the graph."""
    numbers, classes = contract(), contract(3)
    for predictor, name in (
        (QualityPredictor(numbers, Members(1, case("LightGBM, regression")[0])), "LightGBM, regression"),
        (ClassPredictor(classes, Members(3, case("LightGBM, three classes")[0])), "LightGBM, three classes"),
    ):
        x = awkward(case(name)[0])
        predictor.transform.spread.fill_(1.0)
        predictor.eval()
        graph = export(predictor, predictor.contract)
        refuse_other_interface(walk(graph), predictor.contract)
        found = Model(graph, predictor.contract).run(columns(x))
        expected = predictor.expected(columns(x), found)
        assert_alike(np.stack(list(found.values()), 1), np.stack(list(expected.values()), 1))


def test_several_ensembles_stand_in_one_graph(case: Callable[[str], Case]) -> None:
    """Equal weights of the two are one for the exporter."""
    trees, _, _ = case("LightGBM, regression")
    half = Trees(**{**vars(trees), "value": trees.value * np.float32(0.5)})

    class Two(Sums):
        def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
            x = torch.stack([inputs[name] for name in NAMES], dim=1)
            return dict(zip(self.output_names, [*self.trees(x).unbind(1), *self.other(x).unbind(1)] * 2, strict=False))

    task = contract()
    predictor = Two(task, 1, trees)
    predictor.other = TreeEnsemble(outputs=1, trees=half)
    x = columns(awkward(trees))
    found, expected = Model(export(predictor, task), task).run(x), predictor.answer(x)
    for name, values in expected.items():
        assert_alike(found[name], values)


SPLIT = {
    "split_index": 0, "split_feature": 0, "threshold": 0.5, "decision_type": "<=", "default_left": True,
    "missing_type": "None", "left_child": {"leaf_value": 1.0}, "right_child": {"leaf_value": 2.0},
}  # fmt: skip


def made(**more: Any) -> dict[str, Any]:
    return {"num_tree_per_iteration": 1, "tree_info": [{"tree_structure": {**SPLIT, **more}}]}


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (made(decision_type="==", threshold="1||2"), "sets of categories"),
        (made(missing_type="Zero"), "takes zeros for missing"),
        (made(left_child={"leaf_value": 1.0, "leaf_const": 1.0, "leaf_features": []}), "linear leaves"),
        ({**made(), "average_output": True}, "averages its trees"),
        (made(threshold=-1e300), "below all numbers"),
    ],
)
def test_what_the_layer_cannot_repeat_is_refused(model: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        trees_of_lightgbm(model)


def test_categories_and_averages_of_a_real_booster_are_refused() -> None:
    x = table(500)
    data = lightgbm.Dataset(np.nan_to_num(x), target(x), categorical_feature=[3])
    with pytest.raises(ValueError, match="sets of categories"):
        trees_of_lightgbm(lightgbm.train({"verbose": -1, "min_data_per_group": 5}, data, 20).dump_model())
    averaged = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}
    with pytest.raises(ValueError, match="averages"):
        trees_of_lightgbm(boosted(target(x), x, 3, **averaged).dump_model())
    linear = lightgbm.Dataset(np.nan_to_num(x).astype(np.float64), target(x))
    with pytest.raises(ValueError, match="linear"):
        trees_of_lightgbm(lightgbm.train({"verbose": -1, "linear_tree": True}, linear, 3).dump_model())


@pytest.mark.parametrize(
    ("kind", "default_left", "threshold", "left"),
    [("None", False, 0.5, True), ("None", True, -0.5, False), ("None", False, 0.0, True), ("NaN", True, -0.5, True),
     ("NaN", False, 0.5, False), ("NaN", True, 1e300, True)],
)  # fmt: skip
def test_missing_values_go_where_lightgbm_sends_them(
    kind: str, default_left: bool, threshold: float, left: bool
) -> None:
    trees = trees_of_lightgbm(made(missing_type=kind, default_left=default_left, threshold=threshold))
    answer = TreeEnsemble(outputs=1, trees=trees)(torch.tensor([[torch.nan], [-1.0], [1.0]]))
    assert answer.ravel().tolist() == [1.0 if left else 2.0, 1.0, 1.0 if threshold > 1 else 2.0]


def test_a_forest_of_several_targets_is_refused() -> None:
    x = np.nan_to_num(table(100))
    with pytest.raises(ValueError, match="several targets"):
        trees_of_forest(RandomForestRegressor(n_estimators=2).fit(x, x[:, :2]))


def arrays(**more: Any) -> dict[str, Any]:
    two = {
        "feature": [0, -1, -1, 0, -1, -1], "threshold": [0.5, 0, 0, 1, 0, 0], "left": [1, 1, 2, 4, 4, 5],
        "right": [2, 1, 2, 5, 4, 5], "missing_left": [False] * 6, "value": [[0], [1], [2], [0], [3], [4]],
        "root": [0, 3], "output": [0, 0], **more,
    }  # fmt: skip
    return {
        name: np.array(v, {"threshold": np.float32, "value": np.float32, "missing_left": np.bool_}.get(name, np.int32))
        for name, v in two.items()
    }


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"threshold": [0.5]}, "differ in length"),
        ({"output": [0]}, "differ in length"),
        ({"left": [0, 1, 2, 4, 4, 5]}, "behind its parent"),
        ({"left": [1, 2, 2, 4, 4, 5]}, "behind its parent"),
        ({"right": [9, 1, 2, 5, 4, 5]}, "behind its parent"),
        ({"right": [4, 1, 2, 5, 4, 5]}, "share a node"),
        ({"left": [2, 1, 2, 4, 4, 5]}, "share a node"),
        ({"left": [4, 1, 2, 5, 4, 5], "right": [2, 1, 2, 5, 4, 5]}, "share a node"),
        ({"root": [1, 3]}, "follow each other"),
        ({"root": [3, 0]}, "follow each other"),
        ({"threshold": [np.inf, 0, 0, 1, 0, 0]}, "not finite"),
        ({"value": [[0], [np.nan], [2], [0], [3], [4]]}, "not finite"),
    ],
)
def test_arrays_that_are_no_trees_are_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Trees(**arrays(**change))


def test_a_tree_adds_to_an_output_that_there_is() -> None:
    trees = Trees(**arrays(output=[0, 1]))
    layer = TreeEnsemble(outputs=2, trees=trees)
    assert layer(torch.tensor([[0.5], [0.75], [2.0], [torch.nan]])).tolist() == [[1, 3], [2, 3], [2, 4], [2, 4]]
    with pytest.raises(ValueError, match="outside the 1"):
        TreeEnsemble(outputs=1, trees=trees)


def test_rows_that_are_too_narrow_are_refused() -> None:
    """A flat look-up would read the next row."""
    layer = TreeEnsemble(outputs=1, trees=Trees(**arrays(feature=[0, -1, -1, 2, -1, -1])))
    with pytest.raises(ValueError, match="ask for feature 2, however the rows have 2"):
        layer(torch.zeros(3, 2))


def test_no_rows_are_no_answers() -> None:
    assert TreeEnsemble(outputs=1, trees=Trees(**arrays()))(torch.zeros(0, 1)).shape == (0, 1)
