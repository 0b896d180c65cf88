"""Checkpoints within a fit: at the end of an epoch, whole or not at all, so rare that they cost next to nothing."""

from __future__ import annotations

import io
import logging
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import CheckpointIO

from dxai.files import write_durably

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


def save(content: Any, file: Path) -> None:
    """Tensors and plain values as a file that is there whole or not at all.

    Raises:
        NoSpaceError: The disk is full.
    """
    buffer = io.BytesIO()  # torch.save itself tells a full disk as a RuntimeError
    torch.save(content, buffer)
    write_durably(file, buffer.getvalue())


def load(file: Path) -> Any:
    """What `save` wrote; None where there is none that can be read: a fit then begins anew and ends the same."""
    try:
        return torch.load(file, weights_only=True)
    except FileNotFoundError:
        return None
    except Exception as error:  # a broken file, or a callback of the user's keeps what is no plain value
        logging.getLogger(__name__).warning("%s cannot be read: %s", file, error)
        return None


def random_states() -> dict[str, Any]:
    """Where the generators of torch, NumPy and Python stand, in plain values."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(), "python": random.getstate(),
        "numpy": [name, torch.as_tensor(np.asarray(keys, np.int64)), *rest],
    }  # fmt: skip


def set_random_states(states: Mapping[str, Any]) -> None:
    """Let them go on from there."""
    torch.set_rng_state(states["torch"])
    random.setstate(states["python"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
