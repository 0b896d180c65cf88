"""The same settings give the same model, byte for byte: in another process, from another folder, on another day.

Each training runs in a process of its own, as two colleagues would run it; only the seed may change the bytes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import polars as pl
import pytest

pytestmark = pytest.mark.network

SHORT = ["split.folds=2", "evaluate.permutations=1"]
TINY = {
    "network": ["experiment=concrete_tabm", "trainer.max_epochs=2", "model.k=2", *SHORT],
    "portfolio": ["experiment=concrete", "budget=quick", *SHORT],
}

SCRIPT = """
import sys
from pathlib import Path
from dxai.config.compose import settings_from
from dxai.evaluate import evaluate
from dxai.record.progress import fit_bar
from dxai.release import release
from dxai.train import train

checkout, folder, overrides = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
with fit_bar() as bar:
    run = train(settings_from(overrides, checkout=checkout), folder / "train", checkout, bar)
evaluate(run, folder / "evaluate", checkout)
release(run, folder / "evaluate", folder / "bundle", checkout)
"""


def run_in_a_process_of_its_own(
    checkout: Path, folder: Path, model: str, *overrides: str, cores: set[int] | None = None, **variables: str
) -> dict[str, bytes]:
    """Train, evaluate and release from ``folder``; the files of the bundle and the held-out predictions."""
    folder.mkdir(parents=True)
    command = [sys.executable, "-c", SCRIPT, str(checkout), str(folder / "run"), *TINY[model], *overrides]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1", **variables}
    bind = partial(os.sched_setaffinity, 0, cores) if cores else None
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, preexec_fn=bind)
    assert done.returncode == 0, done.stderr[-3000:]
    bundle = folder / "run" / "bundle"
    made = {p.relative_to(bundle).as_posix(): p.read_bytes() for p in bundle.rglob("*") if p.is_file()}
    return made | {"held_out": (folder / "run" / "train" / "held_out.parquet").read_bytes()}


@pytest.fixture(scope="module")
def own_checkout(checkout: Path, concrete_table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings and table in a folder of their own, so that no log lands in the repository."""
    assert len(concrete_table) == 1030
    own = tmp_path_factory.mktemp("reproduce") / "checkout"
    for name in ("configs", "contracts"):
        shutil.copytree(checkout / name, own / name)
    (own / "data" / "prepared").mkdir(parents=True)
    shutil.copy(checkout / "data" / "prepared" / "concrete.parquet", own / "data" / "prepared")
    return own


@pytest.fixture(scope="module", params=TINY)
def first(
    request: pytest.FixtureRequest, own_checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, bytes]]:
    """The files of a run, with the kind of model that it is."""
    folder = tmp_path_factory.mktemp("first") / "here"
    return request.param, run_in_a_process_of_its_own(own_checkout, folder, request.param)


def test_the_same_settings_give_the_same_bundle_from_another_folder_locale_time_zone_and_number_of_cores(
    own_checkout: Path, first: tuple[str, dict[str, bytes]], tmp_path: Path
) -> None:
    model, files = first
    second = run_in_a_process_of_its_own(
        own_checkout, tmp_path / "somewhere" / "다른 폴더", model, cores={min(os.sched_getaffinity(0))},
        LC_ALL="de_DE.UTF-8", LANG="ko_KR.UTF-8", TZ="Pacific/Kiritimati", PYTHONHASHSEED="7",
    )  # fmt: skip
    assert len(files["model.onnx"]) > 10_000
    assert sorted(second) == sorted(files)
    assert [name for name in files if second[name] != files[name]] == []


def test_another_seed_gives_another_model(
    own_checkout: Path, first: tuple[str, dict[str, bytes]], tmp_path: Path
) -> None:
    model, files = first
    other = run_in_a_process_of_its_own(own_checkout, tmp_path / "there", model, "seed=1")
    assert other["model.onnx"] != files["model.onnx"]
    assert other["held_out"] != files["held_out"]
    assert other["golden/rows.csv"] == files["golden/rows.csv"]  # the split has its own seed
