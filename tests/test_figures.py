"""Pictures of reports say what they are made of, whatever the size of the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dxai.record import figures


@pytest.mark.parametrize(
    ("scale", "labels"),
    [
        (100, ["0 to 20", "20 to 40", "40 to 60", "60 to 80", "80 to 100"]),
        (0.05, ["0.000 to 0.010", "0.010 to 0.020", "0.020 to 0.030", "0.030 to 0.040", "0.040 to 0.050"]),
    ],
)
def test_every_fifth_of_the_predictions_has_a_bar_and_a_label_of_its_own(
    scale: float, labels: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    canvas = figures.canvas

    @contextmanager
    def seen(*words: Any, **settings: Any) -> Iterator[Any]:
        with canvas(*words, **settings) as panels:
            yield panels
            drawn.extend((bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in panels[0].patches)
            drawn.append([label.get_text() for label in panels[0].get_xticklabels()])

    monkeypatch.setattr(figures, "canvas", seen)
    prediction = np.linspace(0, 1, 501) * scale
    held = np.arange(501) >= 250  # the larger half keeps the promise
    truth = np.where(held, prediction, prediction + 2 * scale)
    reach = np.full(501, 0.1 * scale)
    figures.coverage_by_size(
        tmp_path / "a.png", truth, prediction, prediction - reach, prediction + reach, promised=0.8, unit="1"
    )
    *bars, told = drawn
    assert told == labels
    assert [round(place, 6) for place, _ in bars] == [0, 1, 2, 3, 4]
    assert [round(height, 1) for _, height in bars] == [0, 0, 0.5, 1, 1]
