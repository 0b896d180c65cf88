"""The split that a draft proposes, and what a random one would have hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from dxai.contract.model import SplitRule
from dxai.errors import SettingsError
from dxai.intake.choices import Choices
from dxai.intake.dates import read_dates
from dxai.intake.describe.record import NUMERIC, TEMPORAL, ColumnDescription
from dxai.intake.describe.words import listed
from dxai.intake.hidden import Floats, Hidden, Whole, hidden
from dxai.intake.look import Look

_PLAIN = {
    "random": "random: rows seem independent; if they share a lot, a machine or a day, name it: --group COLUMN",
    "rolling": "rolling: each test is later than what it is trained on",
}


@dataclass(frozen=True)
class Split:
    """A rule, and the columns it goes by: the group's, or the one of the time."""

    rule: SplitRule
    group: tuple[str, ...] = ()
    time: str = ""


def split_of(look: Look, choices: Choices) -> Split:
    """What was chosen; otherwise as the rows follow each other in time or share a recipe; otherwise random.

    Raises:
        SettingsError: The time column holds no dates.
    """
    if look.time and look.seen.column(look.time).type not in TEMPORAL:
        fix = "Name a column of dates; `dxai data describe` lists the types."
        raise SettingsError(f"The column {look.time!r} holds no dates.", where="--time", fix=fix)
    if choices.kind == "demand":
        return Split("rolling", time=look.time)
    if choices.group:
        return Split("grouped", choices.group, look.time)
    reported = {suspicion.kind: suspicion.columns for suspicion in look.seen.suspicions}
    if time := look.time or next(iter(reported.get("time-order", ())), ""):
        return Split("ordered", time=time)
    return Split("grouped", reported["group"]) if "group" in reported else Split("random")


def told(split: Split, look: Look, features: Sequence[str]) -> str:
    """One sentence: the rule, and what a random split would have hidden of these features' model."""
    by = {"grouped": f"grouped by {_named(split.group)}", "ordered": f"ordered by {split.time}"}.get(split.rule)
    if by is None:
        return _PLAIN[split.rule]
    found = _found(split, look, features)
    if found is None:
        return f"{by}; too few rows or groups to tell what a random split would have hidden"
    target = look.seen.column(look.target)
    unit = "" if not target.unit else f" {target.unit}"
    random, honest = (f"{e:.3g}" for e in (found.random, found.honest))
    if names_classes(target):
        random, honest, unit = f"{found.random:.1%}", f"{found.honest:.1%}", " wrong"
    whose = "just before or after them"
    if split.rule == "grouped":
        whose = f"of the same {_named(split.group, short=True)}"
    looks = f"{found.times:.1f} x better" if found.times > 1.05 else "no better"
    return (
        f"{by}. A random split would have looked {looks} (error {random} instead of {honest}{unit}): "
        f"{found.siblings:.0%} of its test rows have a row {whose} in training."
    )


def _named(group: Sequence[str], *, short: bool = False) -> str:
    return listed(group) if len(group) < 4 else "recipe" if short else f"recipe ({len(group)} columns)"


def _found(split: Split, look: Look, features: Sequence[str]) -> Hidden | None:
    target = look.seen.column(look.target)
    texts = look.texts
    if split.rule == "ordered":
        written = look.seen.column(split.time).date_formats[0]
        texts = texts[read_dates(texts[split.time].str.strip_chars(), written).arg_sort()]
    truth = _truth(texts[target.name], target)
    known = truth.is_not_null().to_numpy()
    numbers = [look.seen.column(name) for name in features]
    matrix = [_numbers(texts[c.name], c).to_numpy() for c in numbers if c.type in NUMERIC]
    if not matrix:
        return None
    groups = _groups(texts, split.group)[known] if split.rule == "grouped" else None
    rows: Floats = np.column_stack(matrix)
    return hidden(rows[known], truth.drop_nulls().to_numpy(), groups)


def names_classes(target: ColumnDescription) -> bool:
    """Whether its values are names: -1 and 1, or 1 and 2, as well as 0 and 1; numbers otherwise."""
    return target.type not in ("integer", "number") or (target.type == "integer" and target.distinct == 2)


def _truth(texts: pl.Series, target: ColumnDescription) -> pl.Series:
    if names_classes(target):
        return (texts.rank("dense").cast(pl.Int64) - 1).alias(target.name)
    numbers = _numbers(texts, target)
    return numbers.fill_nan(None)


def _groups(texts: pl.DataFrame, group: Sequence[str]) -> Whole:
    ids = texts.select(pl.struct(group).rank("dense")).to_series()
    return ids.to_numpy().astype(np.int64) - 1


def _numbers(texts: pl.Series, column: ColumnDescription) -> pl.Series:
    """Cells as numbers, NaN for all others."""
    text = texts.str.strip_chars()
    if column.decimal_mark == ",":
        text = text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    else:
        text = text.str.replace_all(",", "", literal=True)
    return text.cast(pl.Float64, strict=False).fill_null(float("nan"))
