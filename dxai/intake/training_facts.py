"""What the rules of training need of a table that is read block by block, and what they say of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from dxai.contract import Contract
from dxai.data.trainable import (
    CALIBRATION,
    FOLDS,
    ORIGINS,
    Histories,
    Refusal,
    absent_class,
    constant_target,
    few_groups,
    few_times,
    groups_needed,
    histories,
    idle_roles,
    of_class_needed,
    rare_classes,
    split_refusal,
    split_rule,
    times_needed,
    untimed_rows,
)
from dxai.errors import DataError

_EXAMPLES, _LINE = 3, "row of the file"


class TrainingFacts:
    """What the rules need of a table, collected block by block in bounded memory; blocks that pass cost little.

    Of a demand table 16 bytes a row are kept, of classes that are split by time 12. Of any other quality table: the
    least and greatest target, and groups or times only until there are enough.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.rule = split_rule(contract)
        self.values: tuple[float, float] | None = None
        self.labels: Counter[str] = Counter()
        self.rows, self.labelled, self.untimed = 0, 0, 0
        self._ids = pl.DataFrame()
        self._names: dict[str, int] = {}
        self._parts: list[pl.DataFrame] = []
        self._found: Histories | None = None
        self._enough = contract.task == "demand" or self.rule == "random" or self._cannot_split

    @property
    def _cannot_split(self) -> bool:
        return split_refusal(self.contract, self.rule) is not None

    def add(self, typed: pl.DataFrame, labels: Mapping[str, int]) -> None:
        """One more block, in the order of the file; ``labels`` counts the classes of its target."""
        if self.contract.task == "demand":
            self._add_steps(typed)
        else:
            self._add_rows(typed, labels)
        self.rows += len(typed)

    def refusals(self, where: str, *, broken: frozenset[str] = frozenset()) -> Iterator[Refusal]:
        """Everything that `dxai train` would refuse; of ``broken`` columns, which break the contract, nothing."""
        if (idle := idle_roles(self.contract)) is not None:
            yield idle
        if self.contract.task == "demand":
            yield from self._demand_refusals(where, broken)
        else:
            yield from self._quality_refusals(broken)

    # Quality

    def _add_rows(self, typed: pl.DataFrame, labels: Mapping[str, int]) -> None:
        target = typed[self.contract.target.name]
        self.labelled += len(target) - target.null_count()
        if self.contract.classes:
            self.labels.update(labels)
        elif target.null_count() < len(target):
            low, high = float(target.min()), float(target.max())  # type: ignore[arg-type]
            self.values = (min(low, *(self.values or (low,))), max(high, *(self.values or (high,))))
        if self._enough:
            return
        known = typed.filter(target.is_not_null()) if target.null_count() else typed
        if self.rule == "ordered":
            self._add_times(known)
        else:
            self._add_groups(known)

    def _add_times(self, known: pl.DataFrame) -> None:
        """Every time with its class, to see what each fold holds; without classes only so many as are needed."""
        time = known[self._time]
        self.untimed += time.null_count()
        id_ = time.to_physical().cast(pl.Int64).alias("id")
        if self.contract.classes:
            texts = known[self.contract.target.name].cast(pl.Enum(self.contract.classes), strict=False)
            self._parts.append(pl.DataFrame([id_, texts.to_physical().cast(pl.Int32).alias("class")]).drop_nulls())
        elif len(self._ids) < times_needed(FOLDS):
            ids = id_.drop_nulls().to_frame().unique()
            self._ids = pl.concat([self._ids, ids]).unique() if len(self._ids) else ids

    def _add_groups(self, known: pl.DataFrame) -> None:
        """Different groups, of every class only so many as are needed; a hash stands for a group."""
        ids = known.select(self.contract.group).hash_rows().alias("id").to_frame()
        most = max(groups_needed(FOLDS), of_class_needed(FOLDS))
        if self.contract.classes:
            ids = ids.with_columns(known[self.contract.target.name].alias("class"))
        ids = pl.concat([self._ids, ids.unique()]).unique() if len(self._ids) else ids.unique()
        self._ids = ids.group_by("class").head(most).select("id", "class") if self.contract.classes else ids.head(most)
        self._enough = self._has_enough_groups()

    def _has_enough_groups(self) -> bool:
        most, of_class = max(groups_needed(FOLDS), of_class_needed(FOLDS)), self._groups_by_class()
        return self._groups() >= most and all(of_class.get(text, 0) >= most for text in self.contract.classes)

    @property
    def _time(self) -> str:
        return next(column.name for column in self.contract.columns if column.role == "time")

    def _groups(self) -> int:
        return int(self._ids["id"].n_unique()) if len(self._ids) else 0

    def _groups_by_class(self) -> dict[str, int]:
        if "class" not in self._ids.columns:
            return {}
        return dict(self._ids.group_by("class").len().iter_rows())

    def _quality_refusals(self, broken: frozenset[str]) -> Iterator[Refusal]:
        contract, name = self.contract, self.contract.target.name
        if (split := split_refusal(contract, self.rule)) is not None:
            yield split
        if name in broken:
            return
        found: list[Any] = list(self.labels) if contract.classes else list(dict.fromkeys(self.values or ()))
        if (constant := constant_target(name, found[:2], self.labelled)) is not None:
            yield constant
        elif split is None:
            yield from filter(None, self._folds_refusals(broken))

    def _folds_refusals(self, broken: frozenset[str]) -> Iterator[Refusal | None]:
        if self.rule == "ordered":
            if self._time not in broken:
                yield self._times_refusal()
            return
        if broken & {*self.contract.group}:
            return
        grouped = self.rule == "grouped"
        few = few_groups(self._groups() if grouped else self.labelled, self.contract, FOLDS)
        yield few
        if few is None and self.contract.classes:
            yield rare_classes(self._groups_by_class() if grouped else self.labels, self.contract, FOLDS)

    def _times_refusal(self) -> DataError | None:
        if (untimed := untimed_rows(self._time, self.untimed)) is not None:
            return untimed
        if not self.contract.classes:
            return few_times(self._groups(), FOLDS)
        rows = pl.concat(self._parts) if self._parts else pl.DataFrame(schema={"id": pl.Int64, "class": pl.Int32})
        times, classes = rows["id"].rank("dense").cast(pl.Int64).to_numpy(), rows["class"].to_numpy()
        few = few_times(int(times.max(initial=0)), FOLDS)
        return few or absent_class(times, classes, self.contract, FOLDS, CALIBRATION)

    # Demand

    def _add_steps(self, typed: pl.DataFrame) -> None:
        series, time, target = (self.contract.only(role).name for role in ("series", "time", "target"))
        ids = typed[series].drop_nulls().unique()
        codes = [self._names.setdefault(name, len(self._names)) for name in ids]
        self._parts.append(
            typed.select(
                pl.col(series).replace_strict(ids, codes, default=None, return_dtype=pl.UInt32),
                pl.col(time), pl.col(target).cast(pl.Float32),
                pl.int_range(self.rows + 2, self.rows + 2 + pl.len(), dtype=pl.UInt32).alias(_LINE),
            )
        )  # fmt: skip

    def histories(self, where: str) -> Histories | None:
        """The series; None where there is no row.

        Raises:
            DataError: As the function of this name.
        """
        if self._found is not None or not any(map(len, self._parts)):
            return self._found
        table = pl.concat(self._parts)
        rows = table[_LINE]
        names = pl.Series(list(self._names), dtype=pl.String)
        self._found = histories(table.drop(_LINE), self.contract, origins=ORIGINS, where=where, rows=rows, names=names)
        return self._found

    def _demand_refusals(self, where: str, broken: frozenset[str]) -> Iterator[Refusal]:
        if broken & {self.contract.only(role).name for role in ("series", "time", "target")}:
            return
        try:
            found = self.histories(where)
        except DataError as refusal:
            yield refusal
            return
        if found is None:
            yield DataError("The table has no row.", where=where, fix="Bring the rows of the series.")
        else:
            yield from found.refusals(ORIGINS, where)

    # What training leaves out, or a person should know

    def notes(self, where: str, *, broken: frozenset[str] = frozenset()) -> list[str]:
        """Rows and series that training leaves out without refusing the table, and series that ended early."""
        name = self.contract.target.name
        if self.contract.task == "quality":
            gaps = 0 if name in broken else self.rows - self.labelled
            told = f"rows without a value of {name!r}: {gaps:,}; dxai train leaves them out, dxai predict can fill them"
            return [told] * bool(gaps and self.labelled)
        try:
            found = None if broken & {self.contract.only(r).name for r in ("series", "time")} else self.histories(where)
        except DataError:
            found = None
        return [] if found is None else [*_short_told(found), *_ended_told(found)]


def _short_told(found: Histories) -> list[str]:
    short = found.short.sort("name")
    if not len(short) or len(short) == len(found.series):
        return []
    first = ", ".join(
        f"{name!r} has {known}" for name, known in short.select("name", "known").head(_EXAMPLES).iter_rows()
    )
    needed = f"{found.contract.minimum_history} {found.contract.frequency} steps"
    count = f"{len(short):,} of {len(found.series):,} ({first})"
    return [f"series with fewer than {needed}, which dxai train leaves out: {count}"]


def _ended_told(found: Histories) -> list[str]:
    ended = found.ended.sort("last", "name")
    if not len(ended):
        return []
    first = ", ".join(f"{name!r} on {last}" for name, last in ended.select("name", "last").head(_EXAMPLES).iter_rows())
    newest = str(found.series["last"].max())
    return [f"series that ended before {newest}, the newest date: {len(ended):,} of {len(found.series):,} ({first})"]
