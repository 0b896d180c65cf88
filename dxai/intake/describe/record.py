"""What is known of a table nobody has described yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from dxai.contract.terms import Text

Type = Literal["integer", "number", "category", "text", "date", "timestamp", "boolean", "empty"]
Grade = Literal["care", "note"]
Kind = Literal[
    "leak", "total", "mixed", "censored", "ambiguous-date", "decimal-marks", "placeholder", "far", "maybe-id",
    "spelling", "duplicate-rows", "group", "time-order", "dated-headers", "missing-text", "number-text",
    "leading-zeros", "long-code", "date-format", "equal", "correlated", "one-hot", "id", "mostly-missing", "empty",
    "constant",
]  # fmt: skip
Concerned = Literal["columns", "numbers", "texts", "features"]

FEWEST = 5
"""Cells that must hold a text before it is shown: a report may be passed on."""

NUMERIC: tuple[Type, ...] = ("integer", "number", "boolean")
TEMPORAL: tuple[Type, ...] = ("date", "timestamp")


@dataclass(frozen=True)
class Suspicion:
    """Something that a person should look at, as `dxai.intake.describe.words` puts it.

    Attributes:
        name: Of the kind, for people.
        grade: ``care`` can spoil a model unseen, ``note`` needs a glance.
        columns: What it is about; none: the rows.
        texts: In their cells.
        question: What only a person can know, in a draft; empty: nothing.
        concerned: Which columns the question is about.
        reading: How sure the cells were read, and why; empty: as their type says.
        no_feature: Why no model learns from the columns; empty: it may.
    """

    kind: Kind
    name: Text
    grade: Grade
    message: Text
    columns: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    question: str = ""
    concerned: Concerned = "columns"
    reading: str = ""
    no_feature: str = ""


@dataclass(frozen=True)
class Histogram:
    """Sampled cells between equally wide edges; dates as seconds since 1970.

    Attributes:
        clipped: Whether the first and the last bin also hold what lies beyond the edges.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    clipped: bool = False


@dataclass(frozen=True)
class Bars:
    """Cells per text, each held by `FEWEST` cells or more, and all others together."""

    counts: tuple[tuple[str, int], ...]
    others: int = 0


@dataclass(frozen=True)
class ColumnDescription:
    """One column.

    Attributes:
        name: Header as written.
        title, unit_text, unit: Header without its unit, the unit as written there (or in the cells), and its UCUM
            code; empty where there is none or it is not understood.
        type: What nine tenths of the known cells are. 0 and 1 alone are a ``boolean``.
        rows: Cells, of which ``missing`` are empty and the ``missing_texts`` look like a gap.
        misfits: Known cells that are not of the type.
        minimum, maximum, mean: Of numbers; the first two also of dates.
        distinct: Different texts, gaps not counted; None when there are more than `dxai.intake.describe.columns.MANY`.
        frequent: The commonest texts, of those that `FEWEST` cells hold.
        date_formats: How dates are written, in the terms of ``strptime``; two when the values admit both.
        decimal_mark, thousands: ``.`` or ``,``; empty where no cell shows it.
        mixed_marks: Whether some cells have a decimal comma and others a decimal point.
        leading_zeros: Whole numbers written like ``0012``: a code, kept as text.
        full_width: Cells with digits like ``１２``.
        signed: Cells with a minus that is a triangle, brackets, another letter, or stands behind.
        censored: Cells with a limit instead of a number, such as ``<0.5``.
        long_code: Whether it holds whole numbers of more digits than a float keeps.
        totals: Texts that name a total of other rows, and how many cells have each.
        cell_units: Units behind the numbers, and how many cells have each.
        variants: Categories that differ from another only in case, width or spaces.
        picture: How the values are spread.
    """

    name: str
    type: Type
    rows: int
    title: str = ""
    unit_text: str = ""
    unit: str = ""
    missing: int = 0
    missing_texts: tuple[tuple[str, int], ...] = ()
    misfits: int = 0
    minimum: float | datetime | None = None
    maximum: float | datetime | None = None
    mean: float | None = None
    distinct: int | None = 0
    frequent: tuple[tuple[str, int], ...] = ()
    date_formats: tuple[str, ...] = ()
    decimal_mark: Literal["", ".", ","] = ""
    thousands: Literal["", ".", ","] = ""
    mixed_marks: bool = False
    leading_zeros: int = 0
    full_width: int = 0
    signed: int = 0
    censored: int = 0
    long_code: bool = False
    totals: tuple[tuple[str, int], ...] = ()
    cell_units: tuple[tuple[str, int], ...] = ()
    variants: int = 0
    picture: Histogram | Bars | None = None

    @property
    def gaps(self) -> int:
        """Cells without a value, however written."""
        return self.missing + sum(count for _, count in self.missing_texts)

    @property
    def known(self) -> int:
        """Cells with a value."""
        return self.rows - self.gaps

    @property
    def constant(self) -> bool:
        """Whether all known cells say the same."""
        same_number = self.minimum is not None and self.minimum == self.maximum and not self.misfits
        return self.known > 1 and (self.distinct == 1 or same_number)


@dataclass(frozen=True)
class Description:
    """A table.

    Attributes:
        columns: In the order of the file.
        suspicions: What matters first on top.
        sampled: Rows drawn at random for the pictures and for whatever concerns several columns; all rows where the
            table is small enough.
        duplicates: Rows that repeat an earlier one; an estimate from a part of all rows in very long tables.
        target: The column that is to be predicted, where named.
        where, encoding, delimiter: Of the file, for the report.
    """

    rows: int
    columns: tuple[ColumnDescription, ...]
    suspicions: tuple[Suspicion, ...]
    sampled: int
    duplicates: int
    target: str = ""
    where: str = ""
    encoding: str = ""
    delimiter: str = ""

    @property
    def gaps(self) -> int:
        """Cells without a value."""
        return sum(column.gaps for column in self.columns)

    @property
    def share_of_gaps(self) -> float | None:
        """Of all cells; None where there is no row."""
        return self.gaps / (self.rows * len(self.columns)) if self.rows else None

    def column(self, name: str) -> ColumnDescription:
        """The column of this header."""
        return next(column for column in self.columns if column.name == name)

    def about(self, name: str) -> tuple[Suspicion, ...]:
        """The suspicions that concern one column."""
        return tuple(suspicion for suspicion in self.suspicions if name in suspicion.columns)
