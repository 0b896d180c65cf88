"""A demand model on a firm's own series: their last horizon, forecast from what lies before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dxai.bundle.folder import Bundle
from dxai.contract import Contract
from dxai.contract.signature import LEVELS
from dxai.data.batch import SeriesCodec
from dxai.data.marks import drawn, marks
from dxai.data.naive import DEMAND, Forecast, forecast
from dxai.data.windows import Panel, told
from dxai.inference.fit.record import Fan, Truth
from dxai.inference.fit.statistics import Array, ratio_bounds, share_bounds
from dxai.inference.model import Model
from dxai.metrics import FORECAST, coverage, pinball, scaled_error, score

Experts = Callable[[NDArray[np.float32], Contract], Forecast | None]
"""Past ``[series, time]`` and a contract to a forecast of its horizon, where there is one."""

_MEDIAN = len(LEVELS) // 2
_PAST_SHOWN = 4
"""Horizons of history before a fan."""


def back_test(bundle: Bundle, model: Model, panel: Panel, experts: Experts | None = None) -> Truth | None:
    """Forecasts of the last horizon from before it, held against what came; None when that says nothing.

    Args:
        bundle: What was promised.
        model: Of the bundle.
        panel: The firm's series.
        experts: A yardstick beside the naive ones.
    """
    contract, horizon = bundle.contract, bundle.contract.horizon
    assert contract.frequency is not None  # checked when the contract was read
    if panel.values.shape[1] <= horizon:
        return None
    before, after = panel.until(horizon, contract.frequency), panel.values[:, -horizon:]
    usable = (before.known_steps >= contract.minimum_history) & np.isfinite(after).any(axis=1)
    if usable.sum() < 2 or not np.nansum(np.abs(after[usable])):
        return None
    past, truth = before.only(usable), after[usable].astype(np.float64)
    ours, lower, upper = _forecast(model, past, contract)
    known: dict[str, Any] = {
        "truth": truth,
        "past": past.values,
        "lag": contract.season if _scaled_by_season(bundle) else 1,
    }
    simple = {name: forecast(name, past.values, horizon, contract.season) for name in DEMAND}
    if experts and (made := experts(past.values, contract)):
        simple["experts"] = made
    simple = {name: _bounded(made, contract.target.minimum) for name, made in simple.items()}
    losses = {name: pinball(truth, f.quantiles) for name, f in simple.items()}
    best = min(losses, key=lambda name: float(losses[name].sum()))
    scaled = scaled_error(prediction=ours.point, **known)
    ours_lost, volume = pinball(truth, ours.quantiles), np.nansum(np.abs(truth), axis=1)
    covered = coverage(truth, lower, upper)
    return Truth(
        rows=int(np.isfinite(truth).sum()), sampled=False, cases=len(truth), metric="wql", yardstick=best,
        error=ratio_bounds(ours_lost, volume), skill=ratio_bounds(ours_lost, losses[best]),
        covered=share_bounds(covered * len(truth), len(truth)),
        scores=_scores(ours, lower, upper, known),
        yardsticks={n: _scores(f, f.quantiles[..., 0], f.quantiles[..., -1], known) for n, f in simple.items()},
        card=bundle.metrics["model"],
        fans=_fans(past, truth, ours.quantiles, scaled, contract),
    )  # fmt: skip


def _forecast(model: Model, past: Panel, contract: Contract) -> tuple[Forecast, Array, Array]:
    """The model's medians, quantiles and interval."""
    outputs = model.compute(SeriesCodec(contract, model.context).encode_panel(past))
    quantiles, lower, upper = (outputs[name] for name in ("quantiles", "lower", "upper"))
    return Forecast(quantiles[..., _MEDIAN], quantiles), lower, upper


def _scores(made: Forecast, lower: Array, upper: Array, known: dict[str, Any]) -> dict[str, float]:
    """As on the card, but for the mean forecast."""
    arrays = {"prediction": made.point, "quantiles": made.quantiles, "lower": lower, "upper": upper}
    return score(FORECAST, **arrays, **known)


def _bounded(made: Forecast, minimum: float | None) -> Forecast:
    return made if minimum is None else Forecast(np.maximum(made.point, minimum), np.maximum(made.quantiles, minimum))


def _scaled_by_season(bundle: Bundle) -> bool:
    return bool(bundle.manifest.settings.get("evaluate", {}).get("naive_lag") == "season")


def _fans(past: Panel, truth: Array, quantiles: Array, error: Array, contract: Contract) -> tuple[Fan, ...]:
    """The series forecast best, middling and worst, among those that sold."""
    order = np.argsort(np.where((np.nansum(np.abs(truth), axis=1) > 0) & np.isfinite(error), error, np.inf))
    order = order[: int(np.isfinite(error[order]).sum())]
    chosen = dict.fromkeys(order[[0, len(order) // 2, -1]].tolist()) if len(order) else {}
    shown = past.values[:, -_PAST_SHOWN * contract.horizon :]
    charts = drawn([marks(past, contract, i, shown.shape[1]) for i in chosen])
    return tuple(
        Fan(told(past.ids[i]), shown[i], truth[i], quantiles[i], marked)
        for i, marked in zip(chosen, charts, strict=True)
    )
