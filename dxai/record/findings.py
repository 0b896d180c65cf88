"""What a report is made of: the task, its run, held-out answers and their scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import polars as pl

from dxai.learn.task import Task
from dxai.record.runs import Run

Facts = tuple[tuple[str, str], ...]
"""Names and values at the head of a report."""

T = TypeVar("T", bound=Task[Any, Any])


@dataclass(frozen=True)
class Findings(Generic[T]):
    """Of one evaluation.

    Attributes:
        task: The table and its folds.
        run: Holds the predictors.
        held_out: Held-out answers of all splits.
        scores: Of `Task.scores`.
        facts: What made the run.
        figures: Folder that gets the pictures.
    """

    task: T
    run: Run
    held_out: pl.DataFrame
    scores: dict[str, Any]
    facts: Facts
    figures: Path

    @cached_property
    def released(self) -> Any:
        """The predictor that is to be released."""
        return self.task.restored(self.run.state(self.task.folds[-1].label))
