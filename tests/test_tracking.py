"""MLflow as a team uses it: told while a run goes on, with folds as children, and never in the way of a training."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pandas as pd
import pytest
from conftest import MakeBundle
from mlflow import MlflowClient
from mlflow.entities import Run as LoggedRun

from dxai.bundle.folder import Bundle
from dxai.config.compose import settings_from
from dxai.config.settings import RunSettings, TrackingSettings
from dxai.errors import InterruptedRunError, SettingsError
from dxai.inference.loader import golden_of
from dxai.learn.fitting import Epoch
from dxai.record.provenance import Provenance, run_fingerprint
from dxai.record.tracking import delivery
from dxai.record.tracking.delivery import AwayError, Delivery
from dxai.record.tracking.journal import Event, Journal
from dxai.record.tracking.tracker import URI, Tracker

JOBS = 6
MADE_FROM = Provenance(code="", data="d" * 64, contract="c", packages={})


@pytest.fixture
def settings(checkout: Path) -> RunSettings:
    return settings_from(["model=linear"], checkout=checkout)


def runs_of(client: MlflowClient, experiment: str = "concrete") -> dict[str, LoggedRun]:
    """By their names."""
    known = client.get_experiment_by_name(experiment)
    assert known is not None
    return {run.info.run_name: run for run in client.search_runs([known.experiment_id])}


def arrived(client: MlflowClient, name: str) -> bool:
    """Whether a run is there with metrics."""
    found = runs_of(client).get(name)
    return bool(found and found.data.metrics)


def journals(checkout: Path) -> list[Path]:
    return sorted((checkout / "runs" / ".tracking").glob("*.jsonl"))


@pytest.mark.slow
def test_jobs_that_start_together_share_one_experiment(settings: RunSettings, tmp_path: Path) -> None:
    trackers = [Tracker(tmp_path) for _ in range(JOBS)]
    together = Barrier(JOBS)

    def log_a_run(tracker: Tracker) -> str:
        together.wait()
        with tracker.run(settings, MADE_FROM) as tracked:
            return tracked.run.value

    with ThreadPoolExecutor(JOBS) as pool:
        keys = list(pool.map(log_a_run, trackers))
    client = trackers[0].store.client
    found = [client.search_runs([e.experiment_id]) for e in client.search_experiments() if e.name == "concrete"]
    assert len(found) == 1
    assert sorted(run.data.tags["dxai_key"] for run in found[0]) == sorted(keys)
    assert {run.info.status for run in found[0]} == {"FINISHED"}
    assert not journals(tmp_path)


@pytest.mark.slow
def test_epochs_arrive_while_the_run_goes_on_and_folds_are_its_children(settings: RunSettings, tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    client = tracker.store.client
    with tracker.run(settings, MADE_FROM) as tracked:
        for label in ("grouped-0", "final"):
            tracked.log_epoch(label, Epoch(0, 2.0, float("nan")))
        until = time.monotonic() + 10
        while not (client.get_experiment_by_name("concrete") and arrived(client, "final")):
            assert time.monotonic() < until, "nothing arrives while the run goes on"
            time.sleep(0.05)
        assert {run.info.status for run in runs_of(client).values()} == {"RUNNING"}
        tracked.end_fit("grouped-0")
    parent, first, last = (runs_of(client)[name] for name in (settings.name, "grouped-0", "final"))
    for child in (first, last):
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.metrics == {"fit_loss": 2.0}
        assert child.info.status == "FINISHED"
    assert parent.data.params["seed"] == "0"
    assert parent.data.tags["dxai_run"] == run_fingerprint(settings, MADE_FROM)
    (data,) = parent.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("concrete", "d" * 36)
    assert json.loads(data.dataset.source) == {"place": settings.data.place}  # type: ignore[union-attr]


@pytest.mark.slow
def test_an_interrupted_run_and_its_fits_are_killed(settings: RunSettings, tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    with pytest.raises(InterruptedRunError), tracker.run(settings, MADE_FROM) as tracked:
        tracked.log_epoch("final", Epoch(0, 1.0, 1.0))
        raise InterruptedRunError("")
    assert {run.info.status for run in runs_of(tracker.store.client).values()} == {"KILLED"}


@pytest.mark.slow
def test_system_metrics_are_an_option(settings: RunSettings, tmp_path: Path) -> None:
    pytest.importorskip("psutil")
    tracker = Tracker(tmp_path, TrackingSettings(system_metrics=True))
    with tracker.run(settings, MADE_FROM):
        time.sleep(0.2)
    assert "system/cpu_utilization_percentage" in runs_of(tracker.store.client)[settings.name].data.metrics


def test_the_address_is_no_part_of_the_fingerprint(settings: RunSettings, checkout: Path) -> None:
    there = settings_from(["model=linear", "tracking.uri=http://mlflow.example:5000"], checkout=checkout)
    assert there.tracking.uri == "http://mlflow.example:5000"
    assert run_fingerprint(there, MADE_FROM) == run_fingerprint(settings, MADE_FROM)


def test_the_setting_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URI, "http://environment:1")
    assert Tracker(tmp_path).store.uri == "http://environment:1"
    assert Tracker(tmp_path, TrackingSettings(uri="http://setting:1")).store.uri == "http://setting:1"


@pytest.mark.parametrize("uri", ["./mlruns", "file:///mlruns", "htp://u:secret@h"])
def test_an_address_that_mlflow_cannot_use_is_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        Tracker(tmp_path, TrackingSettings(uri=uri))
    assert caught.value.where == "tracking.uri"
    assert "sqlite:///" in caught.value.fix
    assert "secret" not in caught.value.message()


def test_no_password_is_told(tmp_path: Path) -> None:
    store = Tracker(tmp_path, TrackingSettings(uri="https://user:secret@mlflow.example:5000/x")).store
    assert store.place == "mlflow.example:5000"


# --- delivery, to a store that answers when it wants ------------------------------------------------------------------


class Fickle:
    """A store that is away, or refuses a word."""

    place, patience = "nowhere", 0.0

    def __init__(self, *, away: bool = False) -> None:
        self.away, self.told = away, list[Event]()

    def deliver(self, events: Sequence[Event]) -> None:
        if self.away:
            raise AwayError("connection refused")
        if any(event["op"] == "bad" for event in events):
            raise ValueError("no such word")
        self.told += events


def event(number: int, op: str = "metrics") -> Event:
    return {"op": op, "run": ["e", "t", "v"], "number": number}


def numbers(store: Fickle) -> list[int]:
    return [event["number"] for event in store.told]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"_GATHER": 0.02, "_AGAIN": 0.05}.items():
        monkeypatch.setattr(delivery, name, seconds)


@pytest.fixture
def away(tmp_path: Path) -> Iterator[tuple[Fickle, Delivery]]:
    """A store that is away and what goes on being told."""
    store = Fickle(away=True)
    running = Delivery(Journal.start(tmp_path / "journals", "s"), store, "s")
    yield store, running
    running.close()


def test_what_a_store_misses_arrives_in_order_when_it_answers_again(
    away: tuple[Fickle, Delivery], caplog: pytest.LogCaptureFixture
) -> None:
    store, running = away
    begin = time.monotonic()
    for number in range(500):
        running.append(event(number))
    assert time.monotonic() - begin < 1
    lines = running.journal.file.read_text("utf-8").splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(500))
    time.sleep(0.3)
    store.away = False
    running.close()
    assert numbers(store) == list(range(500))
    assert not running.journal.file.exists()
    assert [record.levelname for record in caplog.records] == ["WARNING"], "one line, however often it was tried"
    assert "Traceback" not in caplog.text


def test_what_is_left_goes_with_the_next_start(away: tuple[Fickle, Delivery], tmp_path: Path) -> None:
    _, running = away
    running.append({"op": "start", "run": ["e", "t", "v"], "number": 0}, event(1), event(2, "end"))
    running.close()
    assert running.journal.file.exists()
    store = Fickle()
    second = Delivery(Journal.start(tmp_path / "journals", "s"), store, "s")
    second.append(event(3))
    second.close()
    assert numbers(store) == [0, 1, 2, 3]
    assert not list(tmp_path.glob("journals/*"))


def test_another_store_does_not_get_what_is_left(away: tuple[Fickle, Delivery], tmp_path: Path) -> None:
    _, running = away
    running.append(event(1))
    running.close()
    store = Fickle()
    Delivery(Journal.start(tmp_path / "journals", "other"), store, "other").close()
    assert not store.told
    assert running.journal.file.exists()


@pytest.mark.process
def test_a_server_that_never_answers_holds_nothing_up(
    settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tracker = Tracker(tmp_path, TrackingSettings(uri=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        begin = time.monotonic()
        with tracker.run(settings, MADE_FROM) as tracked:
            for number in range(1000):
                tracked.log_epoch("final", Epoch(number, 1.0, 1.0))
            told = time.monotonic() - begin
        assert told < 1.0
        assert time.monotonic() - begin < 8
    (kept,) = journals(tmp_path)
    assert kept.read_text("utf-8").count("fit_loss") == 1000


def test_a_journal_in_use_is_left_alone(tmp_path: Path) -> None:
    used = Journal.start(tmp_path, "s")
    used.append(event(1))
    assert not list(Journal.left(tmp_path, "s"))
    used.close()
    assert [journal.next(5) for journal in Journal.left(tmp_path, "s")] == [[event(1)]]


def test_a_run_whose_process_died_is_closed(tmp_path: Path) -> None:
    dead = Journal.start(tmp_path, "s")
    dead.append({"op": "start", "run": ["e", "t", "parent"]}, {"op": "start", "run": ["e", "t", "child"]})
    dead.delivered(2)
    with dead.file.open("a") as file:
        file.write('{"op": "metr')  # killed in the middle of a line
    dead.lock.release()
    store = Fickle()
    Delivery(Journal.start(tmp_path, "s"), store, "s").close()
    ends = [(event["op"], event["run"][2], event["status"]) for event in store.told]
    assert ends == [("end", "child", "KILLED"), ("end", "parent", "KILLED")]


def test_what_a_store_refuses_is_kept_and_the_rest_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Fickle()
    running = Delivery(Journal.start(tmp_path, "s"), store, "s")
    running.append(event(0), event(1, "bad"), event(2))
    running.close()
    assert numbers(store) == [0, 2]
    (kept,) = [json.loads(line) for line in (tmp_path / "refused.jsonl").read_text("utf-8").splitlines()]
    assert (kept["number"], kept["why"]) == (1, "no such word")
    assert "no such word" in caplog.text


# --- the registry -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("task", ["quality", "demand"])
def test_the_registered_model_answers_texts_and_histories_as_ours(
    task: str, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    from mlflow.onnx import load_model as load_onnx
    from mlflow.pyfunc import load_model as load_pyfunc

    from dxai.record.tracking.registry import save_model

    bundle = Bundle.open(make_bundle(tmp_path / "bundle", task=task))
    save_model(bundle, tmp_path / "model")
    assert {"MLmodel", "model.onnx"} <= {path.name for path in (tmp_path / "model").iterdir()}
    assert (tmp_path / "model/model.onnx").read_bytes() == bundle.read("model.onnx")
    golden, loaded = golden_of(bundle), load_pyfunc(str(tmp_path / "model"))
    assert [tensor.name for tensor in load_onnx(str(tmp_path / "model")).graph.input] == list(golden.inputs)
    columns = {name: a.astype(np.float64) if a.dtype == np.float32 else a for name, a in golden.inputs.items()}
    ways = [loaded.input_example, dict(golden.inputs)]
    if task == "quality":
        ways.append(pd.DataFrame(columns))
    for given in ways:
        predicted = loaded.predict(given)
        for name, values in golden.outputs.items():
            np.testing.assert_allclose(np.asarray(predicted[name]), values, rtol=1e-5)
