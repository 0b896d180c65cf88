"""Proposed columns of a contract: role, type, unit and spelling of each, how sure that is, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from dxai.contract import Role
from dxai.intake.choices import Choices
from dxai.intake.dates import begins_period, frequency_of, names_period, read_dates
from dxai.intake.describe.record import FEWEST, TEMPORAL, ColumnDescription
from dxai.intake.look import Look
from dxai.intake.split import Split, names_classes
from dxai.units import understand

_LOGICAL = {
    "integer": "integer", "number": "number", "boolean": "integer", "category": "string", "text": "string",
    "date": "date", "timestamp": "timestamp", "empty": "string",
}  # fmt: skip
_NOT_USED = {"leak": "tells the target", "id": "names rows", "constant": "says the same in every row"}
_NOT_USED |= {"empty": "is empty"}
_MOST_CATEGORIES = 200
_IN_BRACKETS = re.compile(r"[(\[（［]([^()\[\]（）［］]*\S)\s*[)\]）］]$")
_TYPES = {
    "boolean": "one of two values", "category": "one of a few texts", "empty": "nothing", "integer": "a whole number",
    "number": "a number", "text": "a text",
}  # fmt: skip


@dataclass(frozen=True)
class Proposed:
    """A column as the templates print it.

    Attributes:
        unit: UCUM code; empty where no unit was seen.
        sure: ``sure``, ``likely`` or ``decide``, and why: how the file's cells were read.
        role_comment: Why it has its role, where that is not plain.
    """

    id: str
    seen: ColumnDescription
    role: Role
    logical: str
    unit: str
    sure: str
    role_comment: str = ""
    classes: tuple[str, ...] = ()
    one_hot: tuple[str, ...] = ()
    decimal: str = ""
    thousands: str = ""
    period: str = ""

    @property
    def is_number(self) -> bool:
        """Whether it has a unit."""
        return self.logical in ("integer", "number")

    @property
    def odcs_unit(self) -> str:
        """Its unit, 1 for a pure number."""
        return self.unit or "1"

    @property
    def required(self) -> bool:
        """Whether no cell was empty."""
        return self.seen.gaps == 0 and self.role != "ignore"

    @property
    def never_negative(self) -> bool:
        """Whether it is to be predicted, and no number below zero was seen in it."""
        lowest = self.seen.minimum
        return self.role == "target" and self.is_number and isinstance(lowest, (int, float)) and lowest >= 0

    @property
    def suffixes(self) -> list[str]:
        """Texts behind its numbers that mean its unit."""
        return [text for text, _ in self.seen.cell_units if understand(text) == self.seen.unit]

    @property
    def missing(self) -> list[str]:
        """Texts that mean a gap in it."""
        return sorted(text for text, _ in self.seen.missing_texts)

    @property
    def title(self) -> str:
        """For people."""
        return self.seen.title or self.seen.name


def proposed(id_: str, seen: ColumnDescription, look: Look, choices: Choices, split: Split, decimal: str) -> Proposed:
    """One column; ``decimal`` is the mark that most of the file has."""
    role, why = _role(seen, look, choices, split)
    logical = _logical(seen, role, choices)
    unit = choices.units.get(seen.name, seen.unit)
    number = logical in ("integer", "number")
    texts = look.texts[seen.name].drop_nulls().str.strip_chars()
    one_hot = look.shape.one_hot if seen.name == look.shape.class_name else ()
    own = seen.decimal_mark or "."
    return Proposed(
        id_, seen, role, logical, unit if number else "", _sureness(seen, logical, decimal, choices), why,
        classes=one_hot or (_classes(texts, seen) if logical == "string" and role in ("target", "feature") else ()),
        one_hot=one_hot,
        decimal=own if number and own != decimal else "",
        thousands=_thousands(texts, seen, own) if number else "",
        period="start" if role == "time" and choices.kind == "demand" and _begin_periods(texts, seen) else "",
    )  # fmt: skip


def _role(seen: ColumnDescription, look: Look, choices: Choices, split: Split) -> tuple[Role, str]:
    named: dict[str, Role] = {look.target: "target", look.series: "series", split.time: "time", **choices.roles}
    if seen.name in named:
        return named[seen.name], ""
    about = look.seen.about(seen.name)
    reason = next((why for kind, why in _NOT_USED.items() if any(s.kind == kind for s in about)), "")
    if seen.name in choices.group:
        return ("group" if seen.type in ("category", "text") or reason else "feature"), ""
    if reason:
        return "ignore", f"left out: it {reason}"
    if choices.kind == "demand":
        return "ignore", "decide: static (one value per series), known_future, or left out"
    if seen.type in (*TEMPORAL, "text"):
        return "ignore", f"left out: a {seen.type} is no input of a table model"
    return "feature", ""


def _logical(seen: ColumnDescription, role: Role, choices: Choices) -> str:
    of_words = seen.type == "boolean" and seen.minimum is None  # Y and N, not 1 and 0
    of_classes = role == "target" and choices.kind == "quality" and names_classes(seen)
    if of_words or of_classes or role in ("series", "group"):
        return "string"
    return "date" if role == "time" and choices.kind == "demand" else _LOGICAL[seen.type]


def _classes(texts: pl.Series, seen: ColumnDescription) -> tuple[str, ...]:
    """Texts that enough cells hold, the commonest first."""
    gaps = [text for text, _ in seen.missing_texts]
    counts = texts.filter(~texts.is_in(["", *gaps])).alias("text").value_counts(name="count")
    common = counts.filter(pl.col("count") >= FEWEST).sort("count", "text", descending=[True, False])
    return tuple(common["text"].head(_MOST_CATEGORIES))


def _thousands(texts: pl.Series, seen: ColumnDescription, decimal: str) -> str:
    """The mark that parts groups of three digits, in the whole file or in the rows drawn."""
    if seen.thousands:
        return seen.thousands
    marks = [mark for mark in ",. '" if mark != decimal]
    patterns = {mark: rf"^[+-]?\d{{1,3}}(?:\{mark}\d{{3}})+(?:\{decimal}\d+)?$" for mark in marks}
    if seen.decimal_mark != ",":
        patterns.pop(".", None)  # 1.200 is a decimal point where no comma is one
    return next((mark for mark, pattern in patterns.items() if texts.str.contains(pattern).any()), "")


def _begin_periods(texts: pl.Series, seen: ColumnDescription) -> bool:
    if not seen.date_formats or names_period(seen.date_formats[0]):
        return False
    dates = read_dates(texts, seen.date_formats[0]).drop_nulls()
    return bool(begins_period(dates, frequency_of(dates)).all())


def strange_unit(seen: ColumnDescription) -> str:
    """What stands in brackets at the end of the header and is no unit that is understood."""
    found = _IN_BRACKETS.search(seen.name)
    return found[1].strip() if found and not seen.unit else ""


def _units_differ(seen: ColumnDescription) -> bool:
    return len({understand(text) for text, _ in seen.cell_units}) > 1


def _sureness(seen: ColumnDescription, logical: str, decimal: str, choices: Choices) -> str:
    """How sure the reading of the cells is, and why; ``decide`` where only a person can know."""
    number = logical in ("integer", "number")
    told, strange = seen.name in choices.units, strange_unit(seen)
    gap = next((text for text, _ in seen.missing_texts), "")
    rules: Sequence[tuple[bool, str]] = (
        (len(seen.date_formats) > 1, f"decide: {' or '.join(seen.date_formats)}? The values admit both"),
        (seen.mixed_marks, "decide: decimal commas and decimal points in one column"),
        (number and bool(strange) and not told, f"decide: is {strange!r} a unit?"),
        (number and _units_differ(seen), "decide: several units behind the numbers; only one is taken off"),
        (not number and bool(seen.missing_texts), f"decide: is {gap!r} a gap or a value?"),
        (number and decimal == "," and seen.decimal_mark == ".", "decide: points as decimal marks, commas elsewhere"),
        (seen.misfits > 0, f"likely: {seen.misfits:,} of {seen.known:,} cells are something else"),
        (number and bool(seen.cell_units), "likely: unit behind the numbers"),
        (number and bool(seen.thousands), "likely: commas part thousands"),
        (seen.leading_zeros > 0, "sure: digits with leading zeros are a code"),
        (number and told, "sure: unit told by a person"),
        (number and bool(seen.unit), "sure: unit in the header"),
        (number and seen.type != "boolean", "likely: no unit was seen; a pure number"),
        (bool(seen.date_formats), "sure: one format of dates fits"),
    )
    return next((why for holds, why in rules if holds), f"sure: {_TYPES.get(seen.type, seen.type)} in every cell")
