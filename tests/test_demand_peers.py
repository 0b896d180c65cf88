"""Peers of benchmarks/demand.py: what they are given, and what is made of their answer."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl

from benchmarks import demand, demand_peers
from dxai.data.windows import Panel, to_panel

WEEKS = 12
AGREED = demand.contract(
    [
        demand.column("item", "series", "category"), demand.column("week", "time", "date"),
        demand.column("units", "target"), demand.column("price", "known_future"), demand.column("on", "open"),
    ],
    "weekly", 2, 52, minimum_history=1,
)  # fmt: skip


def panel() -> Panel:
    """Two series of twelve weeks: the first lacks its third week and is closed in its last, the second begins late."""
    rows = [
        (item, date(2024, 1, 7) + timedelta(weeks=week), 10.0 + week, float(week), float((item, week) != ("a", 11)))
        for item, first in (("a", 0), ("b", 5)) for week in range(first, WEEKS) if (item, week) != ("a", 2)
    ]  # fmt: skip
    table = pl.DataFrame(rows, schema=["item", "week", "units", "price", "on"], orient="row")
    return to_panel(table, AGREED, where="here")


def test_peers_see_nothing_of_the_target_after_the_origin_and_all_that_is_known_ahead() -> None:
    rows = demand._rows(AGREED, panel(), origin=2)
    ahead = rows.filter(pl.col("step") >= WEEKS - 2)
    assert ahead["value"].null_count() == len(ahead) == 4
    assert ahead["price"].to_list() == [10.0, 11.0] * 2
    assert ahead["date"].dt.date().to_list() == [date(2024, 3, 17), date(2024, 3, 24)] * 2
    past = rows.filter(pl.col("step") < WEEKS - 2)
    assert past.filter(pl.col("series") == 1)["value"].to_list() == [15.0, 16.0, 17.0, 18.0, 19.0]
    assert past.filter(pl.col("series") == 0)["value"].to_list()[1:4] == [11.0, None, 13.0]


def test_a_gap_holds_the_value_before_it_and_is_marked(tmp_path: Path) -> None:
    demand._rows(AGREED, panel(), origin=2).write_parquet(tmp_path / "0.parquet")
    about = {"horizon": 2, "season": 52, "known": ["price", "on"], "static": [], "categories": []}
    read = demand_peers.read(tmp_path / "0.parquet", about)
    gap = read.history[(read.history["unique_id"] == 0) & (read.history["ds"] == 2)].iloc[0]
    assert (gap["y"], gap["available_mask"]) == (11.0, 0.0)
    assert "y" not in read.future and len(read.future) == 4


def test_answers_find_their_series_and_one_without_a_history_gets_zero(tmp_path: Path) -> None:
    demand._rows(AGREED, panel(), origin=8).write_parquet(tmp_path / "0.parquet")
    about = {"horizon": 2, "season": 52, "known": ["price", "on"], "static": [], "categories": []}
    read = demand_peers.read(tmp_path / "0.parquet", about)
    said = pd.DataFrame({"unique_id": [0, 0], "ds": [5, 4], "mean": [6.0, 5.0]})
    cube = demand_peers.arranged(said, read, series=2)
    assert cube[0, :, -1].tolist() == [5.0, 6.0] and np.isnan(cube[0, :, :-1]).all()
    assert not cube[1].any()


def test_a_closed_step_of_the_horizon_is_marked() -> None:
    assert demand._closed(AGREED, panel(), origin=2).tolist() == [[False, True], [False, False]]
