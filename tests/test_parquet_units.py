"""A unit in the metadata of a Parquet field is a unit of its header, at every door."""

from __future__ import annotations

import base64
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from conftest import MakeBundle

import dxai
from dxai.data.parquet_units import units_of_fields
from dxai.data.tables import read_blocks
from dxai.errors import DataError


def parquet(path: Path, **units: dict[str, str] | None) -> Path:
    """Five rows of numbers; fields with this metadata."""
    fields = [pa.field(name, pa.float64(), metadata=words) for name, words in units.items()]
    table = pa.table([[1.0, 2.0, 3.0, 4.0, 5.0]] * len(fields), schema=pa.schema(fields))
    pyarrow.parquet.write_table(table, path)
    return path


@pytest.mark.parametrize(
    ("words", "header"),
    [
        ({"unit": "℃"}, "x (℃)"), ({"units": "kg/m3"}, "x (kg/m3)"), ({"unit": " "}, "x"), ({"note": "kg"}, "x"),
        (None, "x"), ({"note": "first", "unit": "MPa"}, "x (MPa)"), ({"unit": "(%)"}, "x (%)"),
    ],
)  # fmt: skip
def test_a_field_that_names_its_unit_says_it_in_its_header(
    tmp_path: Path, words: dict[str, str] | None, header: str
) -> None:
    table = next(read_blocks(parquet(tmp_path / "t.parquet", x=words, y=None)))
    assert table.columns == [header, "y"]
    assert table[header].to_list() == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_unit_that_the_header_names_too_stands_there_once(tmp_path: Path) -> None:
    file = parquet(tmp_path / "t.parquet", **{"x (MPa)": {"unit": "MPa"}})
    assert next(read_blocks(file)).columns == ["x (MPa)"]


def test_two_columns_of_one_name_with_their_units_are_refused(tmp_path: Path) -> None:
    file = parquet(tmp_path / "t.parquet", **{"x": {"unit": "MPa"}, "x (MPa)": None})
    with pytest.raises(DataError, match=r"Two columns are 'x \(MPa\)' with their units"):
        next(read_blocks(file))


def test_a_schema_that_cannot_be_read_names_nothing(tmp_path: Path) -> None:
    whole = parquet(tmp_path / "t.parquet", x={"unit": "MPa"}, y={"unit": "kg"})
    assert units_of_fields(whole) == {"x": "MPa", "y": "kg"}
    content = base64.b64decode(pl.read_parquet_metadata(whole)["ARROW:schema"])
    frame = pl.DataFrame({"x": [1.0]})
    damaged = [content[:length] for length in range(len(content))]
    damaged += [
        content[:i] + bytes([content[i] ^ flip]) + content[i + 1 :] for i in range(len(content)) for flip in (1, 255)
    ]
    file, seen = tmp_path / "rows.parquet", []
    for schema in [content, *damaged[::7], b""]:
        frame.write_parquet(file, metadata={"ARROW:schema": base64.b64encode(schema).decode()})
        seen.append(units_of_fields(file))
    assert seen[0] == {"x": "MPa", "y": "kg"}
    assert seen.count({}) > len(seen) / 2
    frame.write_parquet(file, metadata={"ARROW:schema": "no base64 ~"})
    assert units_of_fields(file) == {}


@pytest.mark.process
def test_a_model_is_told_the_unit_of_the_metadata(make_bundle: MakeBundle, tmp_path: Path) -> None:
    """The contract has MPa: the same unit goes on, another of its dimension and one of another are refused."""
    model = dxai.load(make_bundle(tmp_path / "bundle"), unsigned=True)
    frames = {}
    for unit in ("MPa", "kPa", "kg"):
        file = parquet(tmp_path / f"{unit}.parquet", pressure={"unit": unit}, melt=None)
        frames[unit] = next(read_blocks(file)).with_columns(pl.lit("부산").alias("plant"))
    assert len(model.predict(frames["MPa"])) == 5
    for unit in ("kPa", "kg"):
        with pytest.raises(DataError, match=unit):
            model.predict(frames[unit])
