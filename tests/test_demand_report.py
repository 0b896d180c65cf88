"""The report of a demand run: which series it shows."""

from __future__ import annotations

import numpy as np
import pytest

from dxai.record.demand_report import _best_median_worst

NONE = np.nan


@pytest.mark.filterwarnings("error")
def test_series_without_a_sale_to_compare_are_not_shown() -> None:
    """Nor warned of: a part whose last year is empty is usual."""
    past = np.array([[1.0, 3, 1, 3], [1, 3, 1, 3], [0, 4, 0, 4], [0, 4, NONE, 4], [1, 2, 1, 2]])
    truth = np.array([[2.0, 2], [NONE, NONE], [9, NONE], [5, 5], [0, 0]])
    shown = _best_median_worst(truth, np.full((5, 2), 2.0), past)
    assert shown == {"best": 0, "median": 3, "worst": 2}
