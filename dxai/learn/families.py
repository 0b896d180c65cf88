"""Which task a contract asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from dxai.config.settings import RunSettings
from dxai.contract import Contract
from dxai.data.table import contract_of, prepared_table
from dxai.data.trainable import idle_roles, refuse
from dxai.learn.classification import ClassTask
from dxai.learn.demand import DemandTask
from dxai.learn.regression import RegressionTask
from dxai.learn.task import Task

AnyTask = Task[Any, Any]

TASKS: dict[str, type[AnyTask]] = {"regression": RegressionTask, "classes": ClassTask, "demand": DemandTask}
"""By kind of prediction."""


def task_of(settings: RunSettings, checkout: Path) -> AnyTask:
    """The table and the folds that the settings name."""
    return task_for(contract_of(settings.data, checkout), prepared_table(settings.data, checkout), settings)


def task_for(contract: Contract, table: pl.DataFrame, settings: RunSettings) -> AnyTask:
    """The task with its folds.

    Raises:
        SettingsError: A model, split or evaluation of another kind of task; a leaky split; a context that is too short;
            a role that no model uses yet.
        DataError: The table is too short for the split.
    """
    refuse(idle_roles(contract))
    return TASKS[contract.family](contract, table, settings)
