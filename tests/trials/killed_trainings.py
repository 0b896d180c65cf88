"""python -m tests.trials.killed_trainings --size ci|release [--seed N]

Fits of TabM and N-HiTS, each in a process of its own with a checkpoint after every epoch, that are killed (SIGKILL):
in the first, a middle and the last batch of every epoch, and at random moments; also, with a checkpoint after every
batch and rows in memory or on disk, in each batch of one epoch (release: of all). Given again, each goes on: weights
and loss curve must be those of the fit that nobody disturbed, bit for bit. Then the disk fails: the Nth write, flush or
rename finds it full, for every N until the fit ends well, and real writes are cut short (RLIMIT_FSIZE): the checkpoint
that is left is the old one or the new one, never part of one, and the fit given again ends the same.
"""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dxai.config.settings import TrainerSettings
from dxai.data import batches
from dxai.data.batches import Rows, RowsOnDisk
from dxai.errors import NoSpaceError
from dxai.learn import checkpoints, states
from dxai.learn.module import fit
from dxai.networks.nhits import NHits
from dxai.networks.tabm import TabM
from tests.trials.scene import Finding, Setting, run

RANDOM = {"ci": 4, "release": 100}
EPOCHS = {"ci": 3, "release": 5}
CUTS = {"ci": 4, "release": 30}
BATCHES = 5
_FULL, _DEFECT = 8, 1


def _tabm() -> tuple[nn.Module, Rows]:
    network = TabM(
        numbers=4, cardinalities=[3], embedding=4, frequencies=4, frequency_scale=0.2, width=16, blocks=2, dropout=0.1,
        k=4,
    )  # fmt: skip
    numbers = torch.randn(90, 4)
    return network, (numbers, torch.randint(3, (90, 1)), numbers.sum(dim=1))


def _nhits() -> tuple[nn.Module, Rows]:
    network = NHits(context=24, horizon=6, calendar=2, channels=3, pools=(4, 1), knots=(2, 6), width=16)
    past = torch.randn(90, 24)
    return network, (past, torch.ones(90, 24), torch.randn(90, 6, 2), past[:, None, -6:].expand(-1, 3, -1).clone())


def _on_disk(rows: Rows) -> RowsOnDisk:
    """The same in blocks of 8, of which two are shuffled together: a batch has 18 rows."""
    blocks = list(zip(*(tensor.split(8) for tensor in rows), strict=True))
    return RowsOnDisk(np.array([len(block[0]) for block in blocks]), blocks.__getitem__)


MODELS: dict[str, Callable[[], tuple[nn.Module, Rows]]] = {"tabm": _tabm, "nhits": _nhits}


def _loss(answer: Tensor, target: Tensor) -> Tensor:
    return ((answer.squeeze(-1) - (target if answer.dim() == target.dim() else target[:, None])) ** 2).mean()


def _go_on(batch: int) -> None:
    """Nothing happens in this batch."""


@dataclass(frozen=True)
class Case:
    """One fit: its model, its epochs, its folder, where its rows are, whether every batch has a checkpoint."""

    model: str
    epochs: int
    folder: Path
    on_disk: bool = False
    within: bool = False

    @property
    def checkpoint(self) -> Path:
        """Of the fit."""
        return self.folder / "fit.ckpt"

    def fit(self, at_batch: Callable[[int], None] = _go_on) -> None:
        """Fit from where the checkpoint left off, and write a digest of weights and curve."""
        torch.manual_seed(0)
        network, rows = MODELS[self.model]()
        batch = 0

        def loss(answer: Tensor, target: Tensor) -> Tensor:
            nonlocal batch
            if network.training:
                batch += 1
                at_batch(batch)
            return _loss(answer, target)

        settings = TrainerSettings(
            max_epochs=self.epochs, epoch_batches=None, batch_size=90 // BATCHES, learning_rate=0.01, weight_decay=0.01,
            warmup=0.2, gradient_clip=1.0, checkpoint_minutes=1e-9 if self.within else 10.0,
        )  # fmt: skip
        stored = _on_disk(rows) if self.on_disk else rows
        curve = fit(network, loss, stored, rows, settings, seed=3, checkpoint=self.checkpoint)
        digest = hashlib.sha256(repr(curve).encode())
        for value in network.state_dict().values():
            digest.update(value.numpy().tobytes())
        (self.folder / "digest").write_text(digest.hexdigest(), "utf-8")

    def run(self, at_batch: Callable[[int], None] = _go_on, *, first: Callable[[], None] | None = None) -> int:
        """Fit in a process of its own; how it ended, negative for a signal."""
        return self.wait(self.start(at_batch, first=first))

    def start(self, at_batch: Callable[[int], None] = _go_on, *, first: Callable[[], None] | None = None) -> int:
        """The process of a fit."""
        self.folder.mkdir(exist_ok=True)
        child = os.fork()
        if child:
            return child
        code = _DEFECT
        try:
            if first:
                first()
            self.fit(at_batch)
            code = 0
        except NoSpaceError:
            code = _FULL
        except OSError as error:
            code = _FULL if error.errno == errno.EFBIG else _DEFECT
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    @staticmethod
    def wait(child: int) -> int:
        """How the process ended."""
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    @property
    def digest(self) -> str:
        """Of weights and curve; empty before the end."""
        file = self.folder / "digest"
        return file.read_text("utf-8") if file.exists() else ""

    @property
    def batch(self) -> int:
        """How many batches of an epoch the checkpoint has behind it."""
        kept = states.load(self.checkpoint)
        return sum(len(losses) for losses in kept["losses"][0]) if kept else 0

    @property
    def whole(self) -> bool:
        """Whether there is no checkpoint, or one that can be read."""
        return not self.checkpoint.exists() or states.load(self.checkpoint) is not None


def killed_trainings(setting: Setting) -> Finding:
    """Placed deaths, random deaths, and a disk that fails."""
    checkpoints._EVERY, batches.POOL = 0.0, 2
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    found, facts = (
        Finding(),
        {"placed": 0, "within": 0, "random": 0, "failed_writes": 0, "cut_writes": 0, "other_bytes": 0, "partial": 0},
    )
    for model in MODELS:
        make = partial(Case, model, EPOCHS[setting.size])
        begun = time.monotonic()
        whole = make(setting.folder / model)
        if whole.run() != 0:
            found.broken.append(f"{model}: the undisturbed fit failed")
            continue
        seconds = time.monotonic() - begun
        judge = _Judge(whole.digest, facts, found.broken)
        for batch in _places(EPOCHS[setting.size]):
            facts["placed"] += 1
            case = make(setting.folder / f"{model}-{batch}")
            judge.death(case, case.run(partial(_die_in, batch)), f"{model}: killed in batch {batch}")
        for on_disk in (False, True):
            folder = setting.folder / f"{model}-{'disk' if on_disk else 'memory'}"
            _within(Case(model, EPOCHS[setting.size], folder, on_disk), judge, every=setting.size == "release")
        for number in range(RANDOM[setting.size]):
            facts["random"] += 1
            case = make(setting.folder / f"{model}-random-{number}")
            child, moment = case.start(), setting.random.uniform(0, seconds)
            time.sleep(moment)
            os.kill(child, signal.SIGKILL)
            judge.death(case, case.wait(child), f"{model}: killed after {moment:.2f} s")
        for step in ("write", "fsync", "replace"):
            for nth in count(1):
                case = make(setting.folder / f"{model}-{step}-{nth}")
                ended = case.run(first=partial(_fail_the, nth, step))
                if ended == 0:
                    break
                facts["failed_writes"] += 1
                judge.failure(case, ended, f"{model}: {step} {nth} failed")
        size = whole.checkpoint.stat().st_size
        for number in range(CUTS[setting.size]):
            facts["cut_writes"] += 1
            case = make(setting.folder / f"{model}-cut-{number}")
            case.run(partial(_die_in, BATCHES + 1))  # one good checkpoint
            limit = setting.random.randrange(size)
            judge.failure(case, case.run(first=partial(_cut_at, limit)), f"{model}: a write was cut at {limit} bytes")
    found.facts = {
        "n": facts["placed"] + facts["within"] + facts["random"] + facts["failed_writes"] + facts["cut_writes"],
        **facts,
    }
    return found


def _within(whole: Case, judge: _Judge, *, every: bool) -> None:
    """Deaths in each batch of the second epoch, or of every one, with a checkpoint after each batch."""
    folder = whole.folder
    if whole.run() != 0:
        judge.broken.append(f"{folder.name}: the undisturbed fit failed")
    judge = replace(judge, expected=whole.digest)
    first, last = (0, whole.epochs) if every else (1, 2)
    for batch in range(first * BATCHES + 1, last * BATCHES + 1):
        judge.facts["within"] += 1
        case = replace(whole, folder=folder.with_name(f"{folder.name}-{batch}"), within=True)
        told = f"{folder.name}: killed in batch {batch}"
        ended = case.run(partial(_die_in, batch))
        if case.batch != (batch - 1) % BATCHES:
            judge.broken.append(f"{told}: it would go on behind batch {case.batch} of its epoch")
        judge.death(case, ended, told)


@dataclass
class _Judge:
    """What is left of a fit that was stopped, and what comes of it when it is given again."""

    expected: str
    facts: dict[str, int]
    broken: list[str]

    def death(self, case: Case, ended: int, told: str) -> None:
        """After SIGKILL, or an end before it came."""
        self._again(case, told if ended in (-signal.SIGKILL, 0) else f"{told}, ended with {ended}", ended in (-9, 0))

    def failure(self, case: Case, ended: int, told: str) -> None:
        """After a full disk."""
        self._again(
            case, told if ended == _FULL else f"{told}, ended with {ended} and not with {_FULL}", ended == _FULL
        )

    def _again(self, case: Case, told: str, well: bool) -> None:
        if not well:
            self.broken.append(told)
        if not case.whole:
            self.facts["partial"] += 1
            self.broken.append(f"{told}: the checkpoint is partial")
        if case.run() != 0 or case.digest != self.expected:
            self.facts["other_bytes"] += 1
            self.broken.append(f"{told}: given again it ended otherwise")


def _places(epochs: int) -> list[int]:
    """The first, the middle and the last batch of every epoch, from 1."""
    return [epoch * BATCHES + batch for epoch in range(epochs) for batch in (1, (BATCHES + 1) // 2, BATCHES)]


def _die_in(batch: int, now: int) -> None:
    if now == batch:
        os.kill(os.getpid(), signal.SIGKILL)


def _cut_at(limit: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def _fail_the(nth: int, step: str) -> None:
    """The disk is full at the Nth step of this kind that a checkpoint takes."""
    calls = count(1)

    def counted(real: Callable[..., Any], *told: Any, **more: Any) -> Any:
        if next(calls) == nth:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*told, **more)

    if step == "fsync":
        os.fsync = partial(counted, os.fsync)
    elif step == "replace":
        real = Path.replace
        Path.replace = lambda path, target: counted(real, path, target)  # type: ignore[method-assign]
    else:
        opened = Path.open

        def narrow(path: Path, mode: str = "r", *told: Any, **more: Any) -> Any:
            file = opened(path, mode, *told, **more)
            return _Narrow(file, counted) if path.suffix == ".part" else file

        Path.open = narrow  # type: ignore[method-assign,assignment]


class _Narrow:
    """A file of which half is written before the disk is full."""

    def __init__(self, file: Any, counted: Callable[..., Any]) -> None:
        self.file, self.counted = file, counted

    def __enter__(self) -> _Narrow:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, content: bytes) -> None:
        half = len(content) // 2
        self.file.write(content[:half])
        self.counted(self.file.write, content[half:])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


if __name__ == "__main__":
    run("killed_trainings", __doc__, killed_trainings)
