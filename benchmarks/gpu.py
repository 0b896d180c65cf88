"""python -m benchmarks.gpu: training on a GPU beside one processor: speed, peak memory, and parity of the ONNX graph.

TabM and N-HiTS of four times the usual width. Prints one JSON line each: seconds of an epoch on both, peak of device
memory, the largest difference of torch and ONNX Runtime on rows that the network was not fitted on. Where torch can
use no CUDA device it prints the reason, and ends well. `make gpu` runs it.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from benchmarks.training_loop import cases, settings_of
from dxai.data.batches import Rows
from dxai.learn.devices import refuse_absent
from dxai.learn.module import fit

TOLERANCE = 1e-3
"""Largest difference allowed between torch and ONNX Runtime, of targets with deviation 1."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        why = "there is no CUDA device" if torch.version.cuda else "this torch is built for processors"
        _say(benchmark="gpu", skipped=why)
        return
    refuse_absent(settings_of(1, 1, "gpu"))
    for name, (network, loss, rows, _) in cases(options.rows, scale=4).items():
        if name == "mlp":
            continue
        seconds = dict[str, float]()
        fitted = dict[str, nn.Module]()
        last = dict[str, float]()
        for device in ("gpu", "cpu"):
            few = rows if device == "gpu" else tuple(tensor[: options.rows // 20] for tensor in rows)
            fitted[device] = copy.deepcopy(network)
            torch.cuda.reset_peak_memory_stats()
            started = time.perf_counter()
            settings = settings_of(options.epochs, 1024, device)
            last[device] = fit(fitted[device], loss, few, None, settings, seed=0)[-1].fit_loss
            seconds[device] = (time.perf_counter() - started) * len(rows[0]) / len(few[0]) / options.epochs
            if device == "gpu":
                peak = torch.cuda.max_memory_allocated()
        difference = parity(fitted["gpu"], tuple(tensor[:256] for tensor in rows[:-1]))
        _say(
            benchmark="gpu", network=name, device=torch.cuda.get_device_name(), rows=options.rows,
            seconds_per_epoch={device: round(value, 2) for device, value in seconds.items()},
            times_faster=round(seconds["cpu"] / seconds["gpu"], 1), peak_megabytes=round(peak / 1e6),
            loss=last, parity=difference, kept=difference <= TOLERANCE,
        )  # fmt: skip


def parity(network: nn.Module, inputs: Rows) -> float:
    """Largest difference of torch and ONNX Runtime, both on the processor."""
    assert {p.device.type for p in network.parameters()} == {"cpu"}, "a fit returns to the processor"
    used = [tensor for tensor in inputs if tensor.numel()]
    wrapped = _WithEmpty(network, inputs).eval()
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/model.onnx"
        torch.onnx.export(wrapped, tuple(used), file, dynamo=True, input_names=[f"x{i}" for i in range(len(used))])
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


def _say(**told: object) -> None:
    print(json.dumps(told), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
