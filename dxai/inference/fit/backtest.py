"""A demand model on a firm's own series: their last horizon, forecast from what lies before it."""

from __future__ import annotations

import numpy as np

from dxai.bundle.folder import Bundle
from dxai.contract import Contract
from dxai.data.naive import DEMAND, LEVELS, Forecast, forecast
from dxai.data.windows import Panel
from dxai.inference.fit.record import Fan, Truth
from dxai.inference.fit.statistics import Array, ratio_bounds, share_bounds
from dxai.inference.model import Model

_MEDIAN = len(LEVELS) // 2
_PAST_SHOWN = 4
"""Horizons of history before a fan."""


def back_test(bundle: Bundle, model: Model, panel: Panel) -> Truth | None:
    """Forecasts of the last horizon from before it, held against what came; None when that says nothing."""
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
    scale = _scale(past.values, contract.season if _scaled_by_season(bundle) else 1)
    simple = {name: _yardstick(name, past.values, contract) for name in DEMAND}
    losses = {name: _pinball(truth, f.quantiles) for name, f in simple.items()}
    best = min(losses, key=lambda name: float(losses[name].sum()))
    scaled = _scaled_error(truth, ours.point, scale)
    ours_lost, volume = _pinball(truth, ours.quantiles), np.nansum(np.abs(truth), axis=1)
    covered = _coverage(truth, lower, upper)
    return Truth(
        rows=int(np.isfinite(truth).sum()), sampled=False, cases=len(truth), metric="wql", yardstick=best,
        error=ratio_bounds(ours_lost, volume), skill=ratio_bounds(ours_lost, losses[best]),
        covered=share_bounds(covered * len(truth), len(truth)),
        scores=_scores(truth, ours, scale) | {"coverage": covered, "width": float(np.mean(upper - lower))},
        yardsticks={name: _scores(truth, f, scale) for name, f in simple.items()}, card=bundle.metrics["model"],
        fans=_fans(past, truth, ours.quantiles, scaled, horizon),
    )  # fmt: skip


def _forecast(model: Model, past: Panel, contract: Contract) -> tuple[Forecast, Array, Array]:
    """The model's medians, quantiles and interval."""
    answer, target = model.forecast(past), contract.target.name

    def column(name: str) -> Array:
        return answer[f"{target}_{name}"].to_numpy().reshape(len(past.ids), contract.horizon).astype(np.float64)

    quantiles = np.stack([column(f"q{round(100 * level)}") for level in LEVELS], axis=-1)
    return Forecast(quantiles[..., _MEDIAN], quantiles), column("lower"), column("upper")


def _yardstick(name: str, past: Array, contract: Contract) -> Forecast:
    made, minimum = forecast(name, past, contract.horizon, contract.season), contract.target.minimum
    return made if minimum is None else Forecast(np.maximum(made.point, minimum), np.maximum(made.quantiles, minimum))


def _scores(truth: Array, made: Forecast, scale: Array) -> dict[str, float]:
    """As on the card: wQL, WAPE, MASE, bias of the median, coverage and width of the 80 % interval."""
    volume, scaled = float(np.nansum(np.abs(truth))), _scaled_error(truth, made.point, scale)
    lower, upper = made.quantiles[..., 0], made.quantiles[..., -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "wql": float(np.divide(_pinball(truth, made.quantiles).sum(), volume)),
            "wape": float(np.divide(np.nansum(np.abs(truth - made.point)), volume)),
            "mase": float(scaled[np.isfinite(scaled)].mean()),
            "bias": float(np.divide(np.nansum(made.point - truth), np.nansum(truth))),
            "coverage": _coverage(truth, lower, upper),
            "width": float(np.mean(upper - lower)),
        }


def _pinball(truth: Array, quantiles: Array) -> Array:
    """Twice the pinball loss, summed over the known steps and averaged over the levels ``[series]``."""
    levels, error = np.asarray(LEVELS), truth[..., None] - quantiles
    loss = np.maximum(levels * error, (levels - 1) * error)
    return np.asarray(2 * np.where(np.isfinite(truth)[..., None], loss, 0).sum(axis=1).mean(axis=-1))


def _coverage(truth: Array, lower: Array, upper: Array) -> float:
    known = np.isfinite(truth)
    return float(((lower <= truth) & (truth <= upper))[known].mean())


def _scale(past: Array, lag: int) -> Array:
    """Mean change from one step, or season, to the next in the past ``[series]``; NaN where nothing ever changes."""
    change = np.abs(past[:, lag:] - past[:, :-lag])
    known = np.isfinite(change).sum(axis=1)
    scale = np.nansum(change, axis=1) / np.maximum(known, 1)
    return np.where(scale > 0, scale, np.nan)


def _scaled_error(truth: Array, point: Array, scale: Array) -> Array:
    """Mean absolute scaled error of each series (Hyndman and Koehler 2006) ``[series]``."""
    known = np.isfinite(truth)
    return np.asarray(np.where(known, np.abs(truth - point), 0).sum(axis=1) / known.sum(axis=1) / scale)


def _scaled_by_season(bundle: Bundle) -> bool:
    return bool(bundle.manifest.settings.get("evaluate", {}).get("naive_lag") == "season")


def _fans(past: Panel, truth: Array, quantiles: Array, error: Array, horizon: int) -> tuple[Fan, ...]:
    """The series forecast best, middling and worst, among those that sold."""
    order = np.argsort(np.where((np.nansum(np.abs(truth), axis=1) > 0) & np.isfinite(error), error, np.inf))
    order = order[: int(np.isfinite(error[order]).sum())]
    chosen = dict.fromkeys(order[[0, len(order) // 2, -1]].tolist()) if len(order) else {}
    shown = past.values[:, -_PAST_SHOWN * horizon :]
    return tuple(Fan(past.ids[i], shown[i], truth[i], quantiles[i]) for i in chosen)
