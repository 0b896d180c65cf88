"""Jobs of a sweep that start together log to one MLflow experiment, whoever makes it first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from dxai.config.compose import settings_from
from dxai.record.provenance import Provenance
from dxai.record.tracking import Tracker

JOBS = 6


@pytest.mark.slow
def test_jobs_that_start_together_share_one_experiment(checkout: Path, tmp_path: Path) -> None:
    settings = settings_from(["model=linear"], checkout=checkout)
    made_from = Provenance(code="", data="d", contract="c", packages={})
    trackers = [Tracker(tmp_path) for _ in range(JOBS)]
    together = Barrier(JOBS)

    def log_a_run(tracker: Tracker) -> str:
        together.wait()
        with tracker.run(settings, made_from) as run_id:
            return run_id

    with ThreadPoolExecutor(JOBS) as pool:
        runs = list(pool.map(log_a_run, trackers))
    experiments = {trackers[0].client.get_run(run).info.experiment_id for run in runs}
    assert len(set(runs)) == JOBS
    assert len(experiments) == 1
