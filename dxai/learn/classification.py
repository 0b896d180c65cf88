"""A target of classes: cross-entropy, calibrated probabilities, PR-AUC."""

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
from dxai.data.batch import class_array
from dxai.data.splits import Fold, Rows
from dxai.learn import yardsticks
from dxai.learn.class_calibration import best_threshold, favour_of, temperature, threshold_of_sensitivity
from dxai.learn.fitting import Loss
from dxai.learn.fold_answers import FoldAnswers
from dxai.learn.losses import MembersCrossEntropy
from dxai.learn.predictor import ClassPredictor
from dxai.learn.rows import Array, Columns, RowTask


class ClassTask(RowTask[ClassPredictor]):
    """One of the contract's classes; held-out rows get ``predicted`` and the probabilities ``p0``, ``p1``, ….

    Attributes:
        shares: Of the classes among the rows of the table.
        positive: Of two classes the rarer one, for which scores are made; None of more.
        called: Of two classes the one that a row is called from a threshold on; None of more.
    """

    spread = 1.0  # of probabilities
    moved_as = "the share of a class has moved by {:+.1%}"

    def __init__(self, contract: Contract, table: pl.DataFrame, settings: RunSettings) -> None:
        super().__init__(contract, table, settings)
        self.values = class_array(self.table, contract)
        self.shares = self._shares(self.values)
        self.positive = (0 if self.shares[0] < self.shares[1] else 1) if len(self.shares) == 2 else None
        self.sensitivity = self.contract.target.sensitivity
        self.called = 1 if self.sensitivity else self.positive

    @property
    def counted(self) -> tuple[int, ...]:
        """Classes that PR-AUC and calibration error look at: the positive one, or all."""
        return tuple(range(len(self.shares))) if self.positive is None else (self.positive,)

    def predictor(self) -> ClassPredictor:
        """A network with one output per member and class."""
        return ClassPredictor(self.contract, self.sized_network())

    def prepare(self, predictor: ClassPredictor, rows: Rows) -> Loss:
        """Take the classes' shares among the rows to fit: what is rare is expected to be rare from the first step."""
        if not predictor.raw:  # other learners know the shares by themselves
            predictor.prior = torch.as_tensor(np.log(self._shares(self.values[rows])), dtype=torch.float32)
        return self.loss(MembersCrossEntropy(predictor.prior))

    def truth(self, predictor: ClassPredictor, values: NDArray[Any]) -> Tensor:  # noqa: ARG002
        """Class numbers ``[rows]``."""
        return torch.as_tensor(values)

    def raw(self, predictor: ClassPredictor, columns: Columns) -> Array:
        """Logits ``[rows, classes]``."""
        with torch.inference_mode():
            logits: Array = predictor.logits(columns).numpy()
        return logits

    def settle(self, predictor: ClassPredictor, raw: Array, truth: NDArray[Any]) -> None:
        """Set temperature and, of two classes, threshold."""
        predictor.temperature = torch.tensor(temperature(raw, truth))
        probability = (torch.as_tensor(raw) / predictor.temperature).softmax(dim=1).numpy()
        predictor.favour = torch.as_tensor(self._favour(probability, truth))

    def threshold(self, predictor: ClassPredictor) -> float | None:
        """Probability from which on a row is of the class `called`; None where there are more than two classes."""
        return None if self.called is None else float(predictor.favour[1 - self.called])

    def answers(self, predictor: ClassPredictor, columns: Columns) -> dict[str, Array]:
        """Class number and probabilities."""
        predicted, *probabilities = predictor.predict(columns).values()
        return {"predicted": predicted, **{f"p{i}": p for i, p in enumerate(probabilities)}}

    def levels(self, answers: dict[str, Array]) -> Array:
        """Probabilities of the classes that count."""
        return np.stack([answers[f"p{number}"] for number in self.counted], axis=1)

    def moved(self, earlier: Rows, later: Rows) -> float:
        """The largest change of a class's share."""
        known, new = (self._shares(self.values[part]) for part in (earlier, later))
        return float(max(new - known, key=abs))

    def probabilities(self, held_out: pl.DataFrame) -> Array:
        """Probabilities ``[rows, classes]`` of held-out rows."""
        return held_out.select(f"p{i}" for i in range(len(self.shares))).to_numpy()

    def row_scores(self, rows: pl.DataFrame) -> dict[str, float]:
        """Of the class and of its probabilities."""
        truth, predicted = (rows[name].cast(pl.Int64).to_numpy() for name in ("truth", "predicted"))
        return self._scores(truth, predicted, self.probabilities(rows))

    def rows_answers(self, rows: pl.DataFrame, clusters: NDArray[np.int64]) -> FoldAnswers:
        """Probabilities."""
        arrays = {"truth": rows["truth"].cast(pl.Int64).to_numpy(), "probability": self.probabilities(rows)}
        return FoldAnswers(arrays, clusters, {"positive": self.positive})

    def yardsticks(self, fold: Fold, train: Array, test: Array) -> dict[str, Array]:
        """Probabilities ``[rows, classes]``."""
        return {name: rule(train, self.values[fold.fit], test) for name, rule in yardsticks.CLASSES.items()}

    def yardstick_score(
        self, answer: Array, truth: NDArray[Any], other: Array, known: NDArray[Any]
    ) -> dict[str, float]:
        """With a threshold from other rows, like that of the network."""
        return self._scores(truth, (answer * self._favour(other, known)).argmax(axis=1), answer)

    def _scores(self, truth: Array, prediction: Array, probability: Array) -> dict[str, float]:
        arrays = {"truth": truth, "prediction": prediction, "probability": probability}
        return metrics.score(self.metrics, **arrays, positive=self.positive)

    def error(self, predictor: ClassPredictor, columns: Columns, rows: Rows) -> float:
        """What PR-AUC lacks of 1."""
        return 1 - metrics.pr_auc(self.values[rows], _stacked(self.answers(predictor, columns)), self.positive)

    def plots(self, held_out: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Truth and predicted class of the honest split."""
        texts = dict(enumerate(self.contract.classes))
        named = (pl.col(name).cast(pl.Int64).replace_strict(texts) for name in ("truth", "predicted"))
        return {"confusion": held_out.filter(split=self.split.kind).select(named)}

    def _shares(self, values: NDArray[np.int64]) -> NDArray[np.float64]:
        counts = np.bincount(values, minlength=len(self.contract.classes))
        return counts / len(values)

    def _favour(self, probability: Array, truth: NDArray[np.int64]) -> NDArray[np.float32]:
        """Weights of the classes in the decision.

        Of two for the sensitivity that the contract asks for, or the best F1 of the positive one; of more all alike.
        """
        if self.called is None:
            return np.ones(probability.shape[1], np.float32)
        mine, chance = truth == self.called, probability[:, self.called]
        found = threshold_of_sensitivity(mine, chance, self.sensitivity) if self.sensitivity else None
        return favour_of(best_threshold(mine, chance) if found is None else found, self.called)


def _stacked(answers: dict[str, Array]) -> Array:
    """Probabilities ``[rows, classes]``."""
    return np.stack(list(answers.values())[1:], axis=1)
