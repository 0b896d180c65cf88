"""PYTHON benchmarks/demand_peers.py FOLDER PEER: forecasts of one peer for benchmarks/demand.py.

Runs in an environment that has statsforecast, mlforecast and lightgbm, for ``nhits`` neuralforecast, and
nothing of dxai. FOLDER holds about.json and, for each forecast origin, NUMBER.parquet: every step of every series from
its first value to the end of the horizon (series, step, date, value, what is known beside it), without the values after
the origin. said.npz comes there: ``quantiles`` ``[origins, series, horizon, levels .1 to .9]`` and ``mean``
``[origins, series, horizon]``, NaN where the peer says nothing. Exit status 69: the environment lacks the peer.

Peers see integer steps and the calendar as columns. Steps without a value hold the last one before them; `mlforecast`
(but for one step ahead, where it offers no way) and `nhits` do not learn from them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LEVELS = tuple(tenth / 10 for tenth in range(1, 10))
QUANTILES = tuple(f"q{level}" for level in LEVELS)
KEYS = ["unique_id", "ds"]
CALENDAR = ("month", "week", "weekday", "hour")
FEW = 20
"""Categories that networks get as flags; they do not learn from a column with more."""


@dataclass(frozen=True)
class Panel:
    """Series up to a forecast origin.

    Attributes:
        history: Rows with ``unique_id``, ``ds`` (the step), ``y``, ``available_mask`` (0: filled), and what is below.
        future: The horizon's rows of the series that have a history, without ``y``.
        known: Columns that are known ahead, with those of the calendar that change.
        static: Columns of numbers with one value in a series; of numbers of categories ``categories``.
    """

    history: pd.DataFrame
    future: pd.DataFrame
    horizon: int
    season: int
    known: list[str]
    static: list[str]
    categories: list[str]


Peer = Callable[[Sequence[Panel]], list[pd.DataFrame]]
"""Fits before the first origin, forecasts from all: `KEYS` and, of `QUANTILES` and ``mean``, what it says."""


def main(folder: Path, peer: str) -> None:
    """Forecast from every origin."""
    about = json.loads((folder / "about.json").read_text())
    panels = [read(folder / f"{number}.parquet", about) for number in range(about["origins"])]
    try:
        groups = [panels] if about["once"] else [[panel] for panel in panels]
        said = [one for group in groups for one in PEERS[peer](group)]
    except ModuleNotFoundError as missing:
        print(f"{peer}: left out, {sys.executable} has no {missing.name}", file=sys.stderr)  # noqa: T201
        sys.exit(os.EX_UNAVAILABLE)
    cubes = np.stack([arranged(one, panel, about["series"]) for one, panel in zip(said, panels, strict=True)])
    np.savez(folder / "said.npz", quantiles=cubes[..., :-1], mean=cubes[..., -1])


def read(path: Path, about: dict[str, Any]) -> Panel:
    """A table up to its origin."""
    table = pd.read_parquet(path).rename(columns={"series": "unique_id", "step": "ds", "value": "y"})
    parts = {"month": table["date"].dt.month, "week": table["date"].dt.isocalendar().week}
    parts |= {"weekday": table["date"].dt.day_of_week, "hour": table["date"].dt.hour}
    table = table.assign(**{name: part.astype(float) for name, part in parts.items()})
    known = [*about["known"], *(name for name in CALENDAR if table[name].nunique() > 1)]
    table["available_mask"] = table["y"].notna().astype(float)
    table[["y", *known]] = table.groupby("unique_id")[["y", *known]].ffill()
    ahead = table["ds"] > table["ds"].max() - about["horizon"]
    history, future = table[~ahead], table[ahead].drop(columns=["y", "available_mask"])
    future = future[future["unique_id"].isin(history["unique_id"].unique())]
    return Panel(
        history, future, about["horizon"], about["season"], known, about["static"], about["categories"]
    )  # fmt: skip


def arranged(said: pd.DataFrame, panel: Panel, series: int) -> NDArray[np.float64]:
    """What was said ``[series, horizon, quantiles and mean]``; 0 of a series without a history."""
    whole = panel.future[KEYS].merge(said, how="left", on=KEYS).reindex(columns=[*KEYS, *QUANTILES, "mean"])
    cube = np.zeros((series, panel.horizon, len(QUANTILES) + 1))
    cube[whole["unique_id"], whole["ds"] - panel.future["ds"].min()] = whole[[*QUANTILES, "mean"]].to_numpy(float)
    return cube


# --- peers ------------------------------------------------------------------------------------------------------------


def statistical(kind: str, panels: Sequence[Panel], longest: int = 168) -> list[pd.DataFrame]:
    """A model of statsforecast for each series, fitted at every origin; its intervals give the quantiles.

    A season of more than ``longest`` steps is left out.
    """
    from importlib import import_module

    library, models = import_module("statsforecast"), import_module("statsforecast.models")

    made = []
    for panel in panels:
        model = getattr(models, kind)(season_length=panel.season if panel.season <= longest else 1, alias="mean")
        naive = models.Naive(alias="mean")
        forecaster = library.StatsForecast([model], freq=1, fallback_model=naive)
        asked = {"df": panel.history[[*KEYS, "y"]], "h": panel.horizon, "level": [20, 40, 60, 80]}
        said = forecaster.forecast(**asked)
        if said["mean"].isna().any():  # histories of less than a season
            said = said.fillna(library.StatsForecast([naive], freq=1).forecast(**asked))
        bounds = [f"mean-lo-{width}" for width in (80, 60, 40, 20)], [f"mean-hi-{width}" for width in (20, 40, 60, 80)]
        names = dict(zip([*bounds[0], *bounds[1]], [*QUANTILES[:4], *QUANTILES[5:]], strict=True))
        made.append(said.rename(columns=names).assign(**{QUANTILES[4]: said["mean"]}))
    return made


LAGS = {52: (1, 2, 3, 4, 8, 13, 26, 52), 24: (1, 2, 3, 24, 48, 168), 12: (1, 2, 3, 6, 12)}
WINDOWS = {52: (4, 13), 24: (24, 168), 12: (3, 12)}
"""Lags and rolling means by season."""


def mlforecast(panels: Sequence[Panel]) -> list[pd.DataFrame]:
    """LightGBM as it comes, a mean and a median for each step ahead."""
    from lightgbm import LGBMRegressor
    from mlforecast import MLForecast  # type: ignore[import-not-found]
    from mlforecast.lag_transforms import RollingMean  # type: ignore[import-not-found]
    from mlforecast.target_transforms import LocalStandardScaler  # type: ignore[import-not-found]

    first = panels[0]
    columns = [*KEYS, "y", *first.known, *first.static]
    trees = partial(LGBMRegressor, verbosity=-1, n_jobs=1, random_state=0)
    models = {"mean": trees(), QUANTILES[4]: trees(objective="quantile", alpha=0.5)}
    forecaster = MLForecast(
        models, freq=1, lags=LAGS[first.season], target_transforms=[LocalStandardScaler()],
        lag_transforms={1: [RollingMean(window) for window in WINDOWS[first.season]]},
    )  # fmt: skip

    def told(panel: Panel) -> pd.DataFrame:
        """Without what is known of filled steps: the library leaves such targets out."""
        categories = dict.fromkeys(panel.categories, "category")
        known = panel.history[panel.known].where(panel.history["available_mask"] == 1)
        return panel.history.assign(**{name: known[name] for name in panel.known})[columns].astype(categories)

    forecaster.fit(told(first), static_features=first.static, max_horizon=first.horizon, dropna=False)
    return [
        forecaster.predict(panel.horizon, new_df=told(panel), X_df=panel.future[[*KEYS, *panel.known]])
        for panel in panels
    ]


def nhits(panels: Sequence[Panel]) -> list[pd.DataFrame]:
    """N-HiTS of neuralforecast, 400 steps on windows scaled to mean 0 and spread 1."""
    import torch
    from neuralforecast import NeuralForecast, models  # type: ignore[import-not-found]
    from neuralforecast.losses.pytorch import MQLoss  # type: ignore[import-not-found]

    torch.set_num_threads(1)
    first = panels[0]

    def static(panel: Panel) -> pd.DataFrame | None:
        """One row a series; the library wants none where there is no column."""
        if not panel.static:
            return None
        rows = panel.history.groupby("unique_id")[panel.static].first()
        many = [name for name in panel.categories if rows[name].nunique() > FEW]
        few = [name for name in panel.categories if name not in many]
        return pd.get_dummies(rows.drop(columns=many), columns=few, dtype=float).reset_index()

    beside = static(first)
    names = [] if beside is None else list(beside.columns[1:])
    model = models.NHITS(
        h=first.horizon, input_size=min(2 * first.season, 52), loss=MQLoss(quantiles=list(LEVELS)), max_steps=400,
        scaler_type="standard", futr_exog_list=first.known, stat_exog_list=names,
        start_padding_enabled=True, windows_batch_size=128, accelerator="cpu", devices=1, logger=False,
        enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
    )  # fmt: skip
    forecaster = NeuralForecast([model], freq=1)
    columns = [*KEYS, "y", "available_mask", *first.known]
    forecaster.fit(first.history[columns], static_df=beside)
    made = []
    for panel in panels:
        said = forecaster.predict(
            df=panel.history[columns], static_df=static(panel),
            futr_df=panel.future[[*KEYS, *panel.known]],
        )  # fmt: skip
        made.append(said.set_axis([*KEYS, *QUANTILES], axis=1))
    return made


PEERS: dict[str, Peer] = {
    "seasonal-naive": partial(statistical, "SeasonalNaive"),
    "auto-ets": partial(statistical, "AutoETS", longest=24),
    "theta": partial(statistical, "DynamicOptimizedTheta"),
    "mlforecast": mlforecast,
    "nhits": nhits,
}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
