"""Demand forecasting: rolling origins, fit, calibration, held-out forecasts, scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from dxai import metrics
from dxai.bundle.profile import Profile, profile_panel
from dxai.config.components import find
from dxai.config.settings import DemandEvaluation, ForecastScaling, RollingSplit, RunSettings
from dxai.contract import Column, Contract
from dxai.contract.signature import LEVELS, last_of
from dxai.data import naive
from dxai.data.batch import Arrays, SeriesCodec
from dxai.data.cuts import training_windows
from dxai.data.hierarchy import Hierarchy, groups_of
from dxai.data.levels import Bounds
from dxai.data.naive import Forecast
from dxai.data.orders import CORRELATION, covering_correlation
from dxai.data.steps import LENGTHS, cycles, units_of_a_day
from dxai.data.trainable import histories, refuse
from dxai.data.windows import Panel, naming, to_panel, told
from dxai.errors import DataError, SettingsError
from dxai.learn import yardsticks
from dxai.learn.conformal import conformal_quantile
from dxai.learn.fitting import Epoch, FitRows, OnStep, Weighed, fit, part_of, unwatched
from dxai.learn.fold_answers import Clusters, FoldAnswers
from dxai.learn.levels import Origin, level_scores
from dxai.learn.losses import ForecastLoss
from dxai.learn.parts import in_parts
from dxai.learn.predictor import DemandPredictor, Predictor, RawForecast, ScaledForecast
from dxai.learn.short_histories import SHORTEST, LeavesShort, ShortHistories, experts_of
from dxai.learn.task import Task
from dxai.learn.transform import Calendar, KnownColumns, SeriesScale, encode
from dxai.networks.beside import Covariate
from dxai.networks.experts import Experts
from dxai.networks.quantiles import QuantileHead

Array = NDArray[np.float32]

QUANTILE_COLUMNS = tuple(f"q{round(level * 100)}" for level in LEVELS)
MEDIAN = len(LEVELS) // 2
_MASKS = ("open", "available")
"""Roles that say which steps do not count, whatever the model."""
_ID, _DRAW = "\x00series", "\x00draw"
_BY_PLAN, _FEW = ("wql", "wape", "bias", "coverage"), 6
"""Scores of steps by what was planned for them, and categories of which they are told."""
_BRIEF = 0.25
"""Share of the rows that a model draws for the fit that calibrates it."""
EXPERTS = "experts"
"""Name of the yardstick."""


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


class DemandTask(Task[DemandFold, DemandPredictor]):
    """A demand table with its rolling origins.

    Attributes:
        panel: The series with a history that is long enough.
        left_out: Series without one, such as new products; a model forecasts them once they have it.

    Raises:
        SettingsError: The settings are for another kind of task, or the context is too short for the residual.
        DataError: The table is too short for the origins, or nothing moves in it.
    """

    takes: ClassVar[Mapping[str, tuple[type, ...]]] = {
        "split": (RollingSplit,), "evaluate": (DemandEvaluation,), "scaling": (ForecastScaling,),
    }  # fmt: skip
    gives: ClassVar[frozenset[str]] = frozenset({"context", "horizon", "calendar", "channels"})
    gives_raw: ClassVar[frozenset[str]] = frozenset({"context", "horizon", "season"})
    choices: ClassVar[str] = (
        "model=demand_portfolio, trees, window_network, experts, nhits or dlinear, split=rolling, evaluate=demand, "
        "scaling=level or trend"
    )
    left_out_as: ClassVar[str] = "series with too short a history"
    watches: ClassVar[bool] = True

    scaling: ForecastScaling
    split: RollingSplit
    evaluation: DemandEvaluation

    def __init__(self, contract: Contract, table: pl.DataFrame, settings: RunSettings) -> None:
        super().__init__(contract, table, settings)
        assert contract.frequency is not None  # checked when the contract was read
        self.frequency, split = contract.frequency, settings.split
        self._yardsticks: dict[int, dict[str, Forecast]] = {}  # by origin: scores and report ask for the same
        self.scaling, self.split, self.evaluation = settings.scaling, split, settings.evaluate  # type: ignore[assignment]
        whole = to_panel(table, contract.model_copy(update={"minimum_history": 0}), where=settings.data.name)
        long_enough = whole.known_steps >= contract.minimum_history
        self.panel, self.left_out = whole.only(long_enough), int((~long_enough).sum())
        found = histories(table, contract, origins=self.split.origins, where=settings.data.name)
        refuse(next(found.refusals(self.split.origins, settings.data.name), None))
        self._refuse_short_context()
        self._refuse_idle_columns()
        self._refuse_other_days()

    def _refuse_idle_columns(self) -> None:
        """Columns beside the history that the model does not look at."""
        idle = ", ".join(
            f"{column.name!r} ({column.role})"
            for column in self.contract.covariates
            if column.role not in _MASKS and column.name not in self.contract.hierarchy
        )
        if idle and self.raw and "columns" not in self._beside():
            raise SettingsError(
                f"model={self.settings.model.name} does not look at {idle}: they would have no effect.", where="model",
                fix="Use model=trees or nhits, or give these columns the role ignore.",
            )  # fmt: skip

    def _refuse_other_days(self) -> None:
        """Series that cannot be added up step by step."""
        early = int((self.panel.last < self.panel.last.max()).sum())
        if self.contract.hierarchy and early:
            series = "1 series ends" if early == 1 else f"{early:,} series end"
            raise DataError(
                f"{series} before the others: a hierarchy adds them up step by step.", where=self.settings.data.name,
                fix="Bring their rows up to the last step (absentSteps: zero where none means 0), or leave them out.",
            )  # fmt: skip

    @property
    def _columns(self) -> tuple[Covariate, ...]:
        """The covariates, as networks take them."""
        return tuple(Covariate(column.role, len(column.categories)) for column in self.contract.covariates)

    def _beside(self) -> dict[str, Any]:
        """What a model gets that looks at the date and at the covariates."""
        given = {"frequency": self.frequency, "columns": self._columns}
        model = self.settings.model
        return given if self.raw and model.takes(self.gives_raw | given.keys()) else {}

    def _refuse_short_context(self) -> None:
        if self.raw:
            return
        if self.scaling.residual == "seasonal_naive" and self.scaling.context <= self.contract.season:
            raise SettingsError(
                f"residual=seasonal_naive looks back one season of {self.contract.season} steps, "
                f"however scaling.context={self.scaling.context}.",
                where="scaling.context", fix=f"Use scaling.context={2 * self.contract.season} or more.",
            )  # fmt: skip

    @cached_property
    def raw(self) -> bool:
        """Whether the model takes histories as they are, and says itself how many steps of them."""
        return bool(getattr(find(self.settings.model.target), "takes_raw", False))

    @cached_property
    def context(self) -> int:
        """Steps of history that the network looks at."""
        if not self.raw:
            return self.scaling.context
        return int(find(self.settings.model.target).context_of(self.contract.season, self.contract.horizon))

    @property
    def spread(self) -> float:
        """Standard deviation of the target."""
        return float(np.nanstd(self.panel.values))

    @cached_property
    def folds(self) -> list[DemandFold]:
        """The rolling origins, the earliest first, then the released model's."""
        count, horizon = self.split.origins, self.contract.horizon
        rolling = [DemandFold("rolling", i, horizon * (count - i)) for i in range(count)]
        return [*rolling, DemandFold("final", 0, 0)]

    def predictor(self) -> DemandPredictor:
        """An unfitted predictor of the right shape."""
        scaling, contract = self.scaling, self.contract
        if self.raw:
            network = self.network(
                context=self.context, horizon=contract.horizon, season=contract.season, **self._beside()
            )
            return DemandPredictor(contract, RawForecast(network))
        scale = SeriesScale(
            context=scaling.context, horizon=contract.horizon, season=contract.season,
            residual=scaling.residual, recency=scaling.recency, floor=scaling.floor,
        )  # fmt: skip
        calendar = Calendar(
            horizon=contract.horizon, step=LENGTHS[self.frequency], day=units_of_a_day(self.frequency),
            harmonics=scaling.harmonics, cycles=cycles(self.frequency), dropout=scaling.calendar_dropout,
        )  # fmt: skip
        # Starting points near what scaled demand looks like: a fit begins with plausible quantiles.
        start = (
            {"median": 0.6, "gap": 0.25, "mean": 0.9}
            if scaling.residual == "none"
            else {"median": 0.0, "gap": 0.15, "mean": 0.0}
        )
        head = QuantileHead(len(LEVELS), **start)
        known = KnownColumns(self._columns, horizon=contract.horizon)
        network = self.network(
            context=scaling.context, horizon=contract.horizon, calendar=calendar.width + known.width,
            channels=len(LEVELS) + 1,
        )  # fmt: skip
        scaled = ScaledForecast(scale, calendar, network, head, known if known.width else None)
        return DemandPredictor(contract, scaled)

    def shipped(self, predictor: DemandPredictor) -> Predictor:
        """The predictor, with experts beside it for series that are too short for it, unless it has its own."""
        minimum, network = self.contract.minimum_history, predictor.scaled.network
        if self.shortest_history is None or (isinstance(network, LeavesShort) and network.leave_short(minimum)):
            return predictor
        return ShortHistories(predictor, experts_of(self.contract))

    @property
    def shortest_history(self) -> int | None:
        """Experts take over below the contract's minimum, unless they are the model."""
        needed = self.contract.minimum_history > SHORTEST and find(self.settings.model.target) is not Experts
        return SHORTEST if needed else None

    def fit(
        self, fold: DemandFold, on_step: OnStep = unwatched, checkpoint: Path | None = None
    ) -> tuple[DemandPredictor, list[Epoch]]:
        """Fit on targets up to one horizon before the origin; calibrate the interval on that last horizon.

        A model that ``refits`` is then fitted on all targets before the origin; the fit that calibrates is a brief one.
        """
        torch.manual_seed(self.settings.seed)
        predictor, horizon = self.predictor(), self.contract.horizon
        before = self.panel.until(fold.origin + horizon, self.frequency)
        truth = self._steps_after(before, fold.origin + horizon)
        network = predictor.scaled.network
        watch = (*self._inputs(predictor, before), torch.as_tensor(truth))
        if isinstance(predictor.scaled, ScaledForecast):
            predictor.scaled.fit(watch[:-1])
        refits = bool(getattr(network, "refits", False))
        none = before.only(np.zeros(len(before.ids), bool))
        learnt = none if getattr(network, "untrained", False) else before
        share, told = (_BRIEF, part_of(on_step, 0, _BRIEF)) if refits else (1.0, on_step)
        curve = fit(predictor.scaled, self._rows(learnt, told, share), watch, self.settings.trainer, checkpoint)
        if isinstance(network, Weighed):
            network.weigh(watch[:-1], watch[-1])
        quantiles, _, scale = (t.numpy() for t in in_parts(predictor.scaled, watch[:-1]))
        scores = np.maximum(quantiles[..., 0] - truth / scale, truth / scale - quantiles[..., -1])
        predictor.offset = torch.tensor(conformal_quantile(scores[np.isfinite(scores)]))
        if refits:
            whole = self._rows(self.panel.until(fold.origin, self.frequency), part_of(on_step, _BRIEF, 1))
            fit(predictor.scaled, whole, watch, self.settings.trainer)
        return predictor, curve

    def _rows(self, panel: Panel, on_step: OnStep, share: float = 1.0) -> FitRows:
        """All windows of a panel, of which a model that draws some draws this share."""
        inputs, target = training_windows(panel, self.contract, self.context)
        loss = ForecastLoss() if self.settings.loss is None else self.settings.loss.build()
        return FitRows(inputs, target, loss, self.settings.seed, on_step=on_step, share=share)

    def calibrate(self, fitted: Mapping[str, DemandPredictor]) -> None:
        """Nothing: every fit was calibrated on the horizon before its origin."""

    def held_out(self, predictor: DemandPredictor, fold: DemandFold) -> pl.DataFrame:
        """Truth, quantiles, mean and interval of every series and step after the origin, one row each."""
        past, horizon = self.panel.until(fold.origin, self.frequency), self.contract.horizon
        answer = predictor.answer(self.codec.encode_panel(past).arrays)
        series = len(past.ids)
        return pl.DataFrame({
            "fold": np.full(series * horizon, fold.number),
            "series": np.repeat(np.array([told(name) for name in past.ids]), horizon),
            "step": np.tile(np.arange(1, horizon + 1), series),
            "truth": self._steps_after(past, fold.origin).ravel(),
            **{name: answer[name].ravel() for name in ("mean", "lower", "upper")},
            **{name: answer["quantiles"][..., i].ravel() for i, name in enumerate(QUANTILE_COLUMNS)},
        })  # fmt: skip

    def yardsticks(self, fold: DemandFold) -> dict[str, Forecast]:
        """Forecasts of the yardsticks from the same origin, never below the target's minimum."""
        if fold.origin not in self._yardsticks:
            self._yardsticks[fold.origin] = self._forecast_simply(fold)
        return self._yardsticks[fold.origin]

    def _forecast_simply(self, fold: DemandFold) -> dict[str, Forecast]:
        past, minimum = self.panel.until(fold.origin, self.frequency).values, self.contract.target.minimum
        horizon, season = self.contract.horizon, self.contract.season
        made = {n: naive.forecast(n, past, horizon, season) for n in naive.DEMAND}
        if find(self.settings.model.target) is not Experts:  # nothing is a yardstick of itself
            made[EXPERTS] = yardsticks.experts(past, horizon, season)
        if minimum is None:
            return made
        return {n: Forecast(np.maximum(f.point, minimum), np.maximum(f.quantiles, minimum)) for n, f in made.items()}

    def scores(self, held_out: pl.DataFrame) -> dict[str, Any]:
        """All metrics of model and yardsticks, means over the origins; and what orders need to know of the steps."""
        model, yard, asked = [], [], []
        by_level = (
            level_scores(self.hierarchy, self.origins(held_out), self.contract.target.minimum)
            if self.contract.hierarchy
            else {}
        )
        for fold in (f for f in self.folds if f.is_test):
            rows = self.arrays(held_out, fold)
            known = {"truth": rows["truth"], "past": self.panel.until(fold.origin, self.frequency).values}
            ours = {"prediction": rows["quantiles"][..., MEDIAN], **rows}
            theirs = {name: _as_arrays(made) for name, made in self.yardsticks(fold).items()}
            bounded = (rows["lower"][..., None], rows["quantiles"][..., 1:-1], rows["upper"][..., None])
            asked.append((rows["truth"], np.concatenate(bounded, axis=2)))
            model.append(metrics.score(self.metrics, **(ours | known), lag=self.lag))
            yard.append({n: metrics.score(self.metrics, **(a | known), lag=self.lag) for n, a in theirs.items()})
        return {
            "model": metrics.mean_scores(model),
            "yardstick": {name: metrics.mean_scores([fold[name] for fold in yard]) for name in yard[0]},
            CORRELATION: covering_correlation(
                [truth for truth, _ in asked], [quantiles for _, quantiles in asked], self.contract.target.minimum
            ),
            **by_level,
        }

    @cached_property
    def hierarchy(self) -> Hierarchy:
        """The levels above the series."""
        return Hierarchy.of(groups_of(self.panel, self.contract))

    def origins(self, held_out: pl.DataFrame) -> list[Origin]:
        """Held-out forecasts of the series, and experts' ones of the levels from their summed histories."""
        made = []
        for fold in (f for f in self.folds if f.is_test):
            rows = self.arrays(held_out, fold)
            past = self.hierarchy.sums(self.panel.until(fold.origin, self.frequency).values)
            upper = yardsticks.expert_bounds(past.astype(np.float32), self.contract.horizon, self.contract.season)
            made.append(Origin(rows["truth"], Bounds(rows["mean"], rows["lower"], rows["upper"]), upper))
        return made

    def scores_by_plan(self, held_out: pl.DataFrame) -> dict[str, dict[str, float]]:
        """Some scores of the held-out steps at which a flag or category that is known ahead had one value."""
        found: dict[str, list[dict[str, float]]] = {}
        for fold in (f for f in self.folds if f.is_test):
            rows, start = self.arrays(held_out, fold), self.panel.values.shape[1] - fold.origin
            for column in (c for c in self.contract.ahead if c.role == "known_future"):
                planned = self.panel.beside[column.name][:, start : start + self.contract.horizon]
                for value, shown in _few_values(column, planned):
                    truth = np.where(planned == value, rows["truth"], np.nan)
                    if np.isfinite(truth).any() and np.nansum(np.abs(truth)) > 0:
                        ours = {"truth": truth, "prediction": rows["quantiles"][..., MEDIAN], **rows | {"truth": truth}}
                        told = metrics.score(_BY_PLAN, **ours)
                        found.setdefault(f"where {column.title_en} is {shown}", []).append(told)
        return {name: metrics.mean_scores(folds) for name, folds in found.items()}

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

    @property
    def clusters(self) -> Clusters:
        """Series: steps of one are alike."""
        return "series"

    def fold_answers(self, held_out: pl.DataFrame, *, twin: bool = False) -> list[FoldAnswers]:
        """Of all series, origin by origin."""
        if twin:
            return []
        series = np.arange(len(self.panel.ids))
        return [FoldAnswers(self.arrays(held_out, fold), series, {}) for fold in self.honest]

    def plots(self, held_out: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Numbers to plot: absolute error by step ahead, and the share of truths below each quantile."""
        error = held_out.group_by("step").agg((pl.col("truth") - pl.col("q50")).abs().mean().alias("mae")).sort("step")
        below = [float((held_out["truth"] <= held_out[q]).mean() or 0.0) for q in QUANTILE_COLUMNS]  # type: ignore[arg-type]
        return {"error_by_horizon": error, "calibration": pl.DataFrame({"level": LEVELS, "share": below})}

    def profile(self) -> Profile:
        """What its series are like, and what is known beside them."""
        return profile_panel(self.panel, self.contract, self.table)

    def parity_cases(self) -> dict[str, Arrays]:
        """Real histories and awkward ones."""
        ahead = self.contract.horizon if self.contract.ahead else 0
        return history_cases(self.panel.until(ahead, self.frequency), self.codec)

    def golden_rows(self) -> pl.DataFrame:
        """Whole histories of some series; of own ones every date's values dealt out among the series, without names."""
        ids = naming(self.contract)
        count = self.settings.release.golden_rows
        chosen = list(self.panel.ids)[:: max(1, len(self.panel.ids) // count)][:count]
        table = self._without_last_horizon() if self.contract.ahead else self.table
        columns = [column.name for column in self.codec.signature.reads]
        if not self.own:
            return table.filter(ids.is_in(chosen)).select(columns)
        dealt = self._dealt(table).filter(ids.is_in(chosen))
        names = ids.replace_strict(chosen, [f"series-{number}" for number, _ in enumerate(chosen, 1)])
        unlisted = [names.alias(column.name) for column in self.contract.series if not column.categories]
        return dealt.with_columns(unlisted).select(columns)

    def _without_last_horizon(self) -> pl.DataFrame:
        """The table as it was one horizon ago, with what was known of the steps since."""
        target, time = self.contract.target.name, self.contract.only("time").name
        steps = self.table.filter(pl.col(target).is_not_null())[time].unique().sort()
        since = steps[-min(self.contract.horizon, len(steps))]
        return self.table.with_columns(pl.when(pl.col(time) < since).then(pl.col(target)))

    def _dealt(self, table: pl.DataFrame) -> pl.DataFrame:
        """Each column's values of a date dealt out among the series, static ones once for all dates."""
        time = self.contract.only("time").name
        ids = naming(self.contract)
        table = table.with_columns(ids.alias(_ID))
        dealt = [self.contract.target, *(c for c in self.contract.covariates if c.role != "series")]
        for seed, column in enumerate(dealt):
            draw = pl.int_range(pl.len()).shuffle(
                seed=seed
            )  # one for the table: one for each date would deal all alike
            if column.role == "static":
                each = table.select(_ID, column.name).group_by(_ID, maintain_order=True).first()
                each = each.with_columns(pl.col(column.name).sort_by(draw))
                table = table.drop(column.name).join(each, on=_ID, how="left", maintain_order="left")
            else:
                table = table.with_columns(draw.alias(_DRAW)).with_columns(
                    pl.col(column.name).sort_by(_DRAW).over(time)
                )
        return table.drop(_DRAW)

    @cached_property
    def codec(self) -> SeriesCodec:
        """Frames and panels to what a graph takes, and back."""
        return SeriesCodec(self.contract, self.context)

    def _inputs(self, predictor: DemandPredictor, past: Panel) -> tuple[torch.Tensor, ...]:
        return predictor.positional(encode(self.codec.encode_panel(past).arrays, self.contract))

    def _steps_after(self, past: Panel, steps_before_end: int) -> Array:
        """The horizon that follows a panel which ends so many steps before the table ``[series, horizon]``."""
        start = past.values.shape[1]
        return (
            self.panel.values[:, start : start + self.contract.horizon]
            if steps_before_end
            else self.panel.values[:, :0]
        )


def history_cases(panel: Panel, codec: SeriesCodec) -> dict[str, Arrays]:
    """Histories as they are, few of them, longer and shorter ones, with gaps, all zero, from other days of the year."""
    arrays, contract, context = codec.encode_panel(panel).arrays, codec.contract, codec.context
    history, steps = arrays["history"], max(1, context // 4)
    gaps, short = history.copy(), history.copy()
    gaps[:, ::3] = np.nan
    short[:, :-steps] = np.nan
    wider = SeriesCodec(contract, max(context, panel.values.shape[1])).encode_panel(panel).arrays
    lengths = {c.name: steps + contract.horizon * (c in contract.ahead) for c in contract.covariates}
    shorter = {n: arrays[n][:, -length:] for n, length in lengths.items() if arrays[n].ndim > 1}
    name, quarter = last_of(contract), 91 * units_of_a_day(contract.frequency)
    cases: dict[str, Arrays] = {
        "real histories": arrays,
        "1 series": {n: values[:1] for n, values in arrays.items()},
        "3 series": {n: values[:3] for n, values in arrays.items()},
        "longer than the context": wider,
        "shorter than the context": arrays | shorter | {"history": history[:, -steps:]},
        "short, padded": arrays | {"history": short},
        "gaps": arrays | {"history": gaps},
        "all zero": arrays | {"history": np.zeros_like(history)},
        "other seasons": arrays | {name: arrays[name] + quarter},
    }
    if contract.minimum_history > SHORTEST:
        few = history.copy()
        few[::2, : 1 - contract.minimum_history] = np.nan
        few[::4, :-SHORTEST] = np.nan
        cases["some too short"] = arrays | {"history": few}
    if contract.covariates:
        cases["nothing known beside"] = arrays | {c.name: _nothing(arrays[c.name]) for c in contract.covariates}
    return cases


def _nothing(values: NDArray[Any]) -> NDArray[Any]:
    """As many missing values."""
    return np.full_like(values, "" if values.dtype == object else np.nan)


def _few_values(column: Column, planned: NDArray[Any]) -> list[tuple[float, str]]:
    """Values of a flag or of a few categories, and their texts; of another column none."""
    if column.kind == "category":
        return [(float(i), text) for i, text in enumerate(column.categories[:_FEW])]
    different = np.unique(planned[np.isfinite(planned)])
    return [(float(value), f"{value:g}") for value in different] if set(different) <= {0.0, 1.0} else []


def _as_arrays(made: Forecast) -> dict[str, Array]:
    """A yardstick's forecast as the metrics take it; its interval is that of its outermost quantiles."""
    quantiles = made.quantiles
    return {
        "prediction": made.point, "quantiles": quantiles, "lower": quantiles[..., 0], "upper": quantiles[..., -1],
    }  # fmt: skip
