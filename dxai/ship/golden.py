"""Golden rows: inputs that travel with a bundle, whose outputs every healthy copy of the model repeats."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from dxai.config.settings import OwnData
from dxai.inference.model import Model, Named
from dxai.learn.demand import DemandTask
from dxai.learn.predictor import DemandPredictor, RowPredictor
from dxai.learn.quality import QualityTask
from dxai.learn.task import Task
from dxai.learn.transform import encode


class TrainedModel(Model):
    """The trained predictor in the place of its graph.

    Golden outputs come from torch: ONNX Runtime chooses kernels by the processor, so its last digits would be those of
    the machine that released. The loader allows for such differences.
    """

    def __init__(self, predictor: RowPredictor | DemandPredictor, exported: Model) -> None:
        """``exported``: the same in ONNX Runtime, proven to be so."""
        self.contract, self.context, self.outputs = exported.contract, exported.context, exported.outputs
        self.predictor = predictor

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Named:
        """Named inputs to named outputs."""
        if isinstance(self.predictor, DemandPredictor):
            return self.predictor.predict(*(torch.as_tensor(inputs[name]) for name in ("history", "last_day")))
        return self.predictor.predict(encode(inputs, self.contract))


def golden_rows(task: Task) -> pl.DataFrame:
    """Rows that the released model was not fitted on; of a demand table whole histories of some series.

    Those of a public table are real. A firm's own rows stay with the firm: each value is one that occurs, however no
    row, and no history, is one that was seen.
    """
    own = isinstance(task.settings.data, OwnData)
    if isinstance(task, DemandTask):
        return _histories(task, mixed=own)
    rows = _unseen_features(task)
    mixed = rows.select(pl.col(name).shuffle(seed) for seed, name in enumerate(rows.columns)) if own else rows
    return mixed.head(task.settings.release.golden_rows)


def _unseen_features(task: QualityTask) -> pl.DataFrame:
    return task.table[task.folds[-1].rows.calibration].select(c.name for c in task.contract.features)


def _histories(task: DemandTask, *, mixed: bool) -> pl.DataFrame:
    """Some series; mixed: the values of every date dealt out among the series, which lose their names."""
    series, time, target = (task.contract.only(role).name for role in ("series", "time", "target"))
    count, ids = task.settings.release.golden_rows, list(task.panel.ids)
    chosen = ids[:: max(1, len(ids) // count)][:count]
    if not mixed:
        return task.table.filter(pl.col(series).is_in(chosen))
    draw = pl.int_range(pl.len()).shuffle(seed=0)  # one for the table: a seed for each date would deal all dates alike
    dealt = task.table.with_columns(draw.alias("draw")).with_columns(pl.col(target).sort_by("draw").over(time))
    names = {name: f"series-{number}" for number, name in enumerate(chosen, 1)}
    return dealt.filter(pl.col(series).is_in(chosen)).select(pl.col(series).replace(names), time, target)
