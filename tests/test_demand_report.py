"""The report of a demand run: which series it shows, and what it marks on them."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
from test_covariates import COLUMNS, HORIZON, START, contract, described, sales

from dxai.contract import Contract
from dxai.data.marks import Marks, flags, marks
from dxai.data.windows import Panel, to_panel
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


def test_fans_tell_of_their_flags_in_colour_and_in_words(tmp_path: Path) -> None:
    agreed, panel = flagged()
    nothing, quantiles = np.ones(HORIZON), np.ones((HORIZON, 9))

    def fan(of: tuple[Marks, ...]) -> Fan:
        return Fan("best: a", panel.values[3, -16:], nothing, quantiles, nothing, of)

    told = _marks_told([fan(marks(panel, agreed, 3, 16))])
    assert "a flag is 1 (Sale, Holiday)" in told and "best: a: Sale " in told and "Holiday 2." in told
    assert _marks_told([fan(())]) == ""
    for name, of in (("plain", ()), ("marked", marks(panel, agreed, 3, 16))):
        fans(tmp_path / f"{name}.png", [fan(of)], label="units")
    orange = np.array([0xC2, 0x57, 0x0C]) / 255
    plain, marked = (plt.imread(tmp_path / f"{name}.png")[..., :3] for name in ("plain", "marked"))
    assert (np.abs(marked - orange).max(axis=2) < 0.01).any() and not (np.abs(plain - orange).max(axis=2) < 0.01).any()
