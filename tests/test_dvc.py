"""The platform team's promise: `dvc repro` reruns exactly what a change reaches, and dvc.yaml says what is true.

Runs real DVC in a clone-like copy of the checkout, with tiny trainings.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import MakeBundle
from hydra import compose, initialize_config_dir

from dxai.config.compose import find_checkout, settings_from
from dxai.config.settings import RunSettings
from dxai.record.provenance import RELEASE_CODE, TRAINING_CODE
from pipelines.demo import TASKS as DEMO
from pipelines.tables import tasks

pytestmark = pytest.mark.process(seconds=10)

STAGES = ("fetch", "prepare", "train", "evaluate", "release")
TASKS = tuple(tasks(find_checkout(Path(__file__).parent)))
"""All of them; trained here are those of `make demo`."""


def stage_definitions(checkout: Path) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    dvc = yaml.safe_load((checkout / "dvc.yaml").read_text("utf-8"))
    return {name: stage["do"] for name, stage in dvc["stages"].items()}, dvc["vars"][0]["tasks"]


def watched_keys(stage: dict[str, Any], task: str, item: dict[str, str]) -> dict[str, set[str] | None]:
    """YAML file to the keys that a stage watches; None for all of them."""
    names = {"key": task, **{f"item.{k}": v for k, v in item.items()}}

    def filled(text: str) -> str:
        for name, value in names.items():
            text = text.replace(f"${{{name}}}", value)
        return text

    return {filled(f): set(keys) if keys else None for entry in stage["params"] for f, keys in entry.items()}


@pytest.mark.parametrize("task", TASKS)
def test_stages_name_the_files_that_the_experiment_composes(task: str, checkout: Path) -> None:
    stages, tasks = stage_definitions(checkout)
    item = tasks[task]
    with initialize_config_dir(str(checkout / "configs"), version_base="1.3"):
        config = compose("run", [f"experiment={item['experiment']}"], return_hydra_config=True)
    choices = {k: v for k, v in config.hydra.runtime.choices.items() if v and not k.startswith("hydra")}
    watched = {file for stage in stages.values() for file in watched_keys(stage, task, item)}
    assert watched == {f"configs/{group}/{choice}.yaml" for group, choice in choices.items()} | {"configs/run.yaml"}
    settings = settings_from([f"experiment={item['experiment']}"], checkout=checkout)
    assert settings.data.contract == item["contract"]
    assert settings.release.bundle == item["bundle"]


@pytest.mark.parametrize("task", TASKS)
def test_every_key_of_a_run_is_watched_by_a_stage(task: str, checkout: Path) -> None:
    stages, tasks = stage_definitions(checkout)
    watched: dict[str, set[str] | None] = {}
    for stage in stages.values():
        for file, keys in watched_keys(stage, task, tasks[task]).items():
            known = watched.get(file, set())
            watched[file] = None if keys is None or known is None else known | keys
    for file, keys in watched.items():
        written = set(yaml.safe_load((checkout / file).read_text("utf-8")))
        outside = {"defaults", "hydra", "name", "folds_at_once", "tracking"}  # none of them reaches an output
        unwatched = set() if keys is None else written - keys - outside
        assert not unwatched, f"{file}: no stage watches {unwatched}"
    assert set(RunSettings.model_fields) - {
        "arithmetic",
        "budget",
        "loss",
        "name",
        "seed",
        "threads",
        "folds_at_once",
        "tracking",
    } <= {Path(f).parent.name for f in watched}


@pytest.mark.parametrize("task", TASKS)
def test_reference_experiments_override_only_what_training_uses(task: str, checkout: Path) -> None:
    _, tasks = stage_definitions(checkout)
    experiment = yaml.safe_load(
        (checkout / "configs/experiment" / f"{tasks[task]['experiment']}.yaml").read_text("utf-8")
    )
    assert set(experiment) <= {
        "budget",
        "defaults",
        "evaluate",
        "loss",
        "model",
        "scaling",
        "seed",
        "split",
        "threads",
        "trainer",
    }  # fmt: skip  (evaluate: what it overrides stands in the run's settings, on which its stage depends)


def test_stage_code_exists(checkout: Path) -> None:
    stages, _tasks = stage_definitions(checkout)
    for name, stage in stages.items():
        assert (checkout / "pipelines" / f"{name}.py").is_file()
        for dep in stage["deps"]:
            if dep.startswith("dxai/"):
                assert (checkout / dep).exists(), f"{name} depends on {dep}"


def test_release_gives_every_file_of_a_bundle_and_no_other(
    checkout: Path, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    stages, _ = stage_definitions(checkout)
    entries = [*stages["release"]["outs"], *stages["release"]["metrics"]]
    outs = {Path(next(iter(entry)) if isinstance(entry, dict) else entry).name for entry in entries}
    assert len(outs) == len(entries)
    assert outs == {path.name for path in make_bundle(tmp_path / "bundle").iterdir()}


UNWATCHED = {
    "dxai": "says a version, and offers dxai.load without importing it",
    "dxai.config": "settings are watched by their values",
    "dxai.errors": "what is said of a mistake makes no output",
    "dxai.files": "how files are written, not what is in them",
    "dxai.record.progress": "what a terminal shows",
    "dxai.record.tracking": "what MLflow is told",
}
"""Packages and modules whose content reaches no output of a stage, and why."""


class Imports(ast.NodeVisitor):
    """Dotted names that a module imports when it runs, in functions too."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.names |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}


def modules_behind(stage: str, checkout: Path) -> set[str]:
    """Modules of dxai that a stage imports, however far away, but for the unwatched ones."""
    behind, waiting = set[str](), [f"pipelines.{stage}"]
    while waiting:
        name = waiting.pop()
        file = checkout / Path(*name.split(".")).with_suffix(".py")
        file = file if file.is_file() else file.with_suffix("") / "__init__.py"
        unwatched = name == "dxai" or any(f"{name}.".startswith(f"{u}.") for u in UNWATCHED if u != "dxai")
        if name in behind or unwatched or not file.is_file():
            continue
        imports = Imports()
        imports.visit(ast.parse(file.read_text("utf-8")))
        behind.add(name)
        waiting += [name for name in imports.names if name.startswith(("dxai", "pipelines"))]
    return {name for name in behind if name.startswith("dxai.")}


def is_in(module: str, dep: str) -> bool:
    """Whether a dependency on a file or folder of dvc.yaml holds a module."""
    return f"{module}.".startswith(dep.removesuffix(".py").replace("/", ".") + ".")


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "fetch"])
def test_stage_watches_the_code_that_it_imports(stage: str, checkout: Path) -> None:
    """And no other. (What `fetch` brings is pinned by its sha256, whatever code brings it.)"""
    stages, _ = stage_definitions(checkout)
    watched = [dep for dep in stages[stage]["deps"] if dep.startswith("dxai/")]
    modules = modules_behind(stage, checkout)
    assert len(modules) > 10
    assert {m for m in modules if not any(is_in(m, dep) for dep in watched)} == set()
    assert {dep for dep in watched if not any(is_in(m, dep) for m in modules)} == set()


@pytest.mark.parametrize(("stage", "code"), [("train", TRAINING_CODE), ("release", RELEASE_CODE)])
def test_fingerprints_cover_what_the_stages_watch(stage: str, code: tuple[str, ...], checkout: Path) -> None:
    stages, _ = stage_definitions(checkout)
    assert [f"dxai/{part}" for part in code] == [dep for dep in stages[stage]["deps"] if dep.startswith("dxai/")]


def test_all_tasks_were_reproduced_with_the_same_code(checkout: Path) -> None:
    """`make demo` reproduces two of them; the others must not be left behind by a change of the code."""
    stages = yaml.safe_load((checkout / "dvc.lock").read_text("utf-8"))["stages"]
    assert set(stages) == {f"{stage}@{task}" for stage in STAGES for task in TASKS}
    seen: dict[tuple[str, str], dict[str, list[str]]] = {}
    for name, stage in stages.items():
        kind, task = name.split("@")
        for dep in stage["deps"]:
            if dep["path"].startswith("dxai/"):
                seen.setdefault((kind, dep["path"]), {}).setdefault(dep["md5"], []).append(task)
    assert {where: found for where, found in seen.items() if len(found) > 1} == {}, "make sectors"


def test_unwatched_code_exists(checkout: Path) -> None:
    for name in UNWATCHED:
        path = checkout / Path(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), name


def test_dvc_reports_what_it_sees_to_nobody(checkout: Path) -> None:
    assert "analytics = false" in (checkout / ".dvc/config").read_text("utf-8")


def test_install_gives_dvc_a_private_cache_folder(checkout: Path) -> None:
    """DVC keeps pickled values in its site cache: a shared folder would let another user run code (CVE-2025-69872)."""
    command = ["make", "--dry-run", "--always-make", "install"]
    steps = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout
    assert "mkdir -p -m 700 .dvc/tmp/site" in steps
    assert f"config --local core.site_cache_dir '{checkout}/.dvc/tmp/site'" in steps


@pytest.fixture(scope="module")
def small(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, concrete_table: Any, retail_table: Any
) -> Iterator[Path]:
    """A git repository with this code in which both tasks are reproduced: as in the checkout, or with tiny settings."""
    copy = tmp_path_factory.mktemp("small") / "dxai"
    copy.mkdir()
    for name in ("dxai", "configs", "contracts", "pipelines", ".dvc", "data", "models", "runs/reference"):
        ignored = shutil.ignore_patterns("__pycache__", "tmp", "config.local", "wheels")
        if (checkout / name).is_dir():
            shutil.copytree(checkout / name, copy / name, ignore=ignored)
    for name in ("dvc.yaml", "dvc.lock", ".gitignore", ".dvcignore", "pyproject.toml", "mlflow.db"):
        if (checkout / name).is_file():
            shutil.copy(checkout / name, copy / name)
    only_the_demo(copy)
    run(copy, "git", "init", "-q")
    commit(copy, "start")
    if dvc(copy, "status", "--json").strip() != "{}":  # without `make demo`, or after a change of the code
        reproduce_small(copy)
    yield copy
    shutil.rmtree(copy)


def only_the_demo(copy: Path) -> None:
    """Leave the other tasks out of dvc.yaml: they are entries of the same stages."""
    whole = yaml.safe_load((copy / "dvc.yaml").read_text("utf-8"))
    whole["vars"][0]["tasks"] = {task: whole["vars"][0]["tasks"][task] for task in DEMO}
    (copy / "dvc.yaml").write_text(yaml.safe_dump(whole, sort_keys=False), "utf-8")


def reproduce_small(copy: Path) -> None:
    """All stages, with trainings that take a second."""
    for name in ("models", "runs", ".dvc/cache", "data/prepared", "dvc.lock"):
        shutil.rmtree(copy / name, ignore_errors=True)
        (copy / name).unlink(missing_ok=True)
    set_key(copy, "model/portfolio", "budget", "quick")
    set_key(copy, "trainer/demand", "max_epochs", 1)
    set_key(copy, "trainer/demand", "epoch_batches", 1)
    set_key(copy, "evaluate/quality", "permutations", 1)
    set_key(copy, "split/grouped", "folds", 2)
    set_key(copy, "split/rolling", "origins", 1)
    commit(copy, "small")
    assert ran(dvc(copy, "repro")) == {f"{stage}@{task}" for stage in STAGES for task in DEMO}
    commit(copy, "reproduced")


def commit(folder: Path, message: str) -> None:
    run(folder, "git", "add", "-A")
    run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@t.example", "commit", "-qm", message)


def set_key(folder: Path, config: str, key: str, value: Any) -> None:
    path = folder / "configs" / f"{config}.yaml"
    lines = path.read_text("utf-8").splitlines()
    changed = [f"{key}: {json.dumps(value)}" if line.startswith(f"{key}:") else line for line in lines]
    assert changed != lines, f"{key} is not in {config}"
    path.write_text("\n".join(changed) + "\n", "utf-8")


def run(folder: Path, *command: str, check: bool = True) -> str:
    bin_folder = str(Path(sys.executable).parent)
    environment = os.environ | {
        "PATH": bin_folder + os.pathsep + os.environ["PATH"],
        "PYTHONPATH": str(folder),  # the copy's dxai, not the checkout's
        "DVC_SITE_CACHE_DIR": str(folder / ".dvc/tmp/site"),
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def dvc(folder: Path, *words: str) -> str:
    return run(folder, "dvc", *words)


def ran(output: str) -> set[str]:
    """Stages that a `dvc repro` ran."""
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


def test_repro_without_a_change_says_up_to_date(small: Path) -> None:
    output = dvc(small, "repro")
    assert ran(output) == set()
    assert "Data and pipelines are up to date." in output


def test_comment_or_unused_config_reaches_no_stage(small: Path) -> None:
    for name in ("model/portfolio", "trainer/quality"):
        path = small / "configs" / f"{name}.yaml"
        path.write_text("# another comment\n" + path.read_text("utf-8"), "utf-8")
    set_key(small, "model/mlp", "width", 64)
    assert ran(dvc(small, "repro")) == set()


def test_commit_to_site_or_server_reaches_no_stage_and_changes_no_fingerprint(small: Path) -> None:
    before = json.loads((small / "models/concrete-strength/manifest.json").read_text("utf-8"))
    for name in ("dxai/catalog/site/build.py", "dxai/serve/metrics.py", "dxai/cli/main.py"):
        with (small / name).open("a") as file:
            file.write("# another remark\n")
    commit(small, "remarks")
    assert "Data and pipelines are up to date." in dvc(small, "status")
    program = (
        "from dxai.record.provenance import bundle_code; from dxai.record.runs import Run; from pathlib import Path; "
        "print(bundle_code(Run(Path('runs/reference/concrete/train')).provenance))"
    )
    assert run(small, sys.executable, "-c", program).strip() == before["code"]


@pytest.mark.parametrize(
    ("config", "key", "value", "stages"),
    [
        ("release/default", "golden_rows", 16, ["release@concrete", "release@retail"]),
        ("evaluate/quality", "permutations", 7, ["evaluate@concrete"]),
        ("model/portfolio", "budget", "best", ["train@concrete"]),
        ("model/demand_portfolio", "rounds", 16, ["train@retail"]),
        ("scaling/level", "recency", 9, ["train@retail"]),
    ],
)
def test_changed_key_is_seen_by_the_stage_that_uses_it(
    small: Path, config: str, key: str, value: Any, stages: list[str]
) -> None:
    path = small / "configs" / f"{config}.yaml"
    before = path.read_text("utf-8")
    set_key(small, config, key, value)
    changed = json.loads(dvc(small, "status", "--json"))
    path.write_text(before, "utf-8")
    found = [{"changed deps": {f"configs/{config}.yaml": {key: "modified"}}}]
    assert changed == dict.fromkeys(stages, found)


def test_changed_key_reruns_its_stage_and_what_comes_behind(small: Path) -> None:
    set_key(small, "evaluate/quality", "permutations", 2)
    assert ran(dvc(small, "repro")) == {"evaluate@concrete", "release@concrete"}
    assert ran(dvc(small, "repro")) == set()


def test_metrics_diff_and_plots_show_read_the_runs(small: Path, tmp_path: Path) -> None:
    shown = json.loads(dvc(small, "metrics", "show", "--json"))[""]["data"]
    assert set(shown) == {"models/concrete-strength/metrics.json", "models/retail-demand/metrics.json"}
    rmse = shown["models/concrete-strength/metrics.json"]["data"]["model"]["rmse"]
    path = small / "models/concrete-strength/metrics.json"
    kept = path.read_text("utf-8")
    path.write_text(kept.replace(str(rmse), "1.5"), "utf-8")
    difference = json.loads(dvc(small, "metrics", "diff", "--json", "HEAD"))
    path.write_text(kept, "utf-8")
    assert difference["models/concrete-strength/metrics.json"]["model.rmse"]["new"] == 1.5
    dvc(small, "plots", "show", "--out", str(tmp_path / "plots"))
    page = (tmp_path / "plots/index.html").read_text("utf-8")
    assert "retail, error by horizon" in page
    assert "predicted strength [MPa]" in page


def test_experiment_runs_with_a_changed_key(small: Path) -> None:
    change = "configs/release/default.yaml:golden_rows=9"
    dvc(small, "exp", "run", "--name", "fewer", "--set-param", change, "release@concrete")
    assert "fewer" in dvc(small, "exp", "show", "--csv")
    golden = (small / "models/concrete-strength/golden/rows.csv").read_text("utf-8")
    assert len(golden.splitlines()) == 1 + 9


def test_models_folder_keeps_words_in_git_and_weights_in_dvc(small: Path) -> None:
    tracked = run(small, "git", "ls-files", "models").split()
    for name in ("concrete-strength", "retail-demand"):
        assert f"models/{name}/card.md" in tracked
        assert f"models/{name}/metrics.json" in tracked
        assert f"models/{name}/contract.yaml" in tracked
        assert any(f.startswith(f"models/{name}/figures/") for f in tracked)
        for file in ("model.onnx", "profile.json", "sbom.cdx.json", "provenance.json", "terms.json", "manifest.json"):
            assert f"models/{name}/{file}" not in tracked
            assert (small / "models" / name / file).is_file()
    assert "models" in dvc(small, "list", ".", "--dvc-only", "--recursive")
