"""A bundle made by a real run is closed: every byte is accounted for, and it says what it was made from.

One short training of the linear concrete model in a checkout of its own goes through train, evaluate and release; the
bundle is then damaged in every way a download can be damaged, and each damage must be refused by name.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as LoggedRun

from dxai.config.compose import settings_from
from dxai.config.settings import RunSettings
from dxai.errors import DataError, IntegrityError, NotFoundError
from dxai.evaluate import evaluate
from dxai.record.progress import fit_bar
from dxai.record.provenance import code_commit, table_fingerprint
from dxai.record.runs import Run
from dxai.release import release
from dxai.ship.bundle import Bundle
from dxai.ship.runtime import Model, predict_file
from dxai.train import train

pytestmark = pytest.mark.network

EPOCHS = 3


@dataclass(frozen=True)
class Released:
    """All that one short run left."""

    checkout: Path
    commit: str
    settings: RunSettings
    run: Run
    evaluation: Path
    bundle: Path


def own_checkout(source: Path, folder: Path) -> Path:
    """A checkout with the settings and the concrete table of ``source`` and a history of its own."""
    shutil.copytree(source / "configs", folder / "configs")
    shutil.copytree(source / "data" / "raw" / "concrete", folder / "data" / "raw" / "concrete")
    (folder / "data" / "prepared").mkdir(parents=True)
    shutil.copy(source / "data" / "prepared" / "concrete.parquet", folder / "data" / "prepared")
    return folder


def git(folder: Path, *words: str) -> str:
    settings = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false", "-c", "init.defaultBranch=m"]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    command = ["git", *settings, "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=clean).stdout.strip()


@pytest.fixture(scope="session")
def released(checkout: Path, concrete_table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Released:
    assert len(concrete_table) == 1030
    own = own_checkout(checkout, tmp_path_factory.mktemp("released") / "checkout")
    git(own, "init", "-q")
    git(own, "add", "configs")
    git(own, "commit", "-q", "-m", "Settings")
    settings = settings_from(
        ["experiment=concrete_linear", f"trainer.max_epochs={EPOCHS}", "split.folds=2", "evaluate.permutations=1"],
        checkout=own,
    )
    with fit_bar() as bar:
        run = train(settings, own / "runs" / "short" / "train", own, bar)
    evaluation = own / "runs" / "short" / "evaluate"
    evaluate(run, evaluation, own)
    release(run, evaluation, own / "models" / "short", own)
    return Released(own, git(own, "rev-parse", "HEAD"), settings, run, evaluation, own / "models" / "short")


@pytest.fixture
def copy(released: Released, tmp_path: Path) -> Path:
    """A bundle to be damaged."""
    return shutil.copytree(released.bundle, tmp_path / "copy")


def files(bundle: Path) -> list[str]:
    return sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file())


def refusal(folder: Path) -> str:
    with pytest.raises(IntegrityError) as caught:
        Bundle(folder)
    assert caught.value.exit_code == 4
    assert str(folder) in caught.value.where
    assert "Fetch the bundle again" in caught.value.fix
    return caught.value.problem


def test_bundle_is_a_closed_list_of_files(released: Released) -> None:
    assert files(released.bundle) == [
        "card.md", "contract.yaml", "figures/coverage.png", "figures/importance.png", "figures/predicted_true.png",
        "figures/residuals.png", "golden/outputs.csv", "golden/rows.csv", "manifest.json", "metrics.json", "model.onnx",
    ]  # fmt: skip
    assert not {".pt", ".pkl", ".ckpt"} & {p.suffix for p in released.bundle.rglob("*")}


@pytest.mark.parametrize(
    "flip", [lambda _: 0, lambda size: size // 2, lambda size: size - 1], ids=["first", "middle", "last"]
)
def test_a_changed_byte_in_any_file_is_refused_by_name(
    released: Released, copy: Path, flip: Callable[[int], int]
) -> None:
    for name in (n for n in files(released.bundle) if n != "manifest.json"):
        content = bytearray((released.bundle / name).read_bytes())
        content[flip(len(content))] ^= 1
        (copy / name).write_bytes(content)
        problem = refusal(copy)
        assert problem.startswith(f"{name} is not the file that was released")
        shutil.copyfile(released.bundle / name, copy / name)
    assert Bundle(copy).manifest.name == "concrete-strength"  # whole again


def test_a_file_cut_short_or_grown_is_refused(copy: Path) -> None:
    whole = (copy / "model.onnx").read_bytes()
    for content in (whole[:-1], whole + b"\0", b""):
        (copy / "model.onnx").write_bytes(content)
        assert "model.onnx is not the file that was released" in refusal(copy)


def test_a_missing_file_is_refused_by_name(released: Released, copy: Path) -> None:
    for name in (n for n in files(released.bundle) if n != "manifest.json"):
        (copy / name).unlink()
        assert refusal(copy) == f"{name} is missing."
        shutil.copyfile(released.bundle / name, copy / name)


@pytest.mark.parametrize("name", ["notes.txt", "figures/more.png", ".hidden", "golden/manifest.json"])
def test_an_extra_file_is_refused_by_name(copy: Path, name: str) -> None:
    (copy / name).write_bytes(b"")
    assert refusal(copy) == f"{name} is not in the manifest."


def test_all_damages_are_told_at_once(copy: Path) -> None:
    (copy / "card.md").unlink()
    (copy / "extra.bin").write_bytes(b"x")
    (copy / "model.onnx").write_bytes(b"x")
    problem = refusal(copy)
    assert problem.startswith("3 problems:")
    assert "card.md is missing" in problem and "extra.bin is not in" in problem and "model.onnx is not the" in problem


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"name": "x"}', b"\xff\xfe", b"null"])
def test_a_broken_manifest_is_refused(copy: Path, content: bytes) -> None:
    (copy / "manifest.json").write_bytes(content)
    assert "The manifest cannot be read" in refusal(copy)


def test_a_manifest_that_names_a_file_outside_the_bundle_is_refused(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    manifest["files"]["../secret.txt"] = manifest["files"]["card.md"]
    (copy.parent / "secret.txt").write_bytes((copy / "card.md").read_bytes())
    (copy / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    assert refusal(copy) == "../secret.txt is missing."


@pytest.mark.parametrize("name", ["nowhere", "figures"])
def test_a_folder_without_a_bundle_is_not_found(copy: Path, name: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        Bundle(copy / name)
    assert caught.value.exit_code == 3
    assert "manifest.json is missing" in caught.value.problem
    assert caught.value.where == str(copy / name)
    assert "models/" in caught.value.fix


def test_golden_rows_give_the_golden_outputs_again(released: Released, tmp_path: Path) -> None:
    bundle = Bundle(released.bundle)
    written = predict_file(Model.load(bundle), released.bundle / "golden" / "rows.csv", tmp_path / "again.csv")
    assert written == released.settings.release.golden_rows
    assert (tmp_path / "again.csv").read_bytes() == bundle.read("golden/outputs.csv")


def test_golden_rows_are_real_rows_without_the_answer(released: Released, concrete_table: pl.DataFrame) -> None:
    rows = pl.read_csv(released.bundle / "golden" / "rows.csv", infer_schema_length=None).cast(pl.Float64)
    assert "strength" not in rows.columns
    assert len(rows.join(concrete_table.unique(rows.columns), on=rows.columns, how="semi")) == len(rows)


def test_scores_of_the_bundle_are_those_of_the_evaluation(released: Released) -> None:
    scores = json.loads((released.bundle / "metrics.json").read_text("utf-8"))
    assert scores == json.loads((released.evaluation / "metrics.json").read_text("utf-8"))


def test_golden_predictions_stand_inside_their_interval(released: Released) -> None:
    answers = pl.read_csv(released.bundle / "golden" / "outputs.csv")
    assert answers.filter(~pl.col("strength_predicted").is_between("strength_lower", "strength_upper")).is_empty()
    assert answers["strength_lower"].min() >= 0  # type: ignore[operator]


def test_card_names_no_machine_and_no_commit(released: Released, checkout: Path) -> None:
    card = (released.bundle / "card.md").read_text("utf-8")
    machine = (str(released.checkout), str(checkout), str(Path.home()) + os.sep, os.uname().nodename, released.commit)
    assert not [word for word in machine if word in card]
    for said in ("콘크리트 압축강도", "kg/m3", "CC-BY-4.0", "## Limits", "strength_lower", "dxai predict", "yardstick"):
        assert said in card


def test_card_shows_every_figure(released: Released) -> None:
    card = (released.bundle / "card.md").read_text("utf-8")
    for figure in sorted((released.bundle / "figures").iterdir()):
        assert f"(figures/{figure.name})" in card
        assert figure.read_bytes().startswith(b"\x89PNG")


def test_manifest_says_what_the_bundle_was_made_from(released: Released, concrete_table: pl.DataFrame) -> None:
    manifest = Bundle(released.bundle).manifest
    assert (manifest.name, manifest.version, manifest.task) == ("concrete-strength", "1.0.0", "quality")
    assert manifest.commit == released.commit
    assert manifest.data_sha256 == table_fingerprint(concrete_table)
    assert {"torch", "onnx", "onnxruntime", "polars"} <= set(manifest.versions)
    assert RunSettings.model_validate(manifest.settings) == released.settings
    assert sorted(manifest.files) == [n for n in files(released.bundle) if n != "manifest.json"]
    for name, entry in manifest.files.items():
        content = (released.bundle / name).read_bytes()
        assert (entry.size, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_code_that_was_changed_since_the_last_commit_is_told(checkout: Path, tmp_path: Path) -> None:
    own = own_checkout(checkout, tmp_path / "dirty")
    assert code_commit(own) == ""
    git(own, "init", "-q")
    git(own, "add", "configs")
    git(own, "commit", "-q", "-m", "Settings")
    commit = git(own, "rev-parse", "HEAD")
    (own / "notes.txt").write_text("no part of a model")
    assert code_commit(own) == commit
    (own / "configs" / "run.yaml").write_text("seed: 1")
    assert code_commit(own) == f"{commit}-dirty"


def test_bytes_cannot_change_between_check_and_use(copy: Path) -> None:
    bundle = Bundle(copy)
    before = bundle.read("model.onnx")
    (copy / "model.onnx").write_bytes(b"swapped after the check")
    assert bundle.read("model.onnx") == before
    assert Model.load(bundle).outputs == ["strength_predicted", "strength_lower", "strength_upper"]


def test_a_second_release_gives_the_same_bytes(released: Released, tmp_path: Path) -> None:
    release(released.run, released.evaluation, tmp_path / "again", released.checkout)
    again = {name: (tmp_path / "again" / name).read_bytes() for name in files(tmp_path / "again")}
    assert again == {name: (released.bundle / name).read_bytes() for name in files(released.bundle)}


def test_release_without_an_evaluation_is_refused(released: Released, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        release(released.run, tmp_path / "nothing", tmp_path / "bundle", released.checkout)
    assert caught.value.exit_code == 3
    assert "no evaluation" in caught.value.problem
    assert caught.value.where == str(tmp_path / "nothing")
    assert caught.value.fix.startswith("dxai evaluate ")
    assert not (tmp_path / "bundle").exists()


def test_the_command_that_an_unevaluated_run_is_told_works(released: Released, tmp_path: Path) -> None:
    """`dxai evaluate` takes the folder that holds train/, so the fix must name that one."""
    with pytest.raises(NotFoundError) as caught:
        release(released.run, tmp_path / "nothing", tmp_path / "bundle", released.checkout)
    named = Path(caught.value.fix.removeprefix("dxai evaluate "))
    assert Run(named / "train").fingerprint == released.run.fingerprint


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        Run(tmp_path)
    assert caught.value.exit_code == 3
    assert "run.json" in caught.value.fix


@pytest.mark.parametrize("step", ["evaluate", "release"])
def test_a_table_that_has_changed_since_the_training_is_refused(
    released: Released, checkout: Path, tmp_path: Path, step: str
) -> None:
    own = own_checkout(checkout, tmp_path / "changed")
    prepared = own / "data" / "prepared" / "concrete.parquet"
    made_from = {k: v for k, v in pl.read_parquet_metadata(prepared).items() if k.startswith("dxai")}
    one_day_more = pl.col("age") + pl.int_range(pl.len()).eq(500).cast(pl.Float64)
    pl.read_parquet(prepared).with_columns(one_day_more).write_parquet(prepared, metadata=made_from)
    with pytest.raises(DataError) as caught:
        if step == "evaluate":
            evaluate(released.run, tmp_path / "out", own)
        else:
            release(released.run, released.evaluation, tmp_path / "out", own)
    assert caught.value.exit_code == 6
    assert "'concrete' has changed since this run was trained" in caught.value.problem
    assert caught.value.where == str(released.run.folder)
    assert caught.value.fix == "Train again."
    assert not (tmp_path / "out").exists()


def logged(released: Released) -> tuple[MlflowClient, LoggedRun]:
    client = MlflowClient(tracking_uri=f"sqlite:///{released.checkout / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("concrete")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return client, run


def test_mlflow_knows_settings_data_and_code_of_the_run(released: Released) -> None:
    _, run = logged(released)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "concrete_linear"
    assert run.data.params["seed"] == "0"
    assert run.data.params["model.kind"] == "linear"
    assert run.data.params["trainer.max_epochs"] == str(EPOCHS)
    assert run.data.params["data.sha256"] == released.settings.data.sha256
    assert run.data.tags["git_commit"] == released.commit
    assert run.data.tags["data_sha256"] == released.run.provenance.data
    assert run.data.tags["contract_sha256"] == released.run.provenance.contract


def test_mlflow_has_a_curve_of_every_fit_and_the_scores(released: Released) -> None:
    client, run = logged(released)
    for label in ("grouped-0", "grouped-1", "random-0", "random-1", "final"):
        for loss in ("fit_loss", "calibration_loss"):
            points = client.get_metric_history(run.info.run_id, f"{label}/{loss}")
            assert sorted(p.step for p in points) == list(range(EPOCHS))
            assert all(0 < p.value < 100 for p in points)
    scores = json.loads((released.evaluation / "metrics.json").read_text("utf-8"))
    assert run.data.metrics["model.rmse"] == pytest.approx(scores["model"]["rmse"], rel=1e-4)
    assert run.data.metrics["yardstick.linear.rmse"] == pytest.approx(scores["yardstick"]["linear"]["rmse"], rel=1e-4)


def test_mlflow_holds_report_and_bundle(released: Released) -> None:
    client, run = logged(released)

    def there(folder: str) -> set[str]:
        return {artifact.path for artifact in client.list_artifacts(run.info.run_id, folder)}

    assert {"report/report.html", "report/report.md", "report/metrics.json"} <= there("report")
    assert {"bundle/model.onnx", "bundle/manifest.json", "bundle/card.md"} <= there("bundle")
    assert "report/figures/importance.png" in there("report/figures")


def test_nothing_half_written_is_left_beside_run_evaluation_and_bundle(released: Released) -> None:
    for folder in (released.run.folder.parent, released.bundle.parent):
        assert not [p.name for p in folder.iterdir() if p.name.startswith(".")]
