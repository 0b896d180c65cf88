"""What MLflow is told of runs, for the platform team; a server that is away never stops or slows a training."""

from __future__ import annotations

import hashlib
import math
import os
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dxai.bundle.manifest import MODEL
from dxai.config.settings import RunSettings, TrackingSettings
from dxai.errors import InterruptedRunError, SettingsError
from dxai.learn.fitting import Epoch
from dxai.record.provenance import Provenance, code_commit, run_fingerprint
from dxai.record.tracking.delivery import Delivery
from dxai.record.tracking.journal import Journal, Lines, Reference, store_name
from dxai.record.tracking.mlflow_store import MlflowStore, flat
from dxai.record.tracking.sweeps import KEY, Job, Parent, Pruned, TrackedSweep, now
from dxai.record.tracking.system_metrics import SystemMetrics

URI = "MLFLOW_TRACKING_URI"
_FINGERPRINT = "dxai_run"
_UNSAID = TrackingSettings()
_SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")


class Tracker:
    """The MLflow of one checkout: a team's server, or ``mlflow.db`` and ``mlartifacts/`` in the checkout.

    A file of SQLite is made, and opened, when the tracker is, by one process at a time: two that start on a missing
    database collide in its migrations. A server is not asked before it is told something, and that in the background.

    Args:
        checkout: Its folder; what MLflow misses waits in ``runs/.tracking``.
        settings: Where MLflow is; ``MLFLOW_TRACKING_URI`` counts where they do not say it.

    Raises:
        SettingsError: The address is none that MLflow can use.
    """

    def __init__(self, checkout: Path, settings: TrackingSettings = _UNSAID) -> None:
        self.checkout, self.settings = checkout, settings
        uri = refuse_other_scheme(settings) or _own(checkout)
        self.store, self.folder = MlflowStore(uri, checkout / "mlartifacts"), checkout / "runs" / ".tracking"
        self.name = store_name(uri)
        if uri.startswith("sqlite"):
            with self.store.lock:
                self.store.client.search_experiments(max_results=1)

    @contextmanager
    def run(self, settings: RunSettings, made_from: Provenance, job: Job | None = None) -> Iterator[TrackedRun]:
        """Open a run, below that of its sweep; log what it is made from, close it and its fits with how it ended."""
        with self._delivery() as delivery:
            run = TrackedRun(delivery, Reference(settings.data.name, KEY, secrets.token_hex(8)))
            run.start(settings, made_from, self.checkout, job)
            with _ending(run), ExitStack() as stack:
                if self.settings.system_metrics:
                    stack.callback(SystemMetrics(run.log_metrics).stop)
                yield run

    @contextmanager
    def sweep(self, parent: Parent) -> Iterator[TrackedSweep]:
        """Open the run of a sweep, or take it up again, and close it with how the block ended."""
        with self._delivery() as delivery:
            sweep = TrackedSweep(delivery, parent)
            with _ending(sweep):
                yield sweep

    def conclude(self, key: str) -> None:
        """Close the run of a sweep whose jobs were told of one by one: with the best of them and how they ended."""
        with self._delivery() as delivery:
            delivery.append({"op": "conclude", "run": Reference("", KEY, key), "time": now()})

    @contextmanager
    def earlier(self, experiment: str, fingerprint: str) -> Iterator[EarlierRun]:
        """The newest run with this fingerprint; where MLflow has none, what is told of it goes nowhere."""
        with self._delivery() as delivery:
            yield EarlierRun(delivery, Reference(experiment, _FINGERPRINT, fingerprint))

    def close_dead(self, alive: Callable[[], Collection[str]]) -> tuple[int, int]:
        """Tell what ended processes have left, and close their runs.

        Args:
            alive: Tells the keys by which runs of living processes are known.

        Returns:
            How many runs were closed, and how many journals still wait.
        """
        before = len(self._unclosed())
        with self._delivery():
            pass
        closed = before - len(self._unclosed())
        if self.store.uri == _own(self.checkout):  # none but this checkout's processes write there
            closed += self.store.close_all_but(alive)
        return closed, len(list(self.folder.glob(f"*-{self.name}-*.jsonl")))

    def _unclosed(self) -> list[Reference]:
        files = self.folder.glob(f"*-{self.name}-*.jsonl")
        return [run for file in files for run in Lines.of(file).unended()]

    @contextmanager
    def _delivery(self) -> Iterator[Delivery]:
        delivery = Delivery(Journal.start(self.folder, self.name), self.store, self.name)
        try:
            yield delivery
        finally:
            delivery.close()


class TrackedRun:
    """A run that goes on; its fits are its children."""

    def __init__(self, delivery: Delivery, run: Reference) -> None:
        self.delivery, self.run = delivery, run
        self.fits = dict[str, Reference]()

    def start(self, settings: RunSettings, made_from: Provenance, checkout: Path, job: Job | None) -> None:
        """Settings, provenance, data set: its name and fingerprint, none of its rows and no path of a firm."""
        params = {key: str(value) for key, value in flat(settings.model_dump(exclude={"tracking"}))}
        tags = {
            _FINGERPRINT: run_fingerprint(settings, made_from),
            "git_commit": code_commit(checkout),
            "code_sha256": made_from.code,
            "data_sha256": made_from.data,
            "contract_sha256": made_from.contract,
            **made_from.packages,
        }
        source = {"place": settings.data.place} if settings.data.kind == "published" else {"place": "own data"}
        data = {"name": settings.data.name, "digest": made_from.data, "source": source}
        if job:
            self.delivery.append(job.parent.event("make"))
            tags["job"] = job.name
        parent = job.parent.run if job else None
        self._append("start", name=settings.name, parent=parent, tags=tags, params=params, data=data)

    def tag(self, **tags: str) -> None:
        """Say more of it."""
        self._append("note", tags=tags, params={}, values={})

    def log_epoch(self, label: str, epoch: Epoch) -> None:
        """The losses of one epoch of the fit of this label."""
        losses = {"fit_loss": epoch.fit_loss, "watched_loss": epoch.watched_loss}
        values = {name: value for name, value in losses.items() if math.isfinite(value)}
        self._append("metrics", self._fit(label), values=values, step=epoch.number)

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Metrics of the run itself."""
        self._append("metrics", values=dict(values), step=step)

    def end_fit(self, label: str) -> None:
        """The fit of this label has ended well."""
        self._append("end", self._fit(label), status="FINISHED")
        self.fits[label] = self.run

    def end(self, status: str) -> None:
        """Close the run, and those of its fits that have not ended."""
        for fit in self.fits.values():
            if fit != self.run:
                self._append("end", fit, status=status)
        self._append("end", status=status)

    def _fit(self, label: str) -> Reference:
        if label not in self.fits:
            self.fits[label] = self.run._replace(value=f"{self.run.value}-{label}")
            self._append(
                "start", self.fits[label], name=label, parent=self.run, tags={"fold": label}, params={}, data={}
            )
        return self.fits[label]

    def _append(self, op: str, run: Reference | None = None, **more: Any) -> None:
        self.delivery.append({"op": op, "run": run or self.run, "time": now(), **more})


class EarlierRun:
    """A run that has ended, of which there is more to tell."""

    def __init__(self, delivery: Delivery, run: Reference) -> None:
        self.delivery, self.run = delivery, run

    def log_scores(self, scores: Mapping[str, Any]) -> None:
        """Nested scores as metrics with dotted names."""
        values = {name.replace(" ", "_"): float(value) for name, value in flat(scores)}
        self._append("scores", values=values)

    def log_folder(self, folder: Path, name: str) -> None:
        """Every file of a folder as artifacts under ``name``."""
        self._append("folder", folder=str(folder.resolve()), name=name)

    def register(self, bundle: Path, name: str) -> None:
        """The bundle in this folder as the candidate among the registered models of its name."""
        sha256 = hashlib.sha256((bundle / MODEL).read_bytes()).hexdigest()
        self._append("register", folder=str(bundle.resolve()), name=name, sha256=sha256)

    def _append(self, op: str, **more: Any) -> None:
        self.delivery.append({"op": op, "run": self.run, "time": now(), **more})


@contextmanager
def _ending(run: TrackedRun | TrackedSweep) -> Iterator[None]:
    """Close a run with how the block ended."""
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except Pruned as early:
        run.tag(pruned=str(early))
        status = "FINISHED"
        raise
    except (KeyboardInterrupt, InterruptedRunError):
        status = "KILLED"
        raise
    finally:
        run.end(status)


def _own(checkout: Path) -> str:
    return f"sqlite:///{checkout / 'mlflow.db'}"


def refuse_other_scheme(settings: TrackingSettings) -> str | None:
    """The address that the settings or the environment say; SettingsError where MLflow cannot use it."""
    uri = settings.uri or os.environ.get(URI)
    if uri and not any(uri.startswith((f"{scheme}:", f"{scheme}+")) for scheme in _SCHEMES):
        raise SettingsError(
            f"MLflow takes a server or a database, however the address begins with {uri.partition(':')[0]!r}.",
            where="tracking.uri" if settings.uri else URI,
            fix="Give http://HOST:PORT, postgresql://… or sqlite:///FILE; null is mlflow.db in the checkout.",
        )  # fmt: skip
    return uri or None
