"""Checkpoints within a fit: at the end of an epoch, whole or not at all, so rare that they cost next to nothing."""

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
"""Seconds between two checkpoints, at the least."""
_SHARE = 0.01
"""Of a fit's time that its checkpoints may take."""


class EpochCheckpoint(Checkpoint):
    """Saves the trainer at the end of an epoch, in place of the checkpoint before.

    Args of the constructor: the file, and seconds between two.
    """

    def __init__(self, file: Path, every: float | None = None) -> None:
        self.file, self.every = file, _EVERY if every is None else every
        self.due = time.monotonic() + self.every

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Save where it is time to."""
        begun = time.monotonic()
        if begun < self.due or trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs:
            return  # after the last epoch the fit itself is stored
        trainer.save_checkpoint(self.file, weights_only=False)  # all of the trainer, not the weights alone
        ended = time.monotonic()
        self.due = ended + max(self.every, (ended - begun) / _SHARE if self.every else 0.0)


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
