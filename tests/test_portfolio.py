"""A portfolio is fitted by itself, keeps its answers in its state and in its graph, and beats each part of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold
from test_classification import CLASSES, castings, contract_of, settings
from torch import Tensor

from dxai.contract import Contract
from dxai.errors import SettingsError
from dxai.inference.model import Model
from dxai.learn import members, portfolio_fit
from dxai.learn.families import task_for
from dxai.learn.fitting import FitRows
from dxai.learn.members import TITLES
from dxai.learn.portfolio import Member, Portfolio
from dxai.learn.predictor import RowPredictor
from dxai.learn.rows import row_cases
from dxai.networks import process as process_module
from dxai.networks.columns import Pairs, RawColumns
from dxai.networks.process import GaussianProcess
from dxai.ship.export import export
from dxai.ship.parity import parity


def weights_of(classes: tuple[str, ...]) -> tuple[Contract, pl.DataFrame]:
    """Castings whose target is a number; without classes in the contract."""
    table = castings(CLASSES["two"], 160)
    pressure, melt = table["pressure"].fill_null(60), table["melt"].fill_null(700)
    weight = (pressure * 0.2 + (melt - 700) * 0.1 + np.random.default_rng(1).normal(0, 1, len(table))).alias("fault")
    made = contract_of(classes)
    target = made.target.model_copy(update={"kind": "number", "categories": (), "unit": "kg"})
    told = made.model_dump() | {"columns": (*made.columns[:-1], target)}
    return Contract.model_validate(told), table.with_columns(weight)


def task_of(kind: str, checkout: Path, *members: str) -> Any:
    """A task of castings, fitted by these members."""
    chosen = settings(checkout, "model=portfolio", "budget=quick", f"model.members=[{','.join(members)}]")
    if kind == "number":
        return task_for(*weights_of(CLASSES["two"]), chosen)
    return task_for(contract_of(CLASSES[kind]), castings(CLASSES[kind], 160), chosen)


def fitted(task: Any) -> RowPredictor:
    """The released model of a task; how it is calibrated, other tests ask."""
    predictor: RowPredictor = task.fit(task.folds[-1])[0].eval()
    return predictor


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("kind", ["number", "two", "three"])
@pytest.mark.parametrize("member", ["boosted_pairs", "extra_trees", "line", "gaussian_process"])
def test_every_part_has_a_graph_that_repeats_it(kind: str, member: str, checkout: Path) -> None:
    if member == "line":
        member = "ridge" if kind == "number" else "logistic"
    task = task_of(kind, checkout, member)
    predictor = fitted(task)
    assert predictor.network.members == {TITLES[member]: Member(1.0, 0.0, None)}
    model = Model(export(predictor, task.contract), task.contract)
    proof = parity(predictor, row_cases(task.golden_rows(), task.contract), model, scale=task.spread, tolerance=1e-4)
    assert proof.worst < 5e-5


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("kind", ["number", "two", "three"])
def test_a_portfolio_of_several_is_the_same_again_stored_and_in_its_graph(kind: str, checkout: Path) -> None:
    line = "ridge" if kind == "number" else "logistic"
    task = task_of(kind, checkout, line, "boosted", "boosted_pairs", "extra_trees", "gaussian_process")
    predictor = fitted(task)
    assert sum(member.weight for member in predictor.network.members.values()) == pytest.approx(1)
    graph = export(predictor, task.contract)
    assert export(task.restored(predictor.state_dict()), task.contract) == graph
    assert task.restored(predictor.state_dict()).network.members == predictor.network.members
    again, _ = task.fit(task.folds[-1])
    first = predictor.network.state_dict()
    for name, value in again.network.state_dict().items():
        torch.testing.assert_close(value, first[name], rtol=0, atol=0, equal_nan=True, msg=name)
    cases = row_cases(task.golden_rows(), task.contract)
    model = Model(graph, task.contract)
    assert parity(predictor, cases, model, scale=task.spread, tolerance=1e-4).worst < 5e-5


@pytest.mark.parametrize("kind", ["number", "three"])
def test_yardsticks_are_the_same_beside_every_model(kind: str, checkout: Path) -> None:
    """A portfolio takes gaps as they are; a line beside it gets them filled, as beside a network."""
    portfolio = task_of(kind, checkout, "boosted")
    network = type(portfolio)(portfolio.contract, portfolio.table, settings(checkout, "model=mlp"))
    assert portfolio.table.select(pl.all().is_null().any()).row(0).count(True) > 0
    one, other = (task._yardstick_scores() for task in (portfolio, network))
    assert one == other


def rows(count: int = 300, **more: Any) -> tuple[FitRows, Tensor]:
    """A product of two columns, a category that shifts it, a useless column."""
    draw = torch.Generator().manual_seed(0)
    numbers = torch.randn(count, 3, generator=draw)
    kinds = torch.randint(0, 4, (count, 1), generator=draw)
    target = numbers[:, 0] * numbers[:, 1] + kinds[:, 0] + 0.1 * torch.randn(count, generator=draw)
    return FitRows((numbers, kinds), target, torch.nn.functional.mse_loss, 0, **more), target


def said(portfolio: Portfolio, told: FitRows) -> NDArray[np.float32]:
    with torch.inference_mode():
        return portfolio(*told.inputs).mean(dim=1)[:, 0].numpy()


def test_pairs_are_found_where_two_columns_work_together() -> None:
    told, _ = rows()
    made = Portfolio(numbers=3, cardinalities=[4], outputs=1, members=("boosted", "boosted_pairs"))
    made.fit(told)
    assert made.members[TITLES["boosted_pairs"]].weight > 0.8
    assert made.members[TITLES["boosted"]].alone > made.members[TITLES["boosted_pairs"]].alone
    assert [0, 1] in made.pairs.times.tolist()


def test_groups_stay_on_one_side_of_the_inner_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    split = GroupKFold.split

    def watched(self: GroupKFold, *args: Any, **more: Any) -> Any:
        for train, test in split(self, *args, **more):
            seen.append((train, test))
            yield train, test

    monkeypatch.setattr(GroupKFold, "split", watched)
    groups = np.arange(300) // 4
    Portfolio(numbers=3, cardinalities=[4], outputs=1, members=("ridge",)).fit(rows(groups=groups)[0])
    assert len(seen) == 5
    assert not any(set(groups[train]) & set(groups[test]) for train, test in seen)


def test_in_time_order_only_earlier_rows_are_asked_about_later_ones() -> None:
    """The target turns round halfway: only a fold that looks ahead could know."""
    told, target = rows(times=np.arange(300))
    turned = FitRows(told.inputs, torch.where(torch.arange(300) < 150, target, -target), told.loss, 0, None, told.times)
    made = Portfolio(numbers=3, cardinalities=[4], outputs=1, members=("ridge", "boosted"))
    made.fit(turned)
    assert sum(member.weight for member in made.members.values()) == pytest.approx(1)


@pytest.mark.parametrize("member", ["ridge", "boosted", "boosted_pairs", "boosted_random", ""])
def test_a_set_direction_is_kept_against_the_rows(member: str) -> None:
    """The target falls with the first column: held up, no prediction falls with it; the others are free."""
    told, target = rows()
    turned = FitRows(told.inputs, target - told.inputs[0][:, 0], told.loss, 0)
    names = (member,) if member else ()
    made = Portfolio(numbers=3, cardinalities=[4], outputs=1, budget="quick", members=names, monotone=(1, 0, -1))
    made.fit(turned)
    assert "extremely randomised trees" not in made.members
    assert "Gaussian process" not in made.members
    for sign, answers in answers_along_held(made, turned.inputs):
        assert (sign * answers.mean(dim=1)[:, 0].diff()).min() >= -1e-5


@pytest.mark.parametrize("member", ["boosted", "boosted_pairs", ""])
def test_a_set_direction_is_kept_for_the_second_of_two_classes(member: str) -> None:
    told, target = rows()
    second = (target - told.inputs[0][:, 0] > target.median()).long()
    names = (member,) if member else ()
    made = Portfolio(numbers=3, cardinalities=[4], outputs=2, budget="quick", members=names, monotone=(1, 0, -1))
    made.fit(FitRows(told.inputs, second, torch.nn.functional.cross_entropy, 0))
    assert "logistic regression" not in made.members
    for sign, answers in answers_along_held(made, told.inputs):
        assert (sign * answers[:, 0, 1].diff()).min() >= -1e-6
        assert answers[:, 0, 1].max() < 0


def answers_along_held(made: Portfolio, inputs: tuple[Tensor, ...]) -> Iterator[tuple[int, Tensor]]:
    """Direction of each held column, and the answers of rows along it."""
    grid = torch.linspace(-4, 4, 200)
    for column, sign in ((0, 1), (2, -1)):
        for row in range(20):
            numbers, kinds = (part[row : row + 1].repeat(len(grid), 1) for part in inputs)
            numbers[:, column] = grid
            with torch.inference_mode():
                yield sign, made(numbers, kinds)


def test_a_direction_that_a_model_cannot_keep_is_refused(checkout: Path) -> None:
    contract, table = weights_of(CLASSES["two"])
    columns = [c.model_copy(update={"monotone": "up"}) if c.name == "pressure" else c for c in contract.columns]
    held = contract.model_copy(update={"columns": tuple(columns)})
    for words in (["model=mlp"], ["model=tabm"]):
        with pytest.raises(SettingsError, match=r"pressure: monotone"):
            task_for(held, table, settings(checkout, *words))
    task = task_for(held, table, settings(checkout, "model=gp"))
    with pytest.raises(SettingsError, match="Gaussian process, monotone"):
        task.fit(task.folds[-1])
    assert task_for(held, table, settings(checkout, "model=portfolio")).predictor().network.monotone == (1, 0)


@pytest.mark.parametrize(
    ("outputs", "said"), [(1, "logistic cannot predict a number"), (2, "ridge cannot predict 2 classes")]
)
def test_a_member_that_is_not_made_for_the_target_is_told(outputs: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Portfolio(numbers=3, cardinalities=[4], outputs=outputs, members=("ridge", "logistic", "boosted"))


@pytest.mark.parametrize(("member", "count"), [("gaussian_process", 2_001), ("extra_trees", 10_001)])
def test_a_part_that_is_too_slow_for_so_many_rows_is_left_out(member: str, count: int) -> None:
    made = Portfolio(numbers=3, cardinalities=[4], outputs=1, members=("ridge", member))
    made.fit(rows(count)[0])
    assert list(made.members) == [TITLES["ridge"]]


@pytest.mark.network
@pytest.mark.slow(seconds=8)
def test_quick_beats_lightgbm_as_it_comes_on_new_mixes(concrete_table: pl.DataFrame) -> None:
    target = concrete_table["strength"].to_numpy().astype(np.float32)
    features = concrete_table.drop("strength").to_numpy().astype(np.float32)
    mixes = concrete_table.drop("strength", "age").select(pl.struct(pl.all()).rank("dense")).to_series()
    groups = mixes.to_numpy().astype(np.int64)
    ours, theirs = [], []
    for train, test in list(GroupKFold(5, shuffle=True, random_state=0).split(features, groups=groups))[:2]:
        middle, spread = target[train].mean(), target[train].std()
        told = FitRows(
            (torch.as_tensor(features[train]), torch.zeros(len(train), 0, dtype=torch.int64)),
            torch.as_tensor((target[train] - middle) / spread), torch.nn.functional.mse_loss, 0, groups[train],
        )  # fmt: skip
        made = Portfolio(numbers=features.shape[1], cardinalities=[], outputs=1, budget="quick")
        made.fit(told)
        with torch.inference_mode():
            answer = made(torch.as_tensor(features[test]), torch.zeros(len(test), 0, dtype=torch.int64))
        ours.append(((answer.mean(dim=1)[:, 0].numpy() * spread + middle - target[test]) ** 2).mean())
        plain = lightgbm.LGBMRegressor(verbosity=-1, n_jobs=1).fit(features[train], target[train])
        theirs.append(((plain.predict(features[test]) - target[test]) ** 2).mean())
    assert np.mean(ours) < np.mean(theirs)


def test_a_category_is_told_by_other_rows() -> None:
    """The mean of a category must not hold the row's own target, or noise would look like knowledge."""
    draw = np.random.default_rng(0)
    kinds, target = draw.integers(0, 50, (400, 1)), draw.normal(size=(400, 1)).astype(np.float32)
    columns = RawColumns(numbers=0, cardinalities=[50])
    nothing = np.zeros((400, 0), np.float32)
    columns.fit(nothing, kinds, target)
    leaked = columns.encode(nothing, kinds)[:, -1]
    crossed = columns.crossed(nothing, kinds, target, draw.permutation(400) % 5)[:, -1]
    assert np.corrcoef(leaked, target[:, 0])[0, 1] > 0.25
    assert abs(np.corrcoef(crossed, target[:, 0])[0, 1]) < 0.2


def test_pairs_are_what_they_are_called() -> None:
    features = torch.tensor([[6.0, 3.0], [1.0, 0.0]])
    pairs = Pairs().choose([("times", 0, 1), ("plus", 0, 1), ("minus", 0, 1), ("ratio", 0, 1)])
    made = pairs(features)
    assert made[0].tolist() == [6.0, 3.0, 18.0, 9.0, 3.0, 2.0]
    assert made[1, :5].tolist() == [1.0, 0.0, 0.0, 1.0, 1.0] and made[1, 5].isnan()


def test_a_number_that_acts_in_another_way_in_each_category_gets_slopes() -> None:
    draw = np.random.default_rng(0)
    numbers, kinds = draw.normal(size=(2_000, 4)).astype(np.float32), draw.integers(0, 40, (2_000, 2))
    target = (numbers[:, 2] * draw.normal(size=40)[kinds[:, 1]] + 0.1 * draw.normal(size=2_000))[:, None]
    columns = RawColumns(numbers=4, cardinalities=[40, 40]).fit(numbers, kinds, target.astype(np.float32))
    assert columns.sloped.tolist() == [[1, 2]]
    assert columns.owners[-1] == (5, 2)
    crossed = columns.crossed(numbers, kinds, target.astype(np.float32), np.arange(2_000) % 5)[:, -1]
    assert np.corrcoef(crossed, target[:, 0])[0, 1] > 0.98
    held = RawColumns(numbers=4, cardinalities=[40, 40]).fit(numbers, kinds, target.astype(np.float32), held=[2])
    assert not len(held.sloped)
    alike = RawColumns(numbers=4, cardinalities=[40, 40]).fit(numbers, kinds, numbers[:, :1])
    assert not len(alike.sloped)


def test_a_gaussian_process_follows_a_wave_better_than_a_line() -> None:
    x = np.linspace(-3, 3, 120, dtype=np.float32)[:, None]
    y = np.sin(2 * x[:, 0])
    process = GaussianProcess().fit(x[::2], y[::2, None], seed=1)
    with torch.inference_mode():
        missed = process(torch.as_tensor(x[1::2]))[:, 0].numpy() - y[1::2]
    assert np.abs(missed).max() < 0.05


def test_a_gaussian_process_tells_what_it_would_say_without_a_row() -> None:
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(40, 3)).astype(np.float32), draw.normal(size=(40, 2)).astype(np.float32)
    whole = GaussianProcess().fit(x, y, seed=1)
    said = whole.left_out(y)
    for row in range(5):
        rest = np.arange(40) != row
        other = GaussianProcess().fit(x[rest], y[rest], seed=1, tuned=whole)
        for name in ("low", "middle", "logged", "center", "spread"):  # scaled as with it
            setattr(other, name, getattr(whole, name))
        solved = _refitted(other, x[rest], y[rest] - whole.constant.numpy())
        with torch.inference_mode():
            kernel = process_module._kernel(
                other._scaled(torch.as_tensor(x[row : row + 1])), solved[0], whole.lengths, whole.strengths
            )
            expected = (kernel @ solved[1] + whole.constant).numpy()[0]
        np.testing.assert_allclose(said[row], expected, rtol=1e-6)


def _refitted(process: GaussianProcess, x: NDArray[np.float32], y: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """Points and weights of rows in the scale of the process."""
    points = process._scaled(torch.as_tensor(x))
    noise = process.strengths[4] * torch.eye(len(points), dtype=points.dtype)
    with torch.inference_mode():
        covariance = process_module._kernel(points, points, process.lengths, process.strengths) + noise
        return points, torch.linalg.solve(covariance, torch.as_tensor(y, dtype=torch.float64))


def test_two_folds_of_a_vast_table_are_fitted(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = [fold.label for fold in task_of("number", checkout).folds]
    monkeypatch.setattr(members, "_MOST_CELLS", 100)
    task = task_of("number", checkout)
    assert [fold.label for fold in task.folds] == every[-3:]
    fitted = {fold.label: task.fit(fold)[0] for fold in task.folds}
    task.calibrate(fitted)
    held_out = pl.concat([task.held_out(fitted[fold.label], fold) for fold in task.honest])
    assert task.scores(held_out)["model"]["coverage"] > 0.5


def test_members_of_a_vast_table_are_weighed_on_a_sample_and_fitted_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "_MOST_CELLS", 2_000)
    monkeypatch.setattr(portfolio_fit, "WEIGHED_ROWS", 400)
    told, target = rows(3_000)
    steps: list[float] = []
    made = Portfolio(numbers=3, cardinalities=[4], outputs=1, members=("ridge", "boosted", "boosted_pairs"))
    made.fit(replace(told, on_step=lambda share, _: steps.append(share)))
    assert made.members[TITLES["boosted_pairs"]].weight > 0.9
    assert steps == sorted(steps)
    assert steps[-1] <= 1
    assert float(((said(made, told) - target.numpy()) ** 2).mean()) < 0.05
