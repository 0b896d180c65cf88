"""One seed, one thread count, deterministic kernels."""

from __future__ import annotations

import torch
from lightning.pytorch import seed_everything


def settle(seed: int, threads: int) -> None:
    """Seed Python, NumPy and torch, and ask torch for deterministic algorithms on ``threads`` threads."""
    seed_everything(seed, verbose=False)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
