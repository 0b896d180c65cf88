"""MLflow on SQLite: a log for the platform team. The only file that knows MLflow."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from dxai.config.settings import RunSettings
from dxai.errors import InterruptedRunError
from dxai.learn.fitting import Epoch
from dxai.record.provenance import Provenance, code_commit, run_fingerprint

_FINGERPRINT = "dxai_run"
_TRAINING_PAGES = {"mlflow.experimentKind": "custom_model_development"}  # otherwise MLflow opens its pages for LLMs


class Tracker:
    """One checkout's MLflow store: ``mlflow.db`` and ``mlartifacts/``.

    The database is made when the tracker is: make one in the parent before any parallel launch, because two
    processes that start on a missing database collide in its migrations.
    """

    def __init__(self, checkout: Path) -> None:
        self.checkout, self.artifacts = checkout, checkout / "mlartifacts"
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self.client = MlflowClient(tracking_uri=f"sqlite:///{checkout / 'mlflow.db'}")
        self.client.search_experiments(max_results=1)

    @contextmanager
    def run(self, settings: RunSettings, made_from: Provenance) -> Iterator[str]:
        """Open a run, log what it is made from, and close it with how it ended; gives the run's id."""
        experiment = self._experiment(settings.data.name)
        run_id: str = self.client.create_run(experiment, run_name=settings.name).info.run_id
        params = [Param(key, str(value)) for key, value in _flat(settings.model_dump())]
        tags = {
            _FINGERPRINT: run_fingerprint(settings, made_from),
            "git_commit": code_commit(self.checkout),
            "code_sha256": made_from.code,
            "data_sha256": made_from.data,
            "contract_sha256": made_from.contract,
        }
        self.client.log_batch(
            run_id, params=params, tags=[RunTag(k, v) for k, v in (tags | made_from.packages).items()]
        )
        status = "FAILED"
        try:
            yield run_id
            status = "FINISHED"
        except (KeyboardInterrupt, InterruptedRunError):
            status = "KILLED"
            raise
        finally:
            self.client.set_terminated(run_id, status)

    def log_curve(self, run_id: str, label: str, curve: Sequence[Epoch]) -> None:
        """The losses of every epoch of one fit."""
        now = int(time.time() * 1000)
        points = [
            Metric(f"{label}/{name}", value, now, epoch.number)
            for epoch in curve
            for name, value in (("fit_loss", epoch.fit_loss), ("watched_loss", epoch.watched_loss))
            if math.isfinite(value)
        ]
        for start in range(0, len(points), 1000):  # MLflow's limit for one batch
            self.client.log_batch(run_id, metrics=points[start : start + 1000])

    def log_scores(self, run_id: str, scores: Mapping[str, Any]) -> None:
        """Nested scores as metrics with dotted names."""
        now = int(time.time() * 1000)
        points = [Metric(name.replace(" ", "_"), float(value), now, 0) for name, value in _flat(scores)]
        self.client.log_batch(run_id, metrics=points)

    def log_folder(self, run_id: str, folder: Path, name: str) -> None:
        """Every file of a folder as artifacts under ``name``."""
        self.client.log_artifacts(run_id, str(folder), name)

    def find(self, experiment: str, fingerprint: str) -> str | None:
        """Id of the newest run with this fingerprint; None when this store has none."""
        known = self.client.get_experiment_by_name(experiment)
        if known is None:
            return None
        runs = self.client.search_runs(
            [known.experiment_id], f"tags.{_FINGERPRINT} = '{fingerprint}'", max_results=1, order_by=["start_time DESC"]
        )
        return str(runs[0].info.run_id) if runs else None

    def _experiment(self, name: str) -> str:
        known = self.client.get_experiment_by_name(name)
        if known is None:
            place = (self.artifacts / name).as_uri()
            try:
                return str(self.client.create_experiment(name, artifact_location=place, tags=_TRAINING_PAGES))
            except MlflowException:  # another job of a sweep was faster
                known = self.client.get_experiment_by_name(name)
                if known is None:
                    raise
        return str(known.experiment_id)


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a nested mapping."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
