"""The same bytes on every processor: portable kernels are asked for in time, and no operator that differs is used."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from dxai import arithmetic
from dxai.config.compose import settings_from
from dxai.learn.families import task_of

LEARNT = ("concrete_tabm", "retail_nhits")
"""Experiments that torch fits; the rest of a learner is the same for all."""
DIFFERENT = {"sqrt", "sqrt_", "gelu", "gelu_backward", "_foreach_sqrt", "_foreach_sqrt_"}
"""Operators of torch that give other digits on other processors even with portable kernels."""


def test_square_root_is_one() -> None:
    values = torch.linspace(0, 50, 10_001, dtype=torch.float64) ** 2
    assert torch.allclose(arithmetic.square_root(values), values.sqrt(), rtol=1e-14, atol=0)
    assert torch.isfinite(arithmetic.square_root(torch.zeros(3))).all()


def test_square_root_has_a_gradient_at_zero() -> None:
    values = torch.zeros(2, requires_grad=True)
    arithmetic.square_root(values).sum().backward()
    assert values.grad is not None and torch.isfinite(values.grad).all()


@pytest.mark.process
def test_portable_kernels_are_asked_for_before_torch_is_imported() -> None:
    program = "import pipelines, torch; from dxai.arithmetic import is_portable; print(is_portable())"
    clean = {k: v for k, v in os.environ.items() if k not in arithmetic.PORTABLE}
    told = subprocess.run([sys.executable, "-c", program], env=clean, capture_output=True, text=True, check=True)
    assert told.stdout == "True\n"


@pytest.mark.process
def test_run_in_a_process_with_other_kernels_is_refused(checkout: Path) -> None:
    program = (
        "import torch\nfrom dxai.arithmetic import refuse_other\n"
        "refuse_other('native')\nrefuse_other('portable')"
    )  # fmt: skip
    clean = {k: v for k, v in os.environ.items() if k not in arithmetic.PORTABLE}
    told = subprocess.run([sys.executable, "-c", program], env=clean, capture_output=True, text=True, check=False)
    assert "SettingsError" in told.stderr and "arithmetic=native" in told.stderr


def test_native_kernels_leave_the_variables_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in arithmetic.PORTABLE:
        monkeypatch.setenv(name, "x")
    arithmetic.make_native()
    assert not set(arithmetic.PORTABLE) & set(os.environ)
    arithmetic.refuse_other("native")


class Operators(torch.utils._python_dispatch.TorchDispatchMode):
    """Names of all operators that torch runs, forward and backward; roots by `pow` as ``sqrt``."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name.startswith("pow") and len(args) > 1 and args[1] in (0.5, -0.5):
            name = "sqrt"
        self.names.add(name)
        return func(*args, **(kwargs or {}))


def test_the_watch_sees_a_square_root_in_each_form() -> None:
    for root in (lambda x: x.sqrt(), lambda x: x**0.5, lambda x: torch.nn.functional.gelu(x)):
        with Operators() as seen:
            root(torch.ones(3))
        assert seen.names & DIFFERENT


@pytest.mark.network
@pytest.mark.parametrize("experiment", LEARNT)
def test_reference_runs_use_no_operator_that_differs(experiment: str, checkout: Path) -> None:
    """The whole learner: transform, network, loss, backward pass, optimiser, calibration, predictions."""
    short = ["trainer.max_epochs=1", *(["trainer.epoch_batches=2"] if "retail" in experiment else [])]
    task = task_of(settings_from([f"experiment={experiment}", *short], checkout=checkout), checkout)
    with Operators() as seen:
        fitted = {fold.label: task.fit(fold)[0] for fold in task.folds}
        task.calibrate(fitted)
        task.held_out(fitted[task.folds[0].label], task.folds[0])
    assert {"addmm", "_fused_adamw_"} & seen.names, "the watch sees nothing"
    assert seen.names & DIFFERENT == set()


def test_no_code_of_the_learner_names_one(checkout: Path) -> None:
    names = re.compile(r"\.sqrt\(|torch\.sqrt|gelu|GELU|\*\* *-?0?\.5\b|pow\(.*0?\.5\)")
    files = [f for folder in ("networks", "learn", "ship") for f in (checkout / "dxai" / folder).rglob("*.py")]
    assert len(files) > 20
    found = {f.name: names.findall(re.sub(r"\b(np|math)\.sqrt\(", "", f.read_text("utf-8"))) for f in files}
    assert {name: hits for name, hits in found.items() if hits} == {}


# The proof: a tiny reference run here and on two emulated processors

TINY = {
    "concrete_tabm": ["trainer.max_epochs=1", "split.folds=2", "model.k=2", "evaluate.permutations=1"],
    "retail_nhits": ["trainer.max_epochs=1", "trainer.epoch_batches=2", "split.origins=1", "model.width=16"],
}
PROCESSORS = {"Intel": "Haswell", "AMD": "EPYC-Rome"}
RELEASED_BY = "Intel"
"""The emulated processor that evaluates and releases too; the other one computes the scores and exports the graph."""
EMULATED = {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"}  # numpy's sort crashes QEMU 7.2
PROGRAM = """
import hashlib, json, sys
from pathlib import Path
import torch
import pipelines
from dxai.config.compose import settings_from
from dxai.learn.families import task_for, task_of
from dxai.record.progress import fit_bar
from dxai.ship.export import export
from dxai.train import train

checkout, digests = Path.cwd(), {}
for experiment, overrides in json.load(sys.stdin).items():
    folder = checkout / experiment
    with fit_bar() as bar:
        settings = settings_from([f"experiment={experiment}", "folds_at_once=1", *overrides], checkout=checkout)
        run = train(settings, folder / "train", checkout, bar)
    task = scored = task_of(settings, checkout)
    held_out = run.held_out
    if experiment != "concrete_tabm":  # emulated, the experts take minutes for all products
        name = task.contract.only("series").name
        few = task.table.filter(task.table[name].is_in(task.table[name].unique().sort().head(40).implode()))
        scored = task_for(task.contract, few, settings)
        held_out = held_out.filter(held_out["series"].is_in(list(scored.panel.ids)))
    (folder / "scores.json").write_text(json.dumps(scored.scores(held_out)))
    if experiment == "concrete_tabm" and sys.argv[1] == "release":  # emulated, a report and a release take a minute
        from dxai.evaluate import evaluate
        from dxai.release import release
        evaluate(run, folder / "evaluate", checkout)
        release(run, folder / "evaluate", folder / "bundle", checkout)
    elif experiment == "concrete_tabm":
        predictor = task.predictor()
        predictor.load_state_dict(run.state("final"))
        (folder / "bundle").mkdir()
        (folder / "bundle/model.onnx").write_bytes(export(predictor.eval(), task.contract))
    if experiment == "concrete_tabm":
        words = ["experiment=concrete", "budget=quick", "model.members=[boosted_pairs,extra_trees,gaussian_process]"]
        some = task_for(task.contract, task.table[::5], settings_from(words, checkout=checkout))
        portfolio, _ = some.fit(some.folds[-1])
        torch.save(portfolio.state_dict(), folder / "portfolio.pt")
    else:
        words = ["experiment=retail", "model.rows=2000", "model.rounds=5", "split.origins=1"]
        some = task_for(task.contract, few, settings_from(words, checkout=checkout))
        torch.save(some.fit(some.folds[-1])[0].state_dict(), folder / "trees.pt")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    digests |= {str(f.relative_to(checkout)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
print(json.dumps(digests))
"""


def start(checkout: Path, folder: Path, processor: str = "", last: str = "release") -> subprocess.Popen[str]:
    """A tiny run of both reference models in a process of its own, here or on an emulated processor.

    ``last`` is what becomes of the first one: a ``release``, or its graph alone.
    """
    for name in ("configs", "contracts"):
        shutil.copytree(checkout / name, folder / name)
    (folder / "data").symlink_to(checkout / "data")
    emulator = ["qemu-x86_64", "-cpu", processor] if processor else []
    command = [*emulator, sys.executable, "-W", "ignore", "-c", PROGRAM, last]
    environment = os.environ | {"PYTHONPATH": str(checkout)} | (EMULATED if processor else {})
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes)


def digests(run: subprocess.Popen[str]) -> dict[str, str]:
    """sha256 of every file of both runs, their evaluations and their bundles."""
    told, mistakes = run.communicate(json.dumps(TINY))
    assert run.returncode == 0, mistakes[-3000:]
    return json.loads(told.splitlines()[-1])


@pytest.mark.network(seconds=200)
def test_reference_runs_give_the_same_bytes_on_other_processors(
    checkout: Path, tmp_path: Path, concrete_table: pl.DataFrame, retail_table: pl.DataFrame
) -> None:
    if not shutil.which("qemu-x86_64"):
        pytest.skip("no emulator of processors is here: make emulator")
    runs = {
        maker: start(checkout, tmp_path / maker, processor, "release" if maker == RELEASED_BY else "graph")
        for maker, processor in PROCESSORS.items()
    }
    here = digests(start(checkout, tmp_path / "here"))
    assert {f"{experiment}/train/predictors/final.pt" for experiment in LEARNT} <= set(here)
    released = ("evaluate/metrics.json", "bundle/model.onnx", "bundle/manifest.json", "bundle/golden/outputs.csv")
    assert {f"concrete_tabm/{name}" for name in released} <= set(here)
    for maker, run in runs.items():
        there = digests(run)
        lacks = {name for name in here.keys() - there.keys() if "/train/" in name or maker == RELEASED_BY}
        assert not lacks and there.keys() <= here.keys()
        assert {
            "concrete_tabm/bundle/model.onnx",
            "concrete_tabm/portfolio.pt",
            "retail_nhits/trees.pt",
            *(f"{name}/scores.json" for name in LEARNT),
        } <= there.keys()
        assert [name for name in there if there[name] != here[name]] == [], maker
