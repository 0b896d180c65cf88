"""Splits that ask the contract for the grain of the data and refuse to leak."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, KFold

from dxai.config.settings import GroupedSplit, RandomSplit
from dxai.contract import Contract
from dxai.errors import DataError, SettingsError

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """Row numbers of three disjoint sets: to fit, to calibrate the intervals, to test."""

    fit: Rows
    calibration: Rows
    test: Rows


def groups_of(frame: pl.DataFrame, contract: Contract) -> Rows:
    """A number per row ``[rows]`` that is equal where all columns of the contract's group are equal."""
    if not contract.group:
        return np.arange(len(frame))
    ids = frame.select(pl.struct(contract.group).rank("dense").alias("group"))["group"]
    return ids.to_numpy().astype(np.int64)


def folds(frame: pl.DataFrame, contract: Contract, split: GroupedSplit | RandomSplit) -> list[Fold]:
    """Cross-validation folds of a quality table.

    Raises:
        SettingsError: A random split of rows that belong together.
        DataError: Fewer groups than folds.
    """
    groups = groups_of(frame, contract)
    if split.kind == "random" and contract.group:
        raise SettingsError(_leak_told(groups, contract, split), where="split=random", fix="Use split=grouped.")
    if (found := len(np.unique(groups))) < max(split.folds, 3):
        raise DataError(
            f"{split.folds} folds need as many groups, however the table has {found}.",
            where="split.folds", fix=f"Use split.folds={max(found, 2)} or more data.",
        )  # fmt: skip
    made = [
        _fold(fit, test, groups, split)
        for fit, test in _kfold(split).split(groups, groups=groups if split.kind == "grouped" else None)
    ]
    for fold in made:
        assert not _shared(fold, groups).any(), "a group stands on both sides of a split"
    return made


def random_folds(frame: pl.DataFrame, split: GroupedSplit) -> list[Fold]:
    """The dishonest twin of a grouped split: rows at random, to report the gap beside the honest score."""
    rows = np.arange(len(frame))
    twin = RandomSplit(kind="random", folds=split.folds, seed=split.seed, calibration=split.calibration)
    return [_fold(fit, test, rows, twin) for fit, test in _kfold(twin).split(rows)]


def whole(frame: pl.DataFrame, contract: Contract, split: GroupedSplit | RandomSplit) -> Fold:
    """The split of the released model: no test rows, the calibration rows held out by group."""
    rows = np.arange(len(frame))
    return _fold(rows, rows[:0], groups_of(frame, contract), split)


def _kfold(split: GroupedSplit | RandomSplit) -> GroupKFold | KFold:
    kind = GroupKFold if split.kind == "grouped" else KFold
    return kind(n_splits=split.folds, shuffle=True, random_state=split.seed)


def _fold(train: Rows, test: Rows, groups: Rows, split: GroupedSplit | RandomSplit) -> Fold:
    carve = GroupShuffleSplit(n_splits=1, test_size=split.calibration, random_state=split.seed)
    fit, calibration = next(carve.split(train, groups=groups[train]))
    return Fold(train[fit], train[calibration], test)


def _shared(fold: Fold, groups: Rows) -> NDArray[np.bool_]:
    """Which test or calibration rows have a row of their group among the rows to fit."""
    return np.isin(groups[np.concatenate([fold.test, fold.calibration])], groups[fold.fit])


def _leak_told(groups: Rows, contract: Contract, split: RandomSplit) -> str:
    twin = [_fold(fit, test, np.arange(len(groups)), split) for fit, test in _kfold(split).split(groups)]
    share = float(np.mean([np.isin(groups[f.test], groups[f.fit]).mean() for f in twin]))
    return (
        f"This split leaks: {share:.0%} of the test rows have a row of the same group ({', '.join(contract.group)}) "
        "among the training rows."
    )
