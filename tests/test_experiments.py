"""Every experiment in configs/ runs whole, cut short: train, evaluate, release, predict its own golden rows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import assert_same_answers

from dxai.api import load
from dxai.bundle.manifest import GOLDEN_OUTPUTS, GOLDEN_ROWS
from dxai.config.compose import settings_from
from dxai.data.output import write_table
from dxai.data.tables import read_blocks
from dxai.evaluate import evaluate
from dxai.inference.predict import Prediction
from dxai.release import release
from dxai.train import train

pytestmark = pytest.mark.slow

EXPERIMENTS = sorted(p.stem for p in (Path(__file__).parent.parent / "configs/experiment").glob("*.yaml"))
ELSEWHERE = ("quality", "demand")
ALIKE = ("appliances", "carparts", "naval_turbine")
"""Another test has the same kind of contract and graph: seoul_bike, the tutorial of parts, naval_compressor."""
PUBLISHED = [f"experiment={name}" for name in EXPERIMENTS if name not in (*ELSEWHERE, *ALIKE) and "_series" not in name]
"""Own data are needed for two: tests/test_eight_files.py; three are those of tests/test_forecaster_bundles.py."""
BRIEF = ("ai4i", "epa2021", "naval_compressor", "pd_speech", "steel_plates")
"""Tasks of which one member of the portfolio is fitted: concrete has them all."""
SCORES = {
    "quality": ({"rmse", "coverage"}, {"log_loss", "pr_auc"}), "demand": ({"wql", "mase", "bias", "coverage"},),
}  # fmt: skip
MODELS = ["experiment=concrete model=linear", "experiment=concrete model=mlp", "experiment=retail model=dlinear"]


class Silent:
    """Keeps what a progress bar would show."""

    def __init__(self) -> None:
        self.fits, self.shares = 0, dict[str, float]()

    def start(self, name: str, fits: int) -> None:
        self.fits = fits

    def step(self, label: str, share: float, told: str) -> None:
        assert share >= self.shares.get(label, 0), "no fit goes back"
        self.shares[label] = share


@pytest.fixture(scope="module")
def short(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of its own, so that runs and mlflow.db stay out of the real one."""
    copy = tmp_path_factory.mktemp("short") / "dxai"
    for name in ("configs", "contracts", "datasets"):
        shutil.copytree(checkout / name, copy / name)
    (checkout / "data").mkdir(exist_ok=True)
    (copy / "data").symlink_to(checkout / "data")
    return copy


@pytest.mark.network
@pytest.mark.parametrize("words", [*PUBLISHED, *MODELS])
def test_experiment_runs_from_raw_data_to_prediction(words: str, short: Path, tmp_path: Path) -> None:
    whole = settings_from(words.split(), checkout=short)
    quality = whole.evaluate.kind == "quality"
    shorter = ["split.folds=2", "evaluate.permutations=1"] if quality else ["trainer.epoch_batches=2"]
    if whole.data.name in BRIEF:
        shorter += ["budget=quick", "model.members=[boosted]"]
    if "rounds" in whole.model.arguments:
        shorter += ["model.rounds=10", "model.rows=10000", "split.origins=1"]
    settings = settings_from([*words.split(), "trainer.max_epochs=1", *shorter], checkout=short)
    progress = Silent()
    run = train(settings, short / "runs" / settings.name / "train", short, progress)
    assert list(progress.shares.values()) == [1.0] * progress.fits
    evaluation = evaluate(run, short / "runs" / settings.name / "evaluate", short)
    assert any(evaluation.scores["model"].keys() >= names for names in SCORES[whole.evaluate.kind])
    for name in ("report.html", "report.md", "metrics.json", "summary.json"):
        assert (evaluation.folder / name).stat().st_size > 0
    folder = short / "models" / settings.release.bundle
    assert release(run, evaluation.folder, folder, short).terms.usage.ko
    loaded = load(folder, unsigned=True)  # through the careful loader: what is released may be used
    prediction = Prediction(loaded.model, loaded.bundle.profile)
    write_table(prediction.blocks(read_blocks(folder / GOLDEN_ROWS)), tmp_path / "out.csv")
    assert_same_answers((tmp_path / "out.csv").read_bytes(), (folder / GOLDEN_OUTPUTS).read_bytes())
    assert prediction.counts.outside == prediction.counts.bad == 0
