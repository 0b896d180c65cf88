"""What a training cost: a file beside train/ and evaluate/, which hold the same bytes on every machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dxai.files import write_whole

_COST = "cost.json"


@contextmanager
def cost_recorded(run: Path, *, resume: bool = False) -> Iterator[None]:
    """Write the CPU seconds of the block, other processes' of its fits included, into the folder of the run.

    A resumed training adds to what its earlier parts have cost, as far as they could write it down. Nothing is written
    where no fit is left.

    Args:
        run: Folder that holds train/.
        resume: Whether the training goes on with an earlier one.
    """
    before, spent = _cpu_seconds(), (cpu_seconds(run) or 0.0) if resume else 0.0
    try:
        yield
    finally:
        if (run / "train").is_dir() or (run / "train.unfinished").is_dir():
            told = {"cpu_seconds": round(spent + _cpu_seconds() - before, 1)}
            write_whole(run / _COST, (json.dumps(told) + "\n").encode())


def cpu_seconds(run: Path) -> float | None:
    """CPU seconds of the run's training; None where they were not recorded, as in a stage of DVC."""
    file = run / _COST
    return float(json.loads(file.read_text("utf-8"))["cpu_seconds"]) if file.is_file() else None


def _cpu_seconds() -> float:
    """Of this process and of those that it has started and that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
