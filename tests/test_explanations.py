"""Explanations add up: Shapley values to the score, partial dependence to means; drift is told when it is there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from test_own_data import castings, quality
from test_portfolio import rows, task_of

from dxai.config.compose import settings_from
from dxai.contract import parse_contract
from dxai.learn.drift import drift_of
from dxai.learn.families import task_for
from dxai.learn.portfolio import Portfolio
from dxai.record.drift import drift_note


@pytest.mark.parametrize("members", [("boosted",), ("boosted_pairs",), ("boosted", "boosted_pairs", "boosted_random")])
def test_contributions_add_up_to_the_answer(members: Any) -> None:
    told, _ = rows()
    made = Portfolio(numbers=3, cardinalities=[4], outputs=1, members=members)
    some = np.arange(0, 300, 7)
    made.fit(replace(told, explained=some))
    assert made.explained.tolist() == some.tolist()
    assert made.contributions.shape == (len(some), 4, 1)
    with torch.inference_mode():
        answers = made(*told.inputs).mean(dim=1)[some, 0].numpy()
    rest = answers - made.contributions.sum(dim=1)[:, 0].numpy()
    assert np.ptp(rest) < 1e-4, "what is left is the same for all rows"
    weight = np.abs(made.contributions[:, :, 0].numpy()).mean(axis=0)
    assert weight[2] < min(weight[0], weight[1], weight[3]), "the useless column brings least"


def test_folds_that_are_tested_are_not_explained(checkout: Path) -> None:
    task = task_of("number", checkout, "boosted")
    tested, released = (task.fit(fold)[0].network for fold in (task.folds[0], task.folds[-1]))
    assert not len(tested.contributions)
    assert len(released.contributions) == len(task.table)


@pytest.mark.parametrize("kind", ["number", "two", "three"])
def test_partial_dependence_is_the_mean_answer_with_one_column_held(kind: str, checkout: Path) -> None:
    task = task_of(kind, checkout, "boosted")
    predictors = {fold.label: task.fit(fold)[0].eval() for fold in task.honest}
    task.calibrate(predictors | {"final": task.fit(task.folds[-1])[0]})
    found = task.dependence(predictors, ["pressure", "plant"])
    for name, (values, answers) in found.items():
        assert len(values) == len(answers)
        held = []
        for fold in task.honest:
            columns = task._take(fold.rows.test)
            columns[name] = torch.full_like(columns[name], values[1].item())
            held.append(task.levels(task.answers(predictors[fold.label], columns)).mean(axis=0))
        np.testing.assert_allclose(answers[1], np.mean(held, axis=0), rtol=1e-4)


def ordered(table: pl.DataFrame, checkout: Path) -> Any:
    words = ["experiment=quality", "split=ordered", "split.folds=3", "model=ridge"]
    return task_for(parse_contract(quality("ordered"), where=""), table, settings_from(words, checkout=checkout))


def test_drift_is_told_of_rows_that_move_and_of_no_others(checkout: Path) -> None:
    table = castings(240)
    still = drift_of(ordered(table, checkout))
    assert still is not None
    assert not still.is_large
    hotter = table.with_columns(heat=pl.col("heat") + pl.int_range(pl.len()) * 1.0)
    task = ordered(hotter, checkout)
    moved = drift_of(task)
    assert moved is not None
    assert moved.is_large
    assert moved.columns[0][0] == "heat"
    scores = {"model": {"rmse": 2.0}, "yardstick": {"mean": {"rmse": 4.0}, "linear": {"rmse": 3.0}}}
    (note,) = drift_note(task, scores)
    assert "Heat (" in note
    assert "RMSE 2.00 beside 3.00 of linear" in note


def test_a_target_that_moves_alone_is_told(checkout: Path) -> None:
    table = castings(240).with_columns(weight=pl.col("weight") + pl.int_range(pl.len()) * 0.05)
    found = drift_of(ordered(table, checkout))
    assert found is not None
    assert found.shift > 1
    assert found.is_large


def test_random_and_grouped_splits_have_no_later_rows(checkout: Path) -> None:
    assert drift_of(task_of("number", checkout, "ridge")) is None
