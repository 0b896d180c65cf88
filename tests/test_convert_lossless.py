"""Whatever a firm writes and however: the table holds the same, and converting the table changes nothing."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dxai.contract import Column, Contract
from dxai.data.output import write_table
from dxai.data.tables import read_blocks
from dxai.intake.convert import ConversionLog, convert
from dxai.intake.mapping import Mapping, mapping_of
from dxai.intake.order import arranged

FLAGS = [("1", "0"), ("1.0", "0.0"), (" 1", "0 ")]
NUMBERS = st.floats(-1e12, 1e12, allow_subnormal=False) | st.integers(-(10**9), 10**9).map(float)
Order = tuple[str, ...]
STAMPS = st.datetimes(datetime(1901, 1, 2), datetime(2099, 12, 30))
DAYS = st.dates(date(1901, 1, 1), date(2099, 12, 31))


def column(name: str, kind: str, role: str = "ignore", **more: object) -> Column:
    return Column(name=name, kind=kind, role=role, title_en=name, title_ko=name, **more)  # type: ignore[arg-type]


def contract(*columns: Column, **more: object) -> Contract:
    told = {"id": "t", "version": "1.0.0", "title_en": "T", "title_ko": "T", "purpose": "p", "task": "quality"}
    return Contract(**told | more, columns=columns)  # type: ignore[arg-type]


def converted(
    path: Path, of: Contract, mapping: Mapping, order: tuple[str, ...] = ()
) -> tuple[pl.DataFrame, list[str]]:
    """The table that the command writes, and what its log says was changed."""
    log, output = ConversionLog(), path.with_name("out.parquet")
    blocks = convert(read_blocks(path, mapping.file.dialect), of, mapping, log, where="t")
    write_table(arranged(blocks, of, log, output, order=order, once=False) if order else blocks, output)
    return pl.read_parquet(output), [change.what for change in log.changes]


def twice(text: str, of: Contract, told: dict[str, object], order: Order = ()) -> pl.DataFrame:
    """Convert a file, then its output: nothing may change; gives the table."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "raw.csv"
        path.write_text(text, "utf-8")
        table, _ = converted(path, of, Mapping.model_validate({"contract": "t", **told}), order)
        output = path.with_name("out.parquet")
        first = output.read_bytes()
        again, changes = converted(output, of, mapping_of(output, of), order)
        assert again.equals(table) and not changes and output.read_bytes() == first
    return table


def grouped(value: float, decimal: str, thousands: str) -> str:
    """A number with marks, every digit kept."""
    plain = f"{abs(value):.17g}"
    if "e" in plain:
        return f"{value!r}".replace(".", decimal)
    whole, _, fraction = plain.partition(".")
    sign = "-" if math.copysign(1, value) < 0 else ""
    return sign + f"{int(whole):,}".replace(",", thousands) + (decimal + fraction if fraction else "")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(NUMBERS | st.none(), min_size=1, max_size=12),
    st.sampled_from([(".", ","), (",", "."), (".", " "), (",", " "), (",", "'"), (".", ""), (",", "")]),
)
def test_numbers_with_marks(values: list[float | None], marks: tuple[str, str]) -> None:
    decimal, thousands = marks
    cells = ["-" if value is None else grouped(value, decimal, thousands) for value in values]
    of = contract(column("x", "number"), column("code", "category"))
    text = "x;code\n" + "".join(f"{cell};{i:04d}\n" for i, cell in enumerate(cells))
    file = {"delimiter": ";", "decimal": decimal, "thousands": thousands}
    columns = {"x": {"from": "x", "missing": ["-"]}, "code": {"from": "code"}}
    table = twice(text, of, {"file": file, "columns": columns})
    assert table["x"].to_list() == values
    assert table["code"].to_list() == [f"{i:04d}" for i in range(len(values))]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(DAYS, min_size=1, max_size=12),
    st.sampled_from(["%d.%m.%Y", "%m/%d/%Y", "%Y년 %m월 %d일", "%Y. %m. %d.", "%Y%m%d", "%d-%b-%Y"]),
)
def test_dates(days: list[date], written: str) -> None:
    text = "day;n\n" + "".join(f"{day.strftime(written)};1\n" for day in days)
    columns = {"day": {"from": "day", "date": written}, "n": {"from": "n"}}
    of = contract(column("day", "date"), column("n", "number"))
    assert twice(text, of, {"file": {"delimiter": ";"}, "columns": columns})["day"].to_list() == days


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.datetimes(datetime(1901, 1, 2), datetime(2099, 12, 30)), min_size=1, max_size=12), st.integers(-12, 14)
)
def test_stamps_with_an_offset(stamps: list[datetime], hours: int) -> None:
    stamps = [stamp.replace(microsecond=0) for stamp in stamps]
    text = "at;n\n" + "".join(f"{stamp:%Y-%m-%dT%H:%M:%S}{hours:+03d}:00;1\n" for stamp in stamps)
    columns = {"at": {"from": "at", "date": "%Y-%m-%dT%H:%M:%S%z"}, "n": {"from": "n"}}
    of = contract(column("at", "timestamp"), column("n", "number"), time_zone="UTC")
    table = twice(text, of, {"file": {"delimiter": ";"}, "columns": columns})
    assert table["at"].to_list() == [stamp - timedelta(hours=hours) for stamp in stamps]


@pytest.mark.parametrize(("source", "target"), [("kPa", "MPa"), ("Cel", "K"), ("[degF]", "Cel"), ("kgf/cm2", "kPa")])
@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.floats(-1e4, 1e4, allow_subnormal=False), min_size=1, max_size=8))
def test_units_there_and_back(source: str, target: str, values: list[float]) -> None:
    text = "x,n\n" + "".join(f"{value!r},1\n" for value in values)
    columns = {"x": {"from": "x", "unit": source}, "n": {"from": "n"}}
    there = twice(text, contract(column("x", "number", unit=target), column("n", "number")), {"columns": columns})
    back_text = there.write_csv(float_scientific=False)
    columns["x"]["unit"] = target
    back = twice(back_text, contract(column("x", "number", unit=source), column("n", "number")), {"columns": columns})
    assert back["x"].to_list() == pytest.approx(values, rel=1e-12, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=20), st.sampled_from([("1", "0"), ("1.0", "0.0"), (" 1", "0 ")])
)
def test_one_hot(picked: list[int], marks: tuple[str, str]) -> None:
    classes = ["Pastry", "긁힘", "K_Scatch", "a b"]
    rows = [[marks[int(i != pick)] for i in range(4)] for pick in picked]
    text = ",".join(["n", *classes]) + "\n" + "".join(",".join(["1", *row]) + "\n" for row in rows)
    of = contract(column("n", "number"), column("class", "category", categories=tuple(classes)))
    columns = {"n": {"from": "n"}, "class": {"one_hot": classes}}
    assert twice(text, of, {"columns": columns})["class"].to_list() == [classes[pick] for pick in picked]


def wide_text(series: list[list[int | None]], steps: list[str], gap: str) -> str:
    rows = [[f"{i:03d}", *(gap if v is None else str(v) for v in values)] for i, values in enumerate(series)]
    return "\n".join(",".join(row) for row in [["part", *steps], *rows]) + "\n"


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 14).flatmap(
        lambda n: st.lists(st.lists(st.none() | st.integers(0, 99), min_size=n, max_size=n), min_size=1, max_size=6)
    ),
    st.sampled_from(["", " ", "n/a"]),
    st.permutations(range(14)),
)
def test_wide_tables(series: list[list[int | None]], gap: str, places: list[int]) -> None:
    count = len(series[0])
    order = [place for place in places if place < count]
    months = [date(2020 + i // 12, 1 + i % 12, 1) for i in range(count)]
    text = wide_text([[v[i] for i in order] for v in series], [months[i].strftime("%b-%y") for i in order], gap)
    of = contract(
        column("part", "category", "series"), column("month", "date", "time"), column("units", "number", "target"),
        task="demand", frequency="monthly",
    )  # fmt: skip
    told = {
        "wide": {"columns": "[A-Z].*", "header": "%b-%y", "time": "month", "value": "units"}, "missing": ["n/a"],
        "columns": {name: {"from": name} for name in of.names},
    }  # fmt: skip
    table = twice(text, of, told, order=("part", "month"))
    expected = [
        (f"{i:03d}", end, value if value is None else float(value))
        for i, values in enumerate(series)
        for j, value in enumerate(values)
        if any(v is not None for v in values[: j + 1])
        and (end := (months[j].replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1))
    ]
    assert table.rows() == expected


def test_the_log_is_json(tmp_path: Path) -> None:
    path = tmp_path / "raw.csv"
    path.write_text('x,n\n"1,5",2\n')
    log = ConversionLog()
    told = {"contract": "t", "columns": {"x": {"from": "x", "decimal": ","}, "n": {"from": "n"}}}
    of = contract(column("x", "number"), column("n", "number"))
    list(convert(read_blocks(path), of, Mapping.model_validate(told), log, where="t"))
    assert json.loads(json.dumps(log.record())) == {
        "read": 1, "rows": 1,
        "changes": [{"column": "x", "what": "decimal mark and thousands separator", "count": 1,
                     "examples": [[2, "1,5", "1.5"]]}],
    }  # fmt: skip
