"""Batches from tensors in memory or blocks of rows on disk: no workers, no copies, the same order for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dxai.data.cuts import Cut

Rows = tuple[Tensor, ...]
"""Tensors of equal length: inputs first, the target last."""

Stored = tuple[Tensor | Cut, ...]
"""What batches are taken from: the same, or cut when it is asked for."""


POOL = 32
"""Blocks that are shuffled together: a quarter of a million rows."""


@dataclass(frozen=True)
class RowsOnDisk:
    """Rows to fit of a table that is larger than memory.

    Attributes:
        counts: Rows of each block ``[blocks]``.
        read: Of the number of a block its rows to fit, as the network takes them.
    """

    counts: NDArray[np.int64]
    read: Callable[[int], Rows]


class Batches:
    """An iterable of batches with a length, 10 to 20 times faster than a DataLoader on small tables.

    The order of epoch ``e`` depends on ``seed`` and ``e`` alone. Several processes share the rows of each batch:
    together they see the batches of one.
    """

    def __init__(self, rows: Stored, batch_size: int, *, seed: int | None, rank: int = 0, world: int = 1) -> None:
        """``seed`` None keeps the rows in order; this is process number ``rank`` of ``world``."""
        self.rows, self.batch_size, self.seed, self.epoch, self.batch = rows, batch_size, seed, 0, 0
        self.rank, self.world = rank, world

    def go_on(self, epoch: int, batch: int) -> None:
        """Numbers of the epoch and of its batch that come next: a fit that is resumed does not begin with the first."""
        self.epoch, self.batch = epoch, batch

    @property
    def count(self) -> int:
        """Rows of an epoch."""
        return len(self.rows[0])

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def share(self, number: int) -> float:
        """Weight of this process's rows in the mean over a batch; the mean over the processes is that of the rows."""
        whole = min(self.batch_size, self.count - number * self.batch_size)
        return len(range(self.rank, whole, self.world)) * self.world / whole

    def __iter__(self) -> Iterator[Rows]:
        count = self.count
        if self.seed is None:
            order = torch.arange(count)
        else:
            order = torch.randperm(count, generator=_generator(self.seed, self.epoch))
        order = order.to(self.rows[0].device)
        first = self._next_epoch()
        for start in range(first, count, self.batch_size):
            chosen = order[start : start + self.batch_size]
            if self.world > 1:
                mine = chosen[self.rank :: self.world]
                chosen = mine if len(mine) else chosen[:1]  # its share is 0: all processes take as many steps
            yield tuple(tensor[chosen] for tensor in self.rows)

    def _next_epoch(self) -> int:
        """Count the epoch that begins; how many of its rows are not given, because its first batches were before."""
        first = self.batch * self.batch_size
        self.epoch, self.batch = self.epoch + 1, 0
        return first


class DiskBatches(Batches):
    """The same of rows on disk: blocks in an order of their own, read 32 at a time and shuffled together.

    Where one pool holds all rows, the batches are those of `Batches`.
    """

    def __init__(self, stored: RowsOnDisk, batch_size: int, *, seed: int, device: torch.device) -> None:
        super().__init__((), batch_size, seed=seed)
        self.stored, self.device = stored, device

    @property
    def count(self) -> int:
        """Rows of an epoch."""
        return int(self.stored.counts.sum())

    def __iter__(self) -> Iterator[Rows]:
        assert self.seed is not None
        generator = _generator(self.seed, self.epoch)
        blocks = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.stored.counts))
        skipped = self._next_epoch()
        rest: Rows | None = None
        for first in range(0, len(blocks), POOL):
            pool = np.sort(blocks[first : first + POOL])
            order = torch.randperm(int(self.stored.counts[pool].sum()), generator=generator)
            if 0 < skipped >= len(order):
                skipped -= len(order)
                continue
            order, skipped = order[skipped:], 0
            parts = [self.stored.read(int(block)) for block in pool]
            rows = tuple(torch.cat(tensors)[order].to(self.device) for tensors in zip(*parts, strict=True))
            if rest is not None:
                rows = tuple(map(torch.cat, zip(rest, rows, strict=True)))
            count = len(rows[0])
            whole = count if first + POOL >= len(blocks) else count // self.batch_size * self.batch_size
            for start in range(0, whole, self.batch_size):
                yield tuple(tensor[start : min(start + self.batch_size, whole)] for tensor in rows)
            rest = tuple(tensor[whole:].clone() for tensor in rows)


def _generator(seed: int, epoch: int) -> torch.Generator:
    """Draws the order of an epoch."""
    return torch.Generator().manual_seed(seed * 1_000_003 + epoch)
