"""One fit: Lightning around a network, a loss and batches in memory."""

from __future__ import annotations

import logging
import math
import multiprocessing
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from dxai.config.components import Component, Settings
from dxai.config.settings import TrainerSettings
from dxai.data.batches import Rows, RowsOnDisk, Stored
from dxai.data.datamodule import TensorData
from dxai.errors import InterruptedRunError, ModelError, SettingsError
from dxai.learn.checkpoints import DurableCheckpoints, FitCheckpoint
from dxai.learn.devices import Queued
from dxai.learn.fitting import Epoch, Loss, OnStep, unwatched
from dxai.learn.states import load, random_states, set_random_states

_LOSSES_APART = 1_024


class Regression(LightningModule):
    """AdamW with a warm-up and a cosine; keeps the loss curve."""

    def __init__(self, network: nn.Module, loss: Loss, settings: TrainerSettings, on_step: OnStep) -> None:
        super().__init__()
        self.network, self.loss, self.settings, self.on_step = network, loss, settings, on_step
        self.logs = settings.loggers != Settings()
        self._compiled: Callable[[Rows], Tensor] | None = None
        self.curve: list[Epoch] = []
        self._fit_losses: list[Tensor] = []
        self._watch_losses: list[Tensor] = []
        self._random: dict[str, Any] = {}

    @contextmanager
    def told(self) -> Iterator[None]:
        """While the fit goes on, ``on_step`` is told of it."""
        yield

    def setup(self, stage: str) -> None:  # noqa: ARG002  # Lightning's hook
        """Choose a GPU's matrix products, and have the loss of a batch compiled where that is asked for."""
        torch.set_float32_matmul_precision("high" if self.settings.precision == "tf32" else "highest")
        if self.settings.compile:
            mode = "default" if self.settings.accelerator == "cpu" else "reduce-overhead"  # CUDA graphs
            self._compiled = torch.compile(self._error, mode=mode, dynamic=False)

    def training_step(self, batch: Rows, _: int) -> Tensor:
        """Loss of one batch of rows to fit."""
        loss = self.error(batch)
        self._note(loss)
        return loss

    def error(self, batch: Rows) -> Tensor:
        """Loss of a batch; the last one of an epoch is smaller, and no second shape is compiled for it."""
        if self._compiled and len(batch[-1]) == self.settings.batch_size:
            return self._compiled(batch)
        return self._error(batch)

    def _error(self, batch: Rows) -> Tensor:
        return self.loss(self.network(*batch[:-1]), batch[-1])

    def _note(self, loss: Tensor) -> None:
        """Keep a loss for the mean of the epoch; of a long one many in one tensor, which takes a hundredth."""
        self._fit_losses.append(loss.detach().clone())  # the next replay of a CUDA graph writes to the same place
        if len(self._fit_losses) > _LOSSES_APART:
            self._fit_losses = [_joined(self._fit_losses)]

    def validation_step(self, batch: Rows, _: int) -> None:
        """Loss of one batch of watched rows."""
        self._watch_losses.append(self._error(batch))

    def on_train_epoch_end(self) -> None:
        """Note both losses; stop at the first that is not a finite number."""
        epoch = Epoch(self.current_epoch, self.gathered(self._fit_losses), self.gathered(self._watch_losses))
        self._fit_losses, self._watch_losses = [], []
        if not math.isfinite(epoch.fit_loss):
            raise diverged(epoch, self.settings)
        self.curve.append(epoch)
        if self.logs:
            for name, value in (("fit_loss", epoch.fit_loss), ("watched_loss", epoch.watched_loss)):
                self.log(name, value)
        best = min(self.curve, key=lambda one: one.watched_loss)
        if self.settings.early_stopping and epoch.number - best.number >= self.settings.early_stopping:
            self.trainer.should_stop = True
        self.on_step((epoch.number + 1) / self.settings.max_epochs, f"loss {epoch.fit_loss:.3f}", epoch)

    def gathered(self, losses: list[Tensor]) -> float:
        """The mean of an epoch's losses."""
        return _mean(losses)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Beside what Lightning keeps: the curve, the losses of a begun epoch, where the random generators stand."""
        checkpoint["curve"] = [(epoch.number, epoch.fit_loss, epoch.watched_loss) for epoch in self.curve]
        checkpoint["losses"] = [
            [_joined(losses)] if losses else [] for losses in (self._fit_losses, self._watch_losses)
        ]
        checkpoint["random"] = random_states()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them up."""
        self.curve = [Epoch(*epoch) for epoch in checkpoint["curve"]]
        self._fit_losses, self._watch_losses = checkpoint["losses"]
        self._random = checkpoint["random"]

    def on_train_start(self) -> None:
        """Where a fit is resumed: the next batch, and the generators, from which the set-up may have drawn."""
        for losses in (self._fit_losses, self._watch_losses):
            losses[:] = [loss.to(self.device) for loss in losses]
        batches = sum(loss.numel() for loss in self._fit_losses)  # one loss of each that is done in this epoch
        self.trainer.train_dataloader.go_on(self.current_epoch, batches)  # type: ignore[union-attr]  # a `Batches`
        if self._random:
            set_random_states(self._random)

    def configure_optimizers(self) -> Any:
        """AdamW (Loshchilov and Hutter 2019), decay on weights alone; the learning rate moves with every step."""
        named = list(self.named_parameters())
        weights = [p for name, p in named if name.endswith("weight")]
        others = [p for name, p in named if not name.endswith("weight")]  # biases, and the scalings of TabM's members
        groups = [
            {"params": weights, "weight_decay": self.settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        fused = (
            self.settings.precision != "bf16-mixed"
        )  # Lightning clips no gradients of a fused optimiser in mixed precision
        optimizer = torch.optim.AdamW(groups, lr=self.settings.learning_rate, fused=fused)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = LambdaLR(optimizer, lambda step: warmup_cosine(step / max(1, steps), self.settings.warmup))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class DirectRegression(Regression):
    """The same steps without Lightning's hooks around each of them, which take a quarter of a small network's time.

    For fits of one process that ask for none of them; weights and curve are the same bytes.
    """

    def __init__(self, network: nn.Module, loss: Loss, settings: TrainerSettings, on_step: OnStep) -> None:
        super().__init__(network, loss, settings, on_step)
        self.automatic_optimization = False

    @staticmethod
    def suits(settings: TrainerSettings) -> bool:
        """Whether nothing is asked for that Lightning does around a step."""
        hooks = (settings.callbacks, settings.loggers) != (Settings(), Settings()) or settings.lightning.given
        return not hooks and (settings.processes, settings.accumulate) == (1, 1) and settings.precision != "bf16-mixed"

    def on_train_start(self) -> None:
        """Also find what every step moves: the parameters in the optimiser's order, in which their norms are summed."""
        super().on_train_start()
        self._optimizer = self.trainer.optimizers[0]
        self._schedule = self.trainer.lr_scheduler_configs[0].scheduler
        self._weights = [weight for group in self._optimizer.param_groups for weight in group["params"]]

    def training_step(self, batch: Rows, _: int) -> None:  # type: ignore[override]  # no loss for Lightning
        """One step."""
        self._optimizer.zero_grad()
        loss = self.error(batch)
        self._note(loss)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._weights, self.settings.gradient_clip)
        self._optimizer.step()
        self._schedule.step()  # type: ignore[call-arg]  # of a `LambdaLR`


class SharedRegression(Regression):
    """The same in several processes that share every batch."""

    def training_step(self, batch: Rows, number: int) -> Tensor:
        """Loss of this process's part, weighed so that the mean over the processes is that over the batch."""
        share = self.trainer.train_dataloader.share(number)  # type: ignore[union-attr]  # a `Batches`
        loss: Tensor = self.error(batch) * share
        self._note(loss)
        return loss

    def validation_step(self, batch: Rows, number: int) -> None:
        """The same of watched rows."""
        share = self.trainer.val_dataloaders.share(number)  # type: ignore[union-attr]
        self._watch_losses.append(self._error(batch) * share)

    def on_train_start(self) -> None:
        """Dropout of its own in every process."""
        super().on_train_start()
        seed: int = self.trainer.datamodule.seed  # type: ignore[attr-defined]  # a `TensorData`
        torch.manual_seed(seed * 1000 + self.global_rank)

    def gathered(self, losses: list[Tensor]) -> float:
        """The mean over the processes too."""
        mean = _joined(losses).mean() if losses else torch.tensor(math.nan, device=self.device)
        return float(self.trainer.strategy.reduce(mean, reduce_op="mean"))


class TaskRegression(SharedRegression):
    """In one of the tasks that SLURM has started."""

    def __init__(self, network: nn.Module, loss: Loss, settings: TrainerSettings, on_step: OnStep) -> None:
        super().__init__(network, loss, settings, on_step)
        self._on_term = signal.getsignal(signal.SIGTERM)

    def on_train_start(self) -> None:
        """Also take SIGTERM from Lightning, which would talk to the other tasks in the middle of a step."""
        super().on_train_start()
        signal.signal(signal.SIGTERM, self._on_term)


class SpawnedRegression(SharedRegression):
    """In one of the processes that are started for the fit; the first tells how it goes, and the curve comes back."""

    def __init__(self, network: nn.Module, loss: Loss, settings: TrainerSettings, on_step: OnStep) -> None:
        super().__init__(network, loss, settings, Queued(multiprocessing.get_context("spawn").SimpleQueue()))
        made_of_names = {"callbacks", "loggers", "lightning"}  # classes made for them cannot go to another process
        self.settings = TrainerSettings.model_validate(settings.model_dump(exclude=made_of_names))
        self._tell: OnStep | None = on_step

    @contextmanager
    def told(self) -> Iterator[None]:
        """Pass on what the first process says."""
        tell, queue = self._tell, self.on_step
        assert tell is not None and isinstance(queue, Queued)
        self._tell = None  # it stays in this process
        with queue.passed_on(tell):
            yield
        last = self.curve[-1]
        if not math.isfinite(last.fit_loss):
            raise diverged(last, self.settings)

    def on_train_epoch_end(self) -> None:
        """As in one process, except that a loss that is no number is told once all have ended."""
        try:
            super().on_train_epoch_end()
        except ModelError:
            self.curve.append(Epoch(self.current_epoch, math.nan, math.nan))
            self.trainer.should_stop = True

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In each of the processes, before Lightning says that it begins."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        _silence()
        warnings.simplefilter("ignore")

    def get_extra_state(self) -> Any:
        """What returns to the process that asked, beside the weights."""
        return [(epoch.number, epoch.fit_loss, epoch.watched_loss) for epoch in self.curve]

    def set_extra_state(self, state: Any) -> None:
        """Take it up."""
        self.curve = [Epoch(*epoch) for epoch in state]


def diverged(epoch: Epoch, settings: TrainerSettings) -> ModelError:
    """What is told of a loss that is no finite number."""
    return ModelError(
        f"The loss is {epoch.fit_loss} in epoch {epoch.number + 1}: training has diverged.",
        where="trainer", fix=f"Lower trainer.learning_rate (now {settings.learning_rate:g}).",
    )  # fmt: skip


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
    rows: Stored | RowsOnDisk,
    watch: Rows | None,
    settings: TrainerSettings,
    *,
    seed: int,
    on_step: OnStep = unwatched,
    checkpoint: Path | None = None,
) -> list[Epoch]:
    """Train ``network`` in place and return its loss curve.

    Args:
        network: Takes the inputs of a batch.
        loss: Of its answer against the batch's last tensor.
        rows: To fit, inputs first, target last; on disk for one process alone.
        watch: Rows that are scored each epoch and never trained on; None: there are none.
        settings: Epochs, batch size, learning rate.
        seed: Fixes the order of the batches.
        on_step: Told where the fit stands.
        checkpoint: File from which the fit goes on where it was stopped, and which is written now and then; None: no
            file.

    Raises:
        ModelError: The loss is no finite number.
        SettingsError: Early stopping is asked for where no rows are watched.
        InterruptedRunError: SIGINT or SIGTERM.
    """
    if settings.early_stopping and watch is None:
        raise SettingsError(
            "Early stopping needs rows that are watched, and a fit on rows of a table has none: it is trained on all.",
            where="trainer.early_stopping", fix="Set trainer.max_epochs, and leave trainer.early_stopping null.",
        )  # fmt: skip
    if settings.processes > 1:
        checkpoint = None  # a fit of several processes begins anew
    module = _regression(settings)(network, loss, settings, on_step)
    data = TensorData(rows, watch, batch_size=settings.batch_size, seed=seed)
    trainer = _quiet_trainer(settings, checkpoint, clips=module.automatic_optimization)
    begin = checkpoint if checkpoint and load(checkpoint) else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Lightning advises DataLoader workers and loggers that are left out on purpose
            with module.told():
                trainer.fit(module, datamodule=data, ckpt_path=begin, weights_only=True)
    except (KeyboardInterrupt, SystemExit):  # Lightning turns both signals into an exit of its own
        raise _interrupted() from None
    if trainer.interrupted:
        raise _interrupted()
    network.cpu().eval()
    return module.curve


def _regression(settings: TrainerSettings) -> type[Regression]:
    if settings.processes > 1:
        return TaskRegression if settings.in_tasks else SpawnedRegression
    return DirectRegression if DirectRegression.suits(settings) else Regression


def _quiet_trainer(settings: TrainerSettings, checkpoint: Path | None, *, clips: bool) -> Trainer:
    _silence()
    several = "ddp" if settings.in_tasks else "ddp_spawn"
    return Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        strategy=several if settings.processes > 1 else "auto",
        max_epochs=settings.max_epochs,
        limit_train_batches=settings.epoch_batches,
        gradient_clip_val=settings.gradient_clip if clips else None,
        callbacks=[
            *(callback.build() for callback in named(settings.callbacks)),
            *([FitCheckpoint(checkpoint, 60 * settings.checkpoint_minutes)] if checkpoint else []),
        ],
        plugins=[
            DurableCheckpoints(),
            SLURMEnvironment(auto_requeue=False) if settings.in_tasks else LightningEnvironment(),
        ],
        deterministic=True if settings.accelerator == "cpu" else "warn",  # of some operators CUDA has no other
        logger=[logger.build() for logger in named(settings.loggers)] or False,
        accumulate_grad_batches=settings.accumulate,
        precision="bf16-mixed" if settings.precision == "bf16-mixed" else 32,
        enable_checkpointing=checkpoint is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **settings.lightning.given,
    )


def _silence() -> None:
    for name in ("pytorch.utilities.rank_zero", "pytorch.accelerators.cuda", "fabric", "fabric.utilities.rank_zero"):
        logging.getLogger(f"lightning.{name}").setLevel(logging.ERROR)
    for name in ("fabric.utilities.distributed", "pytorch.trainer", "pytorch"):
        logging.getLogger(f"lightning.{name}").setLevel(logging.ERROR)


def named(section: Settings) -> list[Component]:
    """The classes that a section of the settings names, such as callbacks."""
    return [getattr(section, name) for name in type(section).model_fields]


def _interrupted() -> InterruptedRunError:
    return InterruptedRunError(
        "Training was interrupted; nothing half-written is left.", fix="Give the command again: it trains anew."
    )


def _mean(losses: list[Tensor]) -> float:
    return float(_joined(losses).mean()) if losses else math.nan


def _joined(losses: list[Tensor]) -> Tensor:
    return torch.cat([loss.reshape(-1) for loss in losses])
