"""What a network is trained on: whether it is there, and how several processes tell of one fit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import torch

from dxai.config.settings import TrainerSettings
from dxai.errors import SettingsError
from dxai.learn.fitting import Epoch, OnStep


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def refuse_absent(settings: TrainerSettings) -> None:
    """Raise SettingsError where the settings ask for more GPUs than torch can use; made ready where they are there."""
    if settings.accelerator == "cpu":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats itself only so
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found < settings.devices:
        asked = "1 GPU is" if settings.devices == 1 else f"{settings.devices} GPUs are"
        raise SettingsError(
            f"{asked} asked for, however torch can use {found} here.", where="trainer.accelerator, trainer.devices",
            fix=f"Give trainer.devices={found}." if found else "Give device=cpu; `dxai doctor` tells what torch sees.",
        )  # fmt: skip


class Queued:
    """An ``on_step`` that can be called in another process.

    Args of the constructor: a queue of the way in which the other process is started.
    """

    def __init__(self, queue: Any) -> None:
        self.queue = queue

    def __call__(self, share: float, told: str, epoch: Epoch | None = None, /) -> None:
        """Told in the first of the processes."""
        if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
            self.queue.put((share, told, epoch))

    @contextmanager
    def passed_on(self, on_step: OnStep) -> Iterator[None]:
        """Pass on what comes, in order, until the block ends."""

        def work() -> None:
            while (message := self.queue.get()) is not None:
                on_step(*message)

        thread = Thread(target=work, name="steps", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.queue.put(None)
            thread.join()
