"""The member firm's promise: the base install is small, holds no training package, and predicts a million rows.

Installs the package without extras into a clean environment, hands it a bundle that the training side really
released, lets it publish, fetch, verify, try and run it, and measures size and peak memory.
"""

from __future__ import annotations

import csv
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import polars as pl
import pytest
from conftest import assert_same_answers

ROWS = 1_000_000
MEMORY_LIMIT_MB = 1500
SIZE_LIMIT_MB = 450
TRAINING_ONLY = {
    "torch", "lightning", "pytorch-lightning", "mlflow", "mlflow-skinny", "hydra-core", "omegaconf", "dvc", "onnx",
    "onnxscript", "pandas", "pyarrow", "matplotlib", "scikit-learn", "tabm", "rtdl-num-embeddings",
    "lightgbm",
}  # fmt: skip
PEAK_MEMORY = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""

pytestmark = pytest.mark.network


def run(folder: Path, *words: str, code: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command that must end with ``code`` and never show a traceback."""
    environment = clean_environment() | more
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def clean_environment() -> dict[str, str]:
    """This environment less what would let the checkout's packages into the clean install."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")}


@pytest.fixture(scope="session")
def base(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A clean environment with the package and without extras."""
    folder = tmp_path_factory.mktemp("base")
    source, environment = folder / "source", folder / "venv"
    shutil.copytree(checkout / "dxai", source / "dxai", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "constraints.txt", "LICENSE"):
        shutil.copy(checkout / name, source / name)
    if (checkout / "README.md").is_file():
        shutil.copy(checkout / "README.md", source / "README.md")
    else:
        (source / "README.md").write_text("dxai\n", "utf-8")
    run(folder, sys.executable, "-m", "venv", str(environment))
    run(source, str(environment / "bin/python"), "-m", "pip", "install", "-q", "-c", "constraints.txt", ".")
    yield environment
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def bundle(checkout: Path, concrete_table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that the training side released: the reference model, else a small one trained and released here."""
    if (checkout / "models/concrete-strength/manifest.json").is_file():
        return checkout / "models/concrete-strength"
    folder = tmp_path_factory.mktemp("factory")
    for name in ("configs", "contracts"):
        shutil.copytree(checkout / name, folder / name)
    shutil.copy(checkout / "dvc.yaml", folder / "dvc.yaml")
    (folder / "data").symlink_to(checkout / "data")
    dxai = str(Path(sys.executable).parent / "dxai")
    tiny = ("budget=quick", "split.folds=2", "evaluate.permutations=1", "hydra.run.dir=runs/one")
    run(folder, dxai, "train", "experiment=concrete", *tiny)
    run(folder, dxai, "release", "runs/one", "--to", "bundle")
    return folder / "bundle"


def nearly(one: str, other: str) -> bool:
    """Equal but for the last digit of a float32: a row at the end of a slice is summed in another order."""
    return math.isclose(float(one), float(other), rel_tol=1e-6, abs_tol=1e-5)


def write_many_rows(golden: Path, target: Path) -> None:
    """The golden rows over and over, each line with its own number in a first column ``id``."""
    header, *rows = golden.read_text("utf-8").splitlines()
    with target.open("w", encoding="utf-8") as file:
        file.write(f"id,{header}\n")
        file.writelines(f"{number},{row}\n" for number, row in enumerate(islice(cycle(rows), ROWS)))


def test_base_install_holds_no_training_package(base: Path) -> None:
    listed = run(base, str(base / "bin/python"), "-m", "pip", "list", "--format=freeze").stdout.lower()
    installed = {line.split("==")[0].replace("_", "-") for line in listed.splitlines()}
    assert {"dxai", "click", "onnxruntime", "polars", "pydantic"} <= installed
    assert not installed & TRAINING_ONLY


def test_base_install_is_small(base: Path) -> None:
    size = sum(path.stat().st_size for path in base.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6
    print(f"base install: {size:.0f} MB")  # noqa: T201
    assert size < SIZE_LIMIT_MB


def test_base_install_inspects_a_released_bundle(base: Path, bundle: Path, tmp_path: Path) -> None:
    shown = run(tmp_path, str(base / "bin/dxai"), "inspect", str(bundle), "--unsigned").stdout
    for text in ("concrete-strength 1.0.0", "시멘트", "MPa", "files are as released"):
        assert text in shown


def test_base_install_repeats_the_golden_outputs(base: Path, bundle: Path, tmp_path: Path) -> None:
    rows = str(bundle / "golden/rows.csv")
    done = run(tmp_path, str(base / "bin/dxai"), "predict", str(bundle), rows, "-o", "out.csv", "--unsigned")
    assert "32 rows written to out.csv" in done.stdout
    assert_same_answers((tmp_path / "out.csv").read_bytes(), (bundle / "golden/outputs.csv").read_bytes())


def test_base_install_publishes_fetches_verifies_tries_and_runs_a_model(
    base: Path, bundle: Path, tmp_path: Path
) -> None:
    dxai, name = str(base / "bin/dxai"), "concrete-strength"
    home = {"DXAI_HOME": str(tmp_path / "home"), "DXAI_KEYS_PASSPHRASE": "secret"}
    rows = str(bundle / "golden/rows.csv")
    run(tmp_path, dxai, "keys", "init", "keys", "--root-keys", "3", "--threshold", "2", **home)
    run(tmp_path, dxai, "publish", str(bundle), "--catalog", "catalog", "--keys", "keys", **home)
    run(tmp_path, dxai, "catalog", "refresh", "--catalog", "catalog", "--keys", "keys", **home)
    trust = ("--from", "catalog", "--root", "keys/root.json")
    assert name in run(tmp_path, dxai, "search", *trust, **home).stdout
    run(tmp_path, dxai, "pull", name, *trust, code=2, **home)
    run(tmp_path, dxai, "pull", name, *trust, "--accept-terms", **home)
    assert f"{name} 1.0.0: all" in run(tmp_path, dxai, "verify", name, **home).stdout
    run(tmp_path, dxai, "predict", name, rows, "-o", "out.csv", **home)
    assert_same_answers((tmp_path / "out.csv").read_bytes(), (bundle / "golden/outputs.csv").read_bytes())
    table = pl.read_csv(rows)
    for suffix in ("xlsx", "parquet"):
        (table.write_excel if suffix == "xlsx" else table.write_parquet)(tmp_path / f"rows.{suffix}")
        run(tmp_path, dxai, "predict", name, f"rows.{suffix}", "-o", "out.parquet", **home)
        assert len(pl.read_parquet(tmp_path / "out.parquet")) == len(table)
    verdict = run(tmp_path, dxai, "check", name, rows, "--report", "check.html", **home).stdout
    assert "report: check.html" in verdict
    assert (tmp_path / "check.html").read_text("utf-8").lstrip().lower().startswith("<!doctype html>")
    run(tmp_path, dxai, "remove", name, **home)
    sales = "".join(f"20{20 + i // 12}-{i % 12 + 1:02d},{100 + i}\n" for i in range(48))
    (tmp_path / "sales.csv").write_text("month,sales\n" + sales, "utf-8")
    run(tmp_path, dxai, "forecast", "sales.csv", "-o", "forecast.csv", "--report", "forecast.html", **home)
    assert len(pl.read_csv(tmp_path / "forecast.csv")) == 12


def test_base_install_has_all_that_serving_and_the_pages_import(base: Path, bundle: Path, tmp_path: Path) -> None:
    """Every module of the package but those of the training side."""
    program = (
        "import importlib, pkgutil, sys, dxai\n"
        "training = ('train', 'evaluate', 'release', 'sweep', 'config', 'data')\n"
        "training += ('learn', 'networks', 'record', 'ship')\n"
        "for found in pkgutil.walk_packages(dxai.__path__, 'dxai.'):\n"
        "    if found.name.split('.')[1] not in training:\n"
        "        importlib.import_module(found.name)\n"
        "print(len([name for name in sys.modules if name.startswith('dxai.')]))\n"
    )
    assert int(run(tmp_path, str(base / "bin/python"), "-c", program).stdout) > 60


def test_base_install_loads_a_model_in_python(base: Path, bundle: Path, tmp_path: Path) -> None:
    program = (
        "import sys, polars as pl; from dxai import load\n"
        "rows = pl.read_csv(sys.argv[1] + '/golden/rows.csv')\n"
        "print(len(load(sys.argv[1], unsigned=True).predict(rows)))\n"
    )
    assert run(tmp_path, str(base / "bin/python"), "-c", program, str(bundle)).stdout.strip() == "32"


def test_million_rows_stream_in_order_and_bounded_memory(base: Path, bundle: Path, tmp_path: Path) -> None:
    write_many_rows(bundle / "golden/rows.csv", tmp_path / "rows.csv")
    command = (str(base / "bin/dxai"), "predict", str(bundle), "rows.csv", "-o", "out.csv", "--unsigned")
    done = run(tmp_path, str(base / "bin/python"), "-c", PEAK_MEMORY, *command)
    said, peak = done.stdout.splitlines()
    assert said == f"{ROWS:,} rows written to out.csv"
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes elsewhere
    memory = int(peak.removeprefix("peak ")) / unit
    print(f"{ROWS:,} rows: peak memory {memory:.0f} MB")  # noqa: T201
    assert memory < MEMORY_LIMIT_MB
    with (bundle / "golden/outputs.csv").open(encoding="utf-8", newline="") as file:
        header, *golden = csv.reader(file)
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        assert next(lines) == ["id", *header]
        count = 0
        for line, expected in zip(lines, cycle(golden), strict=False):
            assert line[:-3] == [str(count), *expected[:-3]]
            assert line[-3:] == expected[-3:] or all(map(nearly, line[-3:], expected[-3:]))
            count += 1
    assert count == ROWS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "rows.csv"]


@pytest.mark.parametrize("words", [("train", "model=linear"), ("evaluate", "run"), ("train", "--help")])
def test_training_verbs_say_what_the_base_install_lacks(words: tuple[str, ...], base: Path, checkout: Path) -> None:
    told = run(checkout, str(base / "bin/dxai"), *words, code=2).stderr
    for text in ("base install", "torch", "lightning", "hydra", "mlflow", "onnx", "make install", ".[train]"):
        assert text in told


def test_help_and_completion_work_without_the_training_extra(base: Path, tmp_path: Path) -> None:
    dxai = str(base / "bin/dxai")
    assert "predict" in run(tmp_path, dxai, "--help").stdout
    assert "_dxai_completion" in run(tmp_path, dxai, "completion", "bash").stdout
