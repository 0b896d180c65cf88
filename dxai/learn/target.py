"""What a quality task predicts: the seam between a table with its folds and the two kinds of target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import Tensor

from dxai.data.splits import Fold, Rows
from dxai.learn.module import Loss
from dxai.learn.predictor import RowPredictor

Array = NDArray[np.float32]
Columns = Mapping[str, Tensor]

P = TypeVar("P", bound=RowPredictor)


class Target(ABC, Generic[P]):
    """True values, and all that depends on their kind: predictor, loss, calibration, scores, yardsticks.

    Attributes:
        values: True values ``[rows]`` of the table.
        lead: Score by which the model is held against its yardsticks.
        sign: 1 where less of that score is better, -1 where more is.
    """

    values: NDArray[Any]
    lead: str
    sign: int

    @abstractmethod
    def predictor(self, model: Any) -> P:
        """An unfitted predictor around the network that the model settings name."""

    @abstractmethod
    def prepare(self, predictor: P, rows: Rows) -> Loss:
        """Give the predictor what it must know of the true values of the rows to fit; returns the loss."""

    @abstractmethod
    def truth(self, predictor: P, rows: Rows) -> Tensor:
        """True values as the loss wants them."""

    @abstractmethod
    def calibrate(self, predictor: P, columns: Columns, rows: Rows) -> None:
        """Set what depends on rows that the network was not fitted on."""

    @abstractmethod
    def answers(self, predictor: P, columns: Columns) -> dict[str, Array]:
        """Predictions as columns of a table of held-out rows."""

    @abstractmethod
    def scores(self, rows: pl.DataFrame) -> dict[str, float]:
        """All scores of held-out rows: their ``truth`` and `answers`."""

    @abstractmethod
    def yardsticks(self, fold: Fold, train: Array, test: Array) -> dict[str, dict[str, float]]:
        """Scores of simple predictions on the test rows of a fold.

        Args:
            fold: Its rows.
            train: Scaled features ``[rows, features]`` of the rows to fit, then of those to calibrate.
            test: The same of the test rows.
        """

    @abstractmethod
    def error(self, predictor: P, columns: Columns, rows: Rows) -> float:
        """What rises when a column is shuffled."""

    @abstractmethod
    def plots(self, held_out: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Numbers behind pictures."""
