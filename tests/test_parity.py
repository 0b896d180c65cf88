"""Rows on which torch is held against ONNX Runtime."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from dxai.learn.rows import _with_gaps


@pytest.mark.parametrize(("features", "rows", "expected"), [(8, 206, 9 * 206), (475, 262, 476 * 21)])
def test_a_wide_table_is_not_copied_whole_for_each_column(features: int, rows: int, expected: int) -> None:
    """262 rows of 475 sensors, whole, made 125,000 rows and took 20 GB."""
    columns = [SimpleNamespace(name=f"c_{i}") for i in range(features)]
    contract: Any = SimpleNamespace(features=columns)
    frame = pl.DataFrame({column.name: [1.0] * rows for column in columns})
    gaps = _with_gaps(frame, contract)
    assert len(gaps) == expected
    assert all(gaps[name].null_count() == 2 * expected // (features + 1) for name in gaps.columns)
