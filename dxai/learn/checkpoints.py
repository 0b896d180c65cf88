"""Checkpoints within a fit: whole or not at all, so rare that they cost next to nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import CheckpointIO

from dxai.learn.states import save

_EVERY = 5.0
"""Seconds between two checkpoints at the end of epochs, at the least."""
_SHARE = 0.01
"""Of a fit's time that its checkpoints may take."""


class FitCheckpoint(Checkpoint):
    """Saves the trainer now and then, in place of the checkpoint before: after epochs, and within one that takes long.

    Args of the constructor: the file, and seconds without a checkpoint after which one is made within an epoch.
    """

    def __init__(self, file: Path, within: float) -> None:
        self.file, self.every, self.within = file, _EVERY, within
        self._saved(0.0)

    def on_train_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Save where the epoch takes long, between two steps, and not where rows are watched first."""
        done = trainer.fit_loop.batch_idx + 1
        if time.monotonic() < self.due_within or done % trainer.accumulate_grad_batches:
            return
        if done == trainer.num_training_batches or (trainer.val_check_batch and done % trainer.val_check_batch == 0):
            return
        self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Save where it is time to."""
        if time.monotonic() < self.due or trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs:
            return  # after the last epoch the fit itself is stored
        self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        begun = time.monotonic()
        trainer.save_checkpoint(self.file, weights_only=False)  # all of the trainer, not the weights alone
        self._saved(time.monotonic() - begun)

    def _saved(self, seconds: float) -> None:
        """Note when the next is due after one that took so long."""
        now, rest = time.monotonic(), seconds / _SHARE if self.every else 0.0
        self.due, self.due_within = now + max(self.every, rest), now + max(self.within, rest)


class DurableCheckpoints(CheckpointIO):
    """Checkpoints as `write_durably` writes files: a full disk or a death leaves the one before."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ARG002
        """Write it.

        Raises:
            NoSpaceError: The disk is full.
        """
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        save(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: Any = True) -> dict[str, Any]:  # noqa: ARG002
        """Read it; only tensors and plain values are loaded, never code."""
        made: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
        return made

    def remove_checkpoint(self, path: Any) -> None:
        """Take it away."""
        Path(path).unlink(missing_ok=True)
