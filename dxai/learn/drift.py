"""Whether later rows look unlike earlier ones: a classifier two-sample test, and the shift of the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from dxai.learn.members import SCOUT
from dxai.learn.rows import RowTask

_MOST_ROWS, _FOLDS, _TREES = 4_000, 3, 60
_TOLD_APART, _MOVED = 0.75, 0.5
"""Area under the curve, and deviations of the target, from which a difference is told."""
_NAMED = 3


@dataclass(frozen=True)
class Drift:
    """The rows of the last test against all before it.

    Attributes:
        auc: Area under the ROC curve of a classifier that tells later rows from earlier ones; 0.5: they are alike.
        columns: The columns that tell most by themselves, with their areas.
        shift: Of the target's mean, in deviations of the earlier rows; of classes the largest change of a share.
    """

    auc: float
    columns: tuple[tuple[str, float], ...]
    shift: float

    @property
    def is_large(self) -> bool:
        """Whether a reader must be warned."""
        return self.auc >= _TOLD_APART or abs(self.shift) >= _MOVED


def drift_of(task: RowTask[Any]) -> Drift | None:
    """Of a task whose tests are later than what they are trained on; None of others.

    Source: Lopez-Paz and Oquab (2017), Revisiting Classifier Two-Sample Tests.
    """
    if task.split.kind != "ordered":
        return None
    fold = task.honest[-1].rows
    draw = np.random.default_rng(0)
    earlier, later = (draw.permutation(part)[:_MOST_ROWS] for part in (fold.fit, fold.test))
    rows, label = np.concatenate([earlier, later]), np.repeat([0, 1], [len(earlier), len(later)])
    columns = {name: values.numpy()[rows].astype(np.float64) for name, values in task.columns.items()}
    alone = sorted(((name, _area(label, values)) for name, values in columns.items()), key=lambda each: -each[1])
    said = np.zeros(len(rows))
    features = np.stack(list(columns.values()), axis=1)
    for train, test in StratifiedKFold(_FOLDS, shuffle=True, random_state=0).split(rows, label):
        booster = lightgbm.train(
            {"objective": "binary", **SCOUT, "seed": 1}, lightgbm.Dataset(features[train], label[train]), _TREES
        )
        said[test] = booster.predict(features[test])
    return Drift(float(roc_auc_score(label, said)), tuple(alone[:_NAMED]), task.moved(fold.fit, fold.test))


def _area(label: NDArray[np.int64], values: NDArray[np.float64]) -> float:
    """Of one column, whichever way it moves; gaps stand below all numbers."""
    area = float(roc_auc_score(label, np.where(np.isfinite(values), values, -np.inf).argsort().argsort()))
    return max(area, 1 - area)
