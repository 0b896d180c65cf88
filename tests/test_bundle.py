"""A bundle is a closed list of files: every byte is accounted for, and it says what it was made from.

A bundle of a hand-made graph is damaged in every way a download can be damaged, each to be refused by name. One short
training of the linear concrete model in a checkout of its own goes through train, evaluate and release.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from conftest import MakeBundle, assert_same_answers
from mlflow import MlflowClient
from mlflow.entities import Run as LoggedRun

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import is_plain, parse_manifest
from dxai.config.compose import settings_from
from dxai.config.settings import RunSettings, checked
from dxai.data.output import write_table
from dxai.errors import DataError, IntegrityError, NotFoundError
from dxai.evaluate import evaluate
from dxai.inference.loader import golden_of, load_model
from dxai.inference.predict import Prediction
from dxai.record.progress import fit_bar
from dxai.record.provenance import TRAINING_CODE, bundle_code, code_commit, code_fingerprint, table_fingerprint
from dxai.record.runs import Run
from dxai.release import release
from dxai.train import train

network = pytest.mark.network
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
    for name in ("configs", "contracts"):
        shutil.copytree(source / name, folder / name)
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
    git(own, "add", "configs", "contracts")
    git(own, "commit", "-q", "-m", "Settings")
    settings = settings_from(
        ["model=linear", f"trainer.max_epochs={EPOCHS}", "split.folds=2", "evaluate.permutations=1"],
        checkout=own,
    )
    with fit_bar() as bar:
        run = train(settings, own / "runs" / "short" / "train", own, bar)
    evaluation = own / "runs" / "short" / "evaluate"
    evaluate(run, evaluation, own)
    release(run, evaluation, own / "models" / "short", own)
    return Released(own, git(own, "rev-parse", "HEAD"), settings, run, evaluation, own / "models" / "short")


@pytest.fixture(scope="module")
def tiny(make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("tiny") / "bundle")


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """A bundle to be damaged."""
    return shutil.copytree(tiny, tmp_path / "copy")


def files(bundle: Path) -> list[str]:
    return sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file())


def listed(bundle: Path) -> list[str]:
    return [name for name in files(bundle) if name != "manifest.json"]


def refusal(folder: Path, fix: str = "Fetch the bundle again") -> str:
    with pytest.raises(IntegrityError) as caught:
        Bundle.open(folder)
    assert caught.value.exit_code == 4
    assert str(folder) in caught.value.where
    assert fix in caught.value.fix
    return caught.value.problem


def rewrite_manifest(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")


def test_whole_bundle_opens_and_gives_its_bytes(tiny: Path) -> None:
    bundle = Bundle.open(tiny)
    assert sorted(bundle.files) == files(tiny)
    assert bundle.signature is None
    assert bundle.where == str(tiny)
    assert bundle.digest == hashlib.sha256((tiny / "manifest.json").read_bytes()).hexdigest()
    assert bundle.terms.usage.ko and bundle.profile.columns and bundle.metrics["model"]["rmse"] == 2.5
    assert bundle.contract.title_ko == "주물 경도"


@pytest.mark.parametrize(
    "flip", [lambda _: 0, lambda size: size // 2, lambda size: size - 1], ids=["first", "middle", "last"]
)
def test_a_changed_byte_in_any_file_is_refused_by_name(tiny: Path, copy: Path, flip: Callable[[int], int]) -> None:
    for name in listed(tiny):
        content = bytearray((tiny / name).read_bytes())
        content[flip(len(content))] ^= 1
        (copy / name).write_bytes(content)
        assert refusal(copy).startswith(f"{name} is not the file that was released")
        shutil.copyfile(tiny / name, copy / name)
    assert Bundle.open(copy).manifest.name == "casting-hardness"  # whole again


def test_a_file_cut_short_or_grown_is_refused(copy: Path) -> None:
    whole = (copy / "model.onnx").read_bytes()
    for content in (whole[:-1], whole + b"\0", whole * 2, b""):
        (copy / "model.onnx").write_bytes(content)
        assert "model.onnx is not the file that was released" in refusal(copy)


def test_a_missing_file_is_refused_by_name(tiny: Path, copy: Path) -> None:
    for name in listed(tiny):
        (copy / name).unlink()
        assert f"{name} is missing." in refusal(copy)
        shutil.copyfile(tiny / name, copy / name)


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "figures/more.png", ".hidden", "golden/manifest.json", "golden/model.sig", ".git/config",
     "Model.onnx", "model.onnx ", "모델.onnx", "a/b/c/d/e/f.txt"],
)  # fmt: skip
def test_an_extra_file_is_refused_by_name(copy: Path, name: str) -> None:
    (copy / name).parent.mkdir(parents=True, exist_ok=True)
    (copy / name).write_bytes(b"")
    told = refusal(copy)
    assert told.endswith("is not in the manifest.")
    assert name.partition("/")[0] in told


def test_an_empty_folder_is_refused_by_name(copy: Path) -> None:
    (copy / "more").mkdir()
    assert refusal(copy) == "'more' is not in the manifest."


def test_a_name_in_other_letters_is_refused(copy: Path) -> None:
    (copy / "card.md").rename(copy / "CARD.md")
    assert "card.md is missing." in refusal(copy)


def test_thousands_of_extra_files_are_told_in_a_few_true_lines(copy: Path) -> None:
    for number in range(3000):
        (copy / f"extra-{number}").touch()
    told = refusal(copy)
    assert len(told.splitlines()) < 10
    assert "is missing" not in told, "nothing is missing"


LINKS: dict[str, Callable[[Path, Path], None]] = {
    "soft": lambda place, target: place.symlink_to(target),
    "hard": lambda place, target: place.hardlink_to(target),
    "pipe": lambda place, _: os.mkfifo(place),
}


@pytest.mark.parametrize("kind", LINKS)
@pytest.mark.parametrize("name", ["card.md", "manifest.json", "golden/rows.csv", "model.sig"])
def test_a_link_or_pipe_in_the_place_of_a_file_is_refused(copy: Path, tmp_path: Path, name: str, kind: str) -> None:
    """The same bytes behind it: what is read must not depend on anything outside the folder, nor wait for ever."""
    same = tmp_path / "same"
    same.write_bytes((copy / name).read_bytes() if name != "model.sig" else b"{}")
    (copy / name).unlink(missing_ok=True)
    LINKS[kind](copy / name, same)
    with pytest.raises(IntegrityError, match=r"link|plain file"):
        Bundle.open(copy)


def test_a_linked_folder_inside_is_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "golden").rename(tmp_path / "golden")
    (copy / "golden").symlink_to(tmp_path / "golden")
    with pytest.raises(IntegrityError, match=r"golden"):
        Bundle.open(copy)


def test_all_damages_are_told_at_once(copy: Path) -> None:
    (copy / "card.md").unlink()
    (copy / "extra.bin").write_bytes(b"x")
    problem = refusal(copy)
    assert problem.startswith("2 problems:")
    assert "card.md is missing" in problem and "'extra.bin' is not in" in problem
    (copy / "card.md").write_bytes(b"x")
    (copy / "extra.bin").unlink()
    (copy / "model.onnx").write_bytes(b"x")
    problem = refusal(copy)
    assert problem.startswith("2 problems:")
    assert "card.md is not the" in problem and "model.onnx is not the" in problem


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"name": "x"}', b"\xff\xfe", b"null", b"[" * 100_000, b"9" * (5 << 20)]
)
def test_a_broken_manifest_is_refused(copy: Path, content: bytes) -> None:
    (copy / "manifest.json").write_bytes(content)
    told = refusal(copy)
    assert told.startswith("The manifest cannot be read")
    assert len(told) < 300


@pytest.mark.parametrize(
    "name",
    ["../secret.txt", "/etc/passwd", "a//b", "./card.md", "golden/../card.md", ".git", "golden/.x", "a\\b", "c:x",
     "a b", "a\n", "한", "x.", "", "manifest.json", "model.sig", "CARD.md", "a/b/c/d/e", "x" * 201],
)  # fmt: skip
def test_a_manifest_with_an_odd_file_name_is_refused(copy: Path, name: str) -> None:
    rewrite_manifest(copy, lambda manifest: manifest["files"].update({name: manifest["files"]["card.md"]}))  # type: ignore[attr-defined]
    assert "The manifest cannot be read: files" in refusal(copy)


@pytest.mark.parametrize(
    ("key", "value"),
    [("name", "../up"), ("name", "Big"), ("name", ""), ("name", "a/b"), ("version", "1.0"), ("version", "1.0.0-rc1"),
     ("version", "../../x"), ("version", "01.0.0"), ("extra", 1),
     ("files", {"a.txt": {"size": -1, "sha256": "0" * 64}}),
     ("files", {"a.txt": {"size": 1 << 40, "sha256": "0" * 64}}),
     ("files", {"a.txt": {"size": 1, "sha256": "xyz"}}),
     ("files", {f"f{i}": {"size": 0, "sha256": "0" * 64} for i in range(257)})],
)  # fmt: skip
def test_a_manifest_beyond_its_limits_is_refused(copy: Path, key: str, value: object) -> None:
    rewrite_manifest(copy, lambda manifest: manifest.update({key: value}))
    assert f"The manifest cannot be read: {key}" in refusal(copy)


def test_manifest_with_a_repeated_key_is_read_as_one(copy: Path) -> None:
    """What is hashed is what is used: a second `files` does not hide a file from the comparison."""
    text = (copy / "manifest.json").read_text("utf-8")
    (copy / "manifest.json").write_text(text.rstrip("}\n ") + ', "files": {}}', "utf-8")
    assert "is not in the manifest" in refusal(copy)


@pytest.mark.parametrize("name", ["contract.yaml", "terms.json", "profile.json", "metrics.json"])
@pytest.mark.parametrize("content", [b"", b"[1", b"\xff", b'{"licence": 3}', b"--- !!python/object:os.system {}"])
def test_a_listed_file_that_cannot_be_read_is_told_by_name(copy: Path, name: str, content: bytes) -> None:
    (copy / name).write_bytes(content)
    entry = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    rewrite_manifest(copy, lambda manifest: manifest["files"].update({name: entry}))  # type: ignore[attr-defined]
    bundle = Bundle.open(copy)
    with pytest.raises(IntegrityError, match=f"{name} cannot be read") as caught:
        getattr(bundle, name.partition(".")[0])
    assert "\n" not in caught.value.problem


def test_a_file_that_older_releases_lack_is_told(copy: Path) -> None:
    (copy / "profile.json").unlink()
    rewrite_manifest(copy, lambda manifest: manifest["files"].pop("profile.json"))  # type: ignore[attr-defined]
    with pytest.raises(IntegrityError, match=r"no profile\.json"):
        _ = Bundle.open(copy).profile


def test_plain_names_are_plain_everywhere() -> None:
    assert all(map(is_plain, ("card.md", "golden/rows.csv", "a-b_c.d.e", "9", "A/b/c/d")))
    odd = ("CON ", "a.", ".a", "-a", "a/", "/a", "a\u200b", "é", "a\0", "..", "a/../b", "~", "a:b", "a*", "a\\b")
    assert not any(map(is_plain, odd))


def test_manifest_text_of_another_file_is_told_with_its_place() -> None:
    with pytest.raises(IntegrityError) as caught:
        parse_manifest(b"{}", where="b/manifest.json")
    assert caught.value.where == "b/manifest.json"


@pytest.mark.parametrize("name", ["nowhere", "figures"])
def test_a_folder_without_a_bundle_is_not_found(copy: Path, name: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        Bundle.open(copy / name)
    assert caught.value.exit_code == 3
    assert "manifest.json is missing" in caught.value.problem
    assert caught.value.where == str(copy / name)
    assert "models/" in caught.value.fix


@pytest.mark.process
def test_bytes_cannot_change_between_check_and_use(copy: Path) -> None:
    bundle = Bundle.open(copy)
    before = bundle.read("model.onnx")
    (copy / "model.onnx").write_bytes(b"swapped after the check")
    assert bundle.read("model.onnx") == before
    assert load_model(bundle).outputs == ["hardness_predicted", "hardness_lower", "hardness_upper"]


@network
def test_bundle_is_a_closed_list_of_files(released: Released) -> None:
    assert files(released.bundle) == [
        "card.md", "contract.yaml", "figures/coverage.png", "figures/dependence.png", "figures/importance.png",
        "figures/predicted_true.png",
        "figures/residuals.png", "golden/outputs.csv", "golden/rows.csv", "manifest.json", "metrics.json", "model.onnx",
        "profile.json", "provenance.json", "sbom.cdx.json", "terms.json",
    ]  # fmt: skip
    assert not {".pt", ".pkl", ".ckpt"} & {p.suffix for p in released.bundle.rglob("*")}


@network
def test_golden_rows_give_the_golden_outputs_again(released: Released, tmp_path: Path) -> None:
    bundle = Bundle.open(released.bundle)
    prediction = Prediction(load_model(bundle), bundle.profile)
    rows = pl.read_csv(released.bundle / "golden" / "rows.csv", infer_schema=False)
    write_table(prediction.blocks([rows]), tmp_path / "again.csv")
    assert prediction.counts.written == released.settings.release.golden_rows
    assert prediction.counts.outside == 0
    assert_same_answers((tmp_path / "again.csv").read_bytes(), bundle.read("golden/outputs.csv"))


@network
def test_golden_rows_are_real_rows_without_the_answer(released: Released, concrete_table: pl.DataFrame) -> None:
    rows = pl.read_csv(released.bundle / "golden" / "rows.csv", infer_schema_length=None).cast(pl.Float64)
    assert "strength" not in rows.columns
    assert len(rows.join(concrete_table.unique(rows.columns), on=rows.columns, how="semi")) == len(rows)


@network
def test_scores_of_the_bundle_are_those_of_the_evaluation(released: Released) -> None:
    scores = json.loads((released.bundle / "metrics.json").read_text("utf-8"))
    assert scores == json.loads((released.evaluation / "metrics.json").read_text("utf-8"))


@network
def test_golden_predictions_stand_inside_their_interval(released: Released) -> None:
    answers = pl.read_csv(released.bundle / "golden" / "outputs.csv")
    assert answers.filter(~pl.col("strength_predicted").is_between("strength_lower", "strength_upper")).is_empty()
    assert answers["strength_lower"].min() >= 0  # type: ignore[operator]


@network
def test_card_tells_that_the_graph_is_proven_and_no_digit_of_a_difference(released: Released) -> None:
    """Digits of a difference are those of the processor that released."""
    told = (released.bundle / "card.md").read_text("utf-8").split("## The exported graph")[1]
    assert "held-out rows" in told and "missing values" in told
    assert "every difference is below 0.0001" in told
    assert not re.search(r"\de-\d", told)


def test_manifest_of_a_bundle_before_0_3_is_read(copy: Path) -> None:
    """It names a commit where a newer one has the fingerprint of the code."""
    rewrite_manifest(copy, lambda manifest: manifest.update(commit="c" * 40) or manifest.pop("code"))
    assert Bundle.open(copy).manifest.commit == "c" * 40


def test_fingerprint_of_code_depends_on_the_code_alone() -> None:
    assert code_fingerprint(TRAINING_CODE) == code_fingerprint(reversed(TRAINING_CODE))
    assert code_fingerprint(TRAINING_CODE) != code_fingerprint(TRAINING_CODE[1:])
    assert len(code_fingerprint(())) == 64


@network
def test_card_names_no_machine_and_no_commit(released: Released, checkout: Path) -> None:
    card = (released.bundle / "card.md").read_text("utf-8")
    machine = (str(released.checkout), str(checkout), str(Path.home()) + os.sep, os.uname().nodename, released.commit)
    assert not [word for word in machine if word in card]
    for said in ("콘크리트 압축강도", "kg/m3", "CC-BY-4.0", "## Limits", "strength_lower", "dxai predict", "yardstick"):
        assert said in card


@network
def test_card_shows_every_figure(released: Released) -> None:
    card = (released.bundle / "card.md").read_text("utf-8")
    for figure in sorted((released.bundle / "figures").iterdir()):
        assert f"(figures/{figure.name})" in card
        assert figure.read_bytes().startswith(b"\x89PNG")


@network
def test_manifest_says_what_the_bundle_was_made_from(released: Released, concrete_table: pl.DataFrame) -> None:
    manifest = Bundle.open(released.bundle).manifest
    assert (manifest.name, manifest.version, manifest.task) == ("concrete-strength", "1.0.0", "quality")
    assert manifest.code == bundle_code(released.run.provenance)
    assert manifest.commit is None
    assert manifest.data_sha256 == table_fingerprint(concrete_table)
    assert {"torch", "onnx", "onnxruntime", "polars"} <= set(manifest.versions)
    assert checked(manifest.settings).model_dump(mode="json") == released.settings.model_dump(mode="json")
    assert sorted(manifest.files) == [n for n in files(released.bundle) if n != "manifest.json"]
    for name, entry in manifest.files.items():
        content = (released.bundle / name).read_bytes()
        assert (entry.size, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())


@network
def test_code_that_was_changed_since_the_last_commit_is_told(checkout: Path, tmp_path: Path) -> None:
    own = own_checkout(checkout, tmp_path / "dirty")
    assert code_commit(own) == ""
    git(own, "init", "-q")
    git(own, "add", "configs", "contracts")
    git(own, "commit", "-q", "-m", "Settings")
    commit = git(own, "rev-parse", "HEAD")
    (own / "notes.txt").write_text("no part of a model")
    assert code_commit(own) == commit
    (own / "configs" / "run.yaml").write_text("seed: 1")
    assert code_commit(own) == f"{commit}-dirty"


@network
def test_a_second_release_gives_the_same_bytes(released: Released, tmp_path: Path) -> None:
    release(released.run, released.evaluation, tmp_path / "again", released.checkout)
    again = {name: (tmp_path / "again" / name).read_bytes() for name in files(tmp_path / "again")}
    assert again == {name: (released.bundle / name).read_bytes() for name in files(released.bundle)}


@network
def test_release_without_an_evaluation_is_refused(released: Released, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        release(released.run, tmp_path / "nothing", tmp_path / "bundle", released.checkout)
    assert caught.value.exit_code == 3
    assert "no evaluation" in caught.value.problem
    assert caught.value.where == str(tmp_path / "nothing")
    assert caught.value.fix.startswith("dxai evaluate ")
    assert not (tmp_path / "bundle").exists()


@network
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
@network
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
    runs = client.search_runs([experiment.experiment_id])
    (run,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    return client, run


def fits_of(client: MlflowClient, run: LoggedRun) -> dict[str, LoggedRun]:
    """The children of a run by their names."""
    query = f"tags.mlflow.parentRunId = '{run.info.run_id}'"
    return {child.info.run_name: child for child in client.search_runs([run.info.experiment_id], query)}


@network
def test_mlflow_knows_settings_data_and_code_of_the_run(released: Released) -> None:
    _, run = logged(released)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "concrete_linear"
    assert run.data.params["seed"] == "0"
    assert run.data.params["model._target_"] == "dxai.networks.linear.Linear"
    assert run.data.params["trainer.max_epochs"] == str(EPOCHS)
    assert run.data.params["data.sha256"] == released.settings.data.sha256
    assert run.data.tags["git_commit"] == released.commit
    assert run.data.tags["code_sha256"] == released.run.provenance.code
    assert run.data.tags["data_sha256"] == released.run.provenance.data
    assert run.data.tags["contract_sha256"] == released.run.provenance.contract


@network
def test_mlflow_has_a_curve_of_every_fit_and_the_scores(released: Released) -> None:
    client, run = logged(released)
    for label in ("grouped-0", "grouped-1", "random-0", "random-1", "final"):
        fit = fits_of(client, run)[label]
        assert fit.info.status == "FINISHED"
        points = client.get_metric_history(fit.info.run_id, "fit_loss")
        assert sorted(p.step for p in points) == list(range(EPOCHS))
        assert all(0 < p.value < 100 for p in points)
    scores = json.loads((released.evaluation / "metrics.json").read_text("utf-8"))
    assert run.data.metrics["model.rmse"] == pytest.approx(scores["model"]["rmse"], rel=1e-4)
    assert run.data.metrics["yardstick.linear.rmse"] == pytest.approx(scores["yardstick"]["linear"]["rmse"], rel=1e-4)


@network
def test_mlflow_holds_report_and_bundle(released: Released) -> None:
    client, run = logged(released)

    def there(folder: str) -> set[str]:
        return {artifact.path for artifact in client.list_artifacts(run.info.run_id, folder)}

    assert {"report/report.html", "report/report.md", "report/metrics.json"} <= there("report")
    assert {"bundle/model.onnx", "bundle/manifest.json", "bundle/card.md"} <= there("bundle")
    assert "report/figures/importance.png" in there("report/figures")


@network
def test_the_registry_answers_the_golden_rows_as_dxai_predict_does(
    released: Released, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.onnx import load_model as load_onnx
    from mlflow.pyfunc import load_model as load_pyfunc

    client, run = logged(released)
    bundle = Bundle.open(released.bundle)
    version = client.get_model_version_by_alias("concrete-strength", "candidate")
    assert version.run_id == run.info.run_id
    assert version.tags["contract"] == "concrete-strength" and version.tags["contract_version"]
    assert version.tags["sha256"] == hashlib.sha256(bundle.read("model.onnx")).hexdigest()
    assert version.tags["score"].startswith("rmse ")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{released.checkout / 'mlflow.db'}")
    place = "models:/concrete-strength@candidate"
    assert [o.name for o in load_onnx(place).graph.output] == list(golden_of(bundle).outputs)
    model = load_pyfunc(place)
    rows = pl.read_csv(released.bundle / "golden/rows.csv").to_pandas()
    answers = pl.read_csv(released.bundle / "golden/outputs.csv").select(pl.all().cast(pl.Float32))
    predicted = model.predict(rows)
    expected = load_model(bundle).predict(pl.from_pandas(rows))
    for name in expected.columns:
        assert predicted[name].tolist() == expected[name].to_list()
        assert predicted[name].tolist() == pytest.approx(answers[name].to_list(), rel=1e-4)


@network
def test_nothing_half_written_is_left_beside_run_evaluation_and_bundle(released: Released) -> None:
    for folder in (released.run.folder.parent, released.bundle.parent):
        assert not [p.name for p in folder.iterdir() if p.name.startswith(".")]


def test_a_field_whose_name_has_line_feeds_is_told_on_one_line(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    with pytest.raises(IntegrityError) as refused:
        parse_manifest(json.dumps(manifest | {"a\nb\u0085c": 1}).encode(), where="b/manifest.json")
    assert refused.value.message().count("\n") == 2
    assert "a b c" in refused.value.problem
