"""`dxai train -m` in MLflow: its jobs, in whatever processes a launcher starts them, are below one run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from dxai.errors import DxaiError

if TYPE_CHECKING:
    from dxai.config.settings import RunSettings
    from dxai.record.tracking.sweeps import Job

_NAME = "DXAI_SWEEP"
"""What Hydra sets in the environment of every job, wherever a launcher runs it: the name of the sweep."""
_TRACKED = ("tracking.", "+tracking.", "experiment=", "+experiment=")


@contextmanager
def jobs_told(words: Sequence[str]) -> Iterator[list[str]]:
    """The words of a command, and where they ask for several runs the one that tells jobs of their sweep.

    The sweep is closed at the end of the block, with the best of its jobs.
    """
    from dxai.config.compose import asks_for_jobs

    if not asks_for_jobs(words):
        yield list(words)
        return
    name = f"{time.strftime('sweep_%Y-%m-%d_%H-%M-%S')}_{token_hex(4)}"
    begun = True
    try:
        yield [*words, f"+hydra.job.env_set.{_NAME}={name}"]
    except DxaiError:  # refused; what goes wrong in a job leaves with an exit code
        begun = False
        raise
    finally:
        if begun:
            _conclude(name, words)


def _conclude(name: str, words: Sequence[str]) -> None:
    from dxai.config.compose import find_checkout, settings_from
    from dxai.config.overrides import swept_words
    from dxai.record.tracking.tracker import Tracker

    checkout, told = find_checkout(), [word for word in words if word.startswith(_TRACKED)]
    swept = swept_words(told)
    settings = settings_from([word for word in told if word not in swept], checkout=checkout)
    Tracker(checkout, settings.tracking).conclude(name)


def job_of(settings: RunSettings, folder: Path, checkout: Path) -> Job | None:
    """The job that this process runs; None: the run is by itself."""
    from dxai import metrics
    from dxai.data.table import contract_of
    from dxai.record.tracking.sweeps import Job, Parent

    if not (name := os.environ.get(_NAME)):
        return None
    metric = metrics.lead(contract_of(settings.data, checkout).family)
    return Job(Parent(settings.data.name, name, name, metric), folder.name)
