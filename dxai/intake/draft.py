"""The first draft of a contract and a mapping, from what was seen in a file; a person decides what it marks."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import jinja2
import polars as pl
import yaml

from dxai.contract import Frequency, Role
from dxai.data.dialect import Dialect
from dxai.errors import SettingsError
from dxai.intake.dates import SEASONS, frequency_of, has_offset, read_dates, step
from dxai.intake.describe.record import NUMERIC, Description
from dxai.intake.ids import ascii_ids
from dxai.intake.look import Choices, Look
from dxai.intake.proposed import NOT_USED, Proposed, proposed, split_of, strange_unit, told

VERSION = "1.0.0"
"""Of a contract that was just drafted."""


@dataclass(frozen=True)
class Draft:
    """YAML texts of the contract and the mapping, and what a person should read of them.

    Attributes:
        split: Why rows are split as they are.
        decisions: What is marked ``decide``, column by column, then of the table.
        left_out: Columns that are no features, by the reason.
    """

    contract: str
    mapping: str
    split: str
    decisions: tuple[str, ...]
    left_out: dict[str, tuple[str, ...]]


def proposal(look: Look, choices: Choices) -> list[Proposed]:
    """The columns of the contract.

    Raises:
        SettingsError: The time column holds no dates.
    """
    split, decimal = split_of(look, choices), decimal_of(look.seen)
    ids = ascii_ids(column.title or column.name for column in look.seen.columns)
    named = list(zip(ids, look.seen.columns, strict=True))
    columns = [proposed(id_, seen, look, choices, split, decimal) for id_, seen in named]
    if choices.kind == "quality" and not any(column.role == "feature" for column in columns):
        told: dict[str, Role] = {c.seen.name: "feature" for c in columns if c.role_comment.endswith(NOT_USED["leak"])}
        kept = replace(choices, roles={**told, **choices.roles})  # without a feature there is nothing to predict from
        columns = [proposed(id_, seen, look, kept, split, decimal) for id_, seen in named]
    return columns


def draft(look: Look, choices: Choices, dialect: Dialect | None, guesses: Mapping[str, str] | None = None) -> Draft:
    """Draft both files, with a comment wherever a person has to decide.

    Args:
        look: What was seen.
        choices: What a person chose.
        dialect: How the file is written.
        guesses: By key of the dialect, what a person should decide.

    Raises:
        SettingsError: The time column holds no dates, or dates of no step that is known.
    """
    columns, split = proposal(look, choices), split_of(look, choices)
    why = told(split)
    frequency = _frequency(look, choices) if choices.kind == "demand" else None
    decisions = [*_of_rows(look), *_one_of_several(look, choices), *_no_feature(columns, choices)]
    comments = [f"split: {why}", *(f"decide: {text}" for text in decisions)]
    values = {
        "choices": choices, "columns": columns, "comments": comments, "decimal": decimal_of(look.seen),
        "dialect": dialect or Dialect(), "place": _place(dialect or Dialect()), "guesses": guesses or {},
        "look": look, "seen": look.seen, "split": split, "version": VERSION,
        "frequency": frequency, "season": SEASONS[frequency] if frequency else 1,
        "group": [c.id for c in columns if c.seen.name in split.group],
        "leave_out": {s.columns[0]: list(s.texts) for s in look.seen.suspicions if s.kind == "total"},
        "utc": any(has_offset(c.seen.date_formats[0]) for c in columns if c.seen.date_formats),
    }  # fmt: skip
    environment = _environment()
    contract, mapping = (environment.get_template(f"{name}.yaml.j2").render(values) for name in ("contract", "mapping"))
    open_ = [f"{c.seen.name}: {text}" for c in columns if c.role != "ignore" for text in c.decisions]
    return Draft(contract, mapping, why, (*open_, *decisions), _left_out(columns))


def _left_out(columns: Sequence[Proposed]) -> dict[str, tuple[str, ...]]:
    reasons = dict[str, list[str]]()
    for column in columns:
        if column.role == "ignore":
            reasons.setdefault(column.role_comment.removeprefix("left out: "), []).append(column.seen.name)
    return {reason: tuple(names) for reason, names in reasons.items()}


def _of_rows(look: Look) -> list[str]:
    """What a description says of the rows."""
    repeated = [s for s in look.seen.suspicions if s.kind == "duplicate-rows"]
    told = [f"{s.message.en} `dxai data convert --drop-duplicates` removes them." for s in repeated]
    if look.series and look.time and not look.choices.add_up:
        again = look.texts.select(pl.struct(look.series, look.time).is_duplicated().sum()).item()
        others = [c.name for c in look.seen.columns if c.name not in (look.series, look.time, look.target)]
        if again and others:
            flags = f"--series {shlex.quote(look.series)} --series {shlex.quote(others[0])}"
            told.append(
                f"a series of {look.series!r} has several rows of one date: does its name need a column more? {flags}"
            )
    return told


def _place(dialect: Dialect) -> dict[str, Any]:
    """Keys of the dialect that an ordinary file does not need."""
    keys = ("sheet", "header_row", "units_row", "fill_merged")
    return {key: getattr(dialect, key) for key in keys if getattr(dialect, key) != getattr(Dialect(), key)}


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dxai.intake", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"yaml": _yaml, "comment": _comment}
    return environment


def decimal_of(seen: Description) -> str:
    """The mark that most columns show; a point where none does."""
    marks = Counter(column.decimal_mark for column in seen.columns if column.type in NUMERIC and column.decimal_mark)
    return "," if marks[","] > marks["."] else "."


def _frequency(look: Look, choices: Choices) -> Frequency:
    if choices.frequency or look.shape.frequency:
        return choices.frequency or look.shape.frequency  # type: ignore[return-value]
    formats = look.seen.column(look.time).date_formats
    dates = read_dates(look.texts[look.time].str.strip_chars(), formats[0])
    found = choices.add_up or frequency_of(dates)
    if not found:
        raise SettingsError(
            f"The dates of {look.time!r} keep to no step that dxai forecasts: most follow each other by {step(dates)}.",
            where=look.seen.where,
            fix="Add them up: --add-up weekly, or monthly. Or say what their steps are: --frequency.",
        )
    return found


def _one_of_several(look: Look, choices: Choices) -> list[str]:
    """The target is one class of several: perhaps all of them are to be predicted."""
    groups = [s.columns for s in look.seen.suspicions if s.kind == "one-hot" and look.target in s.columns]
    if not groups or choices.kind == "demand":
        return []
    flags = " ".join(f"--target {shlex.quote(name)}" for name in groups[0])
    return [f"the target is one of {len(groups[0])} classes in columns of their own; all of them: {flags}"]


def _no_feature(columns: Sequence[Proposed], choices: Choices) -> list[str]:
    """Without a feature there is nothing to predict from, and the contract is refused."""
    none = choices.kind == "quality" and not any(column.role == "feature" for column in columns)
    return ["no column is left as a feature; give one that role"] if none else []


def _yaml(value: Any) -> str:
    """One value on one line, quoted as within brackets."""
    return yaml.safe_dump([value], allow_unicode=True, default_flow_style=True, width=10**6).strip()[1:-1]


def _comment(text: str) -> str:
    """A text on one line, however strange a header in it is."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


MOST = 12
"""Questions that people answer with care."""


@dataclass(frozen=True)
class Question:
    """One question about one column; Enter leaves the draft as it is.

    Attributes:
        about: A UCUM code is wanted, or whether the column stays left out.
    """

    column: str
    about: Literal["unit", "left out"]
    text: str


def questions(columns: Sequence[Proposed]) -> list[Question]:
    """Columns left out that might be features; then units that were not understood; then units that nobody named."""
    left_out = [
        c for c in columns if c.role_comment.removeprefix("left out: it ") in ("tells the target", "names rows")
    ]
    numbers = [c for c in columns if c.is_number and c.role in ("feature", "target") and c.seen.type != "boolean"]
    no_unit = sorted((c for c in numbers if not c.unit), key=lambda c: not strange_unit(c.seen))
    found = [
        Question(c.seen.name, "left out", f"{c.seen.name}: {c.role_comment[10:]}. Leave it out?") for c in left_out
    ]
    for c in no_unit:
        found.append(Question(c.seen.name, "unit", f"Unit of {c.seen.name}, UCUM"))
    return found[:MOST]


def with_unit(choices: Choices, column: str, unit: str) -> Choices:
    """The choices, and the unit of one column."""
    return replace(choices, units={**choices.units, column: unit})


def as_feature(choices: Choices, column: str) -> Choices:
    """The choices, and one column that is not to be left out."""
    return replace(choices, roles={**choices.roles, column: "feature"})
