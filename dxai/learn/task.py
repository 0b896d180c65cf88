"""Which of the two task families a contract asks for."""

from __future__ import annotations

import polars as pl

from dxai.config.settings import RunSettings
from dxai.contract import Contract
from dxai.learn.demand import DemandTask
from dxai.learn.quality import QualityTask

Task = QualityTask | DemandTask


def task_for(contract: Contract, table: pl.DataFrame, settings: RunSettings) -> Task:
    """The task object with its folds; raises what its family raises."""
    family = QualityTask if contract.task == "quality" else DemandTask
    return family(contract, table, settings)
