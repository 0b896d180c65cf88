"""One seed, one thread count, deterministic kernels."""

from __future__ import annotations

import random

import numpy as np
import torch


def settle(seed: int, threads: int) -> None:
    """Seed Python, NumPy and torch, and ask torch for deterministic algorithms on ``threads`` threads."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
