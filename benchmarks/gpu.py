"""python -m benchmarks.gpu: training on a GPU beside the processor, in some five minutes.

TabM of 32 members x 512 neurons on a million rows, N-HiTS of width 1,024 on 100,000 series, and the small MLP that
needs no GPU: rows per second of our fit in each way to train it (32 bits, TF32, bfloat16, each compiled too)
beside the processor's on a share of the rows, with a thread for each of its cores; the ratio to a bare PyTorch loop on
the GPU; peak of device memory; losses of GPU and processor after the same steps; the largest difference of torch and
ONNX Runtime; whether a fit that was stopped ends with the same bytes. One JSON line each; where torch can use no CUDA
device it prints the reason, and ends well. `make gpu` runs it.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from benchmarks.training_loop import Case, bare_loop, cases, quantile_error, settings_of
from dxai.config.settings import TrainerSettings
from dxai.data.batches import Rows
from dxai.learn import checkpoints
from dxai.learn.devices import refuse_absent
from dxai.learn.fitting import Epoch
from dxai.learn.losses import members_squared_error
from dxai.learn.module import fit
from dxai.networks.nhits import NHits
from dxai.networks.tabm import TabM

TOLERANCE = 1e-3
"""Largest difference allowed between torch and ONNX Runtime, of targets with deviation 1."""
SAME_LOSS = 0.02
"""Share by which the losses of GPU and processor may differ after the same steps."""
WAYS: dict[str, dict[str, Any]] = {
    "gpu": {},
    "gpu compiled": {"compile": True},
    "gpu tf32": {"precision": "tf32"},
    "gpu tf32 compiled": {"precision": "tf32", "compile": True},
    "gpu bf16": {"precision": "bf16-mixed"},
    "gpu bf16 compiled": {"precision": "bf16-mixed", "compile": True},
}
EPOCHS = 3
"""The first one warms up and compiles; the others are measured."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the table; a tenth as many series")
    parser.add_argument("--networks", nargs="*", default=["tabm", "nhits", "mlp"])
    options = parser.parse_args()
    if not torch.cuda.is_available():
        why = "there is no CUDA device" if torch.version.cuda else "this torch is built for processors"
        _say(benchmark="gpu", skipped=why)
        return
    refuse_absent(_settings(1024, "gpu"))
    for name, case in large_cases(options.rows).items():
        if name in options.networks:
            for line in measured(name, *case):
                _say(benchmark="gpu", network=name, **line)


def large_cases(rows: int) -> dict[str, Case]:
    """Networks large enough to need a GPU, with a target that can be learnt, and the small one of configs/model."""
    torch.manual_seed(0)
    numbers = torch.randn(rows, 20)
    target = torch.sin(2 * numbers[:, 0]) * numbers[:, 1] + numbers[:, 2].abs() + 0.3 * torch.randn(rows)
    table = (numbers, torch.zeros(rows, 0, dtype=torch.int64), (target - target.mean()) / target.std())
    series = rows // 10
    phase, steps = 6.28 * torch.rand(series, 1), torch.arange(65)
    values = torch.sin(6.28 * steps / 52 + phase) + 0.3 * torch.randn(series, 65)
    windows = (values[:, :52], torch.ones(series, 52), torch.randn(series, 13, 4), values[:, 52:])
    embedded: dict[str, Any] = {
        "numbers": 20, "cardinalities": (), "dropout": 0.1, "embedding": 8, "frequencies": 16, "frequency_scale": 0.2,
    }  # fmt: skip
    nhits = NHits(context=52, horizon=13, calendar=4, channels=9, pools=(8, 4, 1), knots=(2, 4, 8), width=1024)
    return {
        "tabm": (TabM(**embedded, width=512, blocks=3, k=32), members_squared_error, table, 4096),
        "nhits": (nhits, quantile_error, windows, 2048),
        "mlp": cases(rows // 10)["mlp"],
    }


def measured(
    name: str, network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], rows: Rows, batch: int
) -> list[dict[str, Any]]:
    """A line for each way to train, then what holds of all of them."""
    lines, fitted, speeds = [], dict[str, nn.Module](), dict[str, float]()
    few = tuple(tensor[: batch * 4] for tensor in rows)
    ways = {"cpu": (few, _settings(batch, "cpu"))}
    ways |= {way: (rows, _settings(batch, "gpu").model_copy(update=more)) for way, more in WAYS.items()}
    for way, (given, settings) in ways.items():
        fitted[way] = copy.deepcopy(network)
        torch.cuda.reset_peak_memory_stats()
        ends = [time.perf_counter()]

        def on_step(share: float, told: str, epoch: Epoch | None = None, /, ends: list[float] = ends) -> None:  # noqa: ARG001
            if epoch:
                ends.append(time.perf_counter())

        last = fit(fitted[way], loss, given, None, settings, seed=0, on_step=on_step)[-1].fit_loss
        speed = (EPOCHS - 1) * len(given[0]) / (ends[-1] - ends[1])
        speeds[way] = speed
        lines.append({
            "way": way,
            "device": f"{torch.get_num_threads()} threads" if way == "cpu" else torch.cuda.get_device_name(),
            "rows": len(given[0]), "rows_per_second": round(speed),
            "times_the_processor": round(speed / speeds["cpu"], 1),
            "first_epoch_seconds": round(ends[1] - ends[0], 1), "loss": round(last, 5),
            "peak_megabytes": round(torch.cuda.max_memory_allocated() / 1e6) if way != "cpu" else None,
        })  # fmt: skip
    lines.append({"ratio_to_a_bare_loop": round(speeds["gpu"] / bare_speed(network, loss, rows, batch), 3)})
    lines.append(_losses(network, loss, few, batch))
    difference = parity(fitted["gpu compiled"], tuple(tensor[:256] for tensor in rows[:-1]))
    lines.append({"parity_with_onnx": difference, "kept": difference <= TOLERANCE})
    if name == "mlp":
        lines.append({"same_bytes_after_a_stop": resumed_alike(network, loss, few, batch)})
    return lines


def bare_speed(network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], rows: Rows, batch: int) -> float:
    """Rows per second of the loop that somebody would write by hand, on the GPU, after an epoch to warm up."""
    there, copied = tuple(tensor.cuda() for tensor in rows), copy.deepcopy(network).cuda()
    bare_loop(copied, loss, there, _settings(batch, "gpu").model_copy(update={"max_epochs": 1}))
    torch.cuda.synchronize()
    begun = time.perf_counter()
    bare_loop(copied, loss, there, _settings(batch, "gpu").model_copy(update={"max_epochs": EPOCHS - 1}))
    torch.cuda.synchronize()
    return (EPOCHS - 1) * len(rows[0]) / (time.perf_counter() - begun)


def _losses(network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], rows: Rows, batch: int) -> dict[str, Any]:
    """GPU against processor after the same steps; without dropout, which each draws for itself."""
    still = copy.deepcopy(network)
    for module in still.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    found = {
        device: fit(copy.deepcopy(still), loss, rows, None, _settings(batch, device), seed=0)[-1].fit_loss
        for device in ("gpu", "cpu")
    }
    apart = abs(found["gpu"] / found["cpu"] - 1)
    return {"losses": found, "apart": round(apart, 6), "kept": apart <= SAME_LOSS}


def resumed_alike(network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], rows: Rows, batch: int) -> bool:
    """Whether a fit on the GPU that was stopped after its second epoch and resumed has the unbroken fit's weights."""
    settings = _settings(batch, "gpu")

    def stop(share: float, told: str, epoch: Epoch | None = None, /) -> None:  # noqa: ARG001
        if epoch and epoch.number == 1:
            raise RuntimeError("stopped")

    whole, broken = copy.deepcopy(network), copy.deepcopy(network)
    torch.manual_seed(1)
    fit(whole, loss, rows, None, settings, seed=0)
    with tempfile.TemporaryDirectory() as folder, patch.object(checkpoints, "_EVERY", 0.0):  # after every epoch
        file = Path(folder) / "fit.ckpt"
        torch.manual_seed(1)
        with suppress(RuntimeError):
            fit(broken, loss, rows, None, settings, seed=0, on_step=stop, checkpoint=file)
        fit(broken := copy.deepcopy(network), loss, rows, None, settings, seed=0, checkpoint=file)
    return all(
        torch.equal(a, b) for a, b in zip(whole.state_dict().values(), broken.state_dict().values(), strict=True)
    )


def parity(network: nn.Module, inputs: Rows) -> float:
    """Largest difference of torch and ONNX Runtime, both on the processor."""
    assert {p.device.type for p in network.parameters()} == {"cpu"}, "a fit returns to the processor"
    used = [tensor for tensor in inputs if tensor.numel()]
    wrapped = _WithEmpty(network, inputs).eval()
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/model.onnx"
        torch.onnx.export(
            wrapped, tuple(used), file, dynamo=True, verbose=False, input_names=[f"x{i}" for i in range(len(used))]
        )
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {f"x{i}": tensor.numpy() for i, tensor in enumerate(used)})
    with torch.no_grad():
        return float(np.abs(wrapped(*used).numpy() - answer).max())


class _WithEmpty(nn.Module):
    """A network that is given the inputs which hold no column too."""

    def __init__(self, network: nn.Module, inputs: Rows) -> None:
        super().__init__()
        self.network, self.inputs = network, inputs

    def forward(self, *used: Tensor) -> Tensor:
        given = iter(used)
        answer: Tensor = self.network(*(next(given) if tensor.numel() else tensor for tensor in self.inputs))
        return answer


def _settings(batch: int, accelerator: str) -> TrainerSettings:
    return settings_of(EPOCHS, batch, accelerator).model_copy(update={"learning_rate": 0.001})


def _say(**told: object) -> None:
    print(json.dumps(told), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
