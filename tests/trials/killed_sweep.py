"""python -m tests.trials.killed_sweep --size ci|release [--seed N]

A sweep of small trials whose process is killed (SIGKILL) three times at random moments and given again with `--resume`:
every trial has one result, none is run again once it has one, and all results are those of the sweep that nobody
disturbed. Then two processes share one sweep: the same number of results, none twice.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dxai.arithmetic import make_portable
from dxai.record.seeding import settle
from dxai.sweep import Sweep
from tests.trials.scene import Finding, Setting, _contract, run

TRIALS, KILLS = {"ci": 6, "release": 40}, 3
_CHECKOUT = Path(__file__).resolve().parents[2]
WORDS = (
    "model=linear", "split.folds=2", "folds_at_once=1", "trainer.max_epochs=2", "evaluate.permutations=1",
    "sweep.space.trainer.learning_rate={low: 0.0001, high: 0.1, log: true}", "sweep.space.trainer.batch_size=[16, 32]",
)  # fmt: skip


class _Lines:
    """Writes down which trials a process has run to their end."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def at(self, done: int, trials: int, best: str) -> None:
        """Nobody waits."""

    @contextmanager
    def trial(self) -> Iterator[_Lines]:
        """Nobody waits for its fits either."""
        yield self

    def start(self, name: str, fits: int) -> None:
        """Nobody waits."""

    def step(self, label: str, share: float, told: str) -> None:
        """Nobody waits."""

    def told(self, line: str) -> None:
        """One line per trial, in one write."""
        with self.file.open("a", encoding="utf-8") as file:
            file.write(line.partition(":")[0] + "\n")


@dataclass(frozen=True)
class Case:
    """One sweep in a checkout of its own."""

    checkout: Path
    trials: int

    def begin(self) -> None:
        """Make the checkout, its table and the sweep."""
        shutil.copytree(_CHECKOUT / "configs", self.checkout / "configs")
        own = self.checkout / "strength"
        own.mkdir()
        (own / "contract.yaml").write_text(json.dumps(_contract("small-strength")), "utf-8")
        rows = pl.DataFrame({"cement": [100.0 + 7 * i for i in range(60)], "water": [150.0 + i % 9 for i in range(60)]})
        rows.with_columns(strength=pl.col("cement") / 20 + pl.col("water") % 5).write_parquet(own / "table.parquet")
        os.chdir(self.checkout)
        Sweep.begin([f"data={own}", *WORDS, f"sweep.trials={self.trials}"], self.checkout)

    def go_on(self) -> None:
        """As `dxai sweep --resume` does."""
        os.chdir(self.checkout)
        Sweep(self.folder, self.checkout).run(_Lines(self.checkout / "told"))

    def write(self) -> None:
        """Every trial as the study has it, to be read without the study."""
        study = Sweep(self.folder, self.checkout).study
        trials = [[t.number, t.state, t.value, dict(t.parameters)] for t in study.trials]
        (self.checkout / "results.json").write_text(json.dumps(trials), "utf-8")

    @property
    def folder(self) -> Path:
        """Of the sweep."""
        return next((self.checkout / "runs").glob("*/sweep_*"))

    @property
    def results(self) -> list[Any]:
        """What `write` has written."""
        made: list[Any] = json.loads((self.checkout / "results.json").read_text("utf-8"))
        return made

    @property
    def twice(self) -> int:
        """Trials that were run to their end more than once."""
        told = (self.checkout / "told").read_text("utf-8").splitlines()
        return sum(count > 1 for count in Counter(told).values())


def child(work: Callable[[], None]) -> int:
    """A process that does this: forked, because the start of an interpreter takes longer than a trial."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        settle(0, 1)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended(process: int) -> int:
    """How it ended, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def killed_sweep(setting: Setting) -> Finding:
    """The undisturbed sweep, the killed one, and the shared one."""
    trials, broken = TRIALS[setting.size], list[str]()
    whole, killed, shared = (Case(setting.folder / name, trials) for name in ("whole", "killed", "shared"))
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    for case in (whole, killed, shared):
        broken += ["begin: it failed"] * bool(ended(child(case.begin)))
    began = time.monotonic()
    broken += ["whole: the undisturbed sweep failed"] * bool(ended(child(whole.go_on)))
    seconds, deaths = time.monotonic() - began, 0
    for _ in range(KILLS):
        process = child(killed.go_on)
        time.sleep(setting.random.uniform(0.1, 0.9) * seconds / (KILLS + 1))
        os.kill(process, signal.SIGKILL)
        deaths += ended(process) == -signal.SIGKILL
    broken += ["killed: the last resume failed"] * bool(ended(child(killed.go_on)))
    together = [child(shared.go_on) for _ in range(2)]
    broken += ["shared: a process failed" for process in together if ended(process)]
    for case in (whole, killed, shared):
        broken += ["results: they cannot be read"] * bool(ended(child(case.write)))
    if broken:
        return Finding({"n": trials}, broken)
    missing = sum(trials - len({number for number, *_ in case.results}) for case in (killed, shared))
    twice = killed.twice + shared.twice
    others = sum(one != other for one, other in zip(whole.results, killed.results, strict=False))
    for name, count in (("missing", missing), ("twice", twice), ("other results", others)):
        broken += [f"{name}: {count} trials"] * bool(count)
    facts = {
        "n": trials, "kills": deaths, "results": len(killed.results), "of_two_processes": len(shared.results),
        "missing": missing, "twice": twice, "other_results": others, "whole_seconds": round(seconds, 1),
    }  # fmt: skip
    return Finding(facts, broken)


if __name__ == "__main__":
    make_portable()
    run("killed_sweep", __doc__, killed_sweep)
