"""MLflow as a store of events: every one is told so that telling it twice changes nothing."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from dxai.record.tracking.delivery import AwayError
from dxai.record.tracking.journal import Event, Reference

_TRAINING_PAGES = {"mlflow.experimentKind": "custom_model_development"}  # otherwise MLflow opens its pages for LLMs
_PARENT, _CONTEXT = "mlflow.parentRunId", "mlflow.data.context"
_REFUSALS = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "MALFORMED_REQUEST", "INVALID_STATE"}
"""MLflow's words for what another attempt does not mend."""
_METRICS_AT_ONCE, _DIGEST = 1000, 36
"""MLflow's limits: metrics of one batch, letters of a data set's digest."""


class MlflowStore:
    """A tracking server, or a database that MLflow opens itself.

    Args:
        uri: As MLflow takes it.
        artifacts: Folder of artifacts, where no server says another place.
    """

    def __init__(self, uri: str, artifacts: Path) -> None:
        self.uri, self.artifacts = uri, artifacts
        self.ids = dict[Reference, str]()
        self.experiments = dict[str, str]()

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
        keys = {run.info.run_id: run.data.tags.get("dxai_key") for run in found}
        living = alive()  # asked later than MLflow: a run that has begun since then is none of these
        dead = [run_id for run_id, key in keys.items() if key and key not in living]
        dead = [run_id for run_id in dead if self.client.get_run(run_id).info.status == "RUNNING"]
        for run_id in dead:
            self.client.set_terminated(run_id, "KILLED")
        return len(dead)

    # --- events -------------------------------------------------------------------------------------------------------

    def _start(self, event: Event, run: Reference) -> None:
        if not (run_id := self.find(run)):
            tags = {run.tag: run.value, **event["tags"]}
            if event["parent"]:
                tags[_PARENT] = self._id(Reference(*event["parent"]))
            experiment = self._experiment(run.experiment, make=True)
            made = self.client.create_run(experiment, event["time"], tags, event["name"])
            run_id = self.ids[run] = str(made.info.run_id)
        if event["params"]:
            self.client.log_batch(run_id, params=[Param(key, value) for key, value in event["params"].items()])
        if data := event["data"]:
            known = Dataset(data["name"], data["digest"][:_DIGEST], "dxai", json.dumps(data["source"]))
            self.client.log_inputs(run_id, [DatasetInput(known, [InputTag(_CONTEXT, "training")])])

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
        self.client.set_terminated(self._id(run), event["status"], event["time"])

    def _folder(self, event: Event, run: Reference) -> None:
        if run_id := self.find(run):
            self.client.log_artifacts(run_id, event["folder"], event["name"])

    def _scores(self, event: Event, run: Reference) -> None:
        if run_id := self.find(run):
            metrics = [Metric(name, value, event["time"], 0) for name, value in event["values"].items()]
            self.client.log_batch(run_id, metrics=metrics)

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
