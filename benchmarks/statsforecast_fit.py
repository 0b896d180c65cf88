"""PYTHON benchmarks/statsforecast_fit.py FOLDER SEASON HORIZON: forecasts of statsforecast for benchmarks/firms.py.

Runs in an environment that has statsforecast and nothing of dxai. FOLDER holds past.npy ``[series, time]``, NaN before
a series begins; said.npy comes there: the mean of AutoETS, dynamic optimised theta and AutoCES ``[series, horizon]``.
"""

from __future__ import annotations

import sys

import numpy as np


def main(folder: str, season: int, horizon: int) -> None:
    """Fit the three to every series, each as it comes."""
    from statsforecast.models import AutoCES, AutoETS, DynamicOptimizedTheta  # type: ignore[import-not-found]

    kinds = (AutoETS, DynamicOptimizedTheta, AutoCES)
    past = [series[~np.isnan(series)] for series in np.load(f"{folder}/past.npy")]
    said = [[kind(season_length=season).forecast(series, horizon)["mean"] for kind in kinds] for series in past]
    np.save(f"{folder}/said.npy", np.mean(said, axis=1))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
