"""Car parts, a home's appliances and a milling machine: their tables hold what the sources publish, and no leak."""

from __future__ import annotations

import hashlib
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from dxai.config.compose import settings_from
from dxai.config.settings import PublishedData
from dxai.data.prepare import prepare
from dxai.data.table import contract_of


def table_of(task: str, checkout: Path) -> pl.DataFrame:
    """The table of an experiment, made anew and held against its contract."""
    data = published(task, checkout)
    return prepare(checkout / data.place, data.recipe, contract_of(data, checkout))


def published(task: str, checkout: Path) -> PublishedData:
    data = settings_from([f"experiment={task}"], checkout=checkout).data
    assert isinstance(data, PublishedData)
    return data


@pytest.mark.parametrize("task", ["carparts", "appliances", "ai4i"])
def test_file_of_a_task_has_the_promised_bytes(task: str, checkout: Path) -> None:
    data = published(task, checkout)
    assert hashlib.sha256((checkout / data.place).read_bytes()).hexdigest() == data.sha256


def test_car_parts_have_the_published_counts(checkout: Path) -> None:
    table = table_of("carparts", checkout)
    assert (table["part"].n_unique(), table.height) == (2509, 2509 * 51)
    assert table.select("part", "month").is_unique().all()
    assert (table["month"].min(), table["month"].max()) == (date(1998, 1, 31), date(2002, 3, 31))
    assert table["month"].n_unique() == 51
    assert (table["units"].sum(), table["units"].max()) == (64_916, 52)


def test_car_parts_keep_the_months_of_each_part(checkout: Path, shared_data: Path) -> None:
    source = pl.read_csv(shared_data / "carparts_monthly_demand.csv", schema_overrides={"Part": pl.String})
    complete = source.drop_nulls().sort("Part")
    parts = table_of("carparts", checkout).group_by("part", maintain_order=True).agg("units")
    assert [(part, *units) for part, units in parts.iter_rows()] == complete.rows()


def test_appliances_are_whole_hours_of_the_source_with_the_weather_at_their_start(
    checkout: Path, shared_data: Path
) -> None:
    table = table_of("appliances", checkout)
    assert (table["hour"].min(), table["hour"].max()) == (datetime(2016, 1, 11, 17), datetime(2016, 5, 27, 17))
    assert table["hour"].diff().drop_nulls().unique().to_list() == [timedelta(hours=1)]
    source = pl.read_csv(shared_data / "appliances_energy_10min.csv.gz", try_parse_dates=True)
    hours = source.group_by_dynamic("date", every="1h").agg(
        pl.len(), pl.col("Appliances").sum().cast(pl.Float64),
        pl.col("T_out", "RH_out", "Windspeed", "Visibility", "Tdewpoint").first().cast(pl.Float64),
    )  # fmt: skip
    assert hours["len"].to_list() == [6] * 3289 + [1]
    assert table.drop("home").rows() == hours.head(3289).drop("len").rows()


def test_cuts_have_the_published_counts_and_no_column_that_tells_the_failure(checkout: Path) -> None:
    table = table_of("ai4i", checkout)
    assert dict(table["outcome"].value_counts().iter_rows()) == {"ok": 9661, "failure": 339}
    assert dict(table["type"].value_counts().iter_rows()) == {"L": 6000, "M": 2997, "H": 1003}
    features = {"type", "air_temperature", "process_temperature", "speed", "torque", "tool_wear"}
    assert set(table.columns) == features | {"tool", "outcome"}


def test_wear_grows_with_each_cut_of_a_tool(checkout: Path) -> None:
    table = table_of("ai4i", checkout)
    assert table["tool"].n_unique() == 120
    grows = table.group_by("tool").agg((pl.col("tool_wear").diff().drop_nulls() > 0).all().alias("grows"))
    assert grows["grows"].all()
    starts = table.group_by("tool", maintain_order=True).agg(pl.col("tool_wear").first())["tool_wear"]
    assert starts.unique().to_list() == [0]
