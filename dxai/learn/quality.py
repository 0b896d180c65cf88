"""Quality prediction: folds, fit, calibration, held-out predictions, scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dxai.config.settings import QualityEvaluation, RowSplit, RunSettings
from dxai.contract import Contract
from dxai.data import splits
from dxai.data.batch import feature_arrays
from dxai.data.trainable import constant_target, refuse
from dxai.learn import metrics
from dxai.learn.classification import ClassTarget
from dxai.learn.module import Epoch, OnEpoch, fit
from dxai.learn.predictor import RowPredictor
from dxai.learn.regression import NumberTarget
from dxai.learn.target import Target
from dxai.learn.transform import encode

_MOST_SHUFFLES, _MOST_ROWS = 500, 4_000
"""Behind the importance of all columns in all folds: hundreds of sensors would keep a person waiting for minutes."""


@dataclass(frozen=True)
class QualityFold:
    """One fit: which split it belongs to, its number there, its rows."""

    split: str
    number: int
    rows: splits.Fold

    @property
    def is_test(self) -> bool:
        """Whether the fold has test rows; the released model's has none."""
        return len(self.rows.test) > 0

    @property
    def label(self) -> str:
        """Name in files and progress bars."""
        return f"{self.split}-{self.number}" if self.is_test else self.split


class QualityTask:
    """A quality table with its folds; `dxai.learn.task.task_for` has made sure that the settings fit.

    Attributes:
        table: The rows with a true value.
        left_out: Rows without one.
        target: True values and what depends on their kind.

    Raises:
        SettingsError: The split leaks.
        DataError: There is nothing to predict: no true value, or the same one in all rows.
    """

    def __init__(self, contract: Contract, table: pl.DataFrame, settings: RunSettings) -> None:
        split, evaluation = settings.split, settings.evaluate
        assert isinstance(split, RowSplit)
        assert isinstance(evaluation, QualityEvaluation)
        self.contract, self.settings = contract, settings
        self.table = table.drop_nulls(contract.target.name)
        self.left_out = len(table) - len(self.table)
        truth = self.table[contract.target.name]
        refuse(constant_target(truth.name, truth.unique().head(2).to_list(), len(truth)))
        self.split, self.evaluation = split, evaluation
        self.columns = encode(feature_arrays(self.table, contract), contract)
        kind = ClassTarget if contract.classes else NumberTarget
        self.target: Target[Any] = kind(contract, self.table)

    @cached_property
    def folds(self) -> list[QualityFold]:
        """Honest folds, then their random twins where rows belong together, then the released model's."""
        honest = splits.folds(self.table, self.contract, self.split)
        twins = splits.random_folds(self.table, self.contract, self.split)
        final = splits.whole(self.table, self.contract, self.split)
        return [
            *(QualityFold(self.split.kind, i, rows) for i, rows in enumerate(honest)),
            *(QualityFold("random", i, rows) for i, rows in enumerate(twins)),
            QualityFold("final", 0, final),
        ]

    @property
    def honest(self) -> list[QualityFold]:
        """The folds whose scores count."""
        return [f for f in self.folds if f.split == self.split.kind]

    def predictor(self) -> RowPredictor:
        """An unfitted predictor of the right shape."""
        predictor: RowPredictor = self.target.predictor(self.settings.model)
        return predictor

    def fit(self, fold: QualityFold, on_epoch: OnEpoch) -> tuple[RowPredictor, list[Epoch]]:
        """Fit on the fold's rows and calibrate on its calibration rows."""
        torch.manual_seed(self.settings.seed)
        predictor = self.predictor()
        rows, calibration = fold.rows.fit, fold.rows.calibration
        predictor.transform.fit(self._take(rows))
        curve = fit(
            predictor.network,
            self.target.prepare(predictor, rows),
            self._batch(predictor, rows),
            self._batch(predictor, calibration),
            self.settings.trainer,
            seed=self.settings.seed,
            on_epoch=on_epoch,
        )
        self.target.calibrate(predictor, self._take(calibration), calibration)
        return predictor, curve

    def held_out(self, predictor: RowPredictor, fold: QualityFold) -> pl.DataFrame:
        """Truths and answers of the fold's test rows."""
        test = fold.rows.test
        place = {"split": [fold.split] * len(test), "fold": [fold.number] * len(test), "row": test}
        answers = self.target.answers(predictor, self._take(test))
        return pl.DataFrame({**place, "truth": self.target.values[test], **answers})

    def scores(self, held_out: pl.DataFrame) -> dict[str, Any]:
        """All metrics: the honest split's, its random twin's, the yardsticks'; means over folds."""
        twins = [f for f in self.folds if f.split == "random" and self.split.kind != "random"]
        model = self._mean_scores(held_out, self.honest)
        yard = [self.yardsticks(f) for f in self.honest]
        made = {
            "model": model,
            "yardstick": {name: metrics.mean_scores([fold[name] for fold in yard]) for name in yard[0]},
        }
        if twins:
            random, lead = self._mean_scores(held_out, twins), self.target.lead
            made["random_split"] = random | {f"{lead}_gap": self.target.sign * (model[lead] - random[lead])}
        return made

    def yardsticks(self, fold: QualityFold) -> dict[str, dict[str, float]]:
        """Scores of the yardsticks on the fold's test rows."""
        train = np.concatenate([fold.rows.fit, fold.rows.calibration])
        transform = self.predictor().transform.fit(self._take(train))
        return self.target.yardsticks(
            fold.rows, self._design(transform, train), self._design(transform, fold.rows.test)
        )

    def plots(self, held_out: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Numbers to plot, of the honest split."""
        return self.target.plots(held_out.filter(split=self.split.kind))

    def importance(self, predictors: dict[str, RowPredictor], repeats: int) -> dict[str, list[float]]:
        """Permutation importance: the rise of the error on test rows when a column is shuffled (Breiman 2001).

        Args:
            predictors: By label of the fold.
            repeats: Shuffles per column and fold; of a wide table fewer, the later folds first.

        Returns:
            Rises per feature, in the unit of the error.
        """
        generator = np.random.default_rng(self.settings.seed)
        rises: dict[str, list[float]] = {c.name: [] for c in self.contract.features}
        rounds = max(1, min(repeats * len(self.honest), _MOST_SHUFFLES // len(rises)))
        for number, fold in enumerate(self.honest):
            predictor, test = predictors[fold.label], fold.rows.test
            test = test if len(test) <= _MOST_ROWS else np.sort(generator.choice(test, _MOST_ROWS, replace=False))
            columns = self._take(test)
            base = self.target.error(predictor, columns, test)
            for name in rises:
                for _ in range((rounds + number) // len(self.honest)):
                    shuffled = columns | {name: columns[name][torch.as_tensor(generator.permutation(len(test)))]}
                    rises[name].append(self.target.error(predictor, shuffled, test) - base)
        return rises

    def _mean_scores(self, held_out: pl.DataFrame, folds: list[QualityFold]) -> dict[str, float]:
        return metrics.mean_scores([self.target.scores(held_out.filter(split=f.split, fold=f.number)) for f in folds])

    def _take(self, rows: splits.Rows) -> dict[str, Tensor]:
        return {name: values[torch.as_tensor(rows)] for name, values in self.columns.items()}

    def _batch(self, predictor: RowPredictor, rows: splits.Rows) -> tuple[Tensor, ...]:
        return (*predictor.transform(self._take(rows)), self.target.truth(predictor, rows))

    def _design(self, transform: nn.Module, rows: splits.Rows) -> NDArray[np.float32]:
        """Scaled numbers beside one-hot categories ``[rows, features]``."""
        numbers, categories = transform(self._take(rows))
        one_hot = [
            nn.functional.one_hot(categories[:, i], len(c.categories) + 1)
            for i, c in enumerate(self.contract.categories)
        ]
        return torch.cat([numbers, *one_hot], dim=1).numpy()
