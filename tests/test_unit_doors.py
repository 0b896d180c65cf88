"""Rows in another unit than the contract's are refused, or converted on request, at every door."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from conftest import MakeBundle

from dxai.api import LoadedModel
from dxai.bundle.folder import Bundle
from dxai.cli.main import cli
from dxai.config.settings import OwnData
from dxai.data.table import prepared_table
from dxai.errors import DataError
from dxai.inference.fit.check import check_table
from dxai.inference.model import Model
from dxai.inference.predict import Prediction
from dxai.serve.refusal import Refusal
from dxai.serve.served import ServedModel
from dxai.serve.table import predict_table

ROWS = pl.DataFrame({
    "pressure (MPa)": [20.0, 35.5, 90.0], "melt (℃)": [690.0, 700.0, 712.5], "plant": ["부산", "창원", "Ulsan"],
    "hardness": [85.0, 93.1, 108.8],
})  # fmt: skip
FOREIGN = ROWS.select(
    (pl.col("pressure (MPa)") * 10).alias("pressure (bar)"), (pl.col("melt (℃)") * 1.8 + 32).alias("melt (℉)"),
    "plant", "hardness",
)  # fmt: skip
"""The same rows as a plant with other gauges writes them; the pressures would pass for MPa."""
ANSWERS = ["hardness_predicted", "hardness_lower", "hardness_upper"]


@pytest.fixture(scope="module")
def bundle(make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.open(make_bundle(tmp_path_factory.mktemp("units") / "b"))


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> Model:
    return Model(bundle.read("model.onnx"), bundle.contract)


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    """The contract, and the foreign rows as a file."""
    (tmp_path / "contract.yaml").write_bytes(bundle.read("contract.yaml"))
    FOREIGN.write_csv(tmp_path / "rows.csv")
    return tmp_path


def told(caught: pytest.ExceptionInfo[DataError]) -> str:
    message = caught.value.message()
    assert "'pressure (bar)' is in bar, however the contract says MPa" in message
    assert "'melt (℉)' is in [degF], however the contract says Cel" in message
    return message


def dxai(*words: str | Path) -> str:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def test_prediction_refuses_and_names_the_option(bundle: Bundle, model: Model) -> None:
    with pytest.raises(DataError) as caught:
        list(Prediction(model, bundle.profile).blocks([FOREIGN.drop("hardness")]))
    assert "--convert-units" in told(caught)


def test_converted_rows_get_the_same_predictions(bundle: Bundle, model: Model) -> None:
    expected = pl.concat(Prediction(model, bundle.profile).blocks([ROWS]))
    prediction = Prediction(model, bundle.profile, convert_units=True)
    answer = pl.concat(prediction.blocks([FOREIGN]))
    for name in ANSWERS:
        assert answer[name].to_list() == pytest.approx(expected[name].to_list(), rel=1e-6)
    assert answer["melt (℉)"].to_list() == FOREIGN["melt (℉)"].to_list()  # own columns stay as they came
    assert (prediction.counts.converted, prediction.counts.outside) == (2, 0)


def test_loaded_model_converts_on_request(bundle: Bundle, model: Model) -> None:
    loaded = LoadedModel(bundle, model)
    with pytest.raises(DataError, match="convert_units=True"):
        loaded.predict(FOREIGN)
    assert loaded.predict(FOREIGN, convert_units=True)[ANSWERS[0]].to_list() == pytest.approx([85, 93.1, 108.75])


def test_check_refuses_and_scores_converted_rows(bundle: Bundle, model: Model) -> None:
    with pytest.raises(DataError) as caught:
        check_table(bundle, model, [FOREIGN], where="rows.csv")
    assert "--convert-units" in told(caught)
    own = check_table(bundle, model, [ROWS], where="rows.csv")
    other = check_table(bundle, model, [FOREIGN], where="rows.csv", convert_units=True)
    assert (other.verdict, other.outside) == (own.verdict, own.outside)


def test_server_refuses_and_converts_on_request(bundle: Bundle, model: Model) -> None:
    served, body = ServedModel(bundle, model), FOREIGN.write_csv().encode()
    with pytest.raises(Refusal) as caught:
        predict_table(served, body, "stop", 100, convert_units=False, carry_forward=False, as_json=False)
    assert (caught.value.status, "convert_units=true" in str(caught.value.problem)) == (422, True)
    answer = predict_table(served, body, "stop", 100, convert_units=True, carry_forward=False, as_json=False)
    assert answer.headers["x-dxai-columns-converted"] == "2"
    assert pl.read_csv(answer.body)[ANSWERS[0]].to_list() == pytest.approx([85, 93.1, 108.75])


def test_convert_converts_and_logs(folder: Path) -> None:
    output = dxai("data", "convert", folder / "rows.csv", "-c", folder / "contract.yaml", "-o", folder / "table.csv")
    assert "melt: " in output and "[degF]" in output and "Cel" in output
    table = pl.read_csv(folder / "table.csv")
    assert table["melt"].to_list() == pytest.approx([690.0, 700.0, 712.5])
    assert table["pressure"].to_list() == pytest.approx([20.0, 35.5, 90.0])


def test_mapping_that_takes_a_column_in_another_unit_is_refused(folder: Path) -> None:
    (folder / "mapping.yaml").write_text(
        "contract: casting-hardness\ncolumns:\n  pressure: {from: pressure (bar), unit: bar}\n"
        "  melt: {from: melt (℉)}\n  plant: {from: plant}\n  hardness: {from: hardness}\n",
        "utf-8",
    )
    words = ["data", "convert", "rows.csv", "-c", "contract.yaml", "-m", "mapping.yaml", "-o", "table.csv"]
    result = CliRunner().invoke(cli, [str(folder / w) if "." in w else w for w in words])
    assert isinstance(result.exception, DataError)
    assert "'melt' in Cel from 'melt (℉)', whose header says [degF]" in result.exception.message()
    assert "pressure" not in result.exception.message()
    assert not (folder / "table.csv").exists()


def test_data_check_and_training_name_the_conversion(folder: Path) -> None:
    result = CliRunner().invoke(cli, ["data", "check", str(folder / "rows.csv"), "-c", str(folder / "contract.yaml")])
    assert isinstance(result.exception, DataError)
    assert "dxai data convert" in result.exception.message()
    FOREIGN.write_parquet(folder / "table.parquet")
    with pytest.raises(DataError) as caught:
        prepared_table(OwnData(kind="own", name="castings", path=str(folder)), folder)
    assert "dxai data convert" in told(caught)
