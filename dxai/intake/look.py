"""What a person chose of a file, and the first look at it: its shape, its description, and rows drawn at random."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
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
        times: Columns that together tell the time of a demand table, or of rows in the order of time.
        add_up: Step to which a demand table of shorter steps is added up.
        group: Rows that share these stay on one side of a split.
        frequency, horizon: Of a demand table; empty: as the dates say.
        known: Columns of a demand table that are known ahead.
        closed, available: Columns of two values that tell closed steps, and steps at which all demand could be met.
        one_series: Of a demand table without a column of series, the one that every row gets; found in a look.
        units, roles: Answers, by column.
    """

    name: str
    targets: tuple[str, ...] = ()
    class_name: str = "class"
    kind: Literal["quality", "demand"] = "quality"
    series: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    frequency: Frequency | Literal[""] = ""
    horizon: int = 12
    add_up: Literal["", "hourly", "daily", "weekly", "monthly"] = ""
    known: tuple[str, ...] = ()
    closed: str = ""
    available: str = ""
    one_series: str = ""
    units: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)

    @property
    def one_hot(self) -> tuple[str, ...]:
        """Columns of the file that become the target."""
        return self.targets if len(self.targets) > 1 else ()

    @property
    def time(self) -> str:
        """Header of the time; empty where nothing was chosen."""
        return " ".join(self.times)

    @property
    def target_name(self) -> str:
        """Header of what is to be predicted; empty where nothing was chosen."""
        return self.class_name if self.one_hot else next(iter(self.targets), "")

    @property
    def series_names(self) -> tuple[str, ...]:
        """Headers of what names a series; none where nothing does."""
        return self.series or ((self.one_series,) if self.one_series else ())

    @property
    def beside(self) -> dict[str, Role]:
        """Roles of what is named beside the history of a series, by header."""
        told: dict[str, Role] = {self.closed: "open", self.available: "available"}
        return {name: role for name, role in told.items() if name} | dict.fromkeys(self.known, "known_future")


@dataclass(frozen=True)
class Look:
    """What was seen of the table that a file is to become.

    Attributes:
        choices: By the headers of the file.
        wide: Of a file with a column per step.
        texts: Rows drawn at random, in the order of the file.
        series: Of a demand table, how many there are, and the columns that hold one text in all rows of each.
    """

    choices: Choices
    wide: Wide | None
    seen: Description
    texts: pl.DataFrame
    series: SeriesCount


class SeriesCount:
    """Series of a table, block by block, and the columns that hold one text in all rows of a series.

    Args:
        series: Headers of what names a series; without any, nothing is counted.
    """

    def __init__(self, series: Sequence[str]) -> None:
        self._series = list(series)
        self._held: pl.DataFrame | None = None

    def add(self, block: pl.DataFrame) -> None:
        """Take in the next rows, all text; an empty cell is no text."""
        if not self._series:
            return
        names = block.columns if self._held is None else self._held.columns
        rows = block.select(pl.col(names).str.strip_chars().replace("", None))
        rows = rows if self._held is None else pl.concat([self._held, rows])
        by_series, others = rows.group_by(self._series), [name for name in names if name not in self._series]
        most = by_series.agg(pl.col(others).drop_nulls().n_unique()).select(pl.col(others).max()).row(0)
        kept = [name for name, count in zip(others, most, strict=True) if count is None or count < 2]
        self._held = by_series.agg(pl.col(kept).drop_nulls().first())

    def __len__(self) -> int:
        return 0 if self._held is None else len(self._held)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that hold one text in all rows of each series."""
        return () if self._held is None else tuple(n for n in self._held.columns if n not in self._series)


def look(tables: Iterable[pl.DataFrame], choices: Choices, *, where: str, encoding: str, delimiter: str) -> Look:
    """Describe the table that a file is to become, in one pass and bounded memory.

    Raises:
        NotFoundError: A chosen column is not in the file.
        SettingsError: The choices do not make a table of the kind.
    """
    blocks = iter(tables)
    first = next(blocks)
    choices, wide = _fitted(first.columns, choices, where)
    shaped, demand = _shape(first.columns, choices, wide, where), choices.kind == "demand"
    sample, series = RowSample(3 if wide else first.width), SeriesCount(choices.series if demand else ())

    def sampled() -> Iterator[pl.DataFrame]:
        for block in chain([first], blocks):
            table = shaped(as_text(block))
            sample.add(table)
            series.add(table)
            yield table

    seen = describe(sampled(), target=choices.target_name, where=where, encoding=encoding, delimiter=delimiter)
    return Look(choices, wide, seen, sample.rows()[0], series)


def _shape(names: list[str], choices: Choices, wide: Wide | None, where: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """How a block of the file becomes one of the table to be described."""
    if wide:
        steps = steps_of(names, wide, choices.frequency or None, where)
        return lambda block: lengthened(block, wide, steps, (), pl.int_range(len(block), eager=True))[0].table
    made = []
    if name := choices.one_series:
        made.append(pl.lit(choices.name).alias(name))
    parts = choices.times if len(choices.times) > 1 else ()
    if parts:
        made.append(pl.concat_str(pl.col(parts).str.strip_chars(), separator=" ").alias(choices.time))

    def shaped(block: pl.DataFrame) -> pl.DataFrame:
        if flags := choices.one_hot:
            block = block.drop(flags).with_columns(one_of(block.select(flags))[0].alias(choices.class_name))
        return block.select(*made, pl.exclude(parts)) if made else block

    return shaped


def _fitted(names: list[str], choices: Choices, where: str) -> tuple[Choices, Wide | None]:
    """The choices by the headers of the file, and of a file with a column per step how it is lengthened."""
    targets, series, group, times, known, (closed, available) = (
        tuple(header_of(name, names) for name in chosen)
        for chosen in (choices.targets, choices.series, choices.group, choices.times, choices.known,
                       [choices.closed, choices.available])
    )  # fmt: skip
    choices = replace(
        choices, targets=targets, series=series, group=group, times=times, known=known, closed=closed,
        available=available,
    )  # fmt: skip
    demand = choices.kind == "demand"
    _refuse_unknown((*series, *group, *choices.beside), names, where)
    _refuse_twice(choices, where)
    if demand and len(targets) > 1:
        raise SettingsError("A demand table has one target.", where=where, fix="Give --target once.")
    dated = dated_headers(names) if demand and not set(times) & set(names) else None
    if dated:
        return _lengthened(names, *dated, choices, where)
    _refuse_unknown((*targets, *times), names, where)
    if demand and not (times and targets):
        fix = "Name them: --time COLUMN --target COLUMN, and --series COLUMN where it holds several series."
        raise SettingsError("A demand table needs a time and a target.", where=where, fix=fix)
    if demand and not series:
        free = (name for name in chain(["series"], map("series_{}".format, count(2))) if name not in names)
        choices = replace(choices, one_series=next(free))
    if choices.one_hot and choices.class_name in set(names) - set(targets):
        fix = "Give the new column another name: --class-name NAME."
        raise SettingsError(f"The file has a column {choices.class_name!r} already.", where=where, fix=fix)
    return choices, None


def _refuse_twice(choices: Choices, where: str) -> None:
    """A column has one role."""
    if choices.beside and choices.kind != "demand":
        told = "--known, --closed and --available are said of demand tables."
        raise SettingsError(told, where=where, fix="Say --kind demand, or leave them out.")
    told_of = [*choices.targets, *choices.series, *choices.times, *choices.known, choices.closed, choices.available]
    twice = [name for name, times in Counter(filter(None, told_of)).items() if times > 1]
    if twice:
        raise SettingsError(f"The column {twice[0]!r} is named twice.", where=where, fix="Give each column one role.")


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
    if not choices.series and len(others) != 1:
        told = f"Which column names the series? Beside the steps there are: {', '.join(others) or 'none'}."
        raise SettingsError(told, where=where, fix="Name it: --series COLUMN.")
    series = choices.series or tuple(others)
    return replace(choices, targets=(value,), times=(time,), series=series, frequency=frequency), wide


def _pattern(headers: list[str], others: list[str]) -> str:
    """What the headers of the steps have in common and no other header has; else all of them."""
    digits = [re.sub(r"\d+", lambda found: f"[0-9]{{{len(found[0])}}}", re.escape(header)) for header in headers]
    pattern = "|".join(dict.fromkeys(re.sub(r"[A-Za-z]+", "[A-Za-z]+", text) for text in digits))
    return pattern if not any(re.fullmatch(pattern, name) for name in others) else "|".join(map(re.escape, headers))
