"""One graph takes raw rows: named columns, text categories, gaps inside; it repeats torch and leaks no path.

A firm gets this file alone. It must run where the standard operators run, be the same bytes from any folder, and answer
what the trained predictor answers on real, broken and unseen rows; a graph that does not is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto

from dxai.config.compose import settings_from
from dxai.config.settings import RunSettings
from dxai.contract import Column, Contract
from dxai.data.batch import Arrays, RowCodec, SeriesCodec
from dxai.data.windows import Panel
from dxai.errors import ModelError
from dxai.inference.model import Model
from dxai.learn.demand import DemandTask, history_cases
from dxai.learn.predictor import DemandPredictor, Predictor, QualityPredictor
from dxai.learn.regression import RegressionTask
from dxai.learn.rows import row_cases
from dxai.learn.transform import encode
from dxai.ship.export import export
from dxai.ship.parity import Parity, parity

pytestmark = pytest.mark.slow

PLANTS, ALLOYS = ("부산", "창원", "Ulsan"), ("강철 A", "알루미늄", "brass, cast")
SMALL = {
    "linear": ["model=linear"],
    "mlp": ["model=mlp", "model.width=16", "model.frequencies=4"],
    "tabm": ["model=tabm", "model.width=16", "model.frequencies=4", "model.k=3"],
}
FORECASTS = {
    "nhits": ["model=nhits", "model.width=16", "scaling.context=30", "model.pools=[7,2,1]"],
    "nhits seasonal": ["scaling=trend", "model.pools=[6,3,1]", "model.width=16", "scaling.context=30"],
    "dlinear": ["model=dlinear", "scaling.context=30", "model.kernel=5", "scaling.harmonics=1"],
    "dlinear seasonal": ["model=dlinear", "scaling.context=30", "model.kernel=5", "scaling.residual=seasonal_naive"],
}
TOLERANCE = 1e-4


def proven(predictor: Predictor, cases: Mapping[str, Arrays], model: Model) -> Parity:
    """The proof of a release, in units of the target's spread."""
    numbers = isinstance(predictor, QualityPredictor)
    scale = float(predictor.scale.spread) if numbers else float(np.nanstd(cases["longer than the context"]["history"]))
    return parity(predictor, cases, model, scale=scale, tolerance=TOLERANCE)


def column(name: str, kind: str, role: str, **more: object) -> Column:
    return Column.model_validate({"name": name, "kind": kind, "role": role, "title_en": name, "title_ko": "열", **more})


def casting_contract(*kinds: str) -> Contract:
    """Pressure and two kinds of category, in an order that mixes them, without those kinds that are not named."""
    columns = (
        column("pressure", "number", "feature", unit="MPa", minimum=0, maximum=200),
        column("plant", "category", "feature", categories=PLANTS),
        column("melt_temperature", "number", "feature", unit="Cel"),
        column("alloy", "category", "feature", categories=ALLOYS),
        column("hardness", "number", "target", unit="1", minimum=0, title_ko="경도"),
    )
    return Contract(
        id="casting-hardness", version="2.0.0", title_en="Hardness", title_ko="경도", purpose="test", task="quality",
        columns=tuple(c for c in columns if c.role == "target" or c.kind in kinds),
    )  # fmt: skip


CASTING = casting_contract("number", "category")

DEMAND = Contract(
    id="spare-parts", version="1.0.0", title_en="Parts", title_ko="부품 수요", purpose="test", task="demand",
    columns=(
        column("part", "category", "series"), column("month", "date", "time"),
        column("units", "number", "target", minimum=0.0),
    ),
    frequency="monthly", horizon=4, season=12, minimum_history=12, absent="zero",
)  # fmt: skip


def castings(rows: int, seed: int = 0) -> pl.DataFrame:
    """Hardness depends on all four columns; every tenth cell or so is missing."""
    random = np.random.default_rng(seed)
    pressure, melt = random.gamma(3.0, 20.0, rows), random.normal(700, 25, rows)
    plant, alloy = random.integers(0, 3, rows), random.integers(0, 3, rows)
    hardness = 80 + 0.2 * pressure - 0.1 * (melt - 700) + 6 * plant - 4 * alloy + random.normal(0, 2, rows)
    frame = pl.DataFrame({
        "pressure": pressure, "plant": [PLANTS[i] for i in plant], "melt_temperature": melt,
        "alloy": [ALLOYS[i] for i in alloy], "hardness": hardness,
    })  # fmt: skip
    gaps = {name: random.random(rows) < 0.1 for name in ("pressure", "plant", "melt_temperature", "alloy")}
    return frame.with_columns(
        pl.when(pl.Series(gap)).then(None).otherwise(pl.col(name)).alias(name) for name, gap in gaps.items()
    )


def parts() -> pl.DataFrame:
    random = np.random.default_rng(0)
    months = pl.date_range(pl.date(2018, 1, 31), pl.date(2022, 12, 31), "1mo", eager=True).dt.month_end()
    series = [
        pl.DataFrame({
            "part": f"부품 {i}", "month": months,
            "units": random.poisson(10 * (i + 1) * (1.5 + np.sin(np.arange(60) * np.pi / 6))).astype(float),
        })
        for i in range(8)
    ]  # fmt: skip
    return pl.concat(series)


def settings(checkout: Path, experiment: str, overrides: list[str]) -> RunSettings:
    short = ["trainer.max_epochs=2", "trainer.batch_size=64"]
    return settings_from([f"experiment={experiment}", *short, *overrides], checkout=checkout)


def fitted_quality(checkout: Path, overrides: list[str], contract: Contract = CASTING) -> QualityPredictor:
    task = RegressionTask(contract, castings(300), settings(checkout, "concrete", ["split=random", *overrides]))
    fits = {fold.label: task.fit(fold)[0] for fold in task.folds}
    task.calibrate(fits)
    return fits[task.folds[-1].label]


@pytest.fixture(scope="module")
def quality(checkout: Path) -> Callable[[str], tuple[QualityPredictor, bytes]]:
    """A fitted predictor of each kind and its graph, made once."""
    made: dict[str, tuple[QualityPredictor, bytes]] = {}

    def of(kind: str) -> tuple[QualityPredictor, bytes]:
        if kind not in made:
            predictor = fitted_quality(checkout, SMALL[kind])
            made[kind] = predictor, export(predictor, CASTING)
        return made[kind]

    return of


@pytest.fixture(scope="module")
def demand(checkout: Path) -> Callable[[str], tuple[DemandTask, DemandPredictor, bytes]]:
    """A task, a fitted predictor and its graph of each kind, made once."""
    made: dict[str, tuple[DemandTask, DemandPredictor, bytes]] = {}

    def of(kind: str) -> tuple[DemandTask, DemandPredictor, bytes]:
        if kind not in made:
            task = DemandTask(DEMAND, parts(), settings(checkout, "retail_nhits", FORECASTS[kind]))
            predictor = task.fit(task.folds[-1])[0]
            made[kind] = task, predictor, export(predictor, DEMAND, context=30)
        return made[kind]

    return of


def differences(predictor: QualityPredictor, graph: bytes, rows: pl.DataFrame, contract: Contract = CASTING) -> float:
    """Largest difference of both engines as a share of the target's spread; every answer must be finite."""
    arrays = RowCodec(contract).encode(rows).arrays
    found = Model(graph, contract).run(arrays)
    expected = predictor.predict(encode(arrays, contract))
    assert list(found) == list(expected)
    assert all(values.shape == (len(rows),) and np.isfinite(values).all() for values in found.values())
    return max(float(np.abs(found[n] - expected[n]).max()) for n in expected) / float(predictor.scale.spread)


def assert_fit_to_leave(graph: bytes) -> None:
    """Standard operators only, weights inside, old runtimes welcome, nothing of this machine in the bytes."""
    model = onnx.load_from_string(graph)
    onnx.checker.check_model(model, full_check=True)
    used = {op.domain: op.version for op in model.opset_import}
    assert set(used) <= {"", "ai.onnx.ml"}
    assert len(used) == len(model.opset_import)
    assert used[""] <= 20
    assert model.ir_version <= 10
    assert {node.domain for node in model.graph.node} <= set(used)
    assert not model.functions
    assert all(i.data_location == TensorProto.DEFAULT and not i.external_data for i in model.graph.initializer)
    for leak in (b"site-packages", b".py", b"Traceback", b'File "', str(Path(torch.__file__).parents[1]).encode()):
        assert leak not in graph
    assert not re.findall(rb"/(?:work|home|root|usr|tmp|opt|Users)/", graph)
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param


@pytest.mark.parametrize("kind", SMALL)
def test_inputs_are_the_columns_in_contract_order(
    kind: str, quality: Callable[[str], tuple[QualityPredictor, bytes]]
) -> None:
    model = onnx.load_from_string(quality(kind)[1])
    types = {i.name: i.type.tensor_type.elem_type for i in model.graph.input}
    assert list(types) == ["pressure", "plant", "melt_temperature", "alloy"]
    assert list(types.values()) == [TensorProto.FLOAT, TensorProto.STRING, TensorProto.FLOAT, TensorProto.STRING]
    assert [o.name for o in model.graph.output] == ["hardness_predicted", "hardness_lower", "hardness_upper"]
    assert {len(v.type.tensor_type.shape.dim) for v in (*model.graph.input, *model.graph.output)} == {1}
    labels = {p.key: p.value for p in model.metadata_props}
    assert labels["dxai.contract"] == "casting-hardness 2.0.0"
    assert "경도" in labels["dxai.columns"] and "MPa" in labels["dxai.columns"]


@pytest.mark.parametrize("kind", SMALL)
def test_quality_graph_is_fit_to_leave_the_house(
    kind: str, quality: Callable[[str], tuple[QualityPredictor, bytes]]
) -> None:
    assert_fit_to_leave(quality(kind)[1])


@pytest.mark.parametrize("kind", FORECASTS)
def test_demand_graph_is_fit_to_leave_the_house(
    kind: str, demand: Callable[[str], tuple[DemandTask, DemandPredictor, bytes]]
) -> None:
    graph = demand(kind)[2]
    assert_fit_to_leave(graph)
    model = onnx.load_from_string(graph)
    types = {i.name: i.type.tensor_type.elem_type for i in model.graph.input}
    assert types == {"history": TensorProto.FLOAT, "last_day": TensorProto.INT64}
    assert [o.name for o in model.graph.output] == ["quantiles", "mean", "lower", "upper"]
    assert model.graph.input[0].type.tensor_type.shape.dim[1].dim_param


@pytest.mark.parametrize("rows", [1, 3, 1000])
@pytest.mark.parametrize("kind", SMALL)
def test_graph_repeats_torch_on_batches_of_any_size(
    kind: str, rows: int, quality: Callable[[str], tuple[QualityPredictor, bytes]]
) -> None:
    predictor, graph = quality(kind)
    assert differences(predictor, graph, castings(rows, seed=7)) < TOLERANCE


@pytest.mark.parametrize("kind", SMALL)
def test_graph_repeats_torch_on_missing_and_unseen_values(
    kind: str, quality: Callable[[str], tuple[QualityPredictor, bytes]]
) -> None:
    predictor, graph = quality(kind)
    rows = castings(20, seed=8)
    for name in ("pressure", "plant", "melt_temperature", "alloy"):
        assert differences(predictor, graph, rows.with_columns(pl.lit(None, rows.schema[name]).alias(name))) < TOLERANCE
    empty = rows.with_columns(pl.lit(None, rows.schema[c.name]).alias(c.name) for c in CASTING.features)
    assert differences(predictor, graph, empty) < TOLERANCE
    for text in ("", "서울", "부산 ", "ulsan", "강철 A;", "x" * 5000, "\U0001f600"):
        unseen = rows.with_columns(pl.lit(text).alias("plant"), pl.lit(text).alias("alloy"))
        assert differences(predictor, graph, unseen) < TOLERANCE
    extreme = rows.with_columns(pl.lit(1e9).alias("pressure"), pl.lit(-1e9).alias("melt_temperature"))
    arrays = RowCodec(CASTING).encode(extreme).arrays
    assert all(np.isfinite(values).all() for values in Model(graph, CASTING).run(arrays).values())


@pytest.mark.parametrize("kind", SMALL)
def test_a_row_alone_is_answered_as_among_others(
    kind: str, quality: Callable[[str], tuple[QualityPredictor, bytes]]
) -> None:
    model, rows = Model(quality(kind)[1], CASTING), castings(200, seed=6)
    together = model.predict(rows)
    alone = pl.concat([model.predict(rows[i]) for i in range(len(rows))])
    for name in together.columns:
        np.testing.assert_allclose(alone[name], together[name], rtol=1e-5, atol=1e-5 * float(together[name].std()))


@pytest.mark.parametrize("kind", FORECASTS)
def test_a_series_alone_is_forecast_as_among_others(
    kind: str, demand: Callable[[str], tuple[DemandTask, DemandPredictor, bytes]]
) -> None:
    task, _, graph = demand(kind)
    model, panel = Model(graph, DEMAND, context=30), task.panel
    together = model.answer(SeriesCodec(DEMAND, 30).encode_panel(panel))
    alone = [
        model.answer(
            SeriesCodec(DEMAND, 30).encode_panel(
                Panel(panel.ids[i : i + 1], panel.values[i : i + 1], panel.last[i : i + 1])
            )
        )
        for i in range(len(panel.ids))
    ]
    for name in together.columns[2:]:
        np.testing.assert_allclose(pl.concat(alone)[name], together[name], rtol=1e-5, atol=1e-4)


def test_missing_none_and_unseen_text_are_one_and_the_same(
    quality: Callable[[str], tuple[QualityPredictor, bytes]],
) -> None:
    model = Model(quality("tabm")[1], CASTING)
    inputs: dict[str, NDArray[np.generic]] = {
        "pressure": np.full(4, 50, np.float32), "melt_temperature": np.full(4, 700, np.float32),
        "plant": np.array(["", None, "서울", "부산"], dtype=object), "alloy": np.full(4, ALLOYS[0], dtype=object),
    }  # fmt: skip
    answer = model.run(inputs)["hardness_predicted"]
    assert answer[0] == answer[1] == answer[2] != answer[3]


def test_every_known_text_has_its_own_answer(quality: Callable[[str], tuple[QualityPredictor, bytes]]) -> None:
    predictor, graph = quality("linear")
    rows = pl.DataFrame({"plant": PLANTS}).join(pl.DataFrame({"alloy": ALLOYS}), how="cross")
    rows = rows.with_columns(pl.lit(50.0).alias("pressure"), pl.lit(700.0).alias("melt_temperature"))
    assert differences(predictor, graph, rows) < TOLERANCE
    assert len(set(Model(graph, CASTING).predict(rows)["hardness_predicted"])) == 9


@pytest.mark.parametrize("kind", SMALL)
def test_the_same_predictor_gives_the_same_bytes_from_any_folder(
    kind: str,
    quality: Callable[[str], tuple[QualityPredictor, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor, graph = quality(kind)
    monkeypatch.chdir(tmp_path)
    assert export(predictor, CASTING) == graph


@pytest.mark.parametrize("kind", ["nhits", "dlinear seasonal"])
def test_the_same_forecaster_gives_the_same_bytes_from_any_folder(
    kind: str,
    demand: Callable[[str], tuple[DemandTask, DemandPredictor, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, predictor, graph = demand(kind)
    monkeypatch.chdir(tmp_path)
    assert export(predictor, DEMAND, context=30) == graph


@pytest.mark.parametrize("only", ["number", "category"])
def test_one_kind_of_column_is_enough(only: str, checkout: Path) -> None:
    contract = casting_contract(only)
    predictor = fitted_quality(checkout, SMALL["tabm"], contract)
    graph = export(predictor, contract)
    assert_fit_to_leave(graph)
    rows = castings(50, seed=9)
    assert differences(predictor, graph, rows, contract) < TOLERANCE
    parity = proven(predictor, row_cases(rows, contract), Model(graph, contract))
    assert parity.worst <= TOLERANCE


@pytest.mark.parametrize("taken", ["stack", "where", "plant_number", "batch"])
def test_a_column_may_have_any_name_that_the_contract_lets_it_have(taken: str, checkout: Path) -> None:
    """Names of the graph's own values must give way: a firm's column may well be called `stack` or `plant_number`."""
    columns = tuple(c.model_copy(update={"name": taken}) if c.name == "pressure" else c for c in CASTING.columns)
    contract = Contract.model_validate({**CASTING.model_dump(), "columns": columns})
    rows = castings(300).rename({"pressure": taken})
    task = RegressionTask(contract, rows, settings(checkout, "concrete", ["model=linear", "split=random"]))
    predictor = task.predictor().eval()
    graph = export(predictor, contract)
    assert [i.name for i in onnx.load_from_string(graph).graph.input] == [taken, "plant", "melt_temperature", "alloy"]
    assert differences(predictor, graph, rows.head(20), contract) < TOLERANCE


@pytest.mark.parametrize("kind", SMALL)
def test_parity_covers_awkward_rows(kind: str, quality: Callable[[str], tuple[QualityPredictor, bytes]]) -> None:
    predictor, graph = quality(kind)
    parity = proven(predictor, row_cases(castings(40, seed=3), CASTING), Model(graph, CASTING))
    assert parity.worst <= TOLERANCE
    assert parity.scale == float(predictor.scale.spread)
    assert {"held-out rows", "1 row", "missing values", "unseen categories"} <= set(parity.cases)


def test_a_graph_of_another_predictor_is_refused(quality: Callable[[str], tuple[QualityPredictor, bytes]]) -> None:
    predictor, other = quality("mlp")[0], quality("linear")[1]
    with pytest.raises(ModelError) as caught:
        proven(predictor, row_cases(castings(40, seed=3), CASTING), Model(other, CASTING))
    assert caught.value.exit_code == 7
    assert "does not repeat the trained model" in caught.value.problem
    assert "held-out rows" in caught.value.problem and "0.0001 is allowed" in caught.value.problem
    assert caught.value.where == "export"
    assert "Nothing was released" in caught.value.fix


def test_a_graph_that_differs_in_one_weight_is_refused(
    quality: Callable[[str], tuple[QualityPredictor, bytes]],
) -> None:
    predictor, graph = quality("linear")
    reach = predictor.reach.clone()
    predictor.reach = reach * 1.01
    try:
        with pytest.raises(ModelError, match="does not repeat"):
            proven(predictor, row_cases(castings(40, seed=3), CASTING), Model(graph, CASTING))
    finally:
        predictor.reach = reach


@pytest.mark.parametrize("steps", [1, 12, 29, 30, 31, 90])
@pytest.mark.parametrize("kind", FORECASTS)
def test_demand_graph_repeats_torch_on_histories_of_any_length(
    kind: str, steps: int, demand: Callable[[str], tuple[DemandTask, DemandPredictor, bytes]]
) -> None:
    task, predictor, graph = demand(kind)
    random = np.random.default_rng(steps)
    for series in (1, 3, 50):
        history = random.gamma(1.0, 40.0, (series, steps)).astype(np.float32)
        history[random.random(history.shape) < 0.2] = np.nan
        days = random.integers(14_000, 21_000, series)
        found = Model(graph, DEMAND, context=30).run({"history": history, "last_day": days})
        expected = predictor.answer({"history": history, "last_day": days})
        assert found["quantiles"].shape == (series, DEMAND.horizon, 9)
        for name, values in expected.items():
            assert np.isfinite(found[name]).all()
            assert np.abs(found[name] - values).max() / float(np.nanstd(task.panel.values)) < TOLERANCE


@pytest.mark.parametrize("kind", FORECASTS)
def test_demand_parity_covers_awkward_histories(
    kind: str, demand: Callable[[str], tuple[DemandTask, DemandPredictor, bytes]]
) -> None:
    task, predictor, graph = demand(kind)
    parity = proven(
        predictor, history_cases(task.panel, SeriesCodec(task.contract, 30)), Model(graph, DEMAND, context=30)
    )
    assert parity.worst <= TOLERANCE
    assert {"longer than the context", "shorter than the context", "gaps", "all zero"} <= set(parity.cases)


def test_a_graph_of_another_forecaster_is_refused(
    demand: Callable[[str], tuple[DemandTask, DemandPredictor, bytes]],
) -> None:
    task, predictor, _ = demand("nhits")
    other = demand("dlinear")[2]
    with pytest.raises(ModelError) as caught:
        proven(predictor, history_cases(task.panel, SeriesCodec(task.contract, 30)), Model(other, DEMAND, context=30))
    assert caught.value.exit_code == 7
    assert "real histories" in caught.value.problem
    assert "Nothing was released" in caught.value.fix


def test_bytes_that_are_no_graph_are_refused() -> None:
    with pytest.raises(ModelError) as caught:
        Model(b"no graph at all", CASTING, where="bundle/model.onnx")
    assert caught.value.exit_code == 7
    assert "ONNX Runtime refuses the graph" in caught.value.problem
    assert caught.value.where == "bundle/model.onnx"
