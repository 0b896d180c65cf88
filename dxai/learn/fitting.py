"""What a fit is told and what it tells: rows, loss, progress; for Lightning's and for models that fit themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from dxai.config.settings import TrainerSettings
from dxai.data.batches import RowsOnDisk, Stored
from dxai.data.cuts import Cut

Loss = Callable[[Any, Tensor], Tensor]
"""(what the network answers, target) to one number."""


@dataclass(frozen=True)
class Epoch:
    """Losses of one epoch, on the rows to fit and on those that are watched; NaN where none are."""

    number: int
    fit_loss: float
    watched_loss: float


class OnStep(Protocol):
    """Told where a fit stands."""

    def __call__(self, share: float, told: str, epoch: Epoch | None = None, /) -> None:
        """So much of the fit is done, that is going on, and this epoch has ended."""


def unwatched(share: float, told: str, epoch: Epoch | None = None, /) -> None:
    """Nobody waits."""


def part_of(on_step: OnStep, first: float, last: float) -> OnStep:
    """Tells of a fit that is a part of another one: from the share ``first`` of it to ``last``."""

    def told(share: float, text: str, epoch: Epoch | None = None) -> None:
        on_step(first + (last - first) * share, text, epoch)

    return told


@dataclass(frozen=True)
class FitRows:
    """What a model that fits itself gets; nothing in it speaks of epochs.

    Attributes:
        inputs: Of its forward, for the rows to fit: scaled numbers and category numbers, or scaled histories.
        target: True values as the loss wants them.
        loss: What the fit should make small.
        seed: Fixes whatever is drawn at random.
        groups: Number of the group of each row ``[rows]``, where rows belong together.
        times: Rank of each row's time ``[rows]``, where later rows are to be predicted.
        on_step: To be told where the fit stands.
        private: Whether no row may be read from the fitted model.
        explained: Numbers of rows of which it is kept what each column brings to their answers.
        share: Of the rows that a model draws: less where a fit only serves to calibrate.
    """

    inputs: Stored
    target: Tensor | Cut
    loss: Loss
    seed: int
    groups: NDArray[np.int64] | None = None
    times: NDArray[np.int64] | None = None
    on_step: OnStep = unwatched
    private: bool = False
    explained: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    share: float = 1.0


@dataclass(frozen=True)
class FitFromDisk:
    """What a network gets in place of `FitRows` where the table is larger than memory.

    Attributes:
        rows: To fit, read block by block.
        loss: What the fit should make small.
        seed: Fixes whatever is drawn at random.
        on_step: To be told where the fit stands.
    """

    rows: RowsOnDisk
    loss: Loss
    seed: int
    on_step: OnStep = unwatched


@runtime_checkable
class FitsItself(Protocol):
    """A model that brings its own fit: trees, a Gaussian process, an ensemble, a forecaster without training."""

    def fit(self, rows: FitRows) -> None:
        """Fit in place."""


@runtime_checkable
class Weighed(Protocol):
    """A forecaster whose parts are weighed after the fit."""

    def weigh(self, inputs: Sequence[Tensor], truth: Tensor) -> None:
        """Choose the weights on steps that were not fitted on."""


def fit(
    network: nn.Module,
    rows: FitRows | FitFromDisk,
    watch: tuple[Tensor, ...] | None,
    settings: TrainerSettings,
    checkpoint: Path | None = None,
) -> list[Epoch]:
    """Fit in place and return the loss curve, which a model that fits itself has not.

    Args:
        network: Such a model, or a network for Lightning, perhaps within a module that scales.
        rows: To fit; a model that fits itself has them in memory.
        watch: Rows that are scored each epoch and never trained on; None: there are none.
        settings: Of a network's training.
        checkpoint: As in `dxai.learn.module.fit`.

    Raises:
        DxaiError: What the fit raises.
    """
    inner = getattr(network, "network", network)
    if isinstance(inner, FitsItself):
        assert isinstance(rows, FitRows)  # `task_of` sees to it
        inner.fit(rows)
        network.eval()
        return []
    from dxai.learn import module  # here, since Lightning takes seconds to load

    told = (*rows.inputs, rows.target) if isinstance(rows, FitRows) else rows.rows
    return module.fit(
        network, rows.loss, told, watch, settings, seed=rows.seed, on_step=rows.on_step, checkpoint=checkpoint
    )
