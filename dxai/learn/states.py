"""The state of a fit as a file that is there whole or not at all, and that of the random generators."""

from __future__ import annotations

import io
import logging
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dxai.files import write_durably


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
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }  # fmt: skip


def set_random_states(states: Mapping[str, Any]) -> None:
    """Let them go on from there."""
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available() and states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])
    random.setstate(states["python"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
