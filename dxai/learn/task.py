"""Which of the two task families a contract asks for."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dxai.config.settings import RunSettings
from dxai.contract import Contract
from dxai.data.table import contract_of, prepared_table
from dxai.learn.demand import DemandTask
from dxai.learn.quality import QualityTask

Task = QualityTask | DemandTask


def task_of(settings: RunSettings, checkout: Path) -> Task:
    """The table and the folds that the settings name."""
    return task_for(contract_of(settings.data, checkout), prepared_table(settings.data, checkout), settings)


def task_for(contract: Contract, table: pl.DataFrame, settings: RunSettings) -> Task:
    """The task object with its folds; raises what its family raises."""
    family = QualityTask if contract.task == "quality" else DemandTask
    return family(contract, table, settings)
