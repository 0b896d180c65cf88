"""The report of a demand run: which series it shows, what it marks on them, and where the error is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
from test_covariates import COLUMNS, HORIZON, START, contract, described, sales

from dxai.config.compose import settings_from
from dxai.contract import Contract
from dxai.data.marks import Marks, drawn, flags, marks
from dxai.data.windows import Panel, to_panel
from dxai.learn.demand import QUANTILE_COLUMNS, DemandTask
from dxai.learn.families import task_for
from dxai.record.demand_groups import _table, error_by_group
from dxai.record.demand_report import _best_median_worst, _marks_told
from dxai.record.figures import Fan, fans

NONE = np.nan


@pytest.mark.filterwarnings("error")
def test_series_without_a_sale_to_compare_are_not_shown() -> None:
    """Nor warned of: a part whose last year is empty is usual."""
    past = np.array([[1.0, 3, 1, 3], [1, 3, 1, 3], [0, 4, 0, 4], [0, 4, NONE, 4], [1, 2, 1, 2]])
    truth = np.array([[2.0, 2], [NONE, NONE], [9, NONE], [5, 5], [0, 0]])
    shown = _best_median_worst(truth, np.full((5, 2), 2.0), past)
    assert shown == {"best": 0, "median": 3, "worst": 2}


def flagged() -> tuple[Contract, Panel]:
    """A sale where there is a flyer, and a holiday in the last week before the forecast and in the two after it."""
    agreed = contract(columns=[*COLUMNS, *(described(name, "number", "known_future") for name in ("sale", "holiday"))])
    week = (pl.col("week") - START).dt.total_days() // 7
    table = sales().with_columns(
        sale=(pl.col("promo") == "flyer").cast(pl.Float64), holiday=week.is_in([5, 85, 86, 87]).cast(pl.Float64)
    )
    return agreed, to_panel(table, agreed, where="x").until(HORIZON, "weekly")


def test_flags_that_are_known_ahead_are_marked_on_both_sides_of_the_origin() -> None:
    agreed, panel = flagged()
    assert [column.name for column in flags(panel, agreed)] == ["sale", "holiday"]
    sale, holiday = marks(panel, agreed, 3, 16)
    assert holiday.runs == ((0, 2),) and holiday.ahead == 2
    known = panel.beside["sale"][3, -16 - HORIZON :]
    marked = {step for first, last in sale.runs for step in range(first, last + 1)}
    assert marked == set((np.flatnonzero(known == 1) - 15).tolist())
    assert marks(panel, agreed, 3, 1000)[1].runs == ((-80, -80), (0, 2))


def test_flags_without_a_step_on_any_of_the_charts_have_no_row_in_the_legend() -> None:
    sale, holiday = marks(*reversed(flagged()), 3, 16)
    never = replace(sale, runs=())
    assert drawn([(never, holiday), (sale, holiday)]) == [(never, holiday), (sale, holiday)]
    assert drawn([(never, holiday), (never, holiday)]) == [(holiday,), (holiday,)]
    assert drawn([(), ()]) == [(), ()] and drawn([]) == []


def test_fans_tell_of_their_flags_in_colour_and_in_words(tmp_path: Path) -> None:
    agreed, panel = flagged()
    nothing, quantiles = np.ones(HORIZON), np.ones((HORIZON, 9))

    def fan(of: tuple[Marks, ...]) -> Fan:
        return Fan("best: a", panel.values[3, -16:], nothing, quantiles, nothing, of)

    told = _marks_told([fan(marks(panel, agreed, 3, 16))])
    assert "a flag is 1 (Sale, Holiday)" in told and "best: a: Sale at " in told and "Holiday at 2 of 4." in told
    assert _marks_told([fan(())]) == ""
    for name, of in (("plain", ()), ("marked", marks(panel, agreed, 3, 16))):
        fans(tmp_path / f"{name}.png", [fan(of)], label="units")
    orange = np.array([0xC2, 0x57, 0x0C]) / 255
    plain, marked = (plt.imread(tmp_path / f"{name}.png")[..., :3] for name in ("plain", "marked"))
    assert (np.abs(marked - orange).max(axis=2) < 0.01).any() and not (np.abs(plain - orange).max(axis=2) < 0.01).any()


def test_error_by_store_product_and_group_is_told_the_worst_first(checkout: Path) -> None:
    table = sales().with_columns(
        shelf=pl.when(pl.col("product") == "juice").then(pl.lit("warm")).otherwise(pl.lit("cold"))
    )
    agreed = contract(columns=[*COLUMNS, described("shelf", "string", "static", ("warm", "cold", "frozen"))])
    words = ["experiment=demand", "model=trees", "split.origins=2"]
    task = task_for(agreed, table.with_columns(pl.col("week").cast(pl.Date)), settings_from(words, checkout=checkout))
    assert isinstance(task, DemandTask)
    off = np.array([{"north": 1.0, "south": 1.5, "east": 0.9}[name.split("\x1f")[0]] for name in task.panel.ids])
    frames = []
    for fold in (fold for fold in task.folds if fold.is_test):
        truth = task.panel.values[:, task.panel.values.shape[1] - fold.origin :][:, :HORIZON]
        answer = (np.nan_to_num(truth) * off[:, None]).ravel()
        made = dict.fromkeys(("mean", "lower", "upper", *QUANTILE_COLUMNS), answer)
        frames.append(pl.DataFrame({"fold": np.full(truth.size, fold.number), "truth": truth.ravel(), **made}))
    stores, products, shelves = error_by_group(task, pl.concat(frames))
    assert stores.head == ("Store", "WQL", "WAPE", "bias", "series")
    # All quantiles are the same number, so that the loss of a level and its opposite is the absolute error.
    assert stores.rows == (
        ("south", "0.500", "0.500", "+50.0%", "4"), ("east", "0.100", "0.100", "-10.0%", "4"),
        ("north", "0.000", "0.000", "+0.0%", "4"),
    )  # fmt: skip
    assert [row[-1] for row in products.rows] == ["3"] * 4
    assert [(row[0], row[-1]) for row in shelves.rows] in (
        [("warm", "3"), ("cold", "9")],
        [("cold", "9"), ("warm", "3")],
    )


def test_many_groups_are_six_and_the_others_and_one_without_demand_is_none() -> None:
    truth = np.repeat(np.arange(10.0)[:, None], HORIZON, axis=1).repeat(2, axis=0)
    fold = {"truth": truth, "quantiles": np.repeat((truth + 1)[..., None], 9, axis=2)}
    table = _table("Store", np.array([f"s{i}" for i in range(10)], dtype=object).repeat(2), [fold])
    assert table is not None
    assert [row[0] for row in table.rows] == ["s1", "s2", "s3", "s4", "s5", "s6", "3 others"]
    assert table.rows[-1] == ("3 others", "0.125", "0.125", "+12.5%", "6")
    alike = np.array([f"s{i}" for i in range(20)], dtype=object)
    assert _table("Store", alike, [fold]) is None and _table("Store", np.full(20, "s"), [fold]) is None
