"""python -m pipelines.forecaster [FREQUENCY …]: write the graphs of `dxai forecast`, dxai/forecaster/*.onnx.xz.

Nothing is trained: the files follow from dxai/networks/experts/ alone, and the same code gives the same graphs. Run it
whenever that code changes; tests/test_forecast.py tells when it was forgotten.
"""

from __future__ import annotations

import argparse
import json
import lzma
from pathlib import Path

import torch
from torch import Tensor, nn

from dxai.config.compose import find_checkout
from dxai.contract import Frequency
from dxai.files import write_whole
from dxai.forecaster.forecast import HORIZONS
from dxai.networks.experts import Experts
from dxai.networks.experts.intervals import QUANTILES
from dxai.ship.export import export_forecaster

FOLDER = Path("dxai/forecaster")
GRAPHS: dict[Frequency, tuple[int, int]] = {
    "hourly": (168, 48), "daily": (7, 28), "weekly": (52, 26), "monthly": (12, 24), "quarterly": (4, 8),
    "yearly": (1, 6),
}  # fmt: skip
"""Steps of a year (of a week for hours and days: the year of days is inside), and steps ahead at most, by frequency."""
LEVELS = tuple(QUANTILES)


class InUnits(nn.Module):
    """Quantiles at `LEVELS` and the mean, in the unit of the history."""

    def __init__(self, network: Experts) -> None:
        super().__init__()
        self.network = network

    def forward(self, history: Tensor) -> tuple[Tensor, Tensor]:
        """``[series, time]`` to ``[series, horizon, level]`` and ``[series, horizon]``."""
        quantiles, mean, _, size = self.network.distribution(history, LEVELS)
        return quantiles * size[:, :, None], mean * size


def network(frequency: Frequency) -> InUnits:
    """The experts of a frequency, weighed by the steps that are usually asked for."""
    season, horizon = GRAPHS[frequency]
    context = Experts.context_of(season, horizon)
    experts = Experts(context=context, horizon=horizon, season=season, validated=HORIZONS[frequency])
    return InUnits(experts).eval()


def graph(frequency: Frequency) -> bytes:
    """The ONNX file of a frequency, which says its season, its horizon and the levels of its quantiles."""
    season, horizon = GRAPHS[frequency]
    made = network(frequency)
    told = {
        "frequency": frequency, "season": season, "horizon": horizon, "context": made.network.context,
        "levels": LEVELS,
    }  # fmt: skip
    return export_forecaster(made, name=f"forecaster_{frequency}", properties={"dxai.forecaster": json.dumps(told)})


def main() -> None:
    """Write the graphs that are asked for, all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frequencies", nargs="*", metavar="FREQUENCY", help=", ".join(GRAPHS))
    for frequency in parser.parse_args().frequencies or GRAPHS:
        place, data = find_checkout() / FOLDER / f"{frequency}.onnx.xz", graph(frequency)
        write_whole(place, lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
        print(f"{place.name}: {place.stat().st_size:,} bytes of {len(data):,}")  # noqa: T201


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
