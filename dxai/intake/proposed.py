"""Proposed columns of a contract, and the split: role, type, unit and spelling of each, how sure that is, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from dxai.contract import Role
from dxai.contract.model import SplitRule
from dxai.errors import SettingsError
from dxai.intake.cells import BELOW_LIMIT, SERIAL, plainly_signed
from dxai.intake.dates import begins_period, frequency_of, names_period, read_dates
from dxai.intake.describe.record import FEWEST, TEMPORAL, ColumnDescription
from dxai.intake.describe.words import TYPES, listed
from dxai.intake.look import Choices, Look
from dxai.units import understand


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


def told(split: Split) -> str:
    """One sentence: the rule, and why."""
    match split.rule:
        case "grouped":
            group = listed(split.group) if len(split.group) < 4 else f"recipe ({len(split.group)} columns)"
            return f"grouped by {group}: the report of a training tells what a random split would have hidden"
        case "ordered":
            return f"ordered by {split.time}: the report of a training tells what a random split would have hidden"
        case "rolling":
            return "rolling: each test is later than what it is trained on"
    return "random: rows seem independent; if they share a lot, a machine or a day, name it: --group COLUMN"


def names_classes(target: ColumnDescription) -> bool:
    """Whether its values are names: -1 and 1, or 1 and 2, as well as 0 and 1; numbers otherwise."""
    return target.type not in ("integer", "number") or (target.type == "integer" and target.distinct == 2)


_LOGICAL = {
    "integer": "integer", "number": "number", "boolean": "integer", "category": "string", "text": "string",
    "date": "date", "timestamp": "timestamp", "empty": "string",
}  # fmt: skip
NOT_USED = {"leak": "tells the target", "id": "names rows", "constant": "says the same in every row"}
NOT_USED |= {"empty": "is empty"}
"""Why a column is left out, by the kind of suspicion."""
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
        sure: ``sure`` or ``likely``, and why: how the file's cells were read.
        decisions: What only a person can know of it.
        missing: Texts that mean a gap in it.
        role_comment: Why it has its role, where that is not plain.
    """

    id: str
    seen: ColumnDescription
    role: Role
    logical: str
    unit: str
    sure: str
    decisions: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    role_comment: str = ""
    classes: tuple[str, ...] = ()
    one_hot: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
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
        """Whether no cell was empty, or may become so."""
        return self.seen.gaps == 0 and not self.missing and not self.seen.censored and self.role != "ignore"

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
    gaps = [text for s in look.seen.about(seen.name) if s.kind == "placeholder" and number for text in s.texts]
    period = _period(texts, seen) if role == "time" and choices.kind == "demand" and not choices.add_up else ""
    return Proposed(
        id_, seen, role, logical, unit if number else "", _sureness(seen, logical, choices),
        tuple(_decisions(seen, look, role, logical, decimal, choices, period)),
        tuple(sorted({*gaps, *(text for text, _ in seen.missing_texts)})), why,
        classes=one_hot or (_classes(texts, seen) if logical == "string" and role in ("target", "feature") else ()),
        one_hot=one_hot, joined=look.shape.joined if seen.name == look.shape.joint_name else (),
        decimal=own if number and own != decimal else "",
        thousands=_thousands(texts, seen, own) if number else "",
        period=period,
    )  # fmt: skip


def _role(seen: ColumnDescription, look: Look, choices: Choices, split: Split) -> tuple[Role, str]:
    named: dict[str, Role] = {look.target: "target", look.series: "series", split.time: "time", **choices.roles}
    if seen.name in named:
        return named[seen.name], ""
    about = look.seen.about(seen.name)
    reason = next((why for kind, why in NOT_USED.items() if any(s.kind == kind for s in about)), "")
    if seen.name in choices.group:
        return ("group" if seen.type in ("category", "text") or reason else "feature"), ""
    if reason:
        return "ignore", f"left out: it {reason}"
    if choices.kind == "demand":
        return "ignore", "left out: no model of demand uses it yet"
    if seen.type in (*TEMPORAL, "text"):
        return "ignore", f"left out: a {TYPES[seen.type].en} is no input of a table model"
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
    texts, marks = plainly_signed(texts), [mark for mark in ",. '" if mark != decimal]
    patterns = {mark: rf"^[+-]?\d{{1,3}}(?:\{mark}\d{{3}})+(?:\{decimal}\d+)?$" for mark in marks}
    if seen.decimal_mark != ",":
        patterns.pop(".", None)  # 1.200 is a decimal point where no comma is one
    return next((mark for mark, pattern in patterns.items() if texts.str.contains(pattern).any()), "")


def _period(texts: pl.Series, seen: ColumnDescription) -> Literal["", "start", "week", "month"]:
    """Whether dates are the first days of their steps, or any day of a week or a month, such as a closing day."""
    if not seen.date_formats or names_period(seen.date_formats[0]):
        return ""
    dates = read_dates(texts, seen.date_formats[0]).drop_nulls()
    frequency = frequency_of(dates)
    if frequency == "weekly":
        return "week" if dates.dt.weekday().n_unique() > 1 else ""
    if begins_period(dates, frequency).all():
        return "start"
    return "month" if frequency == "monthly" and (dates != dates.dt.month_end()).any() else ""


def strange_unit(seen: ColumnDescription) -> str:
    """What stands in brackets at the end of the header and is no unit that is understood."""
    found = _IN_BRACKETS.search(seen.name)
    return found[1].strip() if found and not seen.unit else ""


def _units_differ(seen: ColumnDescription) -> bool:
    return len({understand(text) for text, _ in seen.cell_units}) > 1


def _sureness(seen: ColumnDescription, logical: str, choices: Choices) -> str:
    """How sure the reading of the cells is, and why."""
    number = logical in ("integer", "number")
    told = seen.name in choices.units
    rules: Sequence[tuple[bool, str]] = (
        (seen.misfits > 0, f"likely: {seen.misfits:,} of {seen.known:,} cells are something else"),
        (number and bool(seen.cell_units), "likely: unit behind the numbers"),
        (number and bool(seen.thousands), "likely: commas part thousands"),
        (number and seen.signed > 0, "likely: signs that stand elsewhere than in front"),
        (seen.long_code, "sure: digits of this length are a code"),
        (seen.leading_zeros > 0, "sure: digits with leading zeros are a code"),
        (number and told, "sure: unit told by a person"),
        (number and bool(seen.unit), "sure: unit in the header"),
        (number and seen.type != "boolean", "likely: no unit was seen; a pure number"),
        (bool(seen.date_formats), "sure: one format of dates fits"),
    )
    return next((why for holds, why in rules if holds), f"sure: {_TYPES.get(seen.type, seen.type)} in every cell")


def _decisions(
    seen: ColumnDescription, look: Look, role: Role, logical: str, decimal: str, choices: Choices, period: str
) -> Iterator[str]:
    """What only a person can know of a column: all that a description calls ``care`` among it."""
    number, strange = logical in ("integer", "number"), strange_unit(seen)
    if len(seen.date_formats) > 1:
        yield f"{' or '.join(seen.date_formats)}? The values admit both"
    if seen.date_formats[:1] == (SERIAL,):
        yield "whole numbers under a header of dates: days as Excel counts them?"
    if seen.date_formats and "%V" in seen.date_formats[0]:
        yield "weeks as ISO 8601 counts them, each dated by its Monday?"
    if period in ("week", "month"):
        yield f"days of a {period}: each date is moved to the last day of its {period}"
    if seen.mixed_marks:
        yield "decimal commas and decimal points in one column"
    if number and strange and seen.name not in choices.units:
        yield f"is {strange!r} a unit?"
    if number and _units_differ(seen):
        yield "several units behind the numbers; only one is taken off"
    if number and seen.unit == "%" and _is_share(seen):
        yield "percent, or shares of 1? All numbers lie between 0 and 1"
    if number and (below := [text for text, _ in seen.missing_texts if text.upper() in BELOW_LIMIT]):
        yield f"{', '.join(below)} is taken as a gap; below a limit of detection? `values` may name half of it"
    if seen.missing_texts and not number:
        yield f"is {seen.missing_texts[0][0]!r} a gap or a value?"
    if number and decimal == "," and seen.decimal_mark == ".":
        yield "points as decimal marks, commas elsewhere"
    if number and seen.censored:
        yield "limits such as <0.5 are taken as the number; or `half` of it, or a `gap`?"
    if seen.variants:
        yield f"{seen.variants:,} texts differ from another only in spaces, width or case; `values` makes them one"
    if seen.misfits:
        written = f" written as {seen.date_formats[0]}" if seen.date_formats else ""
        yield f"{seen.misfits:,} cells are no {TYPES[seen.type].en}{written}: name them in `missing` or `values`"
    for found in look.seen.about(seen.name):
        if found.kind == "placeholder" and number:
            yield f"{', '.join(found.texts)} is taken as a gap; take it out of `missing` where it is a value"
        elif found.kind in ("far", "maybe-id") or (found.kind == "leak" and role == "feature"):
            yield found.message.en.removeprefix(f"{seen.name}: ")
        elif found.kind == "total":
            yield f"rows with {', '.join(found.texts)} are left out as totals; see `leave_out`"


def _is_share(seen: ColumnDescription) -> bool:
    ends = (seen.minimum, seen.maximum)
    return all(isinstance(end, (int, float)) and 0 <= end <= 1 for end in ends)
