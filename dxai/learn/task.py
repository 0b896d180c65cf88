"""The two task families, and which one a contract asks for."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import polars as pl

from dxai.config.settings import (
    DemandEvaluation,
    ForecastModel,
    LinearModel,
    MlpModel,
    QualityEvaluation,
    RollingSplit,
    RowSplit,
    RunSettings,
)
from dxai.contract import Contract
from dxai.data.table import contract_of, prepared_table
from dxai.data.trainable import idle_roles, refuse
from dxai.errors import SettingsError
from dxai.learn.demand import DemandTask
from dxai.learn.quality import QualityTask

Task = QualityTask | DemandTask

_SETTINGS: dict[str, dict[str, tuple[type, ...]]] = {
    "quality": {
        "model": (LinearModel, MlpModel),
        "split": get_args(RowSplit),
        "evaluate": (QualityEvaluation,),
    },
    "demand": {"model": (ForecastModel,), "split": (RollingSplit,), "evaluate": (DemandEvaluation,)},
}
_CHOICES = {
    "quality": "model=linear, mlp or tabm, split=grouped, ordered or random, evaluate=quality",
    "demand": "model=nhits, nhits_trend or dlinear, split=rolling or official, evaluate=demand or competition",
}


def task_of(settings: RunSettings, checkout: Path) -> Task:
    """The table and the folds that the settings name."""
    return task_for(contract_of(settings.data, checkout), prepared_table(settings.data, checkout), settings)


def task_for(contract: Contract, table: pl.DataFrame, settings: RunSettings) -> Task:
    """The task object with its folds.

    Raises:
        SettingsError: A model, split or evaluation of the other family; a leaky split; a context that is too short;
            a role that no model uses yet.
        DataError: The table is too short for the split.
    """
    _refuse_other_family(contract, settings)
    refuse(idle_roles(contract))
    family = QualityTask if contract.task == "quality" else DemandTask
    return family(contract, table, settings)


def _refuse_other_family(contract: Contract, settings: RunSettings) -> None:
    fitting = _SETTINGS[contract.task]
    wrong = [group for group, kinds in fitting.items() if not isinstance(getattr(settings, group), kinds)]
    if wrong:
        told = ", ".join(f"{group}={getattr(settings, group).kind}" for group in wrong)
        raise SettingsError(
            f"data={settings.data.name} is a table for {contract.task}, and {told} is not made for that.",
            where=", ".join(wrong),
            fix=f"Choose among {_CHOICES[contract.task]}; or another data=NAME.",
        )
