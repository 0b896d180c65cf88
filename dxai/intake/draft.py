"""The first draft of a contract and a mapping, from what was seen in a file; a person decides what it marks."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import time
from typing import Any, Literal, NamedTuple

import jinja2
import polars as pl
import yaml

from dxai.contract import Frequency, Role
from dxai.contract.model import SplitRule
from dxai.data.dialect import Dialect
from dxai.data.steps import SEASONS
from dxai.errors import SettingsError
from dxai.intake.cells import plainly_signed
from dxai.intake.dates import begins_period, frequency_of, has_offset, names_period, read_dates, step
from dxai.intake.describe.record import FEWEST, NUMERIC, TEMPORAL, ColumnDescription, Description
from dxai.intake.describe.words import TYPES, listed, shortened
from dxai.intake.flags import flags_of
from dxai.intake.ids import ascii_ids
from dxai.intake.look import Choices, Look
from dxai.units import understand

VERSION = "1.0.0"
"""Of a contract that was just drafted."""

_SAID = 20
"""Decisions that are told beside those on what is left out; all are marked in the drafts."""


@dataclass(frozen=True)
class Draft:
    """YAML texts of the contract and the mapping, and what a person should read of them, line by line."""

    contract: str
    mapping: str
    said: list[str]


def draft(look: Look, dialect: Dialect | None, guesses: Mapping[str, str] | None = None) -> Draft:
    """Draft both files, with a comment wherever a person has to decide.

    Args:
        look: What was seen, and what a person chose.
        dialect: How the file is written.
        guesses: By key of the dialect, what a person should decide.

    Raises:
        SettingsError: The time column holds no dates, or dates of no step that is known, or rows of several series as
            of one; a column beside the history does not fit its role.
    """
    split, seen, dialect = split_of(look), look.seen, dialect or Dialect()
    frequency = frequency_by(look) if look.choices.kind == "demand" else None
    columns = columns_of(look)
    decisions = list(_of_table(look, columns))
    values = {
        "look": look, "seen": seen, "choices": look.choices, "columns": columns, "split": split, "version": VERSION,
        "decisions": decisions, "decimal": _decimal(seen), "dialect": dialect, "guesses": guesses or {},
        "place": [key for key in ("sheet", "header_row", "units_row", "fill_merged")
                  if getattr(dialect, key) != getattr(Dialect(), key)],
        "frequency": frequency, "season": SEASONS[frequency] if frequency else 1,
        "keys": [c.id for role in ("series", "time") for c in columns if c.role == role],
        "group": [c.id for c in columns if c.seen.name in split.group],
        "leave_out": {name: list(s.texts) for s in seen.suspicions if s.kind == "total" for name in s.columns},
        "utc": any(has_offset(c.date_formats[0]) for c in seen.columns if c.date_formats),
    }  # fmt: skip
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dxai.intake", "."), trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters |= {"yaml": _yaml, "comment": _comment}
    contract, mapping = (environment.get_template(f"{name}.yaml.j2").render(values) for name in ("contract", "mapping"))
    said = [f"split: {split.why}"]
    if series := look.choices.one_series:
        said.append(f"series: no column was named, so that all rows are one; {series!r} says {look.choices.name!r}")
    if static := [column.seen.name for column in columns if column.role == "static"]:
        said.append(f"static: {listed(static)}: one value in each series")
    return Draft(contract, mapping, [*said, *_open(columns, decisions)])


def _open(columns: Sequence[Column], of_table: Sequence[str]) -> Iterator[str]:
    """What is left out, and what is marked ``decide``: column by column, then of the table."""
    left_out = [column for column in columns if column.role == "ignore"]
    for reason in dict.fromkeys(column.left_out for column in left_out):
        yield f"decide: {listed([c.seen.name for c in left_out if c.left_out == reason])}: left out, {reason}"
    open_ = [f"{c.seen.name}: {text}" for c in columns if c.role != "ignore" for text in c.decisions]
    open_ += of_table
    yield from (f"decide: {shortened(text, 200)}" for text in open_[:_SAID])
    if open_[_SAID:]:
        yield f"decide: … and {len(open_) - _SAID:,} more, marked in the drafts"


def _yaml(value: Any) -> str:
    """One value on one line, quoted as within brackets."""
    return yaml.safe_dump([value], allow_unicode=True, default_flow_style=True, width=10**6).strip()[1:-1]


def _comment(text: str) -> str:
    """A text on one line, however strange a header in it is."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


# The table


class Split(NamedTuple):
    """A rule, why it, and the columns it goes by: the group's, and the one of the time."""

    rule: SplitRule
    why: str
    group: tuple[str, ...] = ()
    time: str = ""


def split_of(look: Look) -> Split:
    """What was chosen; otherwise as the rows follow each other in time or share a recipe; otherwise random.

    Raises:
        SettingsError: The time column holds no dates.
    """
    chosen = look.choices
    if chosen.time and look.seen.column(chosen.time).type not in TEMPORAL:
        fix = "Name a column of dates; `dxai data describe` lists the types."
        raise SettingsError(f"The column {chosen.time!r} holds no dates.", where="--time", fix=fix)
    reported = {suspicion.kind: suspicion.columns for suspicion in look.seen.suspicions}
    time = chosen.time or next(iter(reported.get("time-order", ())), "")
    group = chosen.group or (() if time else reported.get("group", ()))
    known = "the report of a training tells what a random split would have hidden"
    if chosen.kind == "demand":
        return Split("rolling", "rolling: each test is later than what it is trained on", time=time)
    if group:
        shown = listed(group) if len(group) < 4 else f"recipe ({len(group)} columns)"
        return Split("grouped", f"grouped by {shown}: {known}", group, chosen.time)
    if time:
        return Split("ordered", f"ordered by {time}: {known}", time=time)
    why = "random: rows seem independent; if they share a lot, a machine or a day, name it: --group COLUMN"
    return Split("random", why)


def _decimal(seen: Description) -> str:
    """The mark that most columns show; a point where none does."""
    marks = Counter(column.decimal_mark for column in seen.columns if column.type in NUMERIC and column.decimal_mark)
    return "," if marks[","] > marks["."] else "."


def frequency_by(look: Look) -> Frequency:
    """Step of a demand table: as a person says, or as its dates follow each other.

    Raises:
        SettingsError: They keep to no step, or rows that are to be one series have the same date.
    """
    if look.choices.one_series and not look.choices.add_up and _repeats_dates(look):
        told = f"Several rows have the same {look.choices.time!r}: they are of several series."
        raise SettingsError(
            told, where=look.seen.where, fix="Name the column that tells them apart: --series COLUMN. Or --add-up."
        )
    if look.choices.frequency:
        return look.choices.frequency
    time = look.choices.time
    dates = read_dates(look.texts[time].str.strip_chars(), look.seen.column(time).date_formats[0])
    found = look.choices.add_up or frequency_of(dates)
    if not found:
        raise SettingsError(
            f"The dates of {time!r} keep to no step that dxai forecasts: most follow each other by {step(dates)}.",
            where=look.seen.where,
            fix="Add them up: --add-up hourly, daily, weekly or monthly. Or say what their steps are: --frequency.",
        )
    return found


def _repeats_dates(look: Look) -> bool:
    """Whether a series has several rows of one time."""
    again = pl.struct(*look.choices.series_names, look.choices.time).is_duplicated()
    return bool(look.texts.select(again.any()).item())


def _of_table(look: Look, columns: Sequence[Column]) -> Iterator[str]:
    """What only a person can know of the rows and the target."""
    chosen, target, series = look.choices, look.choices.target_name, look.choices.series_names
    yield from (s.question for s in look.seen.suspicions if s.question and not s.columns)
    if series and chosen.time and not chosen.add_up:
        others = [c.seen.name for c in columns if c.seen.name not in (*series, chosen.time, target)]
        if others and _repeats_dates(look):
            flags = " ".join(f"--series {shlex.quote(name)}" for name in (*series, others[0]))
            told = listed([repr(name) for name in series])
            yield f"a series of {told} has several rows of one date: does its name need a column more? {flags}"
    if chosen.kind == "demand":
        return
    for names in (s.columns for s in look.seen.suspicions if s.kind == "one-hot" and target in s.columns):
        flags = " ".join(f"--target {shlex.quote(name)}" for name in names)
        yield f"the target is one of {len(names)} classes in columns of their own; all of them: {flags}"
    if not any(column.role == "feature" for column in columns):  # the contract would be refused
        yield "no column is left as a feature; give one that role"


# The columns

_LOGICAL = {"boolean": "integer", "category": "string", "text": "string", "empty": "string"}
"""By the type that was seen, where it has another name."""
_NUMBERS = ("integer", "number")
_MOST_CATEGORIES = 200
_IN_BRACKETS = re.compile(r"[(\[（［]([^()\[\]（）［］]*\S)\s*[)\]）］]$")


@dataclass(frozen=True)
class Column:
    """A column as the templates print it.

    Attributes:
        left_out: Why it is no feature.
        reading: ``sure`` or ``likely``, and why: how the file's cells were read.
        decisions: What only a person can know of it.
        mapping: How its cells are read: keys of the mapping.
    """

    id: str
    seen: ColumnDescription
    role: Role
    left_out: str
    logical: str
    reading: str
    decisions: list[str]
    classes: list[str]
    mapping: dict[str, Any]

    @property
    def is_number(self) -> bool:
        """Whether it has a unit."""
        return self.logical in _NUMBERS


def columns_of(look: Look) -> list[Column]:
    """The columns of the contract.

    Raises:
        SettingsError: The time column holds no dates.
    """
    split = split_of(look)
    ids = ascii_ids(column.title or column.name for column in look.seen.columns)
    columns = [_column(id_, seen, look, split) for id_, seen in zip(ids, look.seen.columns, strict=True)]
    if look.choices.kind == "demand" or any(column.role == "feature" for column in columns):
        return columns
    # without a feature there is nothing to predict from: keep what tells the target
    leaking = {name for s in look.seen.suspicions if s.kind == "leak" for name in s.columns}
    told: dict[str, Role] = {c.seen.name: "feature" for c in columns if c.left_out and c.seen.name in leaking}
    look = replace(look, choices=replace(look.choices, roles={**told, **look.choices.roles}))
    return [_column(column.id, column.seen, look, split) for column in columns]


def _column(id_: str, seen: ColumnDescription, look: Look, split: Split) -> Column:
    role, left_out = _role(seen, look, split)
    logical = _logical(seen, role, look)
    texts = look.texts[seen.name].drop_nulls().str.strip_chars()
    mapping = _mapping(seen, look, role, texts, number=logical in _NUMBERS)
    classes = mapping.get("one_hot", [])
    if logical == "string" and not classes and _is_listed(seen, look, role):
        classes = _classes(texts, seen)
    if role == "known_future" and logical not in _NUMBERS and not classes:
        told = f"The column {seen.name!r} holds neither numbers nor texts that come again."
        raise SettingsError(told, where="--known", fix="Name a column of numbers or of categories.")
    reading = _reading(seen, look, role, number=logical in _NUMBERS)
    decisions = list(_decisions(seen, look, role, mapping, number=logical in _NUMBERS))
    return Column(id_, seen, role, left_out, logical, reading, decisions, classes, mapping)


def _mapping(seen: ColumnDescription, look: Look, role: Role, texts: pl.Series, *, number: bool) -> dict[str, Any]:
    chosen, own = look.choices, seen.decimal_mark or "."
    gaps = [text for text, _ in seen.missing_texts]
    keys: dict[str, Any] = {"from": seen.name}
    if role == "target" and chosen.one_hot:
        keys = {"one_hot": list(chosen.one_hot)}
    elif seen.name == chosen.one_series:
        keys = {"constant": chosen.name}
    elif seen.name == chosen.time and len(chosen.times) > 1:
        keys = {"joined": list(chosen.times)}
    if number:
        gaps += [text for s in look.seen.about(seen.name) if s.kind == "placeholder" for text in s.texts]
        keys |= {
            "unit": chosen.units.get(seen.name, seen.unit), "decimal": own if own != _decimal(look.seen) else "",
            "thousands": _thousands(texts, seen, own),
            "suffix": [text for text, _ in seen.cell_units if understand(text) == seen.unit],
            "full_width": seen.full_width > 0, "censored": "limit" if seen.censored else "",
        }  # fmt: skip
    keys["date"] = next(iter(seen.date_formats), "")
    keys["period"] = _period(texts, seen, chosen) if role == "time" else ""
    keys["missing"] = sorted(set(gaps))
    if role in ("open", "available"):
        keys["values"] = {text: flag for text, flag in flags_of(look, seen.name, role).items() if text != flag}
    return {key: value for key, value in keys.items() if value or key == "from"}


def _role(seen: ColumnDescription, look: Look, split: Split) -> tuple[Role, str]:
    """The role, and where it is none of a feature why."""
    chosen = look.choices
    named: dict[str, Role] = {chosen.target_name: "target", split.time: "time"}
    named |= dict.fromkeys(chosen.series_names, "series")
    named |= {**chosen.beside, **chosen.roles}
    if seen.name in named:
        return named[seen.name], ""
    reason = next((s.no_feature for s in look.seen.about(seen.name) if s.no_feature), "")
    if seen.name in chosen.group:
        return ("group" if seen.type in ("category", "text") or reason else "feature"), ""
    if reason:
        return "ignore", f"it {reason}"
    if chosen.kind == "demand" and _is_static(seen, look):
        return "static", ""
    if chosen.kind == "demand":
        return "ignore", "no role was named: --known COLUMN where it is known ahead (a price, a promotion)"
    if seen.type in (*TEMPORAL, "text"):
        return "ignore", f"a {TYPES[seen.type].en} is no input of a table model"
    return "feature", ""


def _is_static(seen: ColumnDescription, look: Look) -> bool:
    """Whether it tells several series something each, and is no second name of them."""
    if seen.name not in look.series.columns or len(look.series) < 2:
        return False
    return _logical(seen, "static", look) in _NUMBERS or (_is_short(seen) and (seen.distinct or 0) < len(look.series))


def _is_short(seen: ColumnDescription) -> bool:
    """Whether its texts can be listed."""
    return bool(seen.frequent) and seen.distinct is not None and seen.distinct <= _MOST_CATEGORIES


def _is_listed(seen: ColumnDescription, look: Look, role: Role) -> bool:
    """Whether its texts are categories; a series' name is one where it is a part that others share."""
    if role == "series":
        return len(look.choices.series) > 1 and _is_short(seen)
    return role in ("target", "feature", "known_future", "static")


def _logical(seen: ColumnDescription, role: Role, look: Look) -> str:
    demand = look.choices.kind == "demand"
    of_words = seen.type == "boolean" and seen.minimum is None  # Y and N, not 1 and 0
    of_classes = seen.type not in ("integer", "number") or (seen.type == "integer" and seen.distinct == 2)
    if role in ("open", "available"):
        return "integer"
    if of_words or role in ("series", "group") or (role == "target" and not demand and of_classes):
        return "string"
    if role == "time" and demand:
        return "timestamp" if frequency_by(look) == "hourly" else "date"
    return _LOGICAL.get(seen.type, seen.type)


def _classes(texts: pl.Series, seen: ColumnDescription) -> list[str]:
    """Texts that enough cells hold, the commonest first."""
    gaps = [text for text, _ in seen.missing_texts]
    counts = texts.filter(~texts.is_in(["", *gaps])).alias("text").value_counts(name="count")
    common = counts.filter(pl.col("count") >= FEWEST).sort("count", "text", descending=[True, False])
    return common["text"].head(_MOST_CATEGORIES).to_list()


def _thousands(texts: pl.Series, seen: ColumnDescription, decimal: str) -> str:
    """The mark that parts groups of three digits, in the whole file or in the rows drawn."""
    if seen.thousands:
        return seen.thousands
    texts, marks = plainly_signed(texts), [mark for mark in ",. '" if mark != decimal]
    patterns = {mark: rf"^[+-]?\d{{1,3}}(?:\{mark}\d{{3}})+(?:\{decimal}\d+)?$" for mark in marks}
    if seen.decimal_mark != ",":
        patterns.pop(".", None)  # 1.200 is a decimal point where no comma is one
    return next((mark for mark, pattern in patterns.items() if texts.str.contains(pattern).any()), "")


def _period(
    texts: pl.Series, seen: ColumnDescription, choices: Choices
) -> Literal["", "start", "day", "week", "month"]:
    """Whether dates are the first days of their steps, or any time of a day, or day of a week or a month."""
    if choices.kind == "quality" or not seen.date_formats or names_period(seen.date_formats[0]):
        return ""
    dates = read_dates(texts, seen.date_formats[0]).drop_nulls()
    if choices.add_up:
        return "day" if choices.add_up != "hourly" and (dates.dt.time() != time()).any() else ""
    frequency = frequency_of(dates)
    if frequency == "weekly":
        return "week" if dates.dt.weekday().n_unique() > 1 else ""
    if begins_period(dates, frequency).all():
        return "start"
    return "month" if frequency == "monthly" and (dates != dates.dt.month_end()).any() else ""


def _strange_unit(seen: ColumnDescription) -> str:
    """What stands in brackets at the end of the header and is no unit that is understood."""
    found = _IN_BRACKETS.search(seen.name)
    return found[1].strip() if found and not seen.unit else ""


def _reading(seen: ColumnDescription, look: Look, role: Role, *, number: bool) -> str:
    """How sure the reading of the cells is, and why."""
    if seen.name == look.choices.one_series:
        return "likely: no column was named, so that all rows are one series"
    if role == "open":
        return "likely: closed where nothing is sold"
    about = [s.reading for s in look.seen.about(seen.name) if s.reading and (number or s.concerned != "numbers")]
    rules = (
        (number and seen.name in look.choices.units, "sure: unit told by a person"),
        (number and seen.unit, "sure: unit in the header"),
        (number and seen.type != "boolean", "likely: no unit was seen; a pure number"),
        (seen.date_formats, "sure: one format of dates fits"),
        (True, f"sure: {TYPES[seen.type].en} in every cell"),
    )
    return next(iter(about), next(why for holds, why in rules if holds))


def _decisions(
    seen: ColumnDescription, look: Look, role: Role, mapping: dict[str, Any], *, number: bool
) -> Iterator[str]:
    """What only a person can know of a column: all that a description calls ``care`` among it."""
    concerned = {"columns": True, "numbers": number, "texts": not number, "features": role == "feature"}
    yield from (s.question for s in look.seen.about(seen.name) if s.question and concerned[s.concerned])
    if (period := mapping.get("period")) in ("week", "month"):
        yield f"days of a {period}: each date is moved to the last day of its {period}"
    if number and seen.name not in look.choices.units and (strange := _strange_unit(seen)):
        yield f"is {strange!r} a unit?"
    if role == "open":
        closed = next((text for text, flag in mapping.get("values", {}).items() if flag == "0"), "0")
        yield f"closed where it says {closed!r}: nothing is sold there"
    if look.choices.add_up and role in (*look.choices.beside.values(), "static"):
        yield f"of the rows that are added up, {look.choices.add_up}, the last value is kept"
    ends = (seen.minimum, seen.maximum)
    if number and seen.unit == "%" and all(isinstance(end, (int, float)) and 0 <= end <= 1 for end in ends):
        yield "percent, or shares of 1? All numbers lie between 0 and 1"
    if "decimal" in mapping and seen.decimal_mark == ".":
        yield "points as decimal marks, commas elsewhere"


# What is asked on a terminal

_MOST = 12
"""Questions that people answer with care."""


def questions(look: Look) -> list[tuple[str, str]]:
    """Headers of columns left out that might be features, and why they are; then of numbers without a unit, and ``""``.

    Of these the first are those whose unit was not understood.
    """
    columns = columns_of(look)
    doubtful = {name for s in look.seen.suspicions if s.kind in ("leak", "id") for name in s.columns}
    left_out = [(c.seen.name, c.left_out) for c in columns if c.left_out and c.seen.name in doubtful]
    numbers = [c for c in columns if c.is_number and c.role in ("feature", "target") and c.seen.type != "boolean"]
    no_unit = sorted((c.seen for c in numbers if "unit" not in c.mapping), key=lambda seen: not _strange_unit(seen))
    return [*left_out, *((seen.name, "") for seen in no_unit)][:_MOST]
