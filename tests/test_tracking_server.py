"""Trainings told to a real MLflow server: killed and started again in mid-run, on SQLite, on PostgreSQL and on S3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as LoggedRun
from trials.mlflow_server import MlflowServer, ObjectStore, Postgres

from dxai.config.compose import settings_from
from dxai.config.settings import TrackingSettings
from dxai.data.own import with_own_data
from dxai.evaluate import evaluate
from dxai.learn.fitting import Epoch
from dxai.record.provenance import Provenance, run_fingerprint
from dxai.record.runs import Run
from dxai.record.tracking import delivery
from dxai.record.tracking.tracker import Tracker
from dxai.release import release
from dxai.train import train

pytestmark = [pytest.mark.process(seconds=20), pytest.mark.slow(seconds=20)]

EPOCHS = 40
FITS = ("grouped-0", "grouped-1", "random-0", "random-1", "final")


class Deeds:
    """Does something at the start of the fit of a label."""

    def __init__(self, **deeds: Callable[[], None]) -> None:
        self.deeds = deeds

    def start(self, name: str, fits: int) -> None:
        self.fits = fits

    def step(self, label: str, share: float, told: str) -> None:
        if deed := self.deeds.pop(label.replace("-", "_"), None):
            deed()


@pytest.fixture(params=["sqlite", "postgresql", "s3"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MlflowServer]:
    """Not started yet; the last keeps artifacts by the protocol of S3."""
    postgres, store = None, None
    if request.param == "postgresql":
        if why := Postgres.missing():
            pytest.skip(why)
        postgres = Postgres()
        postgres.start()
    if request.param == "s3":
        if why := ObjectStore.missing():
            pytest.skip(why)
        store = ObjectStore(tmp_path / "objects")
        store.start()
    served = MlflowServer(tmp_path / "server", postgres.uri if postgres else "", store)
    yield served
    served.kill()
    if postgres:
        postgres.stop()
    if store:
        assert {"report.html", "MLmodel", "model.onnx"} <= {Path(name).name for name in store.names}
        store.kill()


@pytest.fixture
def workplace(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a server that is away is soon asked again."""
    monkeypatch.setattr(delivery, "_AGAIN", 0.2)
    return workplace


def trained(workplace: Path, name: str, server: MlflowServer, deeds: Deeds) -> Run:
    words = [f"data={workplace / 'own'}", "model=linear", "split.folds=2", "folds_at_once=1", "evaluate.permutations=1"]
    words += [f"trainer.max_epochs={EPOCHS}", f"name={name}", f"tracking.uri={server.url}"]
    settings = settings_from(with_own_data(words, workplace), checkout=workplace)
    return train(settings, workplace / "runs" / name / "train", workplace, deeds)


def runs_of(server: MlflowServer) -> list[LoggedRun]:
    client = MlflowClient(server.url)
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def parents(server: MlflowServer) -> dict[str, LoggedRun]:
    return {run.info.run_name: run for run in runs_of(server) if "mlflow.parentRunId" not in run.data.tags}


def assert_whole(server: MlflowServer, name: str) -> None:
    """One run of this name, ended well, and every epoch of its fits once and in order."""
    client, (parent,) = MlflowClient(server.url), [run for run in runs_of(server) if run.info.run_name == name]
    fits = [run for run in runs_of(server) if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sorted(fit.info.run_name for fit in fits) == sorted(FITS)
    assert {run.info.status for run in (parent, *fits)} == {"FINISHED"}
    for fit in fits:
        points = client.get_metric_history(fit.info.run_id, "fit_loss")
        assert [point.step for point in points] == list(range(EPOCHS))


def test_a_server_killed_in_mid_run_gets_everything_once_it_is_back(
    server: MlflowServer, workplace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = {path: path.read_bytes() for path in trained(workplace, "away", server, Deeds()).folder.rglob("*.pt")}
    journals = workplace / "runs" / ".tracking"
    assert len(list(journals.glob("*.jsonl"))) == 1, "nobody answers: kept beside the runs"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    server.start()
    back = Deeds(grouped_1=server.kill, final=server.start)
    run = trained(workplace, "killed", server, back)
    assert not back.deeds
    for name in ("away", "killed"):
        assert_whole(server, name)
    assert not journals.exists()
    for path, weights in before.items():
        assert (run.folder / "predictors" / path.name).read_bytes() == weights
    evaluation = workplace / "runs" / "killed" / "evaluate"
    evaluate(run, evaluation, workplace)
    bundle = release(run, evaluation, workplace / "models" / "own", workplace)
    client = MlflowClient(server.url)
    version = client.get_model_version_by_alias(bundle.manifest.name, "candidate")
    assert version.run_id == parents(server)["killed"].info.run_id
    assert {file.path for file in client.list_artifacts(version.run_id)} >= {"bundle", "report"}
    assert "127.0.0.1" not in (bundle.read("manifest.json") + bundle.read("provenance.json")).decode()
    release(run, evaluation, workplace / "models" / "own", workplace)
    assert len(client.search_model_versions(f"name='{bundle.manifest.name}'")) == 1, "the same bytes are one version"


def test_the_file_of_a_checkout_becomes_the_server_of_a_team(workplace: Path, tmp_path: Path) -> None:
    """Old runs stay, with their artifacts, and are told more of through the server."""
    local, store = Tracker(workplace), f"sqlite:///{workplace / 'mlflow.db'}"
    settings = settings_from(["model=linear"], checkout=workplace)
    made_from = Provenance(code="", data="d" * 64, contract="c", packages={})
    with local.run(settings, made_from) as tracked:
        tracked.log_epoch("final", Epoch(0, 2.0, 1.0))
    served = MlflowServer(tmp_path / "server", store)
    served.start()
    try:
        team = Tracker(workplace, TrackingSettings(uri=served.url))
        with team.earlier("concrete", run_fingerprint(settings, made_from)) as earlier:
            earlier.log_scores({"model": {"rmse": 1.5}})
            earlier.log_folder(workplace / "own", "report")
        run = parents(served)[settings.name]
        assert run.data.metrics == {"model.rmse": 1.5}
        assert MlflowClient(served.url).list_artifacts(run.info.run_id, "report")
        assert len(runs_of(served)) == 2
    finally:
        served.kill()
