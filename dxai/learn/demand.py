"""Demand forecasting: rolling origins, fit, calibration, held-out forecasts, scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import nn

from dxai.config.settings import (
    DemandEvaluation,
    DLinearModel,
    ForecastModel,
    NHitsModel,
    RollingSplit,
    RunSettings,
)
from dxai.contract import Contract
from dxai.data import naive
from dxai.data.datamodule import Rows
from dxai.data.naive import Forecast
from dxai.data.trainable import histories, refuse
from dxai.data.windows import STEP_DAYS, Panel, to_panel, training_windows
from dxai.errors import SettingsError
from dxai.learn import metrics
from dxai.learn.conformal import conformal_quantile
from dxai.learn.losses import ForecastLoss
from dxai.learn.metrics import QUANTILES
from dxai.learn.module import Epoch, OnEpoch, fit
from dxai.learn.predictor import DemandPredictor, ScaledForecast
from dxai.learn.transform import Calendar, SeriesScale
from dxai.networks.dlinear import DLinear
from dxai.networks.nhits import NHits
from dxai.networks.quantiles import QuantileHead

Array = NDArray[np.float32]

QUANTILE_COLUMNS = tuple(f"q{round(level * 100)}" for level in QUANTILES)


@dataclass(frozen=True)
class DemandFold:
    """One fit: its forecast origin, in steps before the end of the table.

    Attributes:
        split: ``rolling``, or ``final`` for the released model.
        number: Of the origin, the earliest first.
        origin: Steps between the origin and the table's end; 0 for the released model.
    """

    split: str
    number: int
    origin: int

    @property
    def is_test(self) -> bool:
        """Whether truths follow the origin."""
        return self.origin > 0

    @property
    def label(self) -> str:
        """Name in files and progress bars."""
        return f"{self.split}-{self.number}" if self.is_test else self.split


class DemandTask:
    """A demand table with its rolling origins; `dxai.learn.task.task_for` has made sure that the settings fit.

    Attributes:
        panel: The series with a history that is long enough.
        left_out: Series without one, such as new products; a model forecasts them once they have it.

    Raises:
        SettingsError: The context is too short for the residual.
        DataError: The table is too short for the origins, or nothing moves in it.
    """

    def __init__(self, contract: Contract, table: pl.DataFrame, settings: RunSettings) -> None:
        model, split, evaluation = settings.model, settings.split, settings.evaluate
        assert isinstance(model, ForecastModel)
        assert isinstance(split, RollingSplit)
        assert isinstance(evaluation, DemandEvaluation)
        assert contract.frequency is not None  # checked when the contract was read
        self.contract, self.table, self.settings = contract, table, settings
        self.model, self.split, self.evaluation, self.frequency = model, split, evaluation, contract.frequency
        whole = to_panel(table, contract.model_copy(update={"minimum_history": 0}), where=settings.data.name)
        long_enough = whole.known_steps >= contract.minimum_history
        self.panel, self.left_out = whole.only(long_enough), int((~long_enough).sum())
        found = histories(table, contract, origins=split.origins, where=settings.data.name)
        refuse(next(found.refusals(split.origins, settings.data.name), None))
        self._refuse_short_context()

    def _refuse_short_context(self) -> None:
        if self.model.residual == "seasonal_naive" and self.model.context <= self.contract.season:
            raise SettingsError(
                f"residual=seasonal_naive looks back one season of {self.contract.season} steps, "
                f"however model.context={self.model.context}.",
                where="model.context", fix=f"Use model.context={2 * self.contract.season} or more.",
            )  # fmt: skip

    @cached_property
    def folds(self) -> list[DemandFold]:
        """The rolling origins, the earliest first, then the released model's."""
        count, horizon = self.split.origins, self.contract.horizon
        rolling = [DemandFold("rolling", i, horizon * (count - i)) for i in range(count)]
        return [*rolling, DemandFold("final", 0, 0)]

    def predictor(self) -> DemandPredictor:
        """An unfitted predictor of the right shape."""
        model, contract = self.model, self.contract
        scale = SeriesScale(
            context=model.context, horizon=contract.horizon, season=contract.season,
            residual=model.residual, recency=model.recency, floor=model.floor,
        )  # fmt: skip
        calendar = Calendar(
            horizon=contract.horizon, step_days=STEP_DAYS[self.frequency],
            harmonics=model.harmonics, dropout=model.calendar_dropout,
        )  # fmt: skip
        # Starting points near what scaled demand looks like: a fit begins with plausible quantiles.
        start = (
            {"median": 0.6, "gap": 0.25, "mean": 0.9}
            if model.residual == "none"
            else {"median": 0.0, "gap": 0.15, "mean": 0.0}
        )
        head = QuantileHead(len(QUANTILES), **start)
        return DemandPredictor(contract, ScaledForecast(scale, calendar, network_for(model, contract), head))

    def fit(self, fold: DemandFold, on_epoch: OnEpoch) -> tuple[DemandPredictor, list[Epoch]]:
        """Fit on targets up to one horizon before the origin; calibrate the interval on that last horizon."""
        torch.manual_seed(self.settings.seed)
        predictor, model = self.predictor(), self.model
        before = self.panel.until(fold.origin + self.contract.horizon, self.frequency)
        truth = self._steps_after(before, fold.origin + self.contract.horizon)
        windows = training_windows(before, self.contract, model.context)
        rows: Rows = tuple(torch.as_tensor(array) for array in windows)
        watch: Rows = (*self._inputs(before), torch.as_tensor(truth))
        predictor.scaled.scale.fit(watch[0])
        loss = ForecastLoss(scale_weight=model.scale_weight, mean_weight=model.mean_weight, mean_delta=model.mean_delta)
        curve = fit(
            predictor.scaled, loss, rows, watch, self.settings.trainer, seed=self.settings.seed, on_epoch=on_epoch
        )
        with torch.inference_mode():
            quantiles, _, scale = (t.numpy() for t in predictor.scaled(*self._inputs(before)))
        scores = np.maximum(quantiles[..., 0] - truth / scale, truth / scale - quantiles[..., -1])
        predictor.offset = torch.tensor(conformal_quantile(scores[np.isfinite(scores)]))
        return predictor, curve

    def held_out(self, predictor: DemandPredictor, fold: DemandFold) -> pl.DataFrame:
        """Truth, quantiles, mean and interval of every series and step after the origin, one row each."""
        past, horizon = self.panel.until(fold.origin, self.frequency), self.contract.horizon
        answer = predictor.predict(*self._inputs(past))
        series = len(past.ids)
        return pl.DataFrame({
            "fold": np.full(series * horizon, fold.number),
            "series": np.repeat(np.array(past.ids), horizon),
            "step": np.tile(np.arange(1, horizon + 1), series),
            "truth": self._steps_after(past, fold.origin).ravel(),
            **{name: answer[name].ravel() for name in ("mean", "lower", "upper")},
            **{name: answer["quantiles"][..., i].ravel() for i, name in enumerate(QUANTILE_COLUMNS)},
        })  # fmt: skip

    def yardsticks(self, fold: DemandFold) -> dict[str, Forecast]:
        """Forecasts of the yardsticks from the same origin, never below the target's minimum."""
        past, minimum = self.panel.until(fold.origin, self.frequency).values, self.contract.target.minimum
        made = {n: naive.forecast(n, past, self.contract.horizon, self.contract.season) for n in naive.DEMAND}
        if minimum is None:
            return made
        return {n: Forecast(np.maximum(f.point, minimum), np.maximum(f.quantiles, minimum)) for n, f in made.items()}

    def scores(self, held_out: pl.DataFrame) -> dict[str, Any]:
        """All metrics of the model and of the yardsticks, means over the origins."""
        model, yard = [], []
        for fold in (f for f in self.folds if f.is_test):
            rows = self.arrays(held_out, fold)
            past = self.panel.until(fold.origin, self.frequency).values
            ours = Forecast(rows["quantiles"][..., len(QUANTILES) // 2], rows["quantiles"])
            scored = self._scores(rows["truth"], ours, past)
            mean = {
                "bias_of_mean": metrics.bias(rows["truth"], rows["mean"]),
                "rmsse_of_mean": metrics.rmsse(rows["truth"], rows["mean"], past, self.lag),
            }
            interval = {
                "coverage": metrics.coverage(rows["truth"], rows["lower"], rows["upper"]),
                "width": metrics.width(rows["lower"], rows["upper"]),
            }
            model.append(scored | mean | interval)
            yard.append({name: self._scores(rows["truth"], f, past) for name, f in self.yardsticks(fold).items()})
        return {
            "model": metrics.mean_scores(model),
            "yardstick": {name: metrics.mean_scores([fold[name] for fold in yard]) for name in naive.DEMAND},
        }

    @property
    def lag(self) -> int:
        """Lag of the naive forecast that scales MASE and RMSSE."""
        return self.contract.season if self.evaluation.naive_lag == "season" else 1

    def arrays(self, held_out: pl.DataFrame, fold: DemandFold) -> dict[str, Array]:
        """Held-out rows of one origin as arrays ``[series, horizon]``, ``quantiles`` with a level axis."""
        rows = held_out.filter(fold=fold.number)
        shape = (len(self.panel.ids), self.contract.horizon)
        plain = {name: rows[name].to_numpy().reshape(shape) for name in ("truth", "mean", "lower", "upper")}
        return plain | {"quantiles": np.stack([rows[q].to_numpy().reshape(shape) for q in QUANTILE_COLUMNS], axis=-1)}

    def plots(self, held_out: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Numbers to plot: absolute error by step ahead, and the share of truths below each quantile."""
        error = held_out.group_by("step").agg((pl.col("truth") - pl.col("q50")).abs().mean().alias("mae")).sort("step")
        below = [float((held_out["truth"] <= held_out[q]).mean() or 0.0) for q in QUANTILE_COLUMNS]  # type: ignore[arg-type]
        return {"error_by_horizon": error, "calibration": pl.DataFrame({"level": QUANTILES, "share": below})}

    def _scores(self, truth: Array, forecast: Forecast, past: Array) -> dict[str, float]:
        lower, upper = forecast.quantiles[..., 0], forecast.quantiles[..., -1]
        return {
            "wql": metrics.weighted_quantile_loss(truth, forecast.quantiles),
            "wape": metrics.wape(truth, forecast.point),
            "mase": metrics.mase(truth, forecast.point, past, self.lag),
            "rmsse": metrics.rmsse(truth, forecast.point, past, self.lag),
            "bias": metrics.bias(truth, forecast.point),
            "coverage": metrics.coverage(truth, lower, upper),
            "width": metrics.width(lower, upper),
        }

    def _inputs(self, past: Panel) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.as_tensor(past.history(self.model.context)), torch.as_tensor(past.last_day)

    def _steps_after(self, past: Panel, steps_before_end: int) -> Array:
        """The horizon that follows a panel which ends so many steps before the table ``[series, horizon]``."""
        start = past.values.shape[1]
        return (
            self.panel.values[:, start : start + self.contract.horizon]
            if steps_before_end
            else self.panel.values[:, :0]
        )


def network_for(model: ForecastModel, contract: Contract) -> nn.Module:
    """The network that the model settings name, sized for the contract's horizon."""
    size = {
        "context": model.context,
        "horizon": contract.horizon,
        "calendar": 2 * model.harmonics,
        "channels": len(QUANTILES) + 1,
    }
    if isinstance(model, NHitsModel):
        return NHits(**size, pools=model.pools, knots=model.knots, width=model.width)
    assert isinstance(model, DLinearModel)
    return DLinear(**size, kernel=model.kernel)
