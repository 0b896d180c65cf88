"""Tasks that SLURM's srun has started, each with the whole command: the first decides and writes, all train."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import torch.distributed

from dxai.config.settings import TrainerSettings
from dxai.errors import InterruptedRunError, ModelError, SettingsError

Share = Callable[[str], str]
"""Gives in every task what the first of them has given."""
_SECONDS_TO_SPEAK = 5.0
"""That the first task has before another ends, since srun ends all of them with the one that fails."""


def task_number() -> int:
    """Number of this process among those that srun has started; 0: it is the first, or srun was not there."""
    return int(os.environ.get("SLURM_PROCID", "0")) if _from_srun() else 0


def refuse_other_tasks(settings: TrainerSettings) -> None:
    """Raise SettingsError where SLURM is to have started the processes, and has not started just these."""
    if settings.started_by != "slurm":
        return
    asked = f"{settings.num_nodes} x {settings.devices} {'task' if settings.processes == 1 else 'tasks'} of SLURM"
    where = "trainer.num_nodes, trainer.devices"
    fix = f"srun --nodes={settings.num_nodes} --ntasks-per-node={settings.devices} --kill-on-bad-exit dxai train …"
    if not _from_srun():
        raise SettingsError(f"{asked} should train, however srun has not started this process.", where=where, fix=fix)
    tasks, each = (os.environ.get(f"SLURM_{name}", "") for name in ("NTASKS", "NTASKS_PER_NODE"))
    if (tasks, each) != (str(settings.processes), str(settings.devices)):
        found = f"{tasks or 'an unknown number'}, {each or 'an unknown number'} per node"
        raise SettingsError(f"{asked} should train, however srun has started {found}.", where=where, fix=fix)


@contextmanager
def told_by_the_first(*, shared: bool) -> Iterator[None]:
    """For mistakes that all tasks meet alike: the first raises them, another exits with the same code in silence.

    Args:
        shared: Whether the tasks train one network; otherwise each speaks for itself.
    """
    try:
        yield
    except (SettingsError, ModelError) as error:
        if not shared or task_number() == 0:
            raise
        time.sleep(_SECONDS_TO_SPEAK)
        raise SystemExit(error.exit_code) from None


def refuse_several_runs() -> NoReturn:
    """Raise SettingsError: tasks share one run."""
    raise SettingsError(
        "srun starts the processes of one run, however several are asked for.", where="trainer.started_by",
        fix="Give one srun per run; or a launcher, whose jobs each take one machine (device=multi_gpu).",
    )  # fmt: skip


@contextmanager
def together(settings: TrainerSettings) -> Iterator[Share]:
    """Join all tasks for the block, at whose end the first shares "" once more; one process is by itself.

    Raises:
        InterruptedRunError: SIGINT or SIGTERM, or another task has ended before its time.
    """
    if not settings.in_tasks:
        yield lambda told: told
        return
    try:
        share = _joined(settings)
        yield share
        if task_number() == 0:
            share("")
    except (InterruptedRunError, KeyboardInterrupt, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _is_lost(error):
            raise
        raise InterruptedRunError(
            f"Task {task_number()} of SLURM was interrupted, or another has ended and told why.",
            fix="Task 0 tells how to go on.",
        ) from None
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _joined(settings: TrainerSettings) -> Share:
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment  # here: Lightning takes seconds to load

    srun = SLURMEnvironment(auto_requeue=False)
    torch.distributed.init_process_group(
        "gloo" if settings.accelerator == "cpu" else "nccl",
        init_method=f"tcp://{srun.main_address}:{srun.main_port}", rank=task_number(), world_size=settings.processes,
    )  # fmt: skip
    words = torch.distributed.new_group(backend="gloo")  # words are in the processor's memory

    def share(told: str) -> str:
        found = [told]
        torch.distributed.broadcast_object_list(found, src=0, group=words)
        return found[0]

    return share


def _from_srun() -> bool:
    return "SLURM_STEP_ID" in os.environ  # a script of sbatch has all the others


def _is_lost(error: RuntimeError) -> bool:
    """Whether another process cannot be reached; gloo has no class of its own for that."""
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)
