"""Splits that ask the contract for the grain of the data and refuse to leak."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)

from dxai.config.settings import GroupedSplit, OrderedSplit, RandomSplit, RowSplit
from dxai.contract import Contract
from dxai.data.batch import class_array
from dxai.data.trainable import (
    absent_class,
    few_groups,
    few_times,
    rare_classes,
    refuse,
    split_refusal,
    untimed_rows,
)

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """Row numbers of two disjoint sets: to fit, and to test."""

    fit: Rows
    test: Rows


def groups_of(frame: pl.DataFrame, contract: Contract) -> Rows:
    """A number per row ``[rows]`` that is equal where all columns of the contract's group are equal."""
    if not contract.group:
        return np.arange(len(frame))
    return _ranks(frame, contract.group)


def _ranks(frame: pl.DataFrame, columns: Sequence[str]) -> Rows:
    ids = frame.select(pl.struct(columns).rank("dense").alias("rank"))["rank"]
    return ids.to_numpy().astype(np.int64)


def times_of(frame: pl.DataFrame, contract: Contract) -> Rows:
    """A number per row ``[rows]`` that grows with time; equal times have equal numbers.

    Raises:
        SettingsError: The contract names no column of the time.
        DataError: A row has no time.
    """
    refuse(split_refusal(contract, "ordered"))
    time = next(c.name for c in contract.columns if c.role == "time")
    refuse(untimed_rows(time, frame[time].null_count()))
    return _ranks(frame, [time])


def folds(frame: pl.DataFrame, contract: Contract, split: RowSplit) -> list[Fold]:
    """Cross-validation folds of a quality table.

    Grouped and random: each class of a target has about the same share in all parts. Ordered: every test is later than
    the rows it is trained on.

    Raises:
        SettingsError: A random split of rows that belong together, a grouped one without a group, an ordered one
            without a time.
        DataError: Fewer groups or times than folds, or too few with a class; a row without a class.
    """
    classes = _classes(frame, contract)
    if split.kind == "ordered":
        return _ordered_folds(times_of(frame, contract), contract, split, classes)
    groups = groups_of(frame, contract)
    leak = _leak(groups, split) if split.kind == "random" and contract.group else ""
    refuse(split_refusal(contract, split.kind, leak=leak))
    refuse(few_groups(len(np.unique(groups)), contract, split.folds))
    if classes is not None:
        found = [len(np.unique(groups[classes == number])) for number in range(len(contract.classes))]
        refuse(rare_classes(dict(zip(contract.classes, found, strict=True)), contract, split.folds))
    made = list(_folds(groups, split, classes))
    for fold in made:
        assert not _shared(fold, groups).any(), "a group stands on both sides of a split"
    return made


def random_folds(frame: pl.DataFrame, contract: Contract, split: RowSplit) -> list[Fold]:
    """The dishonest twin of a split: rows at random, to report the gap beside the honest score. Random has none."""
    if split.kind == "random":
        return []
    seed = split.seed if split.kind == "grouped" else 0
    twin = RandomSplit(kind="random", folds=split.folds, seed=seed)
    return list(_folds(np.arange(len(frame)), twin, _classes(frame, contract)))


def whole(frame: pl.DataFrame) -> Fold:
    """The split of the released model: it is fitted on every row."""
    rows = np.arange(len(frame))
    return Fold(rows, rows[:0])


def _classes(frame: pl.DataFrame, contract: Contract) -> Rows | None:
    return class_array(frame, contract) if contract.classes else None


def _ordered_folds(times: Rows, contract: Contract, split: OrderedSplit, classes: Rows | None) -> list[Fold]:
    """Blocks of time in a row: the first only trains, each other is the test of all before it."""
    refuse(few_times(int(times.max()), split.folds))
    blocks = TimeSeriesSplit(split.folds).split(np.arange(times.max()))
    made = [Fold(np.flatnonzero(times <= test[0]), np.flatnonzero(np.isin(times - 1, test))) for _, test in blocks]
    if classes is not None:
        refuse(absent_class(times, classes, contract, split.folds))
    return made


def _folds(groups: Rows, split: GroupedSplit | RandomSplit, classes: Rows | None) -> Iterator[Fold]:
    grouped = split.kind == "grouped"
    if classes is None:
        kind = GroupKFold if grouped else KFold
    else:
        kind = StratifiedGroupKFold if grouped else StratifiedKFold
    kfold = kind(n_splits=split.folds, shuffle=True, random_state=split.seed)
    for train, test in kfold.split(groups, classes, groups if grouped else None):
        yield Fold(train, test)


def _shared(fold: Fold, groups: Rows) -> NDArray[np.bool_]:
    """Which test rows have a row of their group among the rows to fit."""
    return np.isin(groups[fold.test], groups[fold.fit])


def _leak(groups: Rows, split: RandomSplit) -> str:
    """The share of test rows with a row of their group among the training rows, in words."""
    twin = _folds(np.arange(len(groups)), split, None)
    share = float(np.mean([np.isin(groups[f.test], groups[f.fit]).mean() for f in twin]))
    return f"{share:.0%} of the"
