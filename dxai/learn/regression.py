"""A target that is a number: squared error, a conformal interval, RMSE."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from dxai.contract import Contract
from dxai.data.batch import target_array
from dxai.data.splits import Fold, Rows
from dxai.learn import metrics, yardsticks
from dxai.learn.conformal import conformal_quantile
from dxai.learn.losses import members_squared_error
from dxai.learn.module import Loss
from dxai.learn.predictor import QualityPredictor
from dxai.learn.table_network import table_network
from dxai.learn.target import Array, Columns, Target


class NumberTarget(Target[QualityPredictor]):
    """A number in the contract's unit; held-out rows get ``prediction``, ``lower`` and ``upper``."""

    lead, sign = "rmse", 1

    def __init__(self, contract: Contract, table: pl.DataFrame) -> None:
        self.contract, self.values = contract, target_array(table, contract)

    def predictor(self, model: Any) -> QualityPredictor:
        """A network with one output per member."""
        return QualityPredictor(self.contract, table_network(model, self.contract))

    def prepare(self, predictor: QualityPredictor, rows: Rows) -> Loss:
        """Scale the target by the rows to fit."""
        predictor.scale.fit(self.values[rows])
        return members_squared_error

    def truth(self, predictor: QualityPredictor, rows: Rows) -> Tensor:
        """Scaled targets ``[rows]``."""
        scaled: Tensor = predictor.scale(torch.as_tensor(self.values[rows]))
        return scaled

    def calibrate(self, predictor: QualityPredictor, columns: Columns, rows: Rows) -> None:
        """Let the interval reach as far as its promised coverage takes."""
        with torch.inference_mode():
            center, difficulty = (t.numpy() for t in predictor.center(columns))
        predictor.reach = torch.tensor(conformal_quantile(np.abs(self.values[rows] - center) / difficulty))

    def answers(self, predictor: QualityPredictor, columns: Columns) -> dict[str, Array]:
        """Prediction and interval."""
        return dict(zip(("prediction", "lower", "upper"), predictor.predict(columns).values(), strict=True))

    def scores(self, rows: pl.DataFrame) -> dict[str, float]:
        """Of the prediction and of its interval."""
        truth, prediction, lower, upper = (rows[c].to_numpy() for c in ("truth", "prediction", "lower", "upper"))
        interval = {"coverage": metrics.coverage(truth, lower, upper), "width": metrics.width(lower, upper)}
        return _point_scores(truth, prediction) | interval

    def yardsticks(self, fold: Fold, train: Array, test: Array) -> dict[str, dict[str, float]]:
        """Fitted on all rows that are not for the test."""
        known, truth = self.values[np.concatenate([fold.fit, fold.calibration])], self.values[fold.test]
        return {name: _point_scores(truth, rule(train, known, test)) for name, rule in yardsticks.QUALITY.items()}

    def error(self, predictor: QualityPredictor, columns: Columns, rows: Rows) -> float:
        """RMSE."""
        return metrics.rmse(self.values[rows], self.answers(predictor, columns)["prediction"])

    def plots(self, held_out: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Truth and prediction."""
        return {"predicted_true": held_out.select("truth", "prediction")}


def _point_scores(truth: Array, prediction: Array) -> dict[str, float]:
    return {
        "rmse": metrics.rmse(truth, prediction),
        "mae": metrics.mae(truth, prediction),
        "r2": metrics.r2(truth, prediction),
    }
