"""MLflow as a store of events: every one is told so that telling it twice changes nothing."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from dxai.record.tracking.delivery import AwayError
from dxai.record.tracking.journal import Event, Reference
from dxai.record.tracking.sweeps import BETTER, KEY, METRIC, OTHERS

_TRAINING_PAGES = {"mlflow.experimentKind": "custom_model_development"}  # otherwise MLflow opens its pages for LLMs
_PARENT, _CONTEXT = "mlflow.parentRunId", "mlflow.data.context"
_REFUSALS = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "MALFORMED_REQUEST", "INVALID_STATE"}
"""MLflow's words for what another attempt does not mend."""
_METRICS_AT_ONCE, _DIGEST, _JOBS = 1000, 36, 10_000
"""MLflow's limits: metrics of one batch, letters of a data set's digest, jobs of one search."""


class MlflowStore:
    """A tracking server, or a database that MLflow opens itself.

    Args:
        uri: As MLflow takes it.
        artifacts: Folder of artifacts, where no server says another place.

    Attributes:
        lock: Held by one process of the checkout that makes what several may make.
    """

    def __init__(self, uri: str, artifacts: Path) -> None:
        self.uri, self.artifacts = uri, artifacts
        self.ids = dict[Reference, str]()
        self.experiments = dict[str, str]()
        self.lock = FileLock(artifacts.parent / "mlflow.db.lock", thread_local=False)

    @property
    def place(self) -> str:
        """Host or file, without user and password."""
        parts = urlsplit(self.uri)
        return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or parts.path.removeprefix("/")

    @property
    def patience(self) -> float:
        """A file of SQLite is only in use by another run; a server that is away is not waited for."""
        return 30.0 if self.uri.startswith("sqlite") else 0.0

    @cached_property
    def client(self) -> MlflowClient:
        """Made when first asked for: of a database it opens a connection."""
        for name in ("mlflow.store.db.utils", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        for name in ("urllib3.connectionpool", "mlflow.store.db.utils"):
            logging.getLogger(name).setLevel(logging.ERROR)  # what they warn of is told in one line of ours
        return MlflowClient(tracking_uri=self.uri)

    def deliver(self, events: Sequence[Event]) -> None:
        """See `dxai.record.tracking.delivery.Store`."""
        with _failures_told():
            if events[0]["op"] == "metrics":
                self._metrics(events)
            else:
                (event,) = events
                getattr(self, f"_{event['op']}")(event, Reference(*event["run"]))

    def find(self, run: Reference) -> str | None:
        """Id of the newest run that a reference means; None when there is none."""
        if run not in self.ids and (experiment := self._experiment(run.experiment, make=False)):
            found = self.client.search_runs(
                [experiment], f"tags.{run.tag} = '{run.value}'", max_results=1, order_by=["start_time DESC"]
            )
            if found:
                self.ids[run] = str(found[0].info.run_id)
        return self.ids.get(run)

    def close_all_but(self, alive: Callable[[], Collection[str]]) -> int:
        """Close open runs of dxai that are none of those with these keys; returns how many."""
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        found = self.client.search_runs(experiments, "attributes.status = 'RUNNING'", max_results=_METRICS_AT_ONCE)
        keys = {run.info.run_id: run.data.tags.get(KEY) for run in found}
        living = alive()  # asked later than MLflow: a run that has begun since then is none of these
        dead = [run_id for run_id, key in keys.items() if key and key not in living]
        dead = [run_id for run_id in dead if self.client.get_run(run_id).info.status == "RUNNING"]
        for run_id in dead:
            self.client.set_terminated(run_id, "KILLED")
        return len(dead)

    # --- events -------------------------------------------------------------------------------------------------------

    def _start(self, event: Event, run: Reference) -> None:
        with self.lock if event.get("shared") else nullcontext():
            run_id = self.find(run) or self._create(event, run)
        if event["op"] == "start" and event.get("shared"):  # an interrupted sweep goes on
            self.client.update_run(run_id, "RUNNING")
        if event["params"]:
            self.client.log_batch(run_id, params=[Param(key, value) for key, value in event["params"].items()])
        if data := event["data"]:
            known = Dataset(data["name"], data["digest"][:_DIGEST], "dxai", json.dumps(data["source"]))
            self.client.log_inputs(run_id, [DatasetInput(known, [InputTag(_CONTEXT, "training")])])

    _make = _start

    def _create(self, event: Event, run: Reference) -> str:
        tags = {run.tag: run.value, **event["tags"]}
        if event["parent"]:
            tags[_PARENT] = self._id(Reference(*event["parent"]))
        experiment = self._experiment(run.experiment, make=True)
        made = self.client.create_run(experiment, event["time"], tags, event["name"])
        self.ids[run] = str(made.info.run_id)
        return self.ids[run]

    def _note(self, event: Event, run: Reference) -> None:
        self._log(self._id(run), event["time"], event["values"], event["params"], event["tags"])

    def _log(
        self,
        run_id: str,
        time: int,
        values: Mapping[str, float],
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        self.client.log_batch(
            run_id,
            [Metric(name, value, time, 0) for name, value in values.items()],
            [Param(name, value) for name, value in params.items()],
            [RunTag(name, value) for name, value in tags.items()],
        )

    def _conclude(self, event: Event, run: Reference) -> None:
        """End a sweep that no process knows whole: where it is, how its jobs ended and which is best, MLflow tells."""
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        for parent in self.client.search_runs(experiments, f"tags.{run.tag} = '{run.value}'"):
            run_id, metric = parent.info.run_id, parent.data.tags[METRIC]
            jobs = list(self.client.search_runs(experiments, f"tags.`{_PARENT}` = '{run_id}'", max_results=_JOBS))
            scored = {job.data.metrics[f"model.{metric}"]: job for job in jobs if f"model.{metric}" in job.data.metrics}
            if scored:
                value = (max if parent.data.tags[BETTER] == "more" else min)(scored)
                best = {f"best.{key}": told for key, told in _swept(scored[value], jobs).items()}
                best["best.job"] = scored[value].data.tags["job"]
                self._log(run_id, event["time"], {f"best.{metric}": value}, best, {})
            states = {job.info.status for job in jobs}
            status = next((state for state in ("KILLED", "FAILED") if state in states), "FINISHED")
            self.client.set_terminated(run_id, status, event["time"])

    def _metrics(self, events: Sequence[Event]) -> None:
        points = defaultdict[Reference, list[Metric]](list)
        for event in events:
            points[Reference(*event["run"])] += [
                Metric(name, value, event["time"], event["step"]) for name, value in event["values"].items()
            ]
        for run, metrics in points.items():
            for first in range(0, len(metrics), _METRICS_AT_ONCE):
                self.client.log_batch(self._id(run), metrics=metrics[first : first + _METRICS_AT_ONCE])

    def _end(self, event: Event, run: Reference) -> None:
        if event["status"] != OTHERS:
            self.client.set_terminated(self._id(run), event["status"], event["time"])

    def _folder(self, event: Event, run: Reference) -> None:
        if run_id := self.find(run):
            self.client.log_artifacts(run_id, event["folder"], event["name"])

    def _scores(self, event: Event, run: Reference) -> None:
        if run_id := self.find(run):
            self._log(run_id, event["time"], event["values"], {}, {})

    def _register(self, event: Event, run: Reference) -> None:
        from dxai.record.tracking.registry import register

        if not (run_id := self.find(run)):  # trained where this store was not known
            experiment = self._experiment(run.experiment, make=True)
            made = self.client.create_run(experiment, event["time"], {run.tag: run.value}, event["name"])
            run_id = self.ids[run] = str(made.info.run_id)
            self.client.log_batch(run_id, tags=[RunTag("mlflow.source.type", "RELEASE")])
            self.client.set_terminated(run_id, "FINISHED", event["time"])
        register(self.client, run_id, Path(event["folder"]), event["sha256"])

    # --- names to ids -------------------------------------------------------------------------------------------------

    def _id(self, run: Reference) -> str:
        if run_id := self.find(run):
            return run_id
        raise ValueError(f"there is no run {run.value} in the experiment {run.experiment}")

    def _experiment(self, name: str, *, make: bool) -> str:
        if name not in self.experiments:
            known = self.client.get_experiment_by_name(name)
            if known is None and make:
                try:
                    self.client.create_experiment(name, self._artifacts_of(name), _TRAINING_PAGES)
                except MlflowException:  # another job was faster, or it will be raised below
                    if self.client.get_experiment_by_name(name) is None:
                        raise
                known = self.client.get_experiment_by_name(name)
            if known is None:
                return ""
            self.experiments[name] = str(known.experiment_id)
        return self.experiments[name]

    def _artifacts_of(self, experiment: str) -> str | None:
        served = urlsplit(self.uri).scheme in ("http", "https")
        return None if served else (self.artifacts / experiment).as_uri()


def _swept(best: Run, jobs: Sequence[Run]) -> dict[str, str]:
    """The settings of the best job in which others differ."""
    return {k: told for k, told in best.data.params.items() if any(job.data.params.get(k) != told for job in jobs)}


@contextmanager
def _failures_told() -> Iterator[None]:
    """Raise AwayError for all that another attempt may mend."""
    import requests
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlflowException as error:
        if error.error_code in _REFUSALS:
            raise
        raise AwayError(_short(error)) from None
    except (requests.RequestException, SQLAlchemyError, OSError) as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError):  # what was to be sent is gone
            raise
        raise AwayError(_short(error)) from None


def _short(error: Exception) -> str:
    text = str(error)
    for sign in ("Connection refused", "timed out", "Name or service not known", "Connection reset", "locked"):
        if sign in text:
            return sign.lower()
    return str(error.error_code) if isinstance(error, MlflowException) else type(error).__name__


def flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a nested mapping."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
