"""What the members of a portfolio are fitted for: a number, or the probabilities of classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from dxai.learn.members import LEAST
from dxai.networks.process import GaussianProcess

Array = NDArray[np.float32]
Said = NDArray[np.float64]
Answers = Callable[[Array], NDArray[Any]]
"""Features ``[rows, features]`` to what a member says of them ``[rows, outputs]``."""
Folds = Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]

FOLDS = 5
_SHARP = np.geomspace(1, 30, 40).tolist()
"""By which an indicator that is predicted is multiplied before the softmax."""
_OF_INDICATORS: dict[str, Any] = {"least_noise": 0.1, "steps": 20}
"""With less noise the process believes each of its rows, and says nothing sensible between them."""
_FOREST = {"n_estimators": 200, "n_jobs": 1}
_SHUFFLED = {"n_splits": FOLDS, "shuffle": True}


class Aim(ABC):
    """Objective, learners and loss of one kind of target.

    Attributes:
        outputs: Numbers that a member says of a row.
        scout_trees: Trees of the small ensemble that looks for pairs of features.
        boosted: The output of which LightGBM's first tree speaks.
    """

    scout_trees = 100
    boosted = 0

    def __init__(self, outputs: int) -> None:
        self.outputs = outputs

    @abstractmethod
    def folds(self, target: NDArray[Any], groups: NDArray[np.int64] | None, seed: int) -> Folds:
        """Row numbers to fit and to test; groups, where there are some, stay on one side."""

    @abstractmethod
    def objective(self) -> dict[str, Any]:
        """Of LightGBM."""

    @abstractmethod
    def coded(self, target: NDArray[Any]) -> Array:
        """Columns ``[rows, k]`` of which a category has means."""

    @abstractmethod
    def of_booster(self, said: Said) -> Said:
        """What LightGBM gives as ``[rows, outputs]``."""

    @abstractmethod
    def forest(self, features: Array, target: NDArray[Any], seed: int) -> tuple[Any, Answers]:
        """A fitted forest and what it answers."""

    @abstractmethod
    def line(self, scaled: Array, target: NDArray[Any], signs: NDArray[np.int64]) -> tuple[Said, Said]:
        """Slopes ``[features, outputs]`` and constants ``[outputs]``.

        Args:
            scaled: Features of mean 0 ``[rows, features]``.
            target: ``[rows]``.
            signs: 1 and -1 where a slope may not be negative or positive, else 0 ``[features]``.
        """

    def trees(self, rounds: int) -> int:
        """So many there are after so many rounds of boosting."""
        return rounds

    @abstractmethod
    def of_line(self, said: Said) -> Said:
        """What the line, or the process, gives as a member says it."""

    @abstractmethod
    def process(self, filled: Array, target: NDArray[Any], seed: int, tuned: GaussianProcess | None) -> GaussianProcess:
        """A fitted Gaussian process, whose answers `of_line` turns into those of a member."""

    @abstractmethod
    def loss(self, said: Said, truth: NDArray[Any]) -> float:
        """Less is better."""

    @abstractmethod
    def first(self, member: int) -> int:
        """The first output of a member in an ensemble of several members."""

    @abstractmethod
    def share(self, weight: float) -> float:
        """By which a member's leaves and slopes are multiplied, where the weight can be a part of them."""


class Number(Aim):
    """One number by squared error."""

    def folds(self, target: NDArray[Any], groups: NDArray[np.int64] | None, seed: int) -> Folds:
        """Groups on one side, or rows at random."""
        kind = KFold if groups is None else GroupKFold
        return list(kind(**_SHUFFLED, random_state=seed).split(target, groups=groups))

    def objective(self) -> dict[str, Any]:
        """Squared error."""
        return {"objective": "regression", "metric": "l2"}

    def coded(self, target: NDArray[Any]) -> Array:
        """The target itself."""
        return target.astype(np.float32)[:, None]

    def of_booster(self, said: Said) -> Said:
        """One column."""
        return said[:, None]

    def forest(self, features: Array, target: NDArray[Any], seed: int) -> tuple[Any, Answers]:
        """Every leaf one row."""
        made = ExtraTreesRegressor(**_FOREST, random_state=seed, min_samples_leaf=1).fit(features, target)
        return made, lambda asked: np.asarray(made.predict(asked))[:, None]

    def line(self, scaled: Array, target: NDArray[Any], signs: NDArray[np.int64]) -> tuple[Said, Said]:
        """Ridge regression; as bounded least squares, where signs are set."""
        if not signs.any():
            ridge = Ridge(1.0).fit(scaled, target)
            return ridge.coef_[:, None], np.atleast_1d(ridge.intercept_)
        middle, features = target.mean(dtype=np.float64), scaled.shape[1]
        rows = np.vstack([scaled, np.eye(features)]), np.append(target - middle, np.zeros(features))
        bounds = np.where(signs > 0, 0, -np.inf), np.where(signs < 0, 0, np.inf)
        return lsq_linear(*rows, bounds).x[:, None], np.atleast_1d(middle)

    def of_line(self, said: Said) -> Said:
        """As it is."""
        return said

    def process(self, filled: Array, target: NDArray[Any], seed: int, tuned: GaussianProcess | None) -> GaussianProcess:
        """Of the number."""
        return GaussianProcess().fit(filled, target[:, None], seed=seed, tuned=tuned)

    def loss(self, said: Said, truth: NDArray[Any]) -> float:
        """Mean squared error."""
        return float(((said[:, 0] - truth) ** 2).mean())

    def first(self, member: int) -> int:  # noqa: ARG002
        """All members add to the one output."""
        return 0

    def share(self, weight: float) -> float:
        """The weight: leaves and slopes carry it."""
        return weight


class Several(Aim):
    """Probabilities of classes by their log loss; members say them, and are averaged afterwards."""

    def folds(self, target: NDArray[Any], groups: NDArray[np.int64] | None, seed: int) -> Folds:
        """Every fold has its share of every class."""
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        return list(kind(**_SHUFFLED, random_state=seed).split(target, target, groups))

    def forest(self, features: Array, target: NDArray[Any], seed: int) -> tuple[Any, Answers]:
        """Half of the columns, leaves of two rows."""
        made = ExtraTreesClassifier(**_FOREST, random_state=seed, max_features=0.5, min_samples_leaf=2).fit(
            features, target
        )
        return made, lambda asked: np.asarray(made.predict_proba(asked))

    def of_line(self, said: Said) -> Said:
        """Softmax."""
        return torch.as_tensor(said).softmax(dim=1).numpy()

    def process(self, filled: Array, target: NDArray[Any], seed: int, tuned: GaussianProcess | None) -> GaussianProcess:
        """Of an indicator of each class; how sharply it speaks is set by what it says of rows that it left out."""
        indicators = np.eye(self.outputs, dtype=np.float32)[target]
        made = GaussianProcess().fit(filled, indicators, seed=seed, tuned=tuned, **_OF_INDICATORS)
        said = made.left_out(indicators)
        return made.times(min(_SHARP, key=lambda factor: self.loss(self.of_line(factor * said), target)))

    def loss(self, said: Said, truth: NDArray[Any]) -> float:
        """Log loss."""
        return float(-np.log(np.maximum(said[np.arange(len(truth)), truth.astype(int)], LEAST)).mean())

    def first(self, member: int) -> int:
        """Every member has outputs of its own."""
        return self.outputs * member

    def share(self, weight: float) -> float:  # noqa: ARG002
        """1: probabilities are weighed, not scores."""
        return 1.0


class Two(Several):
    """Of two classes the second is boosted; the score of the first stays 0."""

    boosted = 1

    def objective(self) -> dict[str, Any]:
        """Log loss of the second class."""
        return {"objective": "binary", "metric": "binary_logloss"}

    def coded(self, target: NDArray[Any]) -> Array:
        """The share of the second class."""
        return target.astype(np.float32)[:, None]

    def of_booster(self, said: Said) -> Said:
        """Both probabilities."""
        return np.stack([1 - said, said], axis=1)

    def line(self, scaled: Array, target: NDArray[Any], signs: NDArray[np.int64]) -> tuple[Said, Said]:  # noqa: ARG002
        """Logistic regression; nothing sets signs for classes."""
        slopes, constants = _logistic(scaled, target)
        return np.hstack([0 * slopes, slopes]), np.append(0, constants)


class Many(Several):
    """More than two classes."""

    scout_trees = 25

    def objective(self) -> dict[str, Any]:
        """Log loss of all; with half of the bins, since every class has trees of its own."""
        return {"objective": "multiclass", "metric": "multi_logloss", "num_class": self.outputs, "max_bin": 127}

    def coded(self, target: NDArray[Any]) -> Array:
        """The shares of all classes."""
        return np.asarray(np.eye(self.outputs, dtype=np.float32)[target])

    def of_booster(self, said: Said) -> Said:
        """As it is."""
        return said

    def trees(self, rounds: int) -> int:
        """One of every class in a round."""
        return rounds * self.outputs

    def line(self, scaled: Array, target: NDArray[Any], signs: NDArray[np.int64]) -> tuple[Said, Said]:  # noqa: ARG002
        """Logistic regression."""
        return _logistic(scaled, target)


def aim_of(outputs: int) -> Aim:
    """The aim of a network with so many outputs."""
    return {1: Number, 2: Two}.get(outputs, Many)(outputs)


def _logistic(scaled: Array, target: NDArray[Any]) -> tuple[Said, Said]:
    fitted = LogisticRegression(C=0.3, max_iter=1000).fit(scaled, target)
    return fitted.coef_.T, fitted.intercept_
