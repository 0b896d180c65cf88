"""Which task a contract asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from dxai.config.components import find
from dxai.config.settings import OwnData, RunSettings
from dxai.contract import Contract
from dxai.data.table import contract_of, prepared_table, rows_on_disk
from dxai.errors import SettingsError
from dxai.learn.classification import ClassTask
from dxai.learn.demand import DemandTask
from dxai.learn.fitting import FitsItself
from dxai.learn.regression import RegressionTask
from dxai.learn.rows import RowTask
from dxai.learn.task import Task

AnyTask = Task[Any, Any]

TASKS: dict[str, type[AnyTask]] = {"regression": RegressionTask, "classes": ClassTask, "demand": DemandTask}
"""By kind of prediction."""


def task_of(settings: RunSettings, checkout: Path) -> AnyTask:
    """The table and the folds that the settings name; of a table larger than memory a sample, and a file of all rows.

    Models that fit themselves, ordered splits and fits of several processes have all rows in memory.
    """
    contract = contract_of(settings.data, checkout)
    stored = None
    if _reads_blocks(contract, settings) and isinstance(settings.data, OwnData):
        stored = rows_on_disk(settings.data, checkout)
    if stored:
        task = task_for(contract, stored.sample(), settings)
        assert isinstance(task, RowTask)
        task.stored, task.left_out = stored, stored.about.left_out
        return task
    return task_for(contract, prepared_table(settings.data, checkout), settings)


def _reads_blocks(contract: Contract, settings: RunSettings) -> bool:
    """Whether these fits need not have all rows at once."""
    if not issubclass(TASKS[contract.family], RowTask) or settings.split.kind not in ("random", "grouped"):
        return False
    return _is_network(settings) and settings.trainer.processes == 1


def refuse_idle_tasks(settings: RunSettings) -> None:
    """Raise SettingsError where SLURM has started several tasks for a model that one process fits."""
    if settings.trainer.in_tasks and not _is_network(settings):
        raise SettingsError(
            f"model={settings.model.name} fits itself, in one process, however SLURM is to start "
            f"{settings.trainer.processes}.",
            where="model, trainer.started_by", fix="Leave device=slurm out, or choose a network, such as model=tabm.",
        )  # fmt: skip


def _is_network(settings: RunSettings) -> bool:
    model = find(settings.model.target)
    return isinstance(model, type) and not issubclass(model, FitsItself)


def task_for(contract: Contract, table: pl.DataFrame, settings: RunSettings) -> AnyTask:
    """The task with its folds.

    Raises:
        SettingsError: A model, split or evaluation of another kind of task; a leaky split; a context that is too short.
        DataError: The table is too short for the split.
    """
    return TASKS[contract.family](contract, table, settings)
