"""A training that was stopped goes on: what ended is not fitted again, and the bytes are those of the unbroken run."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from test_own_data import castings, data_folder, quality

from dxai import files
from dxai.cli.main import cli
from dxai.config.compose import settings_from
from dxai.config.settings import TrainerSettings
from dxai.data import batches
from dxai.data.batches import RowsOnDisk
from dxai.data.own import with_own_data
from dxai.errors import DxaiError, InterruptedRunError, NoSpaceError, NotFoundError, SettingsError
from dxai.learn import checkpoints, module, states
from dxai.learn.fitting import Epoch, OnStep, unwatched
from dxai.record.unfinished import UnfinishedRun
from dxai.train import train

WORDS = {
    "network": ["model=mlp", "trainer.max_epochs=3"],
    "portfolio": ["model=portfolio", "budget=quick"],
}


# --- within a fit -----------------------------------------------------------------------------------------------------

TRAINER = TrainerSettings(
    max_epochs=4, epoch_batches=None, batch_size=20, learning_rate=0.01, weight_decay=0.1, warmup=0.2, gradient_clip=1.0
)
BATCHES = 3


class Death(Exception):
    """The process is gone."""


def fitted(
    checkpoint: Path | None,
    die_at: int = 0,
    trainer: TrainerSettings = TRAINER,
    *,
    on_disk: bool = False,
    on_step: OnStep = unwatched,
) -> tuple[list[Epoch], torch.Tensor, int]:
    """Curve, weights and number of batches of a small network with dropout; it dies in batch ``die_at``, from 1."""
    torch.manual_seed(0)
    rows = (torch.randn(50, 3), torch.randn(50, 1))
    blocks = list(zip(*(tensor.split(8) for tensor in rows), strict=True))
    stored = RowsOnDisk(np.array([len(target) for _, target in blocks]), blocks.__getitem__)
    network = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 1))
    count = 0

    def loss(answer: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        nonlocal count
        count += network.training
        if network.training and count == die_at:
            raise Death
        return torch.nn.functional.mse_loss(answer, target)

    fit = stored if on_disk else rows
    curve = module.fit(network, loss, fit, rows, trainer, seed=1, on_step=on_step, checkpoint=checkpoint)
    return curve, torch.cat([p.detach().flatten() for p in network.parameters()]), count


@pytest.fixture
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint at the end of every epoch, however short."""
    monkeypatch.setattr(checkpoints, "_EVERY", 0.0)


@pytest.mark.usefixtures("every_epoch")
@pytest.mark.parametrize("die_at", [1, 4, 5, 9, 12])
def test_a_fit_that_died_goes_on_to_the_same_weights_and_curve(die_at: int, tmp_path: Path) -> None:
    curve, weights, batches = fitted(None)
    assert batches == BATCHES * TRAINER.max_epochs
    file = tmp_path / "fit.ckpt"
    with pytest.raises(Death):
        fitted(file, die_at)
    found = fitted(file)
    assert found[0] == curve
    assert torch.equal(found[1], weights)
    assert found[2] == batches - (die_at - 1) // BATCHES * BATCHES


@pytest.mark.usefixtures("every_epoch")
@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("hooks", [False, True])
@pytest.mark.parametrize("die_at", [2, 3, 4, 8, 12])
def test_a_fit_that_died_within_an_epoch_goes_on_from_the_batch(
    die_at: int, hooks: bool, on_disk: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "POOL", 2)  # 16 rows, where a batch has 20
    if hooks:
        monkeypatch.setattr(module.DirectRegression, "suits", lambda _: False)
    curve, weights, count = fitted(None, on_disk=on_disk)
    file, often = tmp_path / "fit.ckpt", TRAINER.model_copy(update={"checkpoint_minutes": 1e-9})
    with pytest.raises(Death):
        fitted(file, die_at, often, on_disk=on_disk)
    found = fitted(file, 0, often, on_disk=on_disk)
    assert found[0] == curve
    assert torch.equal(found[1], weights)
    assert found[2] == count - (die_at - 1)


def demand_trainer(checkout: Path, *words: str) -> TrainerSettings:
    """Ten batches an epoch, a checkpoint after each that allows one."""
    often = ["trainer.batch_size=5", "trainer.max_epochs=4", "trainer.epoch_batches=null"]
    return settings_from(
        ["experiment=demand", *often, "trainer.checkpoint_minutes=1e-9", *words], checkout=checkout
    ).trainer


@pytest.mark.usefixtures("every_epoch")
@pytest.mark.parametrize(
    ("word", "again"),  # batches that are done again after a death in the seventh of an epoch
    [("trainer.accumulate=4", 2), ("+trainer.lightning.val_check_interval=3", 1), ("trainer.early_stopping=3", 0)],
)
def test_no_step_and_no_look_at_watched_rows_is_lost_within_an_epoch(
    word: str, again: int, checkout: Path, tmp_path: Path
) -> None:
    trainer = demand_trainer(checkout, word)
    curve, weights, count = fitted(None, trainer=trainer)
    with pytest.raises(Death):
        fitted(tmp_path / "fit.ckpt", 17, trainer)
    found = fitted(tmp_path / "fit.ckpt", 0, trainer)
    assert found[0] == curve
    assert torch.equal(found[1], weights)
    assert found[2] == count - 16 + again


@pytest.mark.usefixtures("every_epoch")
@pytest.mark.parametrize("words", [[], ["+trainer.lightning.val_check_interval=3"]])
def test_an_epoch_that_died_at_its_end_is_in_the_curve(words: list[str], checkout: Path, tmp_path: Path) -> None:
    def die(*_: object) -> None:
        raise Death

    trainer = demand_trainer(checkout, *words)
    curve, weights, _ = fitted(None, trainer=trainer)
    with pytest.raises(Death):
        fitted(tmp_path / "fit.ckpt", trainer=trainer, on_step=die)
    found = fitted(tmp_path / "fit.ckpt", trainer=trainer)
    assert found[0] == curve
    assert torch.equal(found[1], weights)
    assert found[2] < 40


@pytest.mark.usefixtures("every_epoch")
def test_a_checkpoint_that_is_broken_costs_time_and_no_bytes(tmp_path: Path) -> None:
    curve, weights, batches = fitted(None)
    file = tmp_path / "fit.ckpt"
    with pytest.raises(Death):
        fitted(file, 9)
    file.write_bytes(file.read_bytes()[:-500])
    found = fitted(file)
    assert found[0] == curve
    assert torch.equal(found[1], weights)
    assert found[2] == batches


@pytest.mark.usefixtures("every_epoch")
def test_a_fit_that_stops_early_stops_where_it_did_before(tmp_path: Path) -> None:
    trainer = TRAINER.model_copy(update={"early_stopping": 2, "max_epochs": 200, "learning_rate": 0.3})
    curve, weights, batches = fitted(None, trainer=trainer)
    assert 2 < len(curve) < 200
    assert min(curve, key=lambda epoch: epoch.watched_loss) is curve[-3]
    for die_at in (batches - BATCHES, batches):
        with pytest.raises(Death):
            fitted(tmp_path / "fit.ckpt", die_at, trainer)
        found = fitted(tmp_path / "fit.ckpt", trainer=trainer)
        assert found[0] == curve
        assert torch.equal(found[1], weights)
        (tmp_path / "fit.ckpt").unlink(missing_ok=True)


def test_early_stopping_without_watched_rows_is_refused() -> None:
    rows, trainer = (torch.zeros(4, 3), torch.zeros(4, 1)), TRAINER.model_copy(update={"early_stopping": 2})
    with pytest.raises(SettingsError, match="needs rows that are watched"):
        module.fit(torch.nn.Linear(3, 1), torch.nn.functional.mse_loss, rows, None, trainer, seed=1)


@pytest.mark.parametrize("clip", [0.01, 1.0])
def test_a_fit_without_hooks_has_the_bytes_of_one_with_them(clip: float, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = TRAINER.model_copy(update={"gradient_clip": clip})
    curve, weights, batches = fitted(None, trainer=trainer)
    monkeypatch.setattr(module.DirectRegression, "suits", lambda _: False)
    hooked = fitted(None, trainer=trainer)
    assert (hooked[0], hooked[2]) == (curve, batches)
    assert torch.equal(hooked[1], weights)


@pytest.mark.usefixtures("every_epoch")
def test_a_fit_that_died_with_hooks_goes_on_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    curve, weights, _ = fitted(None)
    with monkeypatch.context() as patched, pytest.raises(Death):
        patched.setattr(module.DirectRegression, "suits", lambda _: False)
        fitted(tmp_path / "fit.ckpt", 9)
    found = fitted(tmp_path / "fit.ckpt")
    assert found[0] == curve
    assert torch.equal(found[1], weights)


def test_loggers_precision_accumulation_and_lightnings_own_arguments_reach_the_trainer(
    checkout: Path, tmp_path: Path
) -> None:
    words = [
        f"+trainer.loggers.csv={{_target_:lightning.pytorch.loggers.CSVLogger,save_dir:{tmp_path}}}",
        "trainer.precision=bf16-mixed", "trainer.accumulate=2", "+trainer.lightning.max_steps=3",
    ]  # fmt: skip
    trainer = settings_from(["trainer.batch_size=20", *words], checkout=checkout).trainer
    plain, weights, _ = fitted(None)
    curve, other, batches = fitted(None, trainer=trainer)
    assert batches == 5  # two of them a step, and at the end of an epoch of three the last alone
    assert curve[0].fit_loss != plain[0].fit_loss
    assert not torch.equal(other, weights)
    assert "fit_loss" in next(tmp_path.rglob("metrics.csv")).read_text("utf-8")


def test_a_short_fit_writes_no_checkpoint(tmp_path: Path) -> None:
    fitted(tmp_path / "fit.ckpt")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("every_epoch")
@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_checkpoint_before(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "fit.ckpt"
    with pytest.raises(Death):
        fitted(file, 4)
    before = file.read_bytes()
    _fill_the_disk(step, monkeypatch)
    with pytest.raises(NoSpaceError):
        fitted(file)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def _fill_the_disk(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if step == "write":
        opened = Path.open

        class Full:
            def __init__(self, file: Any) -> None:
                self.file = file

            def __enter__(self) -> Full:
                return self

            def __exit__(self, *_: object) -> None:
                self.file.close()

            def write(self, content: bytes) -> None:
                self.file.write(content[:100])
                full()

        def narrow(path: Path, mode: str = "r", *words: Any, **told: Any) -> Any:
            file = opened(path, mode, *words, **told)
            return Full(file) if path.suffix == ".part" else file

        monkeypatch.setattr(Path, "open", narrow)
    elif step == "fsync":
        monkeypatch.setattr(files.os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)


# --- a run ------------------------------------------------------------------------------------------------------------


class Watched:
    """Remembers which fits were told of a step that is not their last, and calls at the first step of the second."""

    def __init__(self, call: Callable[[], None] = lambda: None) -> None:
        self.at_work: list[str] = []
        self.call = call

    def start(self, name: str, fits: int) -> None:
        self.fits = fits

    def step(self, label: str, share: float, told: str) -> None:
        if share < 1 and label not in self.at_work:
            self.at_work.append(label)
            if len(self.at_work) == 2:
                self.call()


def run(workplace: Path, name: str, words: list[str], watched: Watched, *, resume: bool = False) -> dict[str, bytes]:
    """The files of a run by name."""
    given = with_own_data([f"data={workplace / 'own'}", "split.folds=2", "folds_at_once=1", *words], workplace)
    folder = workplace / "runs" / name / "train"
    train(settings_from(given, checkout=workplace), folder, workplace, watched, resume=resume)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def stop() -> None:
    raise KeyboardInterrupt


@pytest.mark.slow(seconds=15)
@pytest.mark.parametrize("model", WORDS)
def test_a_run_that_was_stopped_is_resumed_to_the_same_bytes(model: str, workplace: Path) -> None:
    whole = Watched()
    expected = run(workplace, "whole", WORDS[model], whole)
    with pytest.raises(InterruptedRunError) as caught:
        run(workplace, "broken", WORDS[model], Watched(stop))
    assert "1 fit is kept" in caught.value.problem
    assert "dxai train --resume runs/broken" in caught.value.fix
    assert not (workplace / "runs/broken/train").exists()
    again = Watched()
    assert run(workplace, "broken", WORDS[model], again, resume=True) == expected
    assert again.at_work == whole.at_work[1:]
    assert [p.name for p in (workplace / "runs/broken").iterdir()] == ["train"]


@pytest.mark.slow(seconds=10)
def test_a_resume_refuses_what_would_not_match(workplace: Path) -> None:
    with pytest.raises(InterruptedRunError):
        run(workplace, "broken", WORDS["network"], Watched(stop))
    unfinished = UnfinishedRun(workplace / "runs/broken/train")
    assert unfinished.settings.trainer.max_epochs == 3
    before = {p.name: p.read_bytes() for p in unfinished.folder.iterdir()}

    def refused(*words: str) -> str:
        with pytest.raises(SettingsError) as caught:
            run(workplace, "broken", [*WORDS["network"], *words], Watched(), resume=True)
        assert "\n" not in caught.value.problem
        return caught.value.problem

    assert "setting seed, setting trainer." in refused("seed=1", "trainer.learning_rate=0.1")
    (workplace / "custom").mkdir()
    (workplace / "custom" / "nets.py").write_text("", "utf-8")
    assert "code in custom/." in refused()
    shutil.rmtree(workplace / "custom")
    shutil.rmtree(workplace / "own")
    data_folder(workplace / "own", quality(), castings()[1:])
    assert "table." in refused()
    assert {p.name: p.read_bytes() for p in unfinished.folder.iterdir()} == before


def test_where_nothing_is_unfinished_nothing_is_resumed(workplace: Path) -> None:
    with pytest.raises(NotFoundError, match="no unfinished run here"):
        run(workplace, "never", WORDS["network"], Watched(), resume=True)
    assert not (workplace / "runs").exists()


@pytest.mark.slow(seconds=10)
def test_two_processes_do_not_train_one_run(workplace: Path) -> None:
    def also() -> None:
        with pytest.raises(InterruptedRunError, match="Another process"):
            run(workplace, "one", WORDS["network"], Watched())
        assert UnfinishedRun(workplace / "runs/one/train").in_use

    run(workplace, "one", WORDS["network"], Watched(also))


# --- the command ------------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
from dxai.arithmetic import make_portable
if __name__ == "__main__":
    make_portable()
    import multiprocessing
    from dxai.cli.main import main
    from dxai.learn import checkpoints
    checkpoints._EVERY = 0.0
    sys.argv = ["dxai", *sys.argv[1:]]
    main()
"""


def started(workplace: Path, checkout: Path, *told: str) -> subprocess.Popen[str]:
    """`dxai train`, with a checkpoint after every epoch."""
    (workplace / "program.py").write_text(PROGRAM, "utf-8")
    return subprocess.Popen(
        [sys.executable, "program.py", "train", *told], cwd=workplace, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(checkout)},
    )  # fmt: skip


@pytest.mark.process
@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_the_command_resumes_the_newest_run(death: signal.Signals, workplace: Path, checkout: Path) -> None:
    short = ["model=mlp", "trainer.max_epochs=40", "evaluate.permutations=1"]
    own = [f"data={workplace / 'own'}", "split.folds=2", "folds_at_once=1", *short]
    broken, line = started(workplace, checkout, *own, "hydra.run.dir=runs/broken"), "…"
    assert broken.stderr is not None
    while "fit 2 of" not in line:
        line = broken.stderr.readline()
        assert line
    broken.send_signal(death)
    _, told = broken.communicate(timeout=5)
    if death == signal.SIGKILL:
        assert broken.returncode == -death
    else:
        assert broken.returncode == 75
        assert "fix:   Give the command `dxai train --resume runs/broken`" in told
    assert UnfinishedRun(workplace / "runs/broken/train").exists
    resumed = started(workplace, checkout, "--resume", "last")
    _, told = resumed.communicate(timeout=100)
    assert resumed.returncode == 0, told
    assert "resumed: runs/broken" in told
    assert sorted(p.name for p in (workplace / "runs/broken").iterdir()) == ["cost.json", "evaluate", "train"]
    expected = run(workplace, "whole", short, Watched())
    for name in ("predictors/final.pt", "held_out.parquet", "settings.yaml", "run.json"):
        assert (workplace / "runs/broken/train" / name).read_bytes() == expected[name], name


@pytest.mark.process
@pytest.mark.slow(seconds=45)
def test_the_command_resumes_an_epoch_from_disk_in_its_middle(workplace: Path, checkout: Path) -> None:
    castings(12_000).write_parquet(workplace / "own/table.parquet")  # two blocks
    words = [
        "model=mlp", "split.folds=2", "data.rows_in_memory=1000", "trainer.max_epochs=1",
        "trainer.epoch_batches=null", "trainer.batch_size=16", "trainer.checkpoint_minutes=0.0005",
        "evaluate.permutations=1",
    ]  # fmt: skip
    own = [f"data={workplace / 'own'}", "folds_at_once=1", *words]
    broken = started(workplace, checkout, *own, "hydra.run.dir=runs/broken")
    unfinished = UnfinishedRun(workplace / "runs/broken/train")
    kept = unfinished.checkpoint("grouped-0")  # of its only epoch, after which none is written
    while not kept.exists():
        assert broken.poll() is None
        time.sleep(0.01)
    broken.kill()
    broken.communicate(timeout=5)
    batches_done = sum(len(losses) for losses in states.load(kept)["losses"][0])
    assert 0 < batches_done < 375
    resumed = started(workplace, checkout, "--resume", "last")
    _, told = resumed.communicate(timeout=100)
    assert resumed.returncode == 0, told
    expected = run(workplace, "whole", words, Watched())
    for name in ("predictors/grouped-0.pt", "predictors/final.pt", "held_out.parquet", "run.json"):
        assert (workplace / "runs/broken/train" / name).read_bytes() == expected[name], name


def test_the_command_says_what_it_cannot_resume(workplace: Path) -> None:
    def refused(*words: str) -> DxaiError:
        caught = CliRunner().invoke(cli, ["train", *words]).exception
        assert isinstance(caught, DxaiError), caught
        return caught

    assert refused("--resume", "last").problem == "There is no unfinished run."
    assert refused("--resume", "runs/nowhere").problem == "There is no unfinished run here."
    assert "however seed=1 is given too" in refused("--resume", "last", "seed=1").problem
    (workplace / "runs/ended/train").mkdir(parents=True)
    (workplace / "runs/ended/train/run.json").write_text("{}", "utf-8")
    assert refused("--resume", "runs/ended").fix == "dxai evaluate runs/ended"
