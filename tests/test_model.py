"""One graph in ONNX Runtime: arrays in, named arrays out, a row alone answered as among others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from conftest import MakeBundle

from dxai.bundle.folder import Bundle
from dxai.data.batch import RowCodec
from dxai.data.checks import cast
from dxai.errors import ModelError
from dxai.inference.model import Model

BOUNDS = ["hardness_predicted", "hardness_lower", "hardness_upper"]


def model_in(folder: Path) -> Model:
    bundle = Bundle.open(folder)
    return Model(bundle.read("model.onnx"), bundle.contract, context=bundle.manifest.context)


@pytest.fixture(scope="module")
def quality(make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model_in(make_bundle(tmp_path_factory.mktemp("quality") / "b"))


@pytest.fixture(scope="module")
def demand(make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model_in(make_bundle(tmp_path_factory.mktemp("demand") / "b", task="demand", name="spare-parts"))


def castings(rows: int) -> pl.DataFrame:
    """Typed rows; every seventh temperature and every fifth plant is missing, some plants are unknown."""
    random = np.random.default_rng(0)
    plants = np.array(["부산", "창원", "Ulsan", "서울", None], dtype=object)[np.arange(rows) % 5]
    melt = pl.Series(random.uniform(650, 750, rows)).set(pl.arange(0, rows, eager=True) % 7 == 3, None)
    plant = pl.Series(plants.tolist(), dtype=pl.String)
    return pl.DataFrame({"pressure": random.uniform(0, 200, rows), "melt": melt, "plant": plant})


def test_rows_get_the_answers_that_the_graph_stands_for(quality: Model) -> None:
    frame = castings(1000)
    answer = quality.predict(frame)
    effect = frame["plant"].replace_strict({"창원": 6.0, "Ulsan": 12.0}, default=0.0, return_dtype=pl.Float64)
    expected = 80 + 0.2 * frame["pressure"] - 0.1 * (frame["melt"].fill_null(700.0) - 700) + effect
    assert answer.columns == BOUNDS
    np.testing.assert_allclose(answer["hardness_predicted"], expected, rtol=1e-5)
    np.testing.assert_allclose(answer["hardness_lower"], expected - 5, rtol=1e-5)
    np.testing.assert_allclose(answer["hardness_upper"], expected + 5, rtol=1e-5)


def test_a_row_alone_is_answered_as_among_others(quality: Model) -> None:
    frame = castings(50)
    alone = pl.concat([quality.predict(frame[i]) for i in range(len(frame))])
    assert alone.equals(quality.predict(frame))


@pytest.mark.parametrize("rows", [0, 1, 1023, 1024, 1025, 10_000])
def test_slices_of_the_rows_do_not_show_in_the_answer(quality: Model, rows: int) -> None:
    frame = castings(rows)
    whole = quality.run(RowCodec(quality.contract).encode(frame).arrays) if rows else {}
    answer = quality.predict(frame)
    assert answer.schema == pl.Schema(dict.fromkeys(BOUNDS, pl.Float32))
    assert len(answer) == rows
    for name, values in whole.items():
        np.testing.assert_array_equal(answer[name], values)


def test_forecast_has_a_dated_row_per_series_and_step(demand: Model) -> None:
    months = pl.date_range(pl.date(2021, 8, 31), pl.date(2022, 1, 31), "1mo", eager=True).dt.month_end()
    rows = pl.DataFrame({"part": ["나"] * 6 + ["가"] * 6, "month": [*months] * 2, "units": [2.0] * 6 + [4.0, 8.0] * 3})
    forecast = demand.predict(rows)
    levels = [f"units_q{level}" for level in range(10, 100, 10)]
    assert forecast.columns == ["part", "month", "units_mean", "units_lower", "units_upper", *levels]
    assert forecast["part"].to_list() == ["가"] * 3 + ["나"] * 3
    assert forecast["month"].cast(pl.String).to_list() == ["2022-02-28", "2022-03-31", "2022-04-30"] * 2
    np.testing.assert_allclose(forecast["units_mean"], [6.0] * 3 + [2.0] * 3)
    np.testing.assert_allclose(forecast["units_q10"], [3.6] * 3 + [1.2] * 3, rtol=1e-6)
    np.testing.assert_allclose(forecast["units_q90"], [8.4] * 3 + [2.8] * 3, rtol=1e-6)


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x0a"])
def test_bytes_that_are_no_graph_are_refused(quality: Model, content: bytes) -> None:
    with pytest.raises(ModelError, match="ONNX Runtime refuses the graph") as caught:
        Model(content, quality.contract, where="b/model.onnx")
    assert caught.value.exit_code == 7
    assert caught.value.where == "b/model.onnx"
    assert "\n" not in caught.value.problem


def test_golden_rows_give_the_golden_outputs(quality: Model, make_bundle: MakeBundle, tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "b")
    rows, _ = cast(pl.read_csv(folder / "golden/rows.csv", infer_schema=False), quality.contract)
    golden = pl.read_csv(folder / "golden/outputs.csv").select(BOUNDS)
    np.testing.assert_allclose(quality.predict(rows), golden, rtol=1e-6)
