"""The report of a demand run: scores, fan charts, words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.contract.signature import COVERAGE
from dxai.data.marks import drawn, marks
from dxai.data.windows import told
from dxai.learn.demand import MEDIAN, DemandTask
from dxai.metrics import METRICS
from dxai.record import figures
from dxai.record.demand_groups import error_by_group
from dxai.record.findings import Findings
from dxai.record.levels import levels_note, levels_table
from dxai.record.plan_effects import PlanEffect, plan_effects
from dxai.record.report import Figure, Report, Table, Verdict

_PAST_SHOWN = 4
"""Horizons of history before a fan."""

Array = NDArray[np.float32]


def demand_report(made: Findings[DemandTask]) -> Report:
    """Draw the figures and put the report together."""
    task = made.task
    effects = plan_effects(task, made.released) if task.contract.ahead else []
    return Report(
        title=f"{task.contract.title_en}: {task.settings.model.name}",
        verdict=Verdict.of(METRICS["wql"], "", made.scores),
        notes=(*_notes(made.scores), *levels_note(made.scores), *(effect.sentence for effect in effects)),
        scores=_score_table(task, made.scores, task.scores_by_plan(made.held_out)),
        figures=(*_draw(task, made.held_out, made.figures), *_draw_effects(effects, made.figures)),
        facts=made.facts,
        levels=levels_table(made.scores),
        groups=error_by_group(task, made.held_out),
    )


def _notes(scores: dict[str, Any]) -> tuple[str, ...]:
    model = scores["model"]
    median, mean = (f"{round(model[name] * 100) + 0.0:+.0f} %" for name in ("bias", "bias_of_mean"))
    return (
        f"The calibrated {COVERAGE:.0%} interval covers {model['coverage']:.0%} of held-out values.",
        f"The sum of the medians is {median} off the true total, the sum of the means {mean}: "
        "use the median for one product, the mean for totals and budgets.",
    )


def _score_table(task: DemandTask, scores: dict[str, Any], by_plan: dict[str, dict[str, float]]) -> Table:
    model, kind = scores["model"], task.settings.model.name
    mean = {"rmsse": model["rmsse_of_mean"], "bias": model["bias_of_mean"]}
    named = {f"{kind} (median)": model, f"{kind} (mean)": mean}
    named |= {f"{kind}, {name}": score for name, score in by_plan.items()}
    named |= {f"yardstick: {name}": score for name, score in scores["yardstick"].items()}
    origins = f"mean of {task.split.origins} origins" if task.split.origins > 1 else "one origin"
    first = f"{origins}, {task.contract.horizon} steps"
    names = [name for name in task.metrics if not name.endswith("_of_mean")]  # these have a row of their own
    return Table.of_scores(first, names, named, task.contract.target.unit)


def _draw(task: DemandTask, held_out: pl.DataFrame, folder: Path) -> tuple[Figure, ...]:
    target = task.contract.target
    countless = target.unit in ("1", "{unit}")
    label = figures.drawable(target.title_en.lower(), target.name) + ("" if countless else f" [{target.unit}]")
    fans = _fans(task, held_out)
    figures.fans(folder / "fans.png", fans, label=label)
    errors = _errors(task, held_out)
    figures.error_by_horizon(folder / "error_by_horizon.png", errors, label=f"mean absolute error, {label}")
    plots = task.plots(held_out)["calibration"]
    figures.calibration(folder / "calibration.png", plots["level"].to_list(), plots["share"].to_list())
    return (
        Figure(
            "fans.png",
            "Forecasts",
            "Best, median and worst series of the last origin by scaled error, among those that sold; of one series, "
            "the last three origins. Grey: the past. Dots: what happened. Bands: 20, 40, 60 and 80 % of what the model "
            "holds possible." + _marks_told(fans),
        ),
        Figure(
            "error_by_horizon.png",
            "Error by horizon",
            "Mean absolute error of all series, step by step, beside the yardsticks.",
        ),
        Figure(
            "calibration.png",
            "Calibration of the quantiles",
            "How many truths lie at or below each quantile. On the line the promise is kept; where many truths are "
            "zero, the low quantiles cannot lie below them and the curve starts high.",
        ),
    )


def _draw_effects(effects: list[PlanEffect], folder: Path) -> tuple[Figure, ...]:
    if not effects:
        return ()
    told = []
    for effect in effects:
        numbers = all(isinstance(value, float) for value in effect.values)
        texts = [figures.drawable(str(value), str(i)) for i, value in enumerate(effect.values)]
        title = figures.drawable(effect.column.title_en, effect.column.name)
        values = np.array(effect.values) if numbers else texts
        told.append(figures.Dependence(title, values, np.stack([effect.ratio, effect.low, effect.high], axis=1)))
    lines = ("all series", "10 % of resampled series", "90 %")
    figures.dependence(
        folder / "plans.png",
        told,
        label="forecast, times that at the first value",
        lines=lines,
        title="What the plan does",
    )
    return (
        Figure(
            "plans.png",
            "What the plan does",
            "The mean forecasts of the last horizon, summed, when every step ahead has the same value in one column, "
            "held against its first value. What moved together in the past is not told apart: this is no experiment.",
        ),
    )


def _fans(task: DemandTask, held_out: pl.DataFrame) -> list[figures.Fan]:
    """The best, the median and the worst series of the last origin; where there is but one, its last three origins."""
    tests = [f for f in task.folds if f.is_test]
    last, shown = tests[-1], _PAST_SHOWN * task.contract.horizon
    rows = {f.label: task.arrays(held_out, f) for f in tests[-3:]}
    before = {f.label: task.panel.until(f.origin, task.frequency) for f in tests[-3:]}
    found = rows[last.label]
    chosen = _best_median_worst(found["truth"], found["quantiles"][..., MEDIAN], before[last.label].values)
    picked = [(name, last.label, i) for name, i in chosen.items()]
    if len(set(chosen.values())) == 1:
        picked = [(f"origin {f.number + 1}", f.label, chosen["best"]) for f in tests[-3:]]
    charts = drawn([marks(before[label], task.contract, i, shown) for _, label, i in picked])
    return [
        figures.Fan(
            f"{name}: {figures.drawable(told(task.panel.ids[i]), f'series {i + 1}')}",
            before[label].values[i, -shown:],
            rows[label]["truth"][i],
            rows[label]["quantiles"][i],
            rows[label]["mean"][i],
            marked,
        )
        for (name, label, i), marked in zip(picked, charts, strict=True)
    ]


def _marks_told(fans: list[figures.Fan]) -> str:
    """What the bars above the charts are, and where they lie ahead."""
    if not any(fan.marks for fan in fans):
        return ""
    flags = ", ".join(each.column.title_en for each in fans[0].marks)
    ahead = "; ".join(
        f"{fan.title}: "
        + ", ".join(f"{each.column.title_en} at {each.ahead} of {len(fan.truth)}" for each in fan.marks)
        for fan in fans
    )
    return f" Bars above: steps at which a flag is 1 ({flags}); of the steps ahead: {ahead}."


def _best_median_worst(truth: Array, median: Array, past: Array) -> dict[str, int]:
    """Series by mean error over mean step-to-step change of their past; without those of which no sale was seen."""
    change = np.nanmean(np.abs(np.diff(past, axis=1)), axis=1)
    usable = np.flatnonzero((change > 0) & (np.nan_to_num(truth).max(axis=1) > 0))
    order = usable[np.argsort(np.nanmean(np.abs(truth - median)[usable], axis=1) / change[usable])]
    return {"best": int(order[0]), "median": int(order[len(order) // 2]), "worst": int(order[-1])}


def _errors(task: DemandTask, held_out: pl.DataFrame) -> dict[str, Array]:
    """Mean absolute error per step ahead of the model and of every yardstick, over series and origins."""
    folds = [f for f in task.folds if f.is_test]
    rows = {f.label: task.arrays(held_out, f) for f in folds}
    yard = {f.label: task.yardsticks(f) for f in folds}
    truth = np.concatenate([rows[f.label]["truth"] for f in folds])
    made = {f"{task.settings.model.name} (median)": [rows[f.label]["quantiles"][..., MEDIAN] for f in folds]}
    made |= {name: [yard[f.label][name].point for f in folds] for name in yard[folds[0].label]}
    return {name: np.nanmean(np.abs(truth - np.concatenate(each)), axis=0) for name, each in made.items()}
