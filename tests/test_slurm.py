"""Tasks of SLURM: refused where srun has not started them; two give the scores of one process, and one writes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from test_devices import fitted
from test_resume import PROGRAM, TRAINER, Watched, run

from dxai.cli.main import cli
from dxai.cli.message import one_message
from dxai.config.compose import settings_from
from dxai.errors import SettingsError
from dxai.learn import tasks
from dxai.learn.tasks import refuse_other_tasks
from dxai.record.unfinished import UnfinishedRun

WORDS = ["device=slurm", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.num_nodes=2"]
TWO = TRAINER.model_copy(update={"num_nodes": 2, "started_by": "slurm"})


def srun(number: int, port: int = 0, *, tasks: str = "2", each: str = "1") -> dict[str, str]:
    """What srun sets for a task."""
    told = {
        "STEP_ID": "0", "JOB_ID": "4711", "NTASKS": tasks, "NTASKS_PER_NODE": each, "NNODES": "2",
        "NODELIST": "node[1-2]", "PROCID": str(number), "NODEID": str(number), "LOCALID": "0",
    }  # fmt: skip
    there = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}  # in place of the first node, and a port by the job
    return {f"SLURM_{name}": value for name, value in told.items()} | there


def test_a_run_of_one_process_does_not_name_slurm(checkout: Path) -> None:
    trainer = settings_from(["model=mlp", *WORDS], checkout=checkout).trainer
    assert (trainer.accelerator, trainer.processes, trainer.in_tasks) == ("cpu", 2, True)
    plain = settings_from(["model=mlp"], checkout=checkout).model_dump_json()
    assert "num_nodes" not in plain
    assert "started_by" not in plain


def test_several_machines_need_slurm_and_no_compiler(checkout: Path) -> None:
    with pytest.raises(SettingsError, match="set device=slurm"):
        settings_from(["model=mlp", "+trainer.num_nodes=2"], checkout=checkout)
    with pytest.raises(SettingsError, match="compile is for one process"):
        settings_from(["model=mlp", *WORDS, "trainer.compile=true"], checkout=checkout)
    with pytest.raises(SettingsError, match=r"use trainer\.num_nodes"):
        settings_from(["+trainer.lightning.num_nodes=2"], checkout=checkout)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({}, "srun has not started this process"),
        ({"SLURM_NTASKS": "2", "SLURM_PROCID": "0"}, "srun has not started this process"),
        (srun(0, tasks="4", each="2"), "srun has started 4, 2 per node"),
        (srun(1, each=""), "srun has started 2, an unknown number per node"),
    ],
)
def test_other_tasks_than_those_asked_for_are_refused(
    told: dict[str, str], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        refuse_other_tasks(TWO)
    assert caught.value.problem == f"2 x 1 tasks of SLURM should train, however {found}."
    assert "srun --nodes=2 --ntasks-per-node=1 --kill-on-bad-exit" in caught.value.fix
    refuse_other_tasks(TRAINER)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["model=portfolio"], "model=portfolio fits itself, in one process"),
        (["model=linear", "trainer.num_nodes=3"], "3 x 1 tasks of SLURM should train, however srun has started 2, 1"),
        (["model=linear", "trainer.learning_rate=-1"], "trainer.learning_rate"),
        (["--resume", "last", "model=linear"], "A run is resumed with its own settings"),
        pytest.param(["-m", "model=linear,mlp"], "srun starts the processes of one run", marks=pytest.mark.slow),
    ],
)
def test_of_mistakes_that_all_tasks_make_the_first_alone_tells(
    words: list[str], found: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tasks, "_SECONDS_TO_SPEAK", 0.0)
    command = ["train", f"data={workplace / 'own'}", *WORDS, *words]

    def told(number: int) -> tuple[object, str, str]:
        for name, value in srun(number).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as left, one_message():
            cli.main(command, standalone_mode=False)
        return (left.value.code, *capsys.readouterr())

    code, out, message = told(0)
    assert (code, out) == (2, "")
    assert found in message
    assert told(1) == (2, "", "")
    assert not list(workplace.glob("runs/**/train*"))


def test_tasks_that_share_no_run_each_tell_of_their_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in srun(1).items():
        monkeypatch.setenv(name, value)
    mistake = SettingsError("Such as another word in each task.")
    with pytest.raises(SettingsError) as caught, tasks.told_by_the_first(shared=False):
        raise mistake
    assert caught.value is mistake


@pytest.mark.slow
def test_a_fit_of_one_process_is_none_of_slurms(monkeypatch: pytest.MonkeyPatch) -> None:
    curve, _, _ = fitted(TRAINER)
    monkeypatch.setenv("SLURM_NTASKS", "4")  # in a script of sbatch
    assert fitted(TRAINER)[0] == curve


ROWS_SEEN = """
from pathlib import Path
from lightning.pytorch import Callback

class RowsSeen(Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, number):
        with Path(f"seen-{trainer.global_rank}").open("a") as file:
            file.write(f"{len(batch[-1])}\\n")
"""

# --- two tasks --------------------------------------------------------------------------------------------------------


def start(workplace: Path, checkout: Path, *words: str) -> list[subprocess.Popen[str]]:
    """`dxai train` as srun would start it twice."""
    (workplace / "program.py").write_text(PROGRAM, "utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        subprocess.Popen(
            [sys.executable, "program.py", "train", *words], cwd=workplace, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(checkout)} | srun(number, port),
        )
        for number in range(2)
    ]  # fmt: skip


def ended(started: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Exit code, standard output and standard error of each."""
    try:
        told = [task.communicate(timeout=100) for task in started]
    finally:
        for task in started:
            task.kill()
    return [(task.returncode, *words) for task, words in zip(started, told, strict=True)]


@pytest.mark.process
@pytest.mark.slow(seconds=50)
def test_two_tasks_score_as_one_process_and_the_first_alone_writes(workplace: Path, checkout: Path) -> None:
    import polars as pl

    words = ["model=linear", "trainer.max_epochs=3", "trainer.batch_size=20", "evaluate.permutations=1"]
    run(workplace, "one", words, Watched())
    (workplace / "custom").mkdir()
    (workplace / "custom" / "seen.py").write_text(ROWS_SEEN, "utf-8")
    own = [f"data={workplace / 'own'}", "split.folds=2", "hydra.run.dir=runs/two", *words]
    seen = "+trainer.callbacks.seen._target_=custom.seen.RowsSeen"
    first, other = ended(start(workplace, checkout, *own, *WORDS, seen))
    assert (first[0], other) == (0, (0, "", "")), (first, other)
    assert "report: runs/two/evaluate/report.html" in first[1]
    assert sorted(p.name for p in (workplace / "runs").iterdir()) == ["one", "two"]
    assert sorted(p.name for p in (workplace / "runs/two").iterdir()) == ["cost.json", "evaluate", "train"]
    one, two = (pl.read_parquet(workplace / "runs" / name / "train/held_out.parquet") for name in ("one", "two"))
    for column, kind in one.schema.items():
        if kind.is_float():
            assert two[column].to_list() == pytest.approx(one[column].to_list(), rel=1e-4, abs=1e-4)
    parts = [[int(rows) for rows in Path(f"seen-{number}").read_text().split()] for number in range(2)]
    assert {len(part) for part in parts} == {len(parts[0])}
    assert max(parts[0]) == max(parts[1]) == 10  # half of each batch


@pytest.mark.process
@pytest.mark.slow(seconds=60)
def test_a_task_that_dies_ends_the_others_and_all_resume(workplace: Path, checkout: Path) -> None:
    long = ["model=mlp", "trainer.max_epochs=40", "evaluate.permutations=1", *WORDS]
    begun = start(workplace, checkout, f"data={workplace / 'own'}", "split.folds=2", "hydra.run.dir=runs/broken", *long)
    line, errors = "…", begun[0].stderr
    assert errors is not None
    while "fit 2 of" not in line:
        line = errors.readline()
        assert line
    begun[1].send_signal(signal.SIGKILL)
    first, other = ended(begun)
    assert (first[0], other[0]) == (75, -signal.SIGKILL), (first, other)
    assert "1 fit is kept" in first[2]
    assert "fix:   Give the command `dxai train --resume runs/broken`" in first[2]
    assert UnfinishedRun(workplace / "runs/broken/train").exists
    first, other = ended(start(workplace, checkout, "--resume", "runs/broken"))
    assert (first[0], other) == (0, (0, "", "")), (first, other)
    assert sorted(p.name for p in (workplace / "runs/broken").iterdir()) == ["cost.json", "evaluate", "train"]
