"""A registered model answers in MLflow's own server, and loaded by MLflow, with the numbers of `dxai predict`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from conftest import MakeBundle
from test_own_data import DEMAND, data_folder, parts
from test_tracking_server import Deeds
from trials.mlflow_server import ModelServer

from dxai.bundle.folder import Bundle
from dxai.cli.main import cli
from dxai.config.compose import settings_from
from dxai.contract.signature import signature_of
from dxai.data.own import with_own_data
from dxai.evaluate import evaluate
from dxai.record.tracking.registry import save_model
from dxai.release import release
from dxai.train import train

pytestmark = [pytest.mark.process(seconds=30), pytest.mark.slow(seconds=30)]

WORDS = {
    "own": ["model=linear", "split.folds=2", "evaluate.permutations=1"],
    "spares": ["model=dlinear", "split.origins=1"],
}


def released(workplace: Path, data: str) -> Bundle:
    """Trained, released and registered by the checkout's own MLflow."""
    words = [f"data={workplace / data}", *WORDS[data], "folds_at_once=1", "trainer.max_epochs=2"]
    settings = settings_from(with_own_data(words, workplace), checkout=workplace)
    run = train(settings, workplace / "runs/one/train", workplace, Deeds())
    evaluate(run, workplace / "runs/one/evaluate", workplace)
    return release(run, workplace / "runs/one/evaluate", workplace / "models/one", workplace)


def predicted(workplace: Path, rows: Path) -> pl.DataFrame:
    """By `dxai predict`."""
    answers = workplace / "answers.csv"
    words = ["predict", str(workplace / "models/one"), str(rows), "-o", str(answers), "--unsigned"]
    ran = CliRunner().invoke(cli, words)
    assert ran.exit_code == 0, ran.output
    return pl.read_csv(answers)


def assert_same(found: Any, expected: pl.DataFrame, bundle: Bundle) -> None:
    """Named tensors hold the columns of a table of answers."""
    for answer in signature_of(bundle.contract).answers:
        values = np.asarray(found[answer.output], np.float64)
        values = values if answer.place is None else values[..., answer.place]
        np.testing.assert_allclose(values.ravel(), expected[answer.column], rtol=1e-4, err_msg=answer.column)


@pytest.mark.parametrize("data", ["own", "spares"])
def test_mlflow_gives_the_numbers_of_dxai_predict(data: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow.artifacts
    import mlflow.pyfunc

    if data == "spares":
        data_folder(workplace / "spares", DEMAND, parts())
    bundle, store = released(workplace, data), f"sqlite:///{workplace / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    name = f"models:/{bundle.manifest.name}@candidate"
    expected = predicted(workplace, workplace / "models/one/golden/rows.csv")
    model = mlflow.pyfunc.load_model(name)
    assert_same(model.predict(model.input_example), expected, bundle)
    kept = Path(mlflow.artifacts.download_artifacts(name, dst_path=str(workplace / "kept")))
    server = ModelServer(workplace / "server", name, store)
    server.start()
    try:
        assert_same(server.answer((kept / "serving_input_example.json").read_bytes()), expected, bundle)
    finally:
        server.kill()


def test_texts_and_gaps_are_answered_as_by_dxai_predict(make_bundle: MakeBundle, tmp_path: Path) -> None:
    """As records and as named arrays: null for a missing number, an empty text for a missing one."""
    bundle = Bundle.open(make_bundle(tmp_path / "models/one"))
    save_model(bundle, tmp_path / "model")
    rows = [
        {"pressure": 20.0, "melt": 680.5, "plant": "부산"},
        {"pressure": 30.25, "melt": None, "plant": "Ulsan"},
        {"pressure": 41.0, "melt": 700.0, "plant": ""},
    ]
    pl.DataFrame(rows).write_csv(tmp_path / "rows.csv", null_value="")
    expected = predicted(tmp_path, tmp_path / "rows.csv")
    server = ModelServer(tmp_path / "server", str(tmp_path / "model"), f"sqlite:///{tmp_path / 'mlflow.db'}")
    server.start()
    try:
        for given in ({"dataframe_records": rows}, {"inputs": {name: [row[name] for row in rows] for name in rows[0]}}):
            assert_same(server.answer(json.dumps(given).encode()), expected, bundle)
    finally:
        server.kill()
