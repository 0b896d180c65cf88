"""Launchers run several jobs at once: the results are those of one by one, and a dead job is a failed trial."""

from __future__ import annotations

import _thread
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_own_data import castings, data_folder, quality
from test_sweep import SMALL, Watched, results

pytest.importorskip("optuna")

from dxai.cli.main import cli
from dxai.errors import InterruptedRunError, SettingsError
from dxai.sweep import Sweep

RATES = "sweep.space.trainer.learning_rate=[0.01, 0.02, 1e30]"
SWEEP = [*SMALL, RATES, "sweep.trials=4", "sweep.pruner=none"]


def launcher(name: str, module: str, seconds: int) -> Any:
    marks = [pytest.mark.process, pytest.mark.slow(seconds=seconds)]
    extra = "slurm" if name.startswith("submitit") else name
    package = module.partition(".")[0]
    if find_spec(package) is None or find_spec(module) is None:
        marks.append(
            pytest.mark.skip(reason=f'{name} is not installed: pip install -c constraints.txt -e ".[{extra}]"')
        )
    return pytest.param(name, marks=marks)


JOBLIB = launcher("joblib", "hydra_plugins.hydra_joblib_launcher", 60)
SUBMITIT = launcher("submitit_local", "hydra_plugins.hydra_submitit_launcher", 45)
LAUNCHERS = [
    JOBLIB,
    SUBMITIT,
    launcher("ray", "ray", 120),
]


@pytest.fixture
def no_ray_left() -> Iterator[None]:
    yield
    if find_spec("ray"):
        import ray

        ray.shutdown()


@pytest.fixture(scope="module")
def place(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout of its own with a small table."""
    folder = tmp_path_factory.mktemp("launched")
    for name in ("configs", "contracts"):
        shutil.copytree(checkout / name, folder / name)
    data_folder(folder / "castings", quality(), castings())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def expected(place: Path) -> list[tuple[Any, ...]]:
    """Results of the same sweep without a launcher."""
    sweep = Sweep.begin(["data=castings", *SWEEP], place)
    sweep.run(Watched())
    found = results(sweep)
    assert {"ended", "failed"} == {state for _, state, *_ in found}
    return found


# --- what is asked for ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "problem", "fix"),
    [
        (["hydra/launcher=joblob"], "there is no such launcher. Did you mean 'joblib'?", "basic, "),
        (["hydra/launcher=basic", "hydra.launcher.jobs=2"], "Could not override 'hydra.launcher.jobs'", "Keys:"),
        (["sweep.jobs=3"], "sweep.jobs=3: a launcher runs trials at once, and none is named.", "hydra/launcher=joblib"),
        (["hydra/launcher=basic", "sweep.jobs=0"], "sweep.jobs=0", "--help"),
    ],
)  # fmt: skip
def test_a_wrong_launcher_is_told_before_the_first_trial(words: list[str], problem: str, fix: str, place: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        Sweep.begin(["data=castings", *SWEEP, *words], place)
    assert problem in caught.value.problem
    assert fix in caught.value.fix


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_a_launcher_that_is_not_installed_names_its_extra(place: Path) -> None:
    for verb in (["sweep", RATES], ["train", "-m", "seed=0,1"]):
        done = CliRunner().invoke(cli, [*verb, "data=castings", "model=linear", "hydra/launcher=ray"])
        assert isinstance(done.exception, SettingsError)
        assert done.exception.fix == 'pip install -c constraints.txt -e ".[ray]"'


# --- sweeps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAUNCHERS)
def test_trials_at_once_give_the_results_of_trials_in_turn(
    name: str, place: Path, expected: list[tuple[Any, ...]], no_ray_left: None
) -> None:
    sweep = Sweep.begin(["data=castings", *SWEEP, "sweep.jobs=2", f"hydra/launcher={name}"], place)
    watched = Watched()
    outcome = sweep.run(watched)
    assert results(sweep) == expected
    assert sorted(line.partition(":")[0] for line in watched.lines) == [f"trial {number}" for number in range(4)]
    assert any("diverged" in line for line in watched.lines)
    assert watched.places[-1][:2] == (4, 4)
    assert "hydra" not in outcome.command
    assert (outcome.report / "report.html").is_file()


@pytest.mark.parametrize("name", [JOBLIB])
def test_a_launched_sweep_that_was_stopped_is_resumed(name: str, place: Path, expected: list[tuple[Any, ...]]) -> None:
    class Stopped(Watched):
        def told(self, line: str) -> None:
            super().told(line)
            _thread.interrupt_main()  # Ctrl-C, when the first trials have ended and others run

    words = [*SWEEP, "folds_at_once=1", "sweep.jobs=2", f"hydra/launcher={name}"]
    sweep = Sweep.begin(["data=castings", *words], place)
    with pytest.raises(InterruptedRunError) as caught:
        sweep.run(Stopped())
    assert "dxai sweep --resume" in caught.value.fix
    assert 0 < len(sweep.study.trials) < 4
    again = Sweep.newest(place)
    assert again.folder == sweep.folder
    again.run(Watched())
    assert results(again) == expected


DEADLY = '''
import os, torch

class Loss(torch.nn.Module):
    """Kills its process where it is asked to."""

    def __init__(self, *, deadly: bool) -> None:
        super().__init__()
        self.deadly = deadly

    def forward(self, answer: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        if self.deadly:
            os.kill(os.getpid(), 9)
        return (answer - truth.reshape(answer.shape)).square().mean()
'''


@pytest.mark.parametrize("name", [JOBLIB])
def test_a_job_that_dies_is_a_failed_trial_and_takes_no_other_with_it(
    name: str, place: Path, no_ray_left: None
) -> None:
    (place / "custom").mkdir(exist_ok=True)
    (place / "custom/deadly.py").write_text(DEADLY, "utf-8")
    words = [
        "sweep.space.loss.deadly=[true, false]",
        "loss={_target_: custom.deadly.Loss, deadly: false}",
        "sweep.pruner=none",
    ]
    sweep = Sweep.begin(["data=castings", *SMALL, *words, "sweep.trials=3", f"hydra/launcher={name}"], place)
    outcome = sweep.run(Watched())
    states = [(t.parameters["loss.deadly"], t.state) for t in sweep.study.trials]
    assert set(states) == {("true", "failed"), ("false", "ended")}
    assert len(states) == 3
    failed = [t.note["problem"] for t in sweep.study.trials if t.state == "failed"]
    assert all(text.startswith("Its job has died twice.") for text in failed)
    assert outcome.best.parameters == {"loss.deadly": "false"}


# --- several runs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["basic", JOBLIB])
@pytest.mark.slow
def test_runs_of_a_command_go_on_when_one_fails(name: str, place: Path) -> None:
    before = set((place / "runs").rglob("sweep_*"))
    words = ["data=castings", *SMALL, "trainer.learning_rate=1e30,0.01,0.02", f"hydra/launcher={name}"]
    done = CliRunner().invoke(cli, ["train", "-m", *words])
    assert done.exit_code == 7
    assert done.stdout.count("  report: ") == done.stdout.count("  next:   dxai release ") == 2
    assert "job 0 (trainer.learning_rate=1e+30) has failed" in done.stderr
    assert "training has diverged" in done.stderr
    assert "1 of 3 jobs have failed" in done.stderr
    (folder,) = set((place / "runs").rglob("sweep_*")) - before
    assert sorted(path.parent.parent.name for path in folder.glob("*/train/run.json")) == ["1", "2"]
