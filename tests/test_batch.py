"""A typed frame becomes named arrays in contract order: float32 and text, gaps as NaN and ""."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from dxai.contract import Column, Contract
from dxai.data.batch import RowCodec, target_array


@pytest.fixture
def contract() -> Contract:
    def column(name: str, kind: str, role: str) -> Column:
        return Column.model_validate({"name": name, "kind": kind, "role": role, "title_en": name, "title_ko": "열"})

    columns = (
        column("water", "number", "feature"),
        column("plant", "category", "feature"),
        column("strength", "number", "target"),
    )
    return Contract(id="x", version="1", title_en="x", title_ko="엑스", purpose="test", task="quality", columns=columns)


@pytest.fixture
def frame() -> pl.DataFrame:
    return pl.DataFrame({"strength": [30.5, 41.0], "plant": ["부산", None], "water": [None, 162.5]})


def test_features_come_in_contract_order_without_the_target(frame: pl.DataFrame, contract: Contract) -> None:
    assert list(RowCodec(contract).encode(frame).arrays) == ["water", "plant"]


def test_numbers_are_float32_with_nan_for_missing(frame: pl.DataFrame, contract: Contract) -> None:
    water = RowCodec(contract).encode(frame).arrays["water"]
    assert water.dtype == np.float32
    np.testing.assert_array_equal(water, np.array([np.nan, 162.5], dtype=np.float32))


def test_categories_are_text_objects_with_an_empty_text_for_missing(frame: pl.DataFrame, contract: Contract) -> None:
    plant = RowCodec(contract).encode(frame).arrays["plant"]
    assert plant.dtype == object
    assert plant.tolist() == ["부산", ""]


def test_target_is_float32_in_row_order(frame: pl.DataFrame, contract: Contract) -> None:
    target = target_array(frame, contract)
    assert target.dtype == np.float32
    assert target.tolist() == [30.5, 41.0]


def test_column_of_gaps_only_keeps_its_type(contract: Contract) -> None:
    empty = pl.DataFrame(
        {"water": [None, None], "plant": [None, None]}, schema={"water": pl.Float64, "plant": pl.String}
    )
    arrays = RowCodec(contract).encode(empty).arrays
    assert np.isnan(arrays["water"].astype(float)).all()
    assert arrays["plant"].tolist() == ["", ""]


def test_frame_without_rows_gives_arrays_without_rows(frame: pl.DataFrame, contract: Contract) -> None:
    arrays = RowCodec(contract).encode(frame.clear()).arrays
    assert {name: (array.shape, array.dtype) for name, array in arrays.items()} == {
        "water": ((0,), np.dtype(np.float32)),
        "plant": ((0,), np.dtype(object)),
    }
