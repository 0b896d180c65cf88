"""What a report of classes says of probabilities that are worth nothing."""

from __future__ import annotations

import pytest

from dxai.record.class_report import _worthless


def test_probabilities_worse_than_the_shares_are_called_so() -> None:
    (told,) = _worthless(0.259, 0.217)
    assert "log loss 0.259 against 0.217. Do not act on them." in told


@pytest.mark.parametrize("log_loss", [0.046, 0.2169])
def test_better_ones_need_no_warning(log_loss: float) -> None:
    assert _worthless(log_loss, 0.217) == ()
