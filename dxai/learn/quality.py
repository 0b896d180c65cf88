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

from dxai.config.settings import (
    GroupedSplit,
    LinearModel,
    MlpModel,
    QualityEvaluation,
    RandomSplit,
    RunSettings,
    TabmModel,
)
from dxai.contract import Contract
from dxai.data import splits
from dxai.data.batch import feature_arrays, target_array
from dxai.learn import metrics, yardsticks
from dxai.learn.conformal import conformal_quantile
from dxai.learn.losses import members_squared_error
from dxai.learn.module import Epoch, OnEpoch, fit
from dxai.learn.predictor import QualityPredictor
from dxai.learn.transform import encode
from dxai.networks.linear import Linear
from dxai.networks.mlp import Mlp
from dxai.networks.tabm import TabM


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

    Raises:
        SettingsError: The split leaks.
    """

    def __init__(self, contract: Contract, table: pl.DataFrame, settings: RunSettings) -> None:
        split, evaluation = settings.split, settings.evaluate
        assert isinstance(split, GroupedSplit | RandomSplit)
        assert isinstance(evaluation, QualityEvaluation)
        self.contract, self.table, self.settings = contract, table, settings
        self.split, self.evaluation = split, evaluation
        self.columns = encode(feature_arrays(table, contract), contract)
        self.target = target_array(table, contract)

    @cached_property
    def folds(self) -> list[QualityFold]:
        """Honest folds, then their random twins where the contract has a group, then the released model's."""
        honest = splits.folds(self.table, self.contract, self.split)
        twins = (
            splits.random_folds(self.table, self.split) if self.split.kind == "grouped" and self.contract.group else []
        )
        final = splits.whole(self.table, self.contract, self.split)
        return [
            *(QualityFold(self.split.kind, i, rows) for i, rows in enumerate(honest)),
            *(QualityFold("random", i, rows) for i, rows in enumerate(twins)),
            QualityFold("final", 0, final),
        ]

    def predictor(self) -> QualityPredictor:
        """An unfitted predictor of the right shape."""
        return QualityPredictor(self.contract, network_for(self.settings.model, self.contract))

    def fit(self, fold: QualityFold, on_epoch: OnEpoch) -> tuple[QualityPredictor, list[Epoch]]:
        """Fit on the fold's rows and calibrate the interval on its calibration rows."""
        torch.manual_seed(self.settings.seed)
        predictor = self.predictor()
        rows, calibration = fold.rows.fit, fold.rows.calibration
        predictor.transform.fit(self._take(rows))
        predictor.scale.fit(self.target[rows])
        curve = fit(
            predictor.network,
            members_squared_error,
            self._scaled(predictor, rows),
            self._scaled(predictor, calibration),
            self.settings.trainer,
            seed=self.settings.seed,
            on_epoch=on_epoch,
        )
        with torch.inference_mode():
            center, difficulty = (t.numpy() for t in predictor.center(self._take(calibration)))
        predictor.reach = torch.tensor(conformal_quantile(np.abs(self.target[calibration] - center) / difficulty))
        return predictor, curve

    def held_out(self, predictor: QualityPredictor, fold: QualityFold) -> pl.DataFrame:
        """Truth, prediction and interval of the fold's test rows."""
        test = fold.rows.test
        names = dict(zip(predictor.output_names, ("prediction", "lower", "upper"), strict=True))
        answers = {names[k]: v for k, v in predictor.predict(self._take(test)).items()}
        place = {"split": [fold.split] * len(test), "fold": [fold.number] * len(test), "row": test}
        return pl.DataFrame({**place, "truth": self.target[test], **answers})

    def yardsticks(self, fold: QualityFold) -> dict[str, NDArray[np.float32]]:
        """Predictions of the yardsticks for the fold's test rows, fitted on all its other rows."""
        train = np.concatenate([fold.rows.fit, fold.rows.calibration])
        transform = self.predictor().transform.fit(self._take(train))
        train_x, test_x = (self._design(transform, rows) for rows in (train, fold.rows.test))
        return {name: rule(train_x, self.target[train], test_x) for name, rule in yardsticks.QUALITY.items()}

    def scores(self, held_out: pl.DataFrame) -> dict[str, Any]:
        """All metrics: the honest split's, its random twin's, the yardsticks'; means over folds."""
        by_fold = {f.label: held_out.filter(split=f.split, fold=f.number) for f in self.folds if f.is_test}
        honest = [f for f in self.folds if f.split == self.split.kind]
        twins = [f for f in self.folds if f.split == "random" and self.split.kind != "random"]
        model = metrics.mean_scores([_scores(by_fold[f.label]) for f in honest])
        yard = [
            {name: _point_scores(self.target[f.rows.test], y) for name, y in self.yardsticks(f).items()} for f in honest
        ]
        made = {
            "model": model,
            "yardstick": {name: metrics.mean_scores([fold[name] for fold in yard]) for name in yardsticks.QUALITY},
        }
        if twins:
            random = metrics.mean_scores([_scores(by_fold[f.label]) for f in twins])
            made["random_split"] = random | {"rmse_gap": model["rmse"] - random["rmse"]}
        return made

    def plots(self, held_out: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Numbers to plot: truth and prediction of the honest split."""
        return {"predicted_true": held_out.filter(split=self.split.kind).select("truth", "prediction")}

    def importance(self, predictors: dict[str, QualityPredictor], repeats: int) -> dict[str, list[float]]:
        """Permutation importance: the rise of RMSE on test rows when a column is shuffled (Breiman 2001)."""
        generator = np.random.default_rng(self.settings.seed)
        rises: dict[str, list[float]] = {c.name: [] for c in self.contract.features}
        for fold in (f for f in self.folds if f.split == self.split.kind):
            predictor, test = predictors[fold.label], fold.rows.test
            columns, truth = self._take(test), self.target[test]
            base = metrics.rmse(truth, predictor.predict(columns)[predictor.output_names[0]])
            for name in rises:
                for _ in range(repeats):
                    shuffled = columns | {name: columns[name][torch.as_tensor(generator.permutation(len(test)))]}
                    rises[name].append(
                        metrics.rmse(truth, predictor.predict(shuffled)[predictor.output_names[0]]) - base
                    )
        return rises

    def _take(self, rows: splits.Rows) -> dict[str, Tensor]:
        return {name: values[torch.as_tensor(rows)] for name, values in self.columns.items()}

    def _scaled(self, predictor: QualityPredictor, rows: splits.Rows) -> tuple[Tensor, ...]:
        return (*predictor.transform(self._take(rows)), predictor.scale(torch.as_tensor(self.target[rows])))

    def _design(self, transform: nn.Module, rows: splits.Rows) -> NDArray[np.float32]:
        """Scaled numbers beside one-hot categories ``[rows, features]``."""
        numbers, categories = transform(self._take(rows))
        one_hot = [
            nn.functional.one_hot(categories[:, i], len(c.categories) + 1)
            for i, c in enumerate(self.contract.categories)
        ]
        return torch.cat([numbers, *one_hot], dim=1).numpy()


def network_for(model: Any, contract: Contract) -> nn.Module:
    """The network that the model settings name, sized for the contract's features."""
    size = {"numbers": len(contract.numbers), "cardinalities": [len(c.categories) for c in contract.categories]}
    networks: dict[type, type[nn.Module]] = {LinearModel: Linear, MlpModel: Mlp, TabmModel: TabM}
    return networks[type(model)](**size, **model.model_dump(exclude={"kind"}))


def _point_scores(truth: NDArray[np.float32], prediction: NDArray[np.float32]) -> dict[str, float]:
    return {
        "rmse": metrics.rmse(truth, prediction),
        "mae": metrics.mae(truth, prediction),
        "r2": metrics.r2(truth, prediction),
    }


def _scores(rows: pl.DataFrame) -> dict[str, float]:
    truth, prediction, lower, upper = (rows[c].to_numpy() for c in ("truth", "prediction", "lower", "upper"))
    interval = {"coverage": metrics.coverage(truth, lower, upper), "width": metrics.width(lower, upper)}
    return _point_scores(truth, prediction) | interval
