"""What keeps a table from being trained on: each rule once, for `dxai data check` and `dxai train` alike.

Every rule gives the error that refuses the table, or None; nothing here needs the training stack.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.contract import Contract
from dxai.data.windows import newest_step, numbered_steps
from dxai.errors import DataError, SettingsError

Refusal = SettingsError | DataError
Rule = Literal["grouped", "ordered", "random"]

FOLDS, ORIGINS = 5, 1
"""What own data are trained with unless `dxai train` is told others: configs/split/, configs/experiment/."""


def refuse(refusal: Refusal | None) -> None:
    """Raise what a rule gave."""
    if refusal is not None:
        raise refusal


# --- the contract -----------------------------------------------------------------------------------------------------


def split_rule(contract: Contract) -> Rule:
    """The split of a quality table that `dxai train` takes where nobody names another."""
    if contract.split in ("grouped", "ordered", "random"):
        return contract.split
    return "grouped" if contract.group else "random"


def split_refusal(contract: Contract, rule: Rule, *, leak: str = "") -> SettingsError | None:
    """A split that the contract does not allow.

    Args:
        contract: Of a quality task.
        rule: The split.
        leak: Share of the test rows with a sibling in training, such as ``83% of the``.
    """
    if rule == "grouped" and not contract.group:
        fix = "Name the columns of the group in the contract (`group`), or use split=random."
        return SettingsError(
            "The contract names no group: these would be random folds.", where="split=grouped", fix=fix
        )
    if rule == "random" and contract.group:
        told = f"{leak} test rows have a row of the same group ({', '.join(contract.group)}) among the training rows."
        return SettingsError(f"This split leaks: {told.strip()}", where="split=random", fix="Use split=grouped.")
    if rule == "ordered" and not any(column.role == "time" for column in contract.columns):
        fix = "Give a column of the contract the role time, or use split=grouped or split=random."
        return SettingsError("An ordered split needs to know when a row was made.", where="split=ordered", fix=fix)
    return None


# --- quality ----------------------------------------------------------------------------------------------------------


def constant_target(name: str, found: Sequence[Any], rows: int) -> DataError | None:
    """A target without a value, or with one value only; ``found`` holds different ones, at least two if there are."""
    if len(found) > 1:
        return None
    told = f"All {rows:,} rows have the value {found[0]!r}" if found else "No row has a value"
    return DataError(
        f"{told} in {name!r}: there is nothing to predict.", where=f"column {name}",
        fix="Bring rows in which it differs, or give another column the role target.",
    )  # fmt: skip


def untimed_rows(time: str, gaps: int) -> DataError | None:
    """Rows that an ordered split cannot place."""
    fix = "Fill them in, or leave those rows out."
    return DataError(f"{gaps:,} rows have no time.", where=f"column {time}", fix=fix) if gaps else None


def groups_needed(folds: int) -> int:
    """Groups, or rows where there are none, for so many folds."""
    return max(folds, 3)


def times_needed(folds: int) -> int:
    """Different times for so many tests in a row."""
    return 2 * (folds + 1)


def of_class_needed(folds: int) -> int:
    """Groups, or rows where there are none, of every class: one in every test, and some more."""
    return folds + 2


def few_groups(found: int, contract: Contract, folds: int) -> DataError | None:
    """Fewer groups, or rows where there are none, than folds."""
    return _few(found, groups_needed(folds), "groups" if contract.group else "rows", folds, most=found)


def few_times(found: int, folds: int) -> DataError | None:
    """Fewer times than an ordered split needs."""
    return _few(found, times_needed(folds), "times", folds, most=found // 2 - 1)


def _few(found: int, needed: int, what: str, folds: int, *, most: int) -> DataError | None:
    if found >= needed:
        return None
    return DataError(
        f"{folds} folds need {needed} {what}, however the table has {found}.",
        where="split.folds", fix=f"Use split.folds={max(most, 2)} or more data.",
    )  # fmt: skip


def rare_classes(found: Mapping[str, int], contract: Contract, folds: int) -> DataError | None:
    """Classes of which too few groups, or rows, stand in the table; ``found`` counts them by class."""
    fewest = of_class_needed(folds)
    rare = [f"{text!r} ({found.get(text, 0)})" for text in contract.classes if found.get(text, 0) < fewest]
    if not rare:
        return None
    of = "groups" if contract.group else "rows"
    return DataError(
        f"{folds} folds need {fewest} {of} of every class, however there are fewer of: {', '.join(rare)}.",
        where=contract.target.name, fix="Bring more of them, merge classes, or lower split.folds.",
    )  # fmt: skip


def absent_class(
    times: NDArray[np.int64], classes: NDArray[np.integer], contract: Contract, folds: int
) -> DataError | None:
    """A class that is not among the rows to fit and the rows to test of every fold of an ordered split.

    Args:
        times: A number per row from 1 on ``[rows]`` that grows with time.
        classes: Numbers of the classes ``[rows]``.
        contract: Of a target with classes.
        folds: Tests in a row, as many as `times_needed` allows.
    """
    size, last = int(times.max()) // (folds + 1), int(times.max())
    for number in range(folds):
        first = last - (folds - number) * size + 1
        fit = times < first
        test = ~fit & (times < first + size)
        for rows, what in ((fit, "to fit"), (test, "to test")):
            there = set(np.unique(classes[rows]).tolist())
            absent = next((text for i, text in enumerate(contract.classes) if i not in there), None)
            if absent is not None:
                return DataError(
                    f"Fold {number} of the ordered split has no row {what} of the class {absent!r}.",
                    where=contract.target.name, fix="Lower split.folds, or merge classes.",
                )  # fmt: skip
    return None


# --- demand -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Histories:
    """The series of a demand table, as training sees them.

    Attributes:
        contract: Of a demand task.
        series: One row each: ``name``, ``known`` steps, ``last`` date that the table has.
        steps: From the first of the longest series to its end.
        moves: Whether any series that is long enough ever changes.
        sold: Whether any of them has a value other than 0 in the tested steps.
    """

    contract: Contract
    series: pl.DataFrame
    steps: int
    moves: bool
    sold: bool

    @property
    def short(self) -> pl.DataFrame:
        """Series that training leaves out, such as new products."""
        return self.series.filter(pl.col("known") < self.contract.minimum_history)

    @property
    def ended(self) -> pl.DataFrame:
        """Series whose last row is older than the newest one of the table."""
        return self.series.filter(pl.col("last") < pl.col("last").max())

    def refusals(self, origins: int, where: str) -> Iterator[DataError]:
        """What training refuses, the first reason first."""
        contract, minimum = self.contract, self.contract.minimum_history
        if len(self.short) == len(self.series):
            yield DataError(
                f"No series has the {minimum} {contract.frequency} steps that a forecast needs.",
                where=where, fix="Add earlier rows, or lower minimumHistory in the contract.",
            )  # fmt: skip
            return
        if self.steps < (needed := contract.horizon * (origins + 2) + minimum):
            yield self._few_steps(origins, needed)
        elif still := self._still(origins):
            fix = "Leave out what is no longer sold, or end the table where it was."
            yield DataError(still, where=f"column {contract.target.name}", fix=fix)

    def _few_steps(self, origins: int, needed: int) -> DataError:
        most = (self.steps - self.contract.minimum_history) // self.contract.horizon - 2
        fix = f"Use fewer origins (split.origins={most}) or a longer table." if most > 0 else (
            "Bring a longer table, or lower horizon or minimumHistory in the contract."
        )  # fmt: skip
        return DataError(
            f"{origins} origins of {self.contract.horizon} steps need {needed} steps, "
            f"however the table has {self.steps}.", where="split.origins", fix=fix,
        )  # fmt: skip

    def _still(self, origins: int) -> str:
        """Scores are differences held against the size of the demand and of its changes."""
        if not self.moves:
            return "No series ever changes: there is nothing to forecast."
        tested = self.contract.horizon * origins
        return "" if self.sold else f"Every value of the last {tested} steps, on which a forecast is tested, is 0."


def histories(table: pl.DataFrame, contract: Contract, *, origins: int, where: str) -> Histories:
    """The series of long rows (series, time, target), without the panel that training makes of them.

    Args:
        table: At least one row.
        contract: Of a demand task.
        origins: Of the split.
        where: The table, for messages.

    Raises:
        DataError: Rows without a series or a date, dates off the contract's grid, or repeated steps.
    """
    zero = contract.absent == "zero"
    steps = numbered_steps(table, contract, where=where).with_columns(pl.col("value").cast(pl.Float32))
    newest = newest_step(steps, contract, where)
    steps = steps.filter(pl.col("step") <= newest)
    ends = steps.group_by("series", maintain_order=True).agg(
        pl.col("step").min().alias("first"), pl.col("step").max().alias("newest"), pl.col("day").max().alias("last"),
        pl.len().alias("rows"), pl.col("value").null_count().alias("gaps"),
    )  # fmt: skip
    ends = ends.with_columns((pl.lit(newest) if zero or contract.ahead else pl.col("newest")).alias("end"))
    known = pl.col("end") - pl.col("first") + 1 if zero else pl.col("rows").cast(pl.Int32)
    ends = ends.with_columns((known - pl.col("gaps").cast(pl.Int32)).alias("known"))
    enough = ends.filter(pl.col("known") >= contract.minimum_history)
    kept = steps.join(enough.select("series", "end"), on="series", how="inner", maintain_order="left")
    return Histories(
        contract, ends.select(pl.col("series").cast(pl.String).alias("name"), "known", "last"),
        int(ends.select((pl.col("end") - pl.col("first")).max() + 1).item()),
        _moves(kept, zero=zero),
        bool(kept.select(_is_sold() & (pl.col("step") > pl.col("end") - contract.horizon * origins)).to_series().any()),
    )  # fmt: skip


def _moves(steps: pl.DataFrame, *, zero: bool) -> bool:
    """Whether a step differs from the one before it; absent ones are 0 or unknown."""
    same, gap = pl.col("series") == pl.col("series").shift(), pl.col("step") - pl.col("step").shift()
    moves = same & (gap == 1) & (pl.col("value") != pl.col("value").shift())
    if zero:
        before_gap = _is_sold() | (pl.col("value").shift().fill_null(0) != 0)
        ends_early = (pl.col("series") != pl.col("series").shift(-1)).fill_null(True) & (pl.col("step") < pl.col("end"))
        moves = moves.fill_null(False) | (same & (gap > 1) & before_gap).fill_null(False) | (ends_early & _is_sold())
    return bool(steps.select(moves).to_series().any())


def _is_sold() -> pl.Expr:
    return pl.col("value").fill_null(0) != 0
