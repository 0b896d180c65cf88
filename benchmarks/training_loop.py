"""python -m benchmarks.training_loop [--networks NAME …]: rows per second of our fit beside a bare PyTorch loop.

The same network, batches, loss, optimiser, schedule and clipping, one thread, in turns; the ratio is that of the
fastest of each. Prints one JSON line per network; the promises stand beside the ratios.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from dxai.arithmetic import make_portable
from dxai.config.settings import TrainerSettings
from dxai.data.batches import Batches, Rows
from dxai.learn.losses import members_squared_error
from dxai.learn.module import fit, warmup_cosine
from dxai.networks.mlp import Mlp
from dxai.networks.nhits import NHits
from dxai.networks.tabm import TabM

PROMISES = {"tabm": 0.9, "nhits": 0.9, "mlp": 0.7}
Case = tuple[nn.Module, Callable[[Tensor, Tensor], Tensor], Rows, int]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--networks", nargs="*", choices=PROMISES, default=list(PROMISES))
    options = parser.parse_args()
    make_portable()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name, (network, loss, rows, batch) in cases().items():
        if name not in options.networks:
            continue
        settings = settings_of(options.epochs, batch)
        seconds: dict[str, list[float]] = {"dxai": [], "bare": []}
        for _ in range(options.repeats):
            seconds["dxai"].append(_timed(partial(fit, copy.deepcopy(network), loss, rows, None, settings, seed=0)))
            seconds["bare"].append(_timed(partial(bare_loop, copy.deepcopy(network), loss, rows, settings)))
        speed = {who: round(options.epochs * len(rows[0]) / min(taken)) for who, taken in seconds.items()}
        ratio = round(speed["dxai"] / speed["bare"], 3)
        told = {"benchmark": "training_loop", "network": name, "rows_per_second": speed, "ratio": ratio}
        print(json.dumps({**told, "promised": PROMISES[name], "kept": ratio >= PROMISES[name]}), flush=True)  # noqa: T201


def cases(rows: int = 8192, scale: int = 1) -> dict[str, Case]:
    """Networks as configs/model has them, with their loss, rows and batch size; ``scale`` multiplies their width."""
    torch.manual_seed(0)
    table = (torch.randn(rows, 8), torch.zeros(rows, 0, dtype=torch.int64), torch.randn(rows))
    windows = (torch.randn(rows, 52), torch.ones(rows, 52), torch.randn(rows, 13, 4), torch.randn(rows, 13))
    embedded = {"embedding": 8, "frequencies": 16, "frequency_scale": 0.2, "width": 128 * scale, "blocks": 2}
    columns = {"numbers": 8, "cardinalities": (), "dropout": 0.1, **embedded}
    nhits = NHits(context=52, horizon=13, calendar=4, channels=9, pools=(8, 4, 1), knots=(2, 4, 8), width=256 * scale)
    return {
        "tabm": (TabM(**columns, k=8 * scale), members_squared_error, table, 128 * scale),  # type: ignore[arg-type]
        "nhits": (nhits, quantile_error, windows, 512),
        "mlp": (Mlp(**columns), members_squared_error, table, 128 * scale),  # type: ignore[arg-type]
    }


def settings_of(epochs: int, batch: int, accelerator: str = "cpu") -> TrainerSettings:
    """As configs/trainer/quality.yaml, for so many epochs."""
    return TrainerSettings.model_validate({
        "max_epochs": epochs, "epoch_batches": None, "batch_size": batch, "learning_rate": 0.004,
        "weight_decay": 0.0001, "warmup": 0.2, "gradient_clip": 1.0, "accelerator": accelerator,
    })  # fmt: skip


def bare_loop(
    network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], rows: Rows, settings: TrainerSettings
) -> None:
    """The loop that somebody would write by hand."""
    weights = [p for name, p in network.named_parameters() if name.endswith("weight")]
    others = [p for name, p in network.named_parameters() if not name.endswith("weight")]
    groups = [{"params": weights, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
    batches = Batches(rows, settings.batch_size, seed=0)
    steps = settings.max_epochs * len(batches)
    schedule = LambdaLR(optimizer, lambda step: warmup_cosine(step / steps, settings.warmup))
    network.train()
    for _ in range(settings.max_epochs):
        losses = []
        for batch in batches:
            optimizer.zero_grad()
            error = loss(network(*batch[:-1]), batch[-1])
            error.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip)
            optimizer.step()
            schedule.step()
            losses.append(error.detach())
        float(torch.stack(losses).mean())
    network.eval()


def quantile_error(answers: Tensor, target: Tensor) -> Tensor:
    """Pinball loss of one level, for a network of nine."""
    difference = target.unsqueeze(1) - answers
    return torch.maximum(0.9 * difference, -0.1 * difference).mean()


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
