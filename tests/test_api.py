"""`dxai.load` gives a Python user a verified model that answers as `dxai predict` does, in the tables they use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import numpy as np
import pandas as pd
import polars as pl
import pytest
from conftest import MakeBundle
from polars.testing import assert_frame_equal

import dxai
from dxai import LoadedModel, load
from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import SIGNATURE, Manifest, write_manifest
from dxai.bundle.signing import read_public_key, sign
from dxai.catalog.ceremony import make_keys
from dxai.catalog.keys import KeyRing
from dxai.data.output import write_table
from dxai.data.tables import read_blocks
from dxai.errors import DataError, IntegrityError, ModelError, NotFoundError, TrustError
from dxai.inference.predict import PROBLEM, Counts, Prediction

pytestmark = pytest.mark.process

BOUNDS = ["hardness_predicted", "hardness_lower", "hardness_upper"]
ROWS: dict[str, list[Any]] = {
    "pressure": [20.5, 100.0, 60.0, 40.0], "melt": [700.0, None, 690.0, 710.0],
    "plant": ["부산", "창원", None, "Ulsan"], "id": ["a", "b", "c", "d"],
}  # fmt: skip
ANSWERS = [84.1, 106.0, 93.0, 99.0]


@pytest.fixture(scope="module")
def folder(make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("api") / "casting-hardness")


@pytest.fixture(scope="module")
def model(folder: Path) -> LoadedModel:
    return load(folder, unsigned=True)


@pytest.fixture(scope="module")
def demand(make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load(make_bundle(tmp_path_factory.mktemp("api") / "parts", task="demand", name="spare-parts"), unsigned=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DXAI_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def signed(folder: Path, target: Path, keys: Path) -> Path:
    """A copy of a bundle, signed by the bundle key of a new ring of keys."""
    shutil.copytree(folder, target)
    make_keys(keys)
    ring = KeyRing(keys)
    bundle = Bundle.open(target)
    key = ring.bundle_key(set(read_public_key(keys / "bundle.pub")))
    (target / SIGNATURE).write_bytes(sign(bundle, key))
    return target


def test_loaded_model_says_what_it_is(model: LoadedModel) -> None:
    assert (model.name, model.version) == ("casting-hardness", "1.0.0")
    assert model.contract.target.unit == "{HV}"
    assert [c.name for c in model.contract.features] == ["pressure", "melt", "plant"]
    assert isinstance(model, LoadedModel)
    assert set(dxai.__all__) == {"LoadedModel", "__version__", "forecast", "load"}
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = dxai.lod  # type: ignore[attr-defined]


def test_polars_frame_comes_back_with_its_columns_types_and_answers(model: LoadedModel) -> None:
    rows = pl.DataFrame(ROWS).with_columns(day=pl.lit(date(2024, 1, 31)))
    answer = model.predict(rows)
    assert isinstance(answer, pl.DataFrame)
    assert_frame_equal(answer.select(rows.columns), rows)
    assert answer.columns == [*rows.columns, *BOUNDS]
    np.testing.assert_allclose(answer["hardness_predicted"], ANSWERS, rtol=1e-5)
    assert model.counts == Counts(read=4, written=4, imputed=2)


def test_answers_are_those_of_the_command_line(model: LoadedModel, tmp_path: Path) -> None:
    pl.DataFrame(ROWS).write_csv(tmp_path / "rows.csv")
    write_table(Prediction(model.model).blocks(read_blocks(tmp_path / "rows.csv")), tmp_path / "out.csv")
    expected = pl.read_csv(tmp_path / "out.csv")
    np.testing.assert_allclose(model.predict(pl.DataFrame(ROWS)).select(BOUNDS), expected.select(BOUNDS), rtol=1e-6)


def pandas_rows(index: Any) -> pd.DataFrame:
    return pd.DataFrame({**ROWS, "melt": [700.0, np.nan, 690.0, 710.0]}, index=index)


@pytest.mark.parametrize(
    "index",
    [[10, 20, 30, 40], list("wxyz"), [1, 1, 1, 1], pd.date_range("2024-01-01", periods=4),
     pd.MultiIndex.from_product([["a", "b"], [1, 2]]), None],
    ids=["numbers", "texts", "repeated", "dates", "two levels", "none"],
)  # fmt: skip
def test_pandas_frame_keeps_its_index_columns_and_types(model: LoadedModel, index: Any) -> None:
    rows = pandas_rows(index).astype({"id": "category"})
    rows["count"] = np.array([1, 2, 3, 4], dtype=np.int16)
    rows["day"] = pd.Timestamp("2024-01-31 08:30", tz="Asia/Seoul")
    before = rows.copy()
    answer = model.predict(rows)
    assert isinstance(answer, pd.DataFrame)
    pd.testing.assert_frame_equal(answer[rows.columns], before)
    pd.testing.assert_frame_equal(rows, before)
    assert list(answer.columns) == [*rows.columns, *BOUNDS]
    np.testing.assert_allclose(answer["hardness_predicted"], ANSWERS, rtol=1e-5)


@pytest.mark.parametrize(
    "types",
    [
        {"pressure": "Float64", "melt": "Float64"}, {"pressure": "float32"}, {"plant": "string"}, {"plant": "category"},
        {"pressure": object, "melt": object}, {"pressure": "int64"}, {"pressure": "Int64"},
    ],
    ids=["nullable", "float32", "string", "category", "objects", "integers", "nullable integers"],
)  # fmt: skip
def test_pandas_types_of_the_same_values_give_the_same_answers(model: LoadedModel, types: dict[str, Any]) -> None:
    rows = pandas_rows(None)
    if {"int64", "Int64"} & set(map(str, types.values())):
        rows["pressure"] = [20, 100, 60, 40]
    answer = model.predict(rows.astype(types))
    expected = model.predict(rows)
    pd.testing.assert_frame_equal(answer[BOUNDS], expected[BOUNDS])


def test_rows_that_are_left_out_take_their_place_in_the_index_with_them(model: LoadedModel) -> None:
    rows = pandas_rows([10, 20, 30, 40])
    rows.loc[20, "pressure"] = 900.0
    answer = model.predict(rows, on_bad_rows="skip")
    assert list(answer["id"]) == ["a", "c", "d"]
    np.testing.assert_allclose(answer["hardness_predicted"], [ANSWERS[0], *ANSWERS[2:]], rtol=1e-5)
    assert model.counts.bad == 1


def test_mapping_of_arrays_comes_back_as_one(model: LoadedModel) -> None:
    rows = {"pressure": np.array([20.5, 100, 60, 40]), "melt": [700.0, np.nan, 690.0, 710.0],
            "plant": np.array(["부산", "창원", None, "Ulsan"], dtype=object)}  # fmt: skip
    answer = model.predict(rows)
    assert list(answer) == [*rows, *BOUNDS]
    assert all(isinstance(values, np.ndarray) for values in answer.values())
    np.testing.assert_allclose(answer["hardness_predicted"], ANSWERS, rtol=1e-5)
    assert answer["hardness_predicted"].dtype == np.float32


@pytest.mark.parametrize("gap", [None, float("nan"), np.nan, pd.NA, np.float32("nan")], ids=str)
def test_every_kind_of_gap_is_a_gap(model: LoadedModel, gap: Any) -> None:
    expected = model.predict({"pressure": [60.0], "melt": [None], "plant": [None]})
    answer = model.predict({"pressure": [60.0], "melt": [gap], "plant": [gap]})
    assert answer["hardness_predicted"] == expected["hardness_predicted"]
    assert model.counts.imputed == 1


def test_columns_go_by_titles(model: LoadedModel) -> None:
    rows = pl.DataFrame({"금형 압력 (MPa)": [60.0], "Melt temperature": [700.0], "공장": ["창원"]})
    np.testing.assert_allclose(model.predict(rows)["hardness_predicted"], [98.0], rtol=1e-6)


def test_numbers_as_text_are_read_as_a_file_is(model: LoadedModel) -> None:
    answer = model.predict({"pressure": ["60", " 60.0 "], "melt": ["", "700"], "plant": ["창원", " 창원"]})
    np.testing.assert_allclose(answer["hardness_predicted"], [98.0, 98.0], rtol=1e-6)


def test_bad_rows_are_told_together_left_out_or_kept(model: LoadedModel) -> None:
    rows = pl.DataFrame({**ROWS, "pressure": [20.5, 900.0, None, 40.0]})
    with pytest.raises(DataError) as caught:
        model.predict(rows)
    assert caught.value.exit_code == 6
    assert caught.value.problem.startswith("2 problems:")
    assert "900.0" in caught.value.problem
    assert model.predict(rows, on_bad_rows="skip")["id"].to_list() == ["a", "d"]
    kept = model.predict(rows, on_bad_rows="flag")
    assert kept["hardness_predicted"].is_null().to_list() == [False, True, True, False]
    assert kept[PROBLEM].is_null().to_list() == [True, False, False, True]
    assert model.counts == Counts(read=4, written=4, bad=2)


@pytest.mark.parametrize(
    "rows", [5, "rows.csv", [[1, 2]], None, np.zeros((2, 3))], ids=["int", "path", "list", "none", "array"]
)
def test_what_is_no_table_is_a_type_error(model: LoadedModel, rows: Any) -> None:
    with pytest.raises(TypeError, match="polars or pandas frame or a mapping"):
        model.predict(rows)


def test_table_without_rows_gives_a_table_without_rows(model: LoadedModel) -> None:
    empty = pl.DataFrame(ROWS).clear()
    assert model.predict(empty).columns == [*empty.columns, *BOUNDS]
    assert len(model.predict(empty)) == 0
    assert len(model.predict(pandas_rows(None).iloc[:0])) == 0


def test_missing_column_is_told(model: LoadedModel) -> None:
    with pytest.raises(DataError, match=r"'pressure' .*is missing"):
        model.predict({"melt": [1.0], "plant": ["부산"]})


def test_many_rows_are_one_answer(model: LoadedModel) -> None:
    rows = pl.DataFrame({"pressure": np.linspace(0, 200, 120_000), "melt": 700.0, "plant": "부산"})
    np.testing.assert_allclose(model.predict(rows)["hardness_predicted"], 80 + 0.2 * rows["pressure"], rtol=1e-5)


MONTHS = [date(2021, month, day) for month, day in ((8, 31), (9, 30), (10, 31), (11, 30), (12, 31))]


@pytest.mark.parametrize("kind", ["polars", "pandas", "pandas times", "mapping"])
def test_long_demand_table_gives_the_next_steps(demand: LoadedModel, kind: str) -> None:
    history: dict[str, Any] = {
        "part": ["나"] * 5 + ["가"] * 5, "month": MONTHS * 2, "units": [2, 2, 2, 2, 2, 1, 2, 3, 4, 5],
        "shop": ["서울"] * 10,
    }  # fmt: skip
    rows: Any = history
    if kind == "polars":
        rows = pl.DataFrame(history)
    elif kind.startswith("pandas"):
        rows = pd.DataFrame(history)
        if kind == "pandas times":
            rows["month"] = pd.to_datetime(rows["month"])
    answer = demand.predict(rows)
    assert type(answer) is type(rows)
    assert list(answer["part"]) == ["가"] * 3 + ["나"] * 3
    np.testing.assert_allclose(answer["units_mean"], [3.0] * 3 + [2.0] * 3)
    months = [str(np.datetime64(month, "D")) if kind != "polars" else str(month) for month in answer["month"]]
    assert months == ["2022-01-31", "2022-02-28", "2022-03-31"] * 2
    assert set(answer["shop"]) == {"서울"}
    assert demand.counts == Counts(read=10, written=6)


def test_demand_answer_of_a_pandas_frame_of_as_many_rows_is_no_history(demand: LoadedModel) -> None:
    """Six rows in, six rows out: the answer must not be laid beside the histories."""
    months = [date(2021, 7, 31), *MONTHS]
    rows = pd.DataFrame({"part": ["가"] * 6, "month": months, "units": [1.0] * 6})
    two = pd.concat([rows, rows.assign(part="나")]).iloc[:12]
    answer = demand.predict(two)
    assert len(answer) == 6
    assert str(np.datetime64(answer["month"].iloc[0], "D")) == "2022-01-31"


def test_unsigned_bundle_needs_that_word(folder: Path) -> None:
    with pytest.raises(IntegrityError, match="not signed") as caught:
        load(folder)
    assert caught.value.exit_code == 4


def test_signed_bundle_needs_its_key(folder: Path, tmp_path: Path, home: Path) -> None:
    copy = signed(folder, tmp_path / "copy", tmp_path / "keys")
    for unsigned in (False, True):
        with pytest.raises(TrustError, match="not trusted here") as caught:
            load(copy, unsigned=unsigned)
        assert caught.value.exit_code == 5
    assert load(copy, key=tmp_path / "keys/bundle.pub").name == "casting-hardness"
    make_keys(tmp_path / "others")
    with pytest.raises(TrustError):
        load(copy, key=tmp_path / "others/bundle.pub")


def test_key_does_not_help_an_unsigned_bundle(folder: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "keys")
    with pytest.raises(IntegrityError, match="not signed"):
        load(folder, key=tmp_path / "keys/bundle.pub")


def test_key_that_must_have_signed_is_not_passed_over_by_unsigned(folder: Path, tmp_path: Path) -> None:
    """Whoever names a key wants it held against the bundle, whatever else is said."""
    make_keys(tmp_path / "keys")
    with pytest.raises((IntegrityError, TrustError)):
        load(folder, key=tmp_path / "keys/bundle.pub", unsigned=True)


def test_pulled_model_is_loaded_by_its_name(catalog_folder: Path, home: Path) -> None:
    from dxai.catalog.client import Client
    from dxai.catalog.pull import Watcher, pull
    from dxai.catalog.source import FolderSource
    from dxai.catalog.store import Store

    store, source = Store(), FolderSource(catalog_folder)
    client = Client(store.catalog_folder(source.place), source, (catalog_folder.parent / "keys/root.json").read_bytes())
    pull(client, store, client.refresh().find("casting-hardness", None, where=""), Watcher(lambda *_: True))
    for word in ("casting-hardness", "casting-hardness@1.0.0"):
        assert load(word).predict({"pressure": [60.0], "melt": [700.0], "plant": ["창원"]})["hardness_predicted"] > 90
    with pytest.raises(NotFoundError, match="not on this machine"):
        load("casting-hardnes")


def test_second_load_does_not_try_the_graph_again(folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(folder, unsigned=True)
    assert len(list((home / "checked").iterdir())) == 1

    def fail(*_: object) -> None:
        raise AssertionError("the graph was tried again")

    monkeypatch.setattr("dxai.inference.loader.rehearse", fail)
    load(folder, unsigned=True)


def test_graph_that_does_not_repeat_its_golden_rows_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    outputs = (copy / "golden/outputs.csv").read_text("utf-8")
    (copy / "golden/outputs.csv").write_text(outputs.replace("86.0", "87.0", 1), "utf-8")
    manifest = Bundle.open(folder).manifest
    (copy / "manifest.json").unlink()
    write_manifest(copy, Manifest.model_validate({**manifest.model_dump(), "files": {}}))
    with pytest.raises(ModelError, match="differ from the golden ones") as caught:
        load(copy, unsigned=True)
    assert caught.value.exit_code == 7


def test_load_imports_no_training_package_and_pandas_only_for_those_who_have_it(folder: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from dxai import load\n"
        "model = load(sys.argv[1], unsigned=True)\n"
        "model.predict({'pressure': [60.0], 'melt': [700.0], 'plant': ['창원']})\n"
        "import polars as pl; model.predict(pl.DataFrame({'pressure': [60.0], 'melt': [700.0], 'plant': ['창원']}))\n"
        "names = {'torch', 'lightning', 'hydra', 'omegaconf', 'mlflow', 'dvc', 'onnx', 'pandas', 'pyarrow'}\n"
        "print(sorted(names & set(sys.modules)))\n"
    )
    environment = os.environ | {"DXAI_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", program, str(folder)], env=environment, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_import_of_dxai_alone_imports_nothing_heavy() -> None:
    program = (
        "import sys, dxai; print(sorted({'numpy', 'polars', 'onnxruntime', 'pydantic', 'tuf'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_answer_is_typed_as_the_rows_are() -> None:
    """For the user's own type checker: one type variable in and out, and the mark of PEP 561."""
    hints = get_type_hints(LoadedModel.predict)
    assert hints["rows"] is hints["return"]
    assert isinstance(hints["return"], TypeVar)
    assert get_type_hints(load)["return"] is LoadedModel
    assert (Path(dxai.__file__).parent / "py.typed").is_file()


def test_time_stamps_of_the_firm_come_back_as_they_are(model: LoadedModel) -> None:
    stamps = [datetime(2024, 1, 31, 8, 30), datetime(2024, 1, 31)]
    rows = pl.DataFrame({"pressure": [60.0, 60.0], "melt": [700.0] * 2, "plant": ["창원"] * 2, "at": stamps})
    assert model.predict(rows)["at"].to_list() == stamps
