"""One fit: Lightning around a network, a loss and batches in memory."""

from __future__ import annotations

import logging
import math
import warnings
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from dxai.config.components import Component
from dxai.config.settings import TrainerSettings
from dxai.data.datamodule import Rows, TensorData
from dxai.errors import InterruptedRunError, ModelError
from dxai.learn.fitting import Epoch, FitRows, FitsItself, Loss, OnStep, unwatched


class Regression(LightningModule):
    """AdamW with a warm-up and a cosine; keeps the loss curve."""

    def __init__(self, network: nn.Module, loss: Loss, settings: TrainerSettings, on_step: OnStep) -> None:
        super().__init__()
        self.network, self.loss, self.settings, self.on_step = network, loss, settings, on_step
        self.curve: list[Epoch] = []
        self._fit_losses: list[Tensor] = []
        self._watch_losses: list[Tensor] = []

    def training_step(self, batch: Rows, _: int) -> Tensor:
        """Loss of one batch of rows to fit."""
        loss = self.loss(self.network(*batch[:-1]), batch[-1])
        self._fit_losses.append(loss.detach())
        return loss

    def validation_step(self, batch: Rows, _: int) -> None:
        """Loss of one batch of watched rows."""
        self._watch_losses.append(self.loss(self.network(*batch[:-1]), batch[-1]))

    def on_train_epoch_end(self) -> None:
        """Note both losses; stop at the first that is not a finite number."""
        epoch = Epoch(self.current_epoch, _mean(self._fit_losses), _mean(self._watch_losses))
        self._fit_losses, self._watch_losses = [], []
        if not math.isfinite(epoch.fit_loss):
            raise ModelError(
                f"The loss is {epoch.fit_loss} in epoch {epoch.number + 1}: training has diverged.",
                where="trainer", fix=f"Lower trainer.learning_rate (now {self.settings.learning_rate:g}).",
            )  # fmt: skip
        self.curve.append(epoch)
        self.on_step((epoch.number + 1) / self.settings.max_epochs, f"loss {epoch.fit_loss:.3f}", epoch)

    def configure_optimizers(self) -> Any:
        """AdamW (Loshchilov and Hutter 2019), decay on weights alone; the learning rate moves with every step."""
        named = list(self.named_parameters())
        weights = [p for name, p in named if name.endswith("weight")]
        others = [p for name, p in named if not name.endswith("weight")]  # biases, and the scalings of TabM's members
        groups = [
            {"params": weights, "weight_decay": self.settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.settings.learning_rate, fused=True)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = LambdaLR(optimizer, lambda step: warmup_cosine(step / max(1, steps), self.settings.warmup))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def warmup_cosine(progress: float, warmup: float) -> float:
    """Factor on the learning rate: a straight rise over the share ``warmup``, then half a cosine down to 0.

    >>> [round(warmup_cosine(p, 0.2), 2) for p in (0.0, 0.1, 0.2, 0.6, 1.0)]
    [0.05, 0.53, 1.0, 0.5, 0.0]
    """
    if progress < warmup:
        return 0.05 + 0.95 * progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def fit(
    network: nn.Module,
    loss: Loss,
    rows: Rows,
    watch: Rows | None,
    settings: TrainerSettings,
    *,
    seed: int,
    on_step: OnStep = unwatched,
    groups: NDArray[np.int64] | None = None,
    times: NDArray[np.int64] | None = None,
    explained: NDArray[np.int64] | None = None,
) -> list[Epoch]:
    """Train ``network`` in place and return its loss curve.

    Args:
        network: Takes the inputs of a batch.
        loss: Of its answer against the batch's last tensor.
        rows: To fit, inputs first, target last.
        watch: Rows that are scored each epoch and never trained on; None: there are none.
        settings: Epochs, batch size, learning rate.
        seed: Fixes the order of the batches.
        on_step: Told where the fit stands.
        groups: As in `FitRows`.
        times: As there.
        explained: As there.

    Raises:
        ModelError: The loss is no finite number.
        InterruptedRunError: SIGINT or SIGTERM.
    """
    inner = getattr(network, "network", network)
    if isinstance(inner, FitsItself):
        told = {} if explained is None else {"explained": explained}
        inner.fit(FitRows(rows[:-1], rows[-1], loss, seed, groups, times, on_step, **told))
        network.eval()
        return []
    module = Regression(network, loss, settings, on_step)
    data = TensorData(rows, watch, batch_size=settings.batch_size, seed=seed)
    trainer = _quiet_trainer(settings)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Lightning advises DataLoader workers and loggers that are left out on purpose
            trainer.fit(module, datamodule=data)
    except (KeyboardInterrupt, SystemExit):  # Lightning turns both signals into an exit of its own
        raise _interrupted() from None
    if trainer.interrupted:
        raise _interrupted()
    network.eval()
    return module.curve


def _quiet_trainer(settings: TrainerSettings) -> Trainer:
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.accelerators.cuda", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return Trainer(
        accelerator="cpu",
        max_epochs=settings.max_epochs,
        limit_train_batches=settings.epoch_batches,
        gradient_clip_val=settings.gradient_clip,
        callbacks=[callback.build() for callback in callbacks_of(settings)],
        deterministic=True,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        barebones=False,
    )


def callbacks_of(settings: TrainerSettings) -> list[Component]:
    """The Lightning callbacks that the settings name."""
    return [getattr(settings.callbacks, name) for name in type(settings.callbacks).model_fields]


def _interrupted() -> InterruptedRunError:
    return InterruptedRunError(
        "Training was interrupted; nothing half-written is left.", fix="Give the command again: it trains anew."
    )


def _mean(losses: list[Tensor]) -> float:
    return float(torch.stack(losses).mean()) if losses else math.nan
