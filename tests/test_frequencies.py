"""Demand of hours and of days, from a firm's file to a forecast at every door."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest
from test_own_data import dxai

from dxai.learn.transform import Calendar


def sales(step: timedelta, steps: int) -> pl.DataFrame:
    """Three shops whose demand repeats itself by the day and the week."""
    times = [datetime(2024, 3, 1) + step * i for i in range(steps)]
    wave = [10 + 6 * np.sin(2 * np.pi * t.hour / 24) + 3 * (t.weekday() > 4) for t in times]
    frames = [
        pl.DataFrame({"shop": f"S{s}", "time": times, "sold": [round((s + 1) * w, 2) for w in wave]}) for s in range(3)
    ]
    return pl.concat(frames)


def test_a_calendar_of_hours_repeats_itself_by_the_day_and_the_week() -> None:
    import torch

    calendar = Calendar(horizon=200, step=1.0, harmonics=1, dropout=0.0, day=24, cycles=((24, 1), (168, 1)))
    (made,) = calendar(torch.tensor([475_000]))
    assert made.shape == (200, calendar.width)
    day, week = made[:, [1, 4]], made[:, [2, 5]]
    assert day[24:] == pytest.approx(day[:-24], abs=1e-4)
    assert week[168:] == pytest.approx(week[:-168], abs=1e-4)
    assert (day[12:-12] - day[:-24]).abs().max() > 1
    later = calendar(torch.tensor([475_000 + 5]))[0]
    assert later[:-5] == pytest.approx(made[5:], abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unit", "kind", "stamp"), [("hours", "hourly", "%Y-%m-%d %H:%M"), ("days", "daily", "%Y-%m-%d")]
)
def test_a_firms_own_hours_or_days_become_a_forecast(
    unit: str,
    kind: str,
    stamp: str,
    workplace: Path,
    tmp_path: Path,
) -> None:
    step = timedelta(**{unit: 1})
    table = sales(step, 24 * 35 if unit == "hours" else 140)
    file = tmp_path / "sales.csv"
    table.with_columns(pl.col("time").dt.strftime(stamp)).write_csv(file)
    words = ["--kind", "demand", "--series", "shop", "--time", "time", "-t", "sold", "--horizon", "14", "--yes"]
    dxai(workplace, "data", "init", str(file), *words, "--to", "sales")
    assert f"{{property: frequency, value: {kind}}}" in (workplace / "sales/contract.yaml").read_text("utf-8")
    dxai(
        workplace,
        "data",
        "convert",
        str(file),
        "-c",
        "sales/contract.yaml",
        "-m",
        "sales/mapping.yaml",
        "-o",
        "sales/table.parquet",
    )
    told = dxai(workplace, "train", "data=./sales", "model=dlinear", "trainer.max_epochs=3", "split.origins=2")
    run = next(line.split()[-3] for line in told.splitlines() if "dxai release" in line)
    dxai(workplace, "release", run, "--to", "models/sales")
    dxai(workplace, "predict", "models/sales", str(file), "-o", str(tmp_path / "out.csv"), "--unsigned")
    answers = pl.read_csv(tmp_path / "out.csv", try_parse_dates=True)
    assert len(answers) == 3 * 14
    first = answers.filter(pl.col("shop") == "S0")["time"].to_list()
    last = table["time"].max()
    assert isinstance(last, datetime)
    expected = [last + step * (i + 1) for i in range(14)]
    assert first == (expected if unit == "hours" else [moment.date() for moment in expected])
    inputs = onnx.load(workplace / "models/sales/model.onnx").graph.input
    assert [given.name for given in inputs] == ["history", f"last_{unit[:-1]}"]
