"""Fits in processes of their own: the same bytes as one after the other, and no process stays behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dxai.config.compose import settings_from
from dxai.data.own import with_own_data
from dxai.errors import DxaiError
from dxai.record import fits
from dxai.train import train

MODELS = {"network": ["model=mlp", "trainer.max_epochs=3"], "portfolio": ["model=portfolio", "budget=quick"]}


class Watched:
    """Remembers the steps of all fits, and calls once when another process has told one."""

    def __init__(self, call: Callable[[], None] = lambda: None) -> None:
        self.steps: list[tuple[str, float, str]] = []
        self.call: Callable[[], None] | None = call

    def start(self, name: str, fits: int) -> None:
        self.fits = fits

    def step(self, label: str, share: float, told: str) -> None:
        elsewhere = multiprocessing.active_children() and self.steps and label != self.steps[-1][0] and told
        self.steps.append((label, share, told))
        if elsewhere and self.call:
            call, self.call = self.call, None
            call()


@pytest.fixture
def workplace(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where other processes are worth their start at once."""
    monkeypatch.setattr(fits, "_SHORT", 0.0)
    return workplace


def trained(workplace: Path, run: str, words: list[str], watched: Watched) -> dict[str, bytes]:
    """The files of a run by name, but for the settings."""
    given = with_own_data([f"data={workplace / 'own'}", "split.folds=3", *words], workplace)
    folder = train(settings_from(given, checkout=workplace), workplace / run, workplace, watched).folder
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "settings.yaml"
    }


@pytest.mark.process
@pytest.mark.slow(seconds=30)
@pytest.mark.parametrize("model", MODELS)
def test_several_at_once_leave_the_bytes_of_one_after_the_other(model: str, workplace: Path) -> None:
    alone, together = Watched(), Watched()
    expected = trained(workplace, "alone", [*MODELS[model], "folds_at_once=1"], alone)
    found = trained(workplace, "together", [*MODELS[model], "folds_at_once=3"], together)
    assert found == expected
    assert alone.call, "one after the other in this process"
    assert together.call is None, "another process told a step"
    for watched in (alone, together):
        labels = {label for label, _, _ in watched.steps}
        assert len(labels) == watched.fits == 7
        assert {label for label, share, _ in watched.steps if share == 1} == labels
    assert not multiprocessing.active_children()


@pytest.mark.process
@pytest.mark.slow(seconds=15)
def test_a_process_that_is_killed_is_told_and_leaves_nothing(workplace: Path) -> None:
    def kill() -> None:
        for child in multiprocessing.active_children():
            child.kill()

    with pytest.raises(DxaiError) as caught:
        trained(workplace, "killed", [*MODELS["portfolio"], "folds_at_once=2"], Watched(kill))
    assert "folds_at_once=1" in caught.value.fix
    assert not (workplace / "killed").exists()
    assert not multiprocessing.active_children()


@pytest.mark.process
@pytest.mark.slow(seconds=15)
def test_a_mistake_in_another_process_is_the_mistake_of_the_run(workplace: Path) -> None:
    words = [*MODELS["network"], "folds_at_once=2", "trainer.learning_rate=1e30", "trainer.max_epochs=40"]
    with pytest.raises(DxaiError, match="diverged"):
        trained(workplace, "diverged", words, Watched())
    assert not multiprocessing.active_children()


PROGRAM = """
import sys
from pathlib import Path
from dxai.arithmetic import make_portable
if __name__ == "__main__":
    make_portable()
    from test_fits import Watched, trained
    from dxai.record import fits
    fits._SHORT = 0.0
    words = ["model=mlp", "trainer.max_epochs=100000", "folds_at_once=2"]
    trained(Path(sys.argv[1]), "run", words, Watched(lambda: print("several", flush=True)))
"""


@pytest.mark.process
@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_the_one_that_was_asked(stop: signal.Signals, workplace: Path, checkout: Path) -> None:
    (workplace / "program.py").write_text(PROGRAM, "utf-8")
    process = subprocess.Popen(
        [sys.executable, "program.py", str(workplace)], cwd=workplace, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": f"{checkout / 'tests'}:{checkout}"},
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "several\n"
        process.send_signal(stop)
        process.wait(timeout=30)
        until = time.monotonic() + 10
        while _group_lives(process.pid) and time.monotonic() < until:
            time.sleep(0.1)
        assert not _group_lives(process.pid)
    finally:
        if _group_lives(process.pid):
            os.killpg(process.pid, signal.SIGKILL)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
