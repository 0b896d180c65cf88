"""The first draft of a contract and a mapping, from what was seen in a file; a person decides what it marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import jinja2
import yaml

from dxai.contract import Role
from dxai.data.dialect import Dialect
from dxai.errors import NotFoundError, SettingsError, nearest
from dxai.intake.describe.record import ColumnDescription, Description, Suspicion
from dxai.intake.ids import ascii_ids

Kind = Literal["quality", "demand"]
_LOGICAL = {
    "integer": "integer", "number": "number", "boolean": "integer", "category": "string", "text": "string",
    "date": "date", "timestamp": "timestamp", "empty": "string",
}  # fmt: skip
_NOT_USED = {"leak": "tells the target", "id": "names rows", "constant": "says the same in every row"}
_NOT_USED |= {"empty": "is empty"}


@dataclass(frozen=True)
class Choices:
    """What only a person knows about a table; columns by their headers.

    Attributes:
        name: Id of the contract.
        target: To be predicted.
        series, time: Of a demand table, or of rows in the order of time.
        group: Rows that share these stay on one side of a split.
        frequency, horizon: Of a demand table.
    """

    name: str
    target: str
    kind: Kind = "quality"
    series: str = ""
    time: str = ""
    group: tuple[str, ...] = ()
    frequency: str = "monthly"
    horizon: int = 12


@dataclass
class _Column:
    """A column as the templates print it."""

    id: str
    seen: ColumnDescription
    role: Role
    logical: str
    unit: str = ""
    classes: tuple[str, ...] = ()
    comments: list[str] = field(default_factory=list)

    @property
    def odcs_unit(self) -> str:
        return self.unit or "1"


def draft(seen: Description, choices: Choices, dialect: Dialect | None) -> tuple[str, str]:
    """YAML texts of the contract and the mapping, with a comment wherever a person has to decide.

    Raises:
        NotFoundError: A named column is not in the file.
        SettingsError: The target cannot be one.
    """
    for header in (choices.target, choices.series, choices.time, *choices.group):
        _refuse_unknown(header, seen)
    if choices.kind == "demand" and not (choices.series and choices.time):
        fix = "Name them: --series COLUMN --time COLUMN."
        raise SettingsError("A demand table needs a series and a time column.", where=seen.where, fix=fix)
    ids = ascii_ids(column.title or column.name for column in seen.columns)
    columns = [_column(id_, column, seen, choices) for id_, column in zip(ids, seen.columns, strict=True)]
    values = {
        "columns": columns,
        "choices": choices,
        "seen": seen,
        "dialect": dialect or Dialect(),
        "split": _split(seen, choices),
    }
    values["group"] = [c.id for c in columns if c.seen.name in choices.group]
    values["missing"] = sorted({text for c in seen.columns for text, _ in c.missing_texts})
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dxai.intake", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["yaml"] = _yaml
    return tuple(environment.get_template(f"{name}.yaml.j2").render(values) for name in ("contract", "mapping"))  # type: ignore[return-value]


def _refuse_unknown(header: str, seen: Description) -> None:
    names = [column.name for column in seen.columns]
    if header and header not in names:
        hint = nearest(header, names)
        fix = f"Did you mean {hint!r}?" if hint else "`dxai data describe` lists the columns."
        raise NotFoundError(f"The file has no column {header!r}.", where=seen.where, fix=fix)


def _column(id_: str, seen: ColumnDescription, table: Description, choices: Choices) -> _Column:
    about = table.about(seen.name)
    role, comments = _role(seen, about, choices)
    of_words = seen.type == "boolean" and seen.minimum is None  # Y and N, not 1 and 0
    logical = "string" if of_words else _LOGICAL[seen.type]
    column = _Column(id_, seen, role, logical, seen.unit, comments=comments)
    if role == "target" and choices.kind == "quality" and seen.type in ("boolean", "category", "text"):
        column.logical, column.classes = "string", tuple(text for text, _ in seen.frequent)
        if seen.distinct != len(column.classes):
            column.comments.append("decide: classes with fewer than 5 rows are not listed")
    elif column.logical == "string" and role == "feature":
        column.classes = tuple(text for text, _ in seen.frequent)
    if seen.unit_text and not seen.unit:
        column.comments.append(f"decide: the unit {seen.unit_text!r} is not understood")
    elif column.logical in ("integer", "number") and not seen.unit and role in ("feature", "target"):
        column.comments.append("decide: no unit was seen; 1 is a pure number")
    return column


def _role(seen: ColumnDescription, about: Sequence[Suspicion], choices: Choices) -> tuple[Role, list[str]]:
    named: dict[str, Role] = {choices.target: "target", choices.series: "series", choices.time: "time"}
    if seen.name in named:
        return named[seen.name], []
    reason = next((why for kind, why in _NOT_USED.items() if any(s.kind == kind for s in about)), "")
    if seen.name in choices.group:
        return "group" if seen.type in ("category", "text") else "feature", []
    if reason:
        return "ignore", [f"left out: it {reason}"]
    if choices.kind == "demand":
        return "ignore", ["decide: static (one value per series), known_future, or left out"]
    if seen.type in ("date", "timestamp", "text"):
        return "ignore", [f"left out: a {seen.type} is no input of a table model"]
    return "feature", []


def _split(seen: Description, choices: Choices) -> str:
    if choices.kind == "demand":
        return "rolling"
    if choices.group:
        return "grouped"
    kinds = {suspicion.kind for suspicion in seen.suspicions}
    return "ordered" if choices.time or "time-order" in kinds else "random"


def _yaml(value: Any) -> str:
    """One value on one line, quoted as within brackets."""
    return yaml.safe_dump([value], allow_unicode=True, default_flow_style=True, width=10**6).strip()[1:-1]
