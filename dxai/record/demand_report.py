"""The report of a demand run: scores, fan charts, words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.learn.demand import DemandTask
from dxai.learn.metrics import COVERAGE
from dxai.learn.yardsticks import DEMAND
from dxai.record import figures
from dxai.record.report import Figure, Report, Table, Verdict

_PAST_SHOWN = 2
"""Seasons of history before a fan, at most."""


def demand_report(
    task: DemandTask, held_out: pl.DataFrame, scores: dict[str, Any], facts: tuple[tuple[str, str], ...], folder: Path
) -> Report:
    """Draw the figures into ``folder`` and put the report together.

    Args:
        task: The table and its origins.
        held_out: Held-out forecasts of all origins.
        scores: Of `DemandTask.scores`.
        facts: What made the run.
        folder: Gets the PNG files.
    """
    yardsticks = {name: score["wql"] for name, score in scores["yardstick"].items()}
    return Report(
        title=f"{task.contract.title_en}: {task.settings.model.kind}",
        verdict=Verdict.against_best("WQL", "", scores["model"]["wql"], yardsticks),
        notes=_notes(task, scores),
        scores=_score_table(task, scores),
        figures=_draw(task, held_out, folder),
        facts=facts,
    )


def _notes(task: DemandTask, scores: dict[str, Any]) -> tuple[str, ...]:
    model = scores["model"]
    return (
        f"The calibrated {COVERAGE:.0%} interval covers {model['coverage']:.0%} of held-out values.",
        f"The sum of the medians is {_signed(model['bias'])} off the true total, the sum of the means {_signed(model['bias_of_mean'])}: "
        "use the median for one product, the mean for totals and budgets.",
    )


def _signed(share: float) -> str:
    return f"{share * 100:+.0f} %"


def _score_table(task: DemandTask, scores: dict[str, Any]) -> Table:
    model = scores["model"]
    named = {
        f"{task.settings.model.kind} (median)": model,
        **{f"yardstick: {k}": v for k, v in scores["yardstick"].items()},
    }
    names = ("wql", "wape", "mase", "rmsse", "bias", "coverage", "width")
    rows = [(name, *(_cell(metric, s[metric]) for metric in names)) for name, s in named.items()]
    mean = (
        f"{task.settings.model.kind} (mean)",
        "",
        "",
        "",
        _cell("rmsse", model["rmsse_of_mean"]),
        _cell("bias", model["bias_of_mean"]),
        "",
        "",
    )
    origins = f"mean of {task.split.origins} origins" if task.split.origins > 1 else "one origin"
    head = (
        f"{origins}, {task.contract.horizon} steps",
        "WQL",
        "WAPE",
        "MASE",
        "RMSSE",
        "bias",
        "coverage (80 %)",
        "width",
    )
    return Table(head, (rows[0], mean, *rows[1:]))


def _cell(metric: str, value: float) -> str:
    if metric == "coverage":
        return f"{value:.1%}"
    return {"bias": f"{value:+.3f}", "width": f"{value:.0f}"}.get(metric, f"{value:.3f}")


def _draw(task: DemandTask, held_out: pl.DataFrame, folder: Path) -> tuple[Figure, ...]:
    target, last = task.contract.target, [f for f in task.folds if f.is_test][-1]
    label = (
        f"{target.title_en.lower()} [{target.unit}]" if target.unit not in ("1", "{unit}") else target.title_en.lower()
    )
    rows = task.arrays(held_out, last)
    past = task.panel.until(last.origin, task.frequency).values
    chosen = _best_median_worst(np.abs(rows["truth"] - rows["quantiles"][..., 4]), past)
    charts = [
        (
            f"{name}: {task.panel.ids[i]}",
            past[i, -_PAST_SHOWN * task.contract.season :],
            rows["truth"][i],
            rows["quantiles"][i],
            rows["mean"][i],
        )
        for name, i in chosen.items()
    ]
    figures.fans(folder / "fans.png", charts, label=label)
    figures.error_by_horizon(
        folder / "error_by_horizon.png", _errors(task, held_out), label=f"mean absolute error, {label}"
    )
    plots = task.plots(held_out)["calibration"]
    figures.calibration(folder / "calibration.png", plots["level"].to_list(), plots["share"].to_list())
    return (
        Figure("fans.png", "Forecasts of three series", "Best, median and worst series of the last origin by scaled error. Grey: the past. Dark line with dots: what happened. Bands: 20, 40, 60 and 80 % of what the model holds possible."),
        Figure("error_by_horizon.png", "Error by horizon", "Mean absolute error of all series, step by step, beside the yardsticks."),
        Figure("calibration.png", "Calibration of the quantiles", "How many truths lie at or below each quantile, zeros counted as below. On the line the promise is kept."),
    )  # fmt: skip


def _best_median_worst(error: NDArray[np.float32], past: NDArray[np.float32]) -> dict[str, int]:
    """Series by their mean error over the mean step-to-step change of their past."""
    change = np.nanmean(np.abs(np.diff(past, axis=1)), axis=1)
    order = np.argsort(np.where(change > 0, error.mean(axis=1) / np.maximum(change, 1e-9), np.nan))
    usable = int((change > 0).sum())
    return {"best": int(order[0]), "median": int(order[usable // 2]), "worst": int(order[usable - 1])}


def _errors(task: DemandTask, held_out: pl.DataFrame) -> dict[str, NDArray[np.float32]]:
    """Mean absolute error per step ahead of the model and of every yardstick, over series and origins."""
    folds = [f for f in task.folds if f.is_test]
    rows = {f.label: task.arrays(held_out, f) for f in folds}
    yard = {f.label: task.yardsticks(f) for f in folds}
    ours = np.mean([np.abs(r["truth"] - r["quantiles"][..., 4]).mean(axis=0) for r in rows.values()], axis=0)
    others = {
        name: np.mean([np.abs(rows[f.label]["truth"] - yard[f.label][name].point).mean(axis=0) for f in folds], axis=0)
        for name in DEMAND
    }
    return {f"{task.settings.model.kind} (median)": ours, **others}
