"""A target that is a number: squared error, a conformal interval, RMSE."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from dxai import metrics
from dxai.config.settings import RunSettings
from dxai.contract import Contract
from dxai.contract.signature import COVERAGE
from dxai.data.batch import target_array
from dxai.data.splits import Fold, Rows
from dxai.learn import yardsticks
from dxai.learn.conformal import conformal_quantile
from dxai.learn.fitting import Loss
from dxai.learn.fold_answers import FoldAnswers
from dxai.learn.losses import members_squared_error
from dxai.learn.predictor import QualityPredictor
from dxai.learn.rows import Array, Columns, RowTask


class RegressionTask(RowTask[QualityPredictor]):
    """A number in the contract's unit; held-out rows get ``prediction``, ``lower`` and ``upper``."""

    def __init__(self, contract: Contract, table: pl.DataFrame, settings: RunSettings) -> None:
        super().__init__(contract, table, settings)
        self.values = target_array(self.table, contract)

    def predictor(self) -> QualityPredictor:
        """A network with one output per member."""
        return QualityPredictor(self.contract, self.sized_network())

    @property
    def spread(self) -> float:
        """Standard deviation of the target."""
        return float(self.values.std())

    def prepare(self, predictor: QualityPredictor, rows: Rows) -> Loss:
        """Scale the target by the rows to fit."""
        predictor.scale.fit(self.values[rows])
        return self.loss(members_squared_error)

    def truth(self, predictor: QualityPredictor, values: NDArray[Any]) -> Tensor:
        """Scaled targets ``[rows]``."""
        scaled: Tensor = predictor.scale(torch.as_tensor(values))
        return scaled

    def raw(self, predictor: QualityPredictor, columns: Columns) -> Array:
        """Prediction and difficulty ``[rows, 2]``."""
        with torch.inference_mode():
            return torch.stack(predictor.center(columns), dim=1).numpy()

    def settle(self, predictor: QualityPredictor, raw: Array, truth: NDArray[Any]) -> None:
        """Let the interval reach as far to each side as its promised coverage takes."""
        miss = (truth - raw[:, 0]) / raw[:, 1]
        side = (1 + COVERAGE) / 2
        predictor.reach = torch.tensor([conformal_quantile(-miss, side), conformal_quantile(miss, side)])

    def answers(self, predictor: QualityPredictor, columns: Columns) -> dict[str, Array]:
        """Prediction and interval."""
        return dict(zip(("prediction", "lower", "upper"), predictor.predict(columns).values(), strict=True))

    def row_scores(self, rows: pl.DataFrame) -> dict[str, float]:
        """Of the prediction and of its interval."""
        return metrics.score(self.metrics, **_arrays(rows))

    def rows_answers(self, rows: pl.DataFrame, clusters: NDArray[np.int64]) -> FoldAnswers:
        """Numbers."""
        return FoldAnswers(_arrays(rows), clusters, {})

    def yardsticks(self, fold: Fold, train: Array, test: Array) -> dict[str, Array]:
        """Values ``[rows]``."""
        return {name: rule(train, self.values[fold.fit], test) for name, rule in yardsticks.QUALITY.items()}

    def yardstick_score(
        self,
        answer: Array,
        truth: NDArray[Any],
        other: Array,  # noqa: ARG002
        known: NDArray[Any],  # noqa: ARG002
    ) -> dict[str, float]:
        """Of the value; there is nothing to calibrate."""
        return metrics.score(self.metrics, truth=truth, prediction=answer)

    def error(self, predictor: QualityPredictor, columns: Columns, rows: Rows) -> float:
        """RMSE."""
        return metrics.rmse(self.values[rows], self.answers(predictor, columns)["prediction"])

    def plots(self, held_out: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Truth and prediction of the honest split."""
        return {"predicted_true": held_out.filter(split=self.split.kind).select("truth", "prediction")}


def _arrays(rows: pl.DataFrame) -> dict[str, Array]:
    return {name: rows[name].to_numpy() for name in ("truth", "prediction", "lower", "upper")}
