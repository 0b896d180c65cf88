"""A sweep in MLflow: its jobs below one run, which says what is best, and no pruned job among the failed ones."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as LoggedRun
from test_own_data import DEMAND, data_folder, parts

pytest.importorskip("optuna")

from test_sweep import RATE, SMALL, Watched

from dxai import metrics
from dxai.config.compose import settings_from
from dxai.doctor.runs import keys_alive
from dxai.errors import InterruptedRunError, SettingsError
from dxai.record.provenance import Provenance
from dxai.record.tracking.sweeps import KEY, Job, Parent
from dxai.record.tracking.tracker import Tracker
from dxai.sweep import Sweep

pytestmark = pytest.mark.slow(seconds=10)

MADE_FROM = Provenance(code="", data="d" * 64, contract="c", packages={})


def logged(workplace: Path) -> tuple[LoggedRun, list[LoggedRun]]:
    """The only run of a sweep, and those of its jobs as they were begun."""
    client = MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    found = client.search_runs([e.experiment_id for e in client.search_experiments()], order_by=["start_time"])
    (parent,) = [run for run in found if "metric" in run.data.tags]
    return parent, [run for run in found if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]


def began(workplace: Path, *words: str, data: str = "own") -> Sweep:
    return Sweep.begin([f"data={workplace / data}", *words], workplace)


def dxai(workplace: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from dxai.cli.main import main; main()", *words]
    return subprocess.run(command, cwd=workplace, capture_output=True, text=True, check=False)


def test_a_sweep_that_is_taken_up_again_keeps_its_run(workplace: Path) -> None:
    sweep = began(workplace, *SMALL, RATE, "sweep.trials=3", "sweep.pruner=none")
    with pytest.raises(InterruptedRunError):
        sweep.run(Watched(at=2))
    parent, jobs = logged(workplace)
    assert parent.info.status == "KILLED"
    assert [job.info.status for job in jobs] == ["FINISHED", "KILLED"]
    outcome = Sweep(sweep.folder, workplace).run(Watched())
    again, jobs = logged(workplace)
    assert (again.info.run_id, again.info.status) == (parent.info.run_id, "FINISHED")
    assert [job.data.tags["job"] for job in jobs] == ["0", "1", "1", "2"]
    assert again.data.params["best.job"] == str(outcome.best.number)
    best = outcome.best.parameters["trainer.learning_rate"]
    assert again.data.params["best.trainer.learning_rate"] == str(best)
    assert again.data.metrics["best.rmse"] == pytest.approx(outcome.best.value, rel=1e-6)
    scores = {job.data.tags["job"]: job.data.metrics["model.rmse"] for job in jobs if job.info.status == "FINISHED"}
    assert scores == {str(t.number): pytest.approx(t.value, rel=1e-5) for t in sweep.study.trials}


@pytest.mark.parametrize(("data", "after"), [("own", "after fold"), ("spares", "after epoch")])
def test_a_pruned_job_has_not_failed(data: str, after: str, workplace: Path) -> None:
    words = ["split.folds=3", "model=linear", "trainer.max_epochs=3"]
    if data == "spares":
        data_folder(workplace / "spares", DEMAND, parts())
        words = ["model=dlinear", "trainer.max_epochs=6", "split.origins=1"]
    sweep = began(workplace, *words, "folds_at_once=1", RATE, "sweep.trials=7", data=data)
    sweep.run(Watched())
    _, jobs = logged(workplace)
    pruned = {job.data.tags["job"]: job.data.tags["pruned"] for job in jobs if "pruned" in job.data.tags}
    assert sorted(pruned) == [str(t.number) for t in sweep.study.trials if t.state == "pruned"]
    assert pruned
    assert all(told.startswith(after) for told in pruned.values())
    assert {job.info.status for job in jobs} == {"FINISHED"}


def test_a_job_that_failed_is_shown_as_failed_below_a_sweep_that_ended(workplace: Path) -> None:
    sweep = began(workplace, *SMALL, "sweep.space.trainer.learning_rate=[0.01, 1e30]", "sweep.trials=3")
    sweep.run(Watched())
    parent, jobs = logged(workplace)
    failed = [str(t.number) for t in sweep.study.trials if t.state == "failed"]
    assert failed
    assert [job.data.tags["job"] for job in jobs if job.info.status == "FAILED"] == failed
    assert parent.info.status == "FINISHED"


def test_an_address_that_mlflow_cannot_use_is_refused_before_the_first_job(workplace: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        began(workplace, *SMALL, RATE, "tracking.uri=ftp://host")
    assert caught.value.where == "tracking.uri"
    assert not (workplace / "runs").exists()


def test_jobs_that_start_together_are_below_one_run_and_keep_it_alive(checkout: Path, tmp_path: Path) -> None:
    settings = settings_from(["model=linear"], checkout=checkout)
    parent = Parent(settings.data.name, "sweep-1", "sweep", metrics.METRICS["rmse"])
    trackers, together = [Tracker(tmp_path) for _ in range(6)], Barrier(6)

    def run(number: int) -> bool:
        with trackers[number].run(settings, MADE_FROM, Job(parent, str(number))):
            together.wait()
            alive = parent.key in keys_alive(tmp_path)
            together.wait()
        return alive

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(run, range(6)))
    found, jobs = logged(tmp_path)
    assert sorted(job.data.tags["job"] for job in jobs) == list("012345")
    assert (found.data.tags[KEY], found.info.status) == (parent.key, "RUNNING")
    assert parent.key not in keys_alive(tmp_path)
    assert Tracker(tmp_path).close_dead(lambda: keys_alive(tmp_path)) == (1, 0)


@pytest.mark.process(seconds=25)
@pytest.mark.parametrize(("rates", "states", "end"), [
    ("0.01,0.02", ["FINISHED", "FINISHED"], "FINISHED"), ("0.01,1e30", ["FINISHED", "FAILED"], "FAILED"),
])  # fmt: skip
def test_jobs_of_train_m_are_below_one_run(rates: str, states: list[str], end: str, workplace: Path) -> None:
    words = [f"data={workplace / 'own'}", *SMALL, f"trainer.learning_rate={rates}", "seed=3"]
    ran = dxai(workplace, "train", "-m", *words)
    assert (ran.returncode == 0) == (end == "FINISHED"), ran.stderr
    parent, jobs = logged(workplace)
    assert ([job.info.status for job in jobs], parent.info.status) == (states, end)
    scores = {job.data.tags["job"]: job.data.metrics["model.rmse"] for job in jobs if "model.rmse" in job.data.metrics}
    best = min(scores, key=lambda number: scores[number])
    assert parent.data.metrics == {"best.rmse": scores[best]}
    assert parent.data.params["best.job"] == best
    if len(scores) == 2:
        rate = parent.data.params.pop("best.trainer.learning_rate")
        assert float(rate) == float(rates.split(",")[int(best)])


@pytest.mark.process
def test_a_refused_sweep_and_its_help_leave_nothing_in_mlflow(workplace: Path) -> None:
    for words in (["model=nosuch,linear"], ["--help"], ["model=linear", "--cfg", "job"]):
        dxai(workplace, "train", "-m", *words)
        assert not (workplace / "mlflow.db").exists()
