"""What the rules of training need of a table that is read block by block, and what they say of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl

from dxai.contract import Column, Contract
from dxai.data.trainable import (
    FOLDS,
    ORIGINS,
    Histories,
    Refusal,
    absent_class,
    constant_target,
    few_groups,
    few_times,
    histories,
    rare_classes,
    split_refusal,
    split_rule,
    untimed_rows,
)
from dxai.data.windows import naming, several_values, told
from dxai.errors import DataError

if TYPE_CHECKING:
    from dxai.intake.check import TableCheck

_EXAMPLES, _GROUP, _SERIES = 3, "\x00group", "\x00series"


def asked_of(typed: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """What the rules ask about a block, in at most 16 bytes a row and 4 for each static column of a demand table.

    Of a quality table it is the rows with a target only.

    A number stands for the name of a series or a class, a hash for a group; to count rows by class needs nothing more.
    """
    target, rule = pl.col(contract.target.name), split_rule(contract)
    if contract.task == "demand":
        series = [pl.col(column.name).cast(pl.Categorical) for column in contract.series]
        return typed.select(
            *series, contract.only("time").name, target.cast(pl.Float32), *map(_as_trained, _static(contract))
        )
    columns = [] if contract.classes and rule == "random" else [target]
    columns += [pl.col(name) for name in _time(contract) if rule == "ordered"]
    if rule == "grouped" and contract.group:
        columns.append(pl.struct(contract.group).hash().alias(_GROUP))
    asked = typed.filter(target.is_not_null()).select(columns)
    classes = pl.col(contract.target.name).cast(pl.Enum(contract.classes), strict=False)
    return asked.with_columns(classes) if contract.classes and columns else asked


def training_says(
    asked: pl.DataFrame, found: TableCheck, where: str, *, broken: frozenset[str]
) -> tuple[list[Refusal], list[str]]:
    """Everything that `dxai train` would refuse; and what it leaves out, or a person should know of series.

    Args:
        asked: What was `asked_of` all blocks, in the order of the file.
        found: Counts of the table.
        where: The file, for messages.
        broken: Columns that break the contract: nothing is said of them.
    """
    if found.contract.task == "demand":
        return _of_series(asked, found.contract, where, broken)
    return list(_quality_refusals(asked, found, broken)), _quality_notes(found, broken)


def _static(contract: Contract) -> list[Column]:
    return [column for column in contract.covariates if column.role == "static"]


def _as_trained(static: Column) -> pl.Expr:
    """A number to the digits that training sees, or the number of a category; of a text that is not listed nothing."""
    if static.kind == "number":
        return pl.col(static.name).cast(pl.Float32)
    return pl.col(static.name).cast(pl.Enum(static.categories), strict=False).to_physical()


def _time(contract: Contract) -> list[str]:
    return [column.name for column in contract.columns if column.role == "time"][:1]


def _labelled(found: TableCheck) -> int:
    return found.rows - found.gaps[found.contract.target.name]


def _quality_refusals(asked: pl.DataFrame, found: TableCheck, broken: frozenset[str]) -> Iterator[Refusal]:
    contract, name, rule = found.contract, found.contract.target.name, split_rule(found.contract)
    if (split := split_refusal(contract, rule)) is not None:
        yield split
    if name in broken:
        return
    values = list(found.labels) if contract.classes else list({asked[name].min(), asked[name].max()} - {None})
    if (constant := constant_target(name, values, _labelled(found))) is not None:
        yield constant
    elif split is None and not broken & {*(_time(contract) if rule == "ordered" else contract.group)}:
        folds = _times_refusal(asked, contract) if rule == "ordered" else _groups_refusal(asked, found)
        yield from [folds] if folds else []


def _groups_refusal(asked: pl.DataFrame, found: TableCheck) -> DataError | None:
    """Too few groups, or rows where there are none: of all, or of a class."""
    contract, count, of_class = found.contract, _labelled(found), dict(found.labels)
    if contract.group:
        count = asked[_GROUP].n_unique()
        if contract.classes:
            of_class = dict(asked.group_by(contract.target.name).agg(pl.col(_GROUP).n_unique()).iter_rows())
    few = few_groups(count, contract, FOLDS)
    return few or (rare_classes(of_class, contract, FOLDS) if contract.classes else None)


def _times_refusal(asked: pl.DataFrame, contract: Contract) -> DataError | None:
    (time,) = _time(contract)
    few = untimed_rows(time, asked[time].null_count()) or few_times(asked[time].n_unique(), FOLDS)
    if few or not contract.classes:
        return few
    times, classes = asked[time].rank("dense").cast(pl.Int64), asked[contract.target.name].to_physical()
    return absent_class(times.to_numpy(), classes.to_numpy(), contract, FOLDS)


def _quality_notes(found: TableCheck, broken: frozenset[str]) -> list[str]:
    name, gaps = found.contract.target.name, found.rows - _labelled(found)
    fact = f"rows without a value of {name!r}: {gaps:,}; dxai train leaves them out, dxai predict can fill them"
    return [fact] if gaps and _labelled(found) and name not in broken else []


def _of_series(
    asked: pl.DataFrame, contract: Contract, where: str, broken: frozenset[str]
) -> tuple[list[Refusal], list[str]]:
    time, target = (contract.only(role).name for role in ("time", "target"))
    if broken & {*(column.name for column in contract.series), time}:
        return [], []
    if asked.is_empty():
        return [DataError("The table has no row.", where=where, fix="Bring the rows of the series.")], []
    try:
        found = histories(asked, contract, origins=ORIGINS, where=where)
    except DataError as refusal:
        return [] if target in broken else [refusal], []
    refusals = [] if target in broken else list(found.refusals(ORIGINS, where))
    changing = [several_values(name, series, where) for name, series in _changing(asked, contract, broken)]
    return [*changing, *refusals], [*_short_told(found), *_ended_told(found)]


def _changing(asked: pl.DataFrame, contract: Contract, broken: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Static columns that change within a series, and the first series in which they do."""
    names = [column.name for column in _static(contract) if column.name not in broken]
    series = asked.group_by(naming(contract).cast(pl.String).alias(_SERIES)).agg(
        pl.col(name).min() != pl.col(name).max() for name in names
    )
    for name in names:
        if (first := series.filter(pl.col(name))[_SERIES].min()) is not None:
            yield name, str(first)


def _short_told(found: Histories) -> list[str]:
    short = found.short.sort("name")
    if not len(short) or len(short) == len(found.series):
        return []
    first = ", ".join(
        f"{told(name)!r} has {known}" for name, known in short.select("name", "known").head(_EXAMPLES).iter_rows()
    )
    needed = f"{found.contract.minimum_history} {found.contract.frequency} steps"
    count = f"{len(short):,} of {len(found.series):,} ({first})"
    return [f"series with fewer than {needed}, which dxai train leaves out: {count}"]


def _ended_told(found: Histories) -> list[str]:
    ended = found.ended.sort("last", "name")
    if not len(ended):
        return []
    first = ", ".join(
        f"{told(name)!r} on {last}" for name, last in ended.select("name", "last").head(_EXAMPLES).iter_rows()
    )
    newest = str(found.series["last"].max())
    return [f"series that ended before {newest}, the newest date: {len(ended):,} of {len(found.series):,} ({first})"]
