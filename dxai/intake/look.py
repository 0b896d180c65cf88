"""What a person chose of a file, and the first look at it: its shape, its description, and rows drawn at random."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from dxai.contract import Frequency, Role
from dxai.data.tables import as_text
from dxai.errors import NotFoundError, SettingsError, nearest
from dxai.intake.dates import dated_headers, frequency_of, read_dates
from dxai.intake.describe import Description, RowSample, describe, header_of
from dxai.intake.mapping import Wide
from dxai.intake.shape import Steps, lengthened, one_of, steps_of

TableKind = Literal["quality", "demand"]


@dataclass(frozen=True)
class Choices:
    """What was chosen on the command line or answered; columns by their headers.

    Attributes:
        name: Id of the contract.
        targets: To be predicted; several are the columns of one one-hot code.
        class_name: Of the column that takes the place of several targets.
        series: Columns that together name a series of a demand table.
        time: Of a demand table, or of rows in the order of time.
        add_up: Step to which a demand table of shorter steps is added up.
        group: Rows that share these stay on one side of a split.
        frequency, horizon: Of a demand table; empty: as the dates say.
        units, roles: Answers, by column.
    """

    name: str
    targets: tuple[str, ...] = ()
    class_name: str = "class"
    kind: TableKind = "quality"
    series: tuple[str, ...] = ()
    time: str = ""
    group: tuple[str, ...] = ()
    frequency: Frequency | Literal[""] = ""
    horizon: int = 12
    add_up: Literal["", "weekly", "monthly"] = ""
    units: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)


def resolved(choices: Choices, names: Sequence[str]) -> Choices:
    """The choices by the headers of the file."""
    return replace(
        choices, targets=tuple(header_of(name, names) for name in choices.targets),
        series=tuple(header_of(name, names) for name in choices.series), time=header_of(choices.time, names),
        group=tuple(header_of(name, names) for name in choices.group),
    )  # fmt: skip


def refuse_unknown(headers: Iterable[str], names: list[str], where: str) -> None:
    """Refuse a header that the file has not.

    Raises:
        NotFoundError: The first such header, with the nearest one.
    """
    for header in headers:
        if header and header not in names:
            hint = nearest(header, names)
            fix = f"Did you mean {hint!r}?" if hint else "`dxai data describe` lists the columns."
            raise NotFoundError(f"The file has no column {header!r}.", where=where, fix=fix)


_STEP_NAMES: dict[Frequency, str] = {"weekly": "week", "monthly": "month", "quarterly": "quarter"}


@dataclass(frozen=True)
class Shape:
    """How the columns of a file become those of the table to be described.

    Attributes:
        wide, steps, frequency: Of a table with a column per step.
        one_hot, class_name: Columns that become one.
        joined: Columns whose texts together name a series.
    """

    wide: Wide | None = None
    steps: Steps | None = None
    frequency: Frequency | None = None
    one_hot: tuple[str, ...] = ()
    class_name: str = ""
    joined: tuple[str, ...] = ()

    @property
    def joint_name(self) -> str:
        """Header of the column made of several."""
        return " / ".join(self.joined)

    def __call__(self, block: pl.DataFrame) -> pl.DataFrame:
        """A block of text in this shape."""
        if self.one_hot:
            told, _ = one_of(block.select(self.one_hot))
            return block.drop(self.one_hot).with_columns(told.alias(self.class_name))
        if self.joined:
            joint = pl.concat_str(pl.col(self.joined).str.strip_chars(), separator=" / ").alias(self.joint_name)
            return block.select(joint, pl.exclude(self.joined))
        if self.wide and self.steps:
            return lengthened(block, self.wide, self.steps, (), pl.int_range(len(block), eager=True))[0].table
        return block


@dataclass(frozen=True)
class Look:
    """What was seen.

    Attributes:
        target, series, time: Headers in the described table; empty where there is none.
        texts: Rows drawn at random, in the order of the file.
        choices: By the headers of the file.
    """

    shape: Shape
    seen: Description
    target: str
    series: str
    time: str
    texts: pl.DataFrame
    choices: Choices


def look(tables: Iterable[pl.DataFrame], choices: Choices, *, where: str, encoding: str, delimiter: str) -> Look:
    """Describe the table that a file is to become, in one pass and bounded memory.

    Raises:
        NotFoundError: A chosen column is not in the file.
        SettingsError: The choices do not make a table of the kind.
    """
    blocks = iter(tables)
    first = next(blocks)
    choices = resolved(choices, first.columns)
    shape = _shape(first.columns, choices, where)
    width = first.width if shape.wide is None else 3
    sample = RowSample(width)

    def shaped() -> Iterator[pl.DataFrame]:
        for block in _chained(first, blocks):
            table = shape(as_text(block))
            sample.add(table)
            yield table

    wide = shape.wide
    target = wide.value if wide else shape.class_name or next(iter(choices.targets), "")
    series = shape.joint_name or next(iter(choices.series), "")
    series = series or (_only_other(first.columns, shape, where) if wide else "")
    seen = describe(shaped(), target=target, where=where, encoding=encoding, delimiter=delimiter)
    return Look(shape, seen, target, series, wide.time if wide else choices.time, sample.rows()[0], choices)


def _chained(first: pl.DataFrame, rest: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    yield first
    yield from rest


def _shape(names: list[str], choices: Choices, where: str) -> Shape:
    refuse_unknown((*choices.series, *choices.group), names, where)
    if choices.kind == "demand" and len(choices.targets) > 1:
        raise SettingsError("A demand table has one target.", where=where, fix="Give --target once.")
    dated = dated_headers(names) if choices.kind == "demand" and choices.time not in names else None
    if dated and len(choices.series) > 1:
        fix = "Join them to one column first, or make one row per step."
        raise SettingsError("A table with a column per step has one column of series.", where="--series", fix=fix)
    if dated:
        return _wide(names, *dated, choices, where)
    refuse_unknown((*choices.targets, choices.time), names, where)
    if choices.kind == "demand" and not (choices.series and choices.time and choices.targets):
        fix = "Name them: --series COLUMN --time COLUMN --target COLUMN."
        raise SettingsError("A demand table needs a series, a time and a target.", where=where, fix=fix)
    if choices.kind == "demand":
        return Shape(joined=choices.series if len(choices.series) > 1 else ())
    if len(choices.targets) < 2:
        return Shape()
    if choices.class_name in set(names) - set(choices.targets):
        fix = "Give the new column another name: --class-name NAME."
        raise SettingsError(f"The file has a column {choices.class_name!r} already.", where=where, fix=fix)
    return Shape(one_hot=choices.targets, class_name=choices.class_name)


def _wide(names: list[str], header: str, headers: list[str], choices: Choices, where: str) -> Shape:
    frequency = choices.frequency or frequency_of(read_dates(pl.Series(headers), header)) or "monthly"
    value = next(iter(choices.targets), "value")
    others = [name for name in names if name not in headers]
    wide = Wide(
        columns=_pattern(headers, others), header=header, time=choices.time or _STEP_NAMES[frequency], value=value
    )
    return Shape(wide=wide, steps=steps_of(names, wide, frequency, where), frequency=frequency)


def _pattern(headers: list[str], others: list[str]) -> str:
    """What the headers of the steps have in common and no other header has; else all of them."""
    kinds = dict.fromkeys(re.sub(r"[A-Za-z]+", "[A-Za-z]+", _digits(re.escape(header))) for header in headers)
    pattern = "|".join(kinds)
    return pattern if not any(re.fullmatch(pattern, name) for name in others) else "|".join(map(re.escape, headers))


def _digits(text: str) -> str:
    return re.sub(r"\d+", lambda digits: f"[0-9]{{{len(digits[0])}}}", text)


def _only_other(names: list[str], shape: Shape, where: str) -> str:
    assert shape.steps is not None  # asked for wide tables only
    others = [name for name in names if name not in shape.steps.columns]
    if len(others) != 1:
        told = f"Which column names the series? Beside the steps there are: {', '.join(others) or 'none'}."
        raise SettingsError(told, where=where, fix="Name it: --series COLUMN.")
    return others[0]
