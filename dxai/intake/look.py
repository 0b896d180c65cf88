"""What a person chose of a file, and the first look at it: its shape, its description, and rows drawn at random."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Literal

import polars as pl

from dxai.contract import Frequency, Role
from dxai.data.tables import as_text
from dxai.errors import NotFoundError, SettingsError, nearest
from dxai.intake.dates import dated_headers, frequency_of, read_dates
from dxai.intake.describe import Description, RowSample, describe, header_of
from dxai.intake.mapping import Wide
from dxai.intake.shape import lengthened, one_of, steps_of


@dataclass(frozen=True)
class Choices:
    """What was chosen on the command line, answered or, after a look, recognised; columns by their headers.

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
    kind: Literal["quality", "demand"] = "quality"
    series: tuple[str, ...] = ()
    time: str = ""
    group: tuple[str, ...] = ()
    frequency: Frequency | Literal[""] = ""
    horizon: int = 12
    add_up: Literal["", "hourly", "daily", "weekly", "monthly"] = ""
    units: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)

    @property
    def one_hot(self) -> tuple[str, ...]:
        """Columns of the file that become the target."""
        return self.targets if len(self.targets) > 1 else ()

    @property
    def joined(self) -> tuple[str, ...]:
        """Columns of the file that become the series."""
        return self.series if self.kind == "demand" and len(self.series) > 1 else ()

    @property
    def target_name(self) -> str:
        """Header of what is to be predicted; empty where nothing was chosen."""
        return self.class_name if self.one_hot else next(iter(self.targets), "")

    @property
    def series_name(self) -> str:
        """Header of what names a series; empty where nothing does."""
        return " / ".join(self.joined) or next(iter(self.series), "")


@dataclass(frozen=True)
class Look:
    """What was seen of the table that a file is to become.

    Attributes:
        choices: By the headers of the file.
        wide: Of a file with a column per step.
        texts: Rows drawn at random, in the order of the file.
    """

    choices: Choices
    wide: Wide | None
    seen: Description
    texts: pl.DataFrame


def look(tables: Iterable[pl.DataFrame], choices: Choices, *, where: str, encoding: str, delimiter: str) -> Look:
    """Describe the table that a file is to become, in one pass and bounded memory.

    Raises:
        NotFoundError: A chosen column is not in the file.
        SettingsError: The choices do not make a table of the kind.
    """
    blocks = iter(tables)
    first = next(blocks)
    choices, wide = _fitted(first.columns, choices, where)
    shaped = _shape(first.columns, choices, wide, where)
    sample = RowSample(3 if wide else first.width)

    def sampled() -> Iterator[pl.DataFrame]:
        for block in chain([first], blocks):
            table = shaped(as_text(block))
            sample.add(table)
            yield table

    seen = describe(sampled(), target=choices.target_name, where=where, encoding=encoding, delimiter=delimiter)
    return Look(choices, wide, seen, sample.rows()[0])


def _shape(names: list[str], choices: Choices, wide: Wide | None, where: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """How a block of the file becomes one of the table to be described."""
    if wide:
        steps = steps_of(names, wide, choices.frequency or None, where)
        return lambda block: lengthened(block, wide, steps, (), pl.int_range(len(block), eager=True))[0].table
    if flags := choices.one_hot:
        return lambda block: block.drop(flags).with_columns(one_of(block.select(flags))[0].alias(choices.class_name))
    if parts := choices.joined:
        joint = pl.concat_str(pl.col(parts).str.strip_chars(), separator=" / ").alias(choices.series_name)
        return lambda block: block.select(joint, pl.exclude(parts))
    return lambda block: block


def _fitted(names: list[str], choices: Choices, where: str) -> tuple[Choices, Wide | None]:
    """The choices by the headers of the file, and of a file with a column per step how it is lengthened."""
    targets, series, group, (time,) = (
        tuple(header_of(name, names) for name in chosen)
        for chosen in (choices.targets, choices.series, choices.group, [choices.time])
    )
    choices = replace(choices, targets=targets, series=series, group=group, time=time)
    demand = choices.kind == "demand"
    _refuse_unknown((*series, *group), names, where)
    if demand and len(targets) > 1:
        raise SettingsError("A demand table has one target.", where=where, fix="Give --target once.")
    dated = dated_headers(names) if demand and time not in names else None
    if dated:
        return _lengthened(names, *dated, choices, where)
    _refuse_unknown((*targets, time), names, where)
    if demand and not (series and time and targets):
        fix = "Name them: --series COLUMN --time COLUMN --target COLUMN."
        raise SettingsError("A demand table needs a series, a time and a target.", where=where, fix=fix)
    if choices.one_hot and choices.class_name in set(names) - set(targets):
        fix = "Give the new column another name: --class-name NAME."
        raise SettingsError(f"The file has a column {choices.class_name!r} already.", where=where, fix=fix)
    return choices, None


def _refuse_unknown(headers: Iterable[str], names: list[str], where: str) -> None:
    for header in headers:
        if header and header not in names:
            hint = nearest(header, names)
            fix = f"Did you mean {hint!r}?" if hint else "`dxai data describe` lists the columns."
            raise NotFoundError(f"The file has no column {header!r}.", where=where, fix=fix)


_STEP_NAMES: dict[Frequency, str] = {
    "hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month", "quarterly": "quarter", "yearly": "year",
}  # fmt: skip


def _lengthened(
    names: list[str], header: str, headers: list[str], choices: Choices, where: str
) -> tuple[Choices, Wide]:
    others = [name for name in names if name not in headers]
    frequency = choices.frequency or frequency_of(read_dates(pl.Series(headers), header)) or "monthly"
    value, time = next(iter(choices.targets), "value"), choices.time or _STEP_NAMES[frequency]
    wide = Wide(columns=_pattern(headers, others), header=header, time=time, value=value)
    if len(choices.series) > 1:
        fix = "Join them to one column first, or make one row per step."
        raise SettingsError("A table with a column per step has one column of series.", where="--series", fix=fix)
    if not choices.series and len(others) != 1:
        told = f"Which column names the series? Beside the steps there are: {', '.join(others) or 'none'}."
        raise SettingsError(told, where=where, fix="Name it: --series COLUMN.")
    series = choices.series or tuple(others)
    return replace(choices, targets=(value,), time=time, series=series, frequency=frequency), wide


def _pattern(headers: list[str], others: list[str]) -> str:
    """What the headers of the steps have in common and no other header has; else all of them."""
    digits = [re.sub(r"\d+", lambda found: f"[0-9]{{{len(found[0])}}}", re.escape(header)) for header in headers]
    pattern = "|".join(dict.fromkeys(re.sub(r"[A-Za-z]+", "[A-Za-z]+", text) for text in digits))
    return pattern if not any(re.fullmatch(pattern, name) for name in others) else "|".join(map(re.escape, headers))
