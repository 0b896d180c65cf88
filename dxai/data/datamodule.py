"""The batches of one fit, as Lightning asks for them."""

from __future__ import annotations

import torch
from lightning.pytorch import LightningDataModule

from dxai.data.batches import Batches, DiskBatches, Rows, RowsOnDisk, Stored


class TensorData(LightningDataModule):
    """Rows to fit, in memory or on disk, and perhaps rows to watch."""

    def __init__(self, fit: Stored | RowsOnDisk, watch: Rows | None, *, batch_size: int, seed: int) -> None:
        super().__init__()
        self.fit_rows, self.watch_rows, self.batch_size, self.seed = fit, watch, batch_size, seed

    def train_dataloader(self) -> Batches:
        """Shuffled rows to fit."""
        if isinstance(self.fit_rows, RowsOnDisk):
            there = torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device
            return DiskBatches(self.fit_rows, self.batch_size, seed=self.seed, device=there)
        return self._batches(self.fit_rows, self.batch_size, self.seed)

    def val_dataloader(self) -> Batches | list[Rows]:
        """Rows to watch, in order; they steer nothing, they only draw a curve."""
        return [] if self.watch_rows is None else self._batches(self.watch_rows, 4096, None)

    def _batches(self, rows: Stored, size: int, seed: int | None) -> Batches:
        """Of rows that lie in the memory of the device that trains."""
        trainer = self.trainer
        if trainer is None:
            return Batches(rows, size, seed=seed)
        there = tuple(tensor.to(trainer.strategy.root_device) for tensor in rows)
        return Batches(there, size, seed=seed, rank=trainer.global_rank, world=trainer.world_size)
