"""Scores do not depend on the unit of the target: grams or tonnes, the model is as good."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
from test_own_data import DEMAND, castings, data_folder, parts, quality

from dxai import metrics
from dxai.config.compose import settings_from
from dxai.data.own import with_own_data
from dxai.learn.demand import QUANTILE_COLUMNS
from dxai.learn.families import task_of

pytestmark = pytest.mark.slow
FACTORS = (1e-9, 1e-3, 1e9)


def held_out(checkout: Path, folder: Path, contract: str, table: pl.DataFrame, *words: str) -> pl.DataFrame:
    """Truths and answers of the first fold, from a short training on an own table."""
    shutil.copytree(checkout / "configs", folder / "configs")
    own = data_folder(folder / "own-table", contract, table)
    task = task_of(settings_from(with_own_data([f"data={own}", *words], folder), checkout=folder), folder)
    predictor, _ = task.fit(task.folds[0])
    return task.held_out(predictor, task.folds[0])


def wql(rows: pl.DataFrame) -> float:
    return metrics.wql(rows["truth"].to_numpy()[None], rows.select(QUANTILE_COLUMNS).to_numpy()[None])


def rmse(rows: pl.DataFrame) -> float:
    return rows.select(((pl.col("prediction") - pl.col("truth")) ** 2).mean().sqrt()).item()


@pytest.mark.parametrize("model", ["nhits", "dlinear"])
def test_demand_in_any_unit(model: str, checkout: Path, tmp_path: Path) -> None:
    short = (
        f"model={model}",
        "trainer.max_epochs=2",
        "trainer.epoch_batches=4",
        "scaling.context=24",
        "split.origins=1",
    )
    sparse = parts().with_columns(units=pl.when(pl.col("part") == "P-0").then(0.0).otherwise("units"))
    expected = wql(held_out(checkout, tmp_path / "1", DEMAND, sparse, *short))
    assert 0.05 < expected < 1
    for factor in FACTORS:
        table = sparse.with_columns(pl.col("units") * factor)
        found = wql(held_out(checkout, tmp_path / str(factor), DEMAND, table, *short))
        assert found == pytest.approx(expected, rel=1e-3)


def test_quality_in_any_unit(checkout: Path, tmp_path: Path) -> None:
    short = ("model=linear", "trainer.max_epochs=5", "split.folds=2")
    contract = quality("random", "")
    expected = rmse(held_out(checkout, tmp_path / "1", contract, castings(), *short))
    for factor in FACTORS:
        table = castings().with_columns(pl.col("weight") * factor)
        found = rmse(held_out(checkout, tmp_path / str(factor), contract, table, *short))
        assert found == pytest.approx(expected * factor, rel=1e-3)
