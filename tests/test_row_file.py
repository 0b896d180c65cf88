"""Tables larger than memory: the same numbers as in memory, every row once an epoch, no test row in a fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from test_classification import castings as faults
from test_classification import contract_of
from test_own_data import castings, data_folder, quality

from dxai.config.compose import settings_from
from dxai.config.settings import RunSettings
from dxai.contract import load_contract
from dxai.data import batches, row_file
from dxai.data.batch import RowCodec, class_array
from dxai.data.batches import Batches, DiskBatches, RowsOnDisk
from dxai.data.own import with_own_data
from dxai.evaluate import evaluate
from dxai.learn.families import task_of
from dxai.learn.rows import RowTask
from dxai.learn.transform import encode
from dxai.record.progress import fit_bar
from dxai.train import train

ROWS = 4_000
QUICK = ["model=mlp", "trainer.max_epochs=2", "split.folds=2"]


@pytest.fixture
def workplace(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout, a table of 4,000 rows of which 10 have no true value, and blocks of 512 rows."""
    shutil.copytree(checkout / "configs", tmp_path / "configs")
    table = castings(ROWS).with_columns(pl.when(pl.int_range(pl.len()) % 400 > 0).then("weight").alias("weight"))
    contract = quality().replace("weight, logicalType: number, required: true", "weight, logicalType: number")
    data_folder(tmp_path / "own", contract, table)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(row_file, "BLOCK", 512)
    return tmp_path


def settings(workplace: Path, *words: str) -> RunSettings:
    given = with_own_data([f"data={workplace / 'own'}", *QUICK, *words], workplace)
    return settings_from(given, checkout=workplace)


def on_disk(workplace: Path, *words: str) -> RowTask:
    task = task_of(settings(workplace, "data.rows_in_memory=1000", *words), workplace)
    assert isinstance(task, RowTask) and task.stored is not None
    return task


def test_a_fit_from_disk_has_the_bytes_of_one_in_memory_where_the_sample_is_the_table(workplace: Path) -> None:
    task = task_of(settings(workplace), workplace)
    assert isinstance(task, RowTask) and task.stored is None
    labels = {"grouped-1", "random-0", "final"}
    chosen = [fold for fold in task.folds if fold.label in labels]
    expected = [task.fit(fold) for fold in chosen]
    folder, source = workplace / "own/table.rows", "this test"
    row_file.write(folder, [task.table], task.contract, source, rows=len(task.table), most=ROWS)
    task.stored = row_file.known(folder, task.contract, source)
    for fold, (before, curve) in zip(chosen, expected, strict=True):
        found, told = task.fit(fold)
        assert told == curve
        for name, tensor in before.state_dict().items():
            assert torch.equal(tensor, found.state_dict()[name]), (fold.label, name)


@pytest.mark.parametrize("rows", [1, 99, 1_000, 1_024])
def test_every_row_comes_once_an_epoch_in_another_order(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "POOL", 3)
    table, size = torch.arange(rows), 64
    counts = np.array([len(part) for part in table.split(size)])
    stored = RowsOnDisk(counts, lambda block: (table[block * size : (block + 1) * size],))
    made = DiskBatches(stored, 100, seed=3, device=torch.device("cpu"))
    epochs = [[batch for (batch,) in made] for _ in range(2)]
    for epoch in epochs:
        assert sorted(torch.cat(epoch).tolist()) == table.tolist()
        assert [len(batch) for batch in epoch] == [len(batch) for (batch,) in Batches((table,), 100, seed=0)]
        assert len(epoch) == len(made)
    assert rows == 1 or not torch.equal(torch.cat(epochs[0]), torch.cat(epochs[1]))
    again = DiskBatches(stored, 100, seed=3, device=torch.device("cpu"))
    for number in range(len(made)):
        again.go_on(1, number)
        assert torch.equal(torch.cat([batch for (batch,) in again]), torch.cat(epochs[1][number:]))


def test_no_test_row_of_the_sample_is_fitted_on_and_no_group_stands_on_both_sides(workplace: Path) -> None:
    task = on_disk(workplace)
    stored = task.stored
    assert stored is not None
    assert [fold.label for fold in task.folds] == ["grouped-0", "grouped-1", "random-0", "random-1", "final"]
    everything = np.concatenate([stored.read(block) for block in range(stored.blocks)])
    melts = castings(ROWS)["melt"].to_numpy()[np.arange(ROWS) % 400 > 0]
    assert len(everything) == len(melts) == ROWS - 10
    rows = stored.sample_rows()
    np.testing.assert_array_equal(everything[rows, -1], task.values)
    for fold in task.folds:
        fitted, counts = task._fitted(stored, fold)
        parts = [np.arange(stored.rows_of(block))[fitted(block)] + 512 * block for block in range(stored.blocks)]
        fit = np.zeros(len(melts), np.bool_)
        fit[np.concatenate(parts)] = True
        assert fit.sum() == counts.sum() and fit[rows[fold.rows.fit]].all()
        if fold.is_test:
            assert not fit[rows[fold.rows.test]].any() and 0.4 < fit.mean() < 0.6
            assert bool(set(melts[fit]) & set(melts[~fit])) == (fold.split == "random")


def test_few_groups_fill_every_fold(workplace: Path) -> None:
    castings(ROWS).with_columns(melt=pl.int_range(pl.len()) * 5 // ROWS).write_parquet(workplace / "own/table.parquet")
    task = on_disk(workplace, "split.folds=5")
    stored = task.stored
    assert stored is not None
    counts = [task._fitted(stored, fold)[1].sum() for fold in task.honest]
    assert [fold.label for fold in task.honest] == [f"grouped-{number}" for number in range(5)]
    assert counts == [ROWS * 4 // 5] * 5


def test_numbers_in_the_file_are_those_that_a_graph_takes(tmp_path: Path) -> None:
    contract = contract_of(("ok", "crack", "pore"))
    table = faults(contract.classes, 100)
    row_file.write(tmp_path / "rows", table.iter_slices(30), contract, "", rows=100, most=7)
    stored = row_file.known(tmp_path / "rows", contract, "")
    assert stored is not None and stored.about.left_out == 0
    columns = {**encode(RowCodec(contract).encode(table).arrays, contract), "fault": class_array(table, contract)}
    for place, name in enumerate(stored.about.columns):
        np.testing.assert_array_equal(stored.read(0)[:, place], np.asarray(columns[name], np.float32))
    assert stored.sample().equals(table[stored.sample_rows()]) and len(stored.sample()) == 7


def test_the_file_is_made_again_where_table_contract_or_its_own_bytes_have_changed(workplace: Path) -> None:
    about = workplace / "own/table.rows/about.json"
    first = on_disk(workplace).data_on_disk
    made = about.stat().st_mtime_ns
    assert on_disk(workplace).data_on_disk == first and about.stat().st_mtime_ns == made
    with (about.parent / "rows.f32").open("r+b") as file:
        file.truncate(100)
    assert on_disk(workplace).data_on_disk == first and about.stat().st_mtime_ns > made
    castings(ROWS + 1).write_parquet(workplace / "own/table.parquet")
    assert on_disk(workplace).data_on_disk != first


@pytest.mark.parametrize("words", [["model=portfolio"], ["trainer.devices=2"], ["data.rows_in_memory=4000"]])
def test_what_needs_all_rows_at_once_has_them_in_memory(words: list[str], workplace: Path) -> None:
    quick = [word for word in QUICK if word.partition("=")[0] not in {told.partition("=")[0] for told in words}]
    limit = [] if words[0].startswith("data") else ["data.rows_in_memory=1000"]
    given = with_own_data([f"data={workplace / 'own'}", *quick, *limit, *words], workplace)
    if words == ["model=portfolio"]:
        given = [word for word in given if not word.startswith("trainer")]
    task = task_of(settings_from(given, checkout=workplace), workplace)
    assert isinstance(task, RowTask) and task.stored is None and len(task.table) == ROWS - 10
    assert not (workplace / "own/table.rows").exists()


@pytest.mark.slow(seconds=15)
def test_a_run_from_disk_is_evaluated_on_its_sample_and_says_so(workplace: Path) -> None:
    chosen = settings(workplace, "data.rows_in_memory=1000", "folds_at_once=1")
    with fit_bar() as bar:
        run = train(chosen, workplace / "run", workplace, bar)
    assert run.settings.data == chosen.data
    rows = len(on_disk(workplace).table)
    assert len(run.held_out.filter(split="grouped")) == rows <= 1_000
    made = evaluate(run, workplace / "evaluate", workplace)
    assert made.scores["model"]["rmse"] < made.scores["yardstick"]["mean"]["rmse"]
    report = (workplace / "evaluate/report.md").read_text("utf-8")
    assert f"3,990 rows, scored on {rows} rows drawn at random, 10 rows without a true value left out" in report


def test_a_run_that_names_no_limit_keeps_its_fingerprint(workplace: Path) -> None:
    assert "rows_in_memory" not in settings(workplace).data.model_dump()
    assert load_contract(workplace / "own/contract.yaml").group
