"""What a row means: columns, units, ranges, roles; and what the table is: grain, keys, time, licence, policy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from dxai.contract.policy import UsagePolicy

TASKS = ["quality", "demand"]
"""What a contract may be for; whoever adds a kind of task appends its name."""


def _known_task(name: str) -> str:
    if name not in TASKS:
        expected = {"expected": " or ".join(repr(task) for task in TASKS)}
        raise PydanticCustomError("literal_error", "Input should be {expected}", expected)
    return name


Task = Annotated[str, AfterValidator(_known_task), WithJsonSchema({"enum": TASKS, "type": "string"})]
Kind = Literal["number", "category", "date", "timestamp"]
Role = Literal[
    "feature", "target", "series", "time", "group", "known_future", "past", "static", "open", "available", "provider",
    "ignore",
]  # fmt: skip
Frequency = Literal["hourly", "daily", "weekly", "monthly", "quarterly", "yearly"]
SplitRule = Literal["", "random", "grouped", "ordered", "rolling"]


class Column(BaseModel):
    """One column of a row; `dxai.contract.keys` says what each field means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    role: Role
    unit: str = "1"
    minimum: FiniteFloat | None = None
    maximum: FiniteFloat | None = None
    required: bool = False
    categories: tuple[str, ...] = ()
    semantic: str = ""
    monotone: Literal["", "up", "down"] = ""
    holiday: str = ""
    sensitivity: FiniteFloat | None = None
    title_en: str
    title_ko: str
    description: str = ""


class Contract(BaseModel):
    """What a table means; `dxai.contract.keys` says what each field means.

    Frozen; equal contracts have equal fingerprints.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    version: str
    title_en: str
    title_ko: str
    purpose: str
    purpose_ko: str = ""
    limitations: str = ""
    limitations_ko: str = ""
    sector: str = ""
    task: Task
    columns: tuple[Column, ...]
    group: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    grain: str = ""
    time_zone: str = ""
    split: SplitRule = ""
    licence: str = ""
    citation: str = ""
    policy: UsagePolicy | None = None
    frequency: Frequency | None = None
    horizon: Annotated[int, Field(ge=1, le=1000)] = 1
    season: PositiveInt = 1
    minimum_history: NonNegativeInt = 1
    absent: Literal["zero", "missing"] = "missing"
    hierarchy: tuple[str, ...] = ()

    @cached_property
    def target(self) -> Column:
        """The column to predict."""
        return self.only("target")

    @cached_property
    def features(self) -> tuple[Column, ...]:
        """Input columns in contract order: the order of the graph inputs."""
        return tuple(c for c in self.columns if c.role == "feature")

    @cached_property
    def numbers(self) -> tuple[Column, ...]:
        """Numeric input columns in contract order."""
        return tuple(c for c in self.features if c.kind == "number")

    @cached_property
    def categories(self) -> tuple[Column, ...]:
        """Category input columns in contract order."""
        return tuple(c for c in self.features if c.kind == "category")

    @cached_property
    def series(self) -> tuple[Column, ...]:
        """Columns that together name a series."""
        return tuple(c for c in self.columns if c.role == "series")

    @cached_property
    def ahead(self) -> tuple[Column, ...]:
        """Columns of a demand table whose values are known for the steps to forecast, in contract order."""
        return tuple(c for c in self.columns if c.role in ("known_future", "open"))

    @cached_property
    def covariates(self) -> tuple[Column, ...]:
        """What a graph of histories takes beside them, in contract order.

        A part of the series' names is one where the contract lists its categories.
        """
        beside = ("known_future", "open", "past", "available", "static")
        return tuple(c for c in self.columns if c.role in beside or (c.role == "series" and c.categories))

    @property
    def family(self) -> str:
        """Kind of prediction, by which signatures, tasks, exports and reports are found."""
        if self.task != "quality":
            return self.task
        return "classes" if self.target.kind == "category" else "regression"

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the target, in the order of the graph's probabilities; empty for a number."""
        return self.target.categories if self.target.kind == "category" else ()

    @property
    def names(self) -> tuple[str, ...]:
        """All column names in contract order."""
        return tuple(c.name for c in self.columns)

    def only(self, role: Role) -> Column:
        """The single column with this role."""
        (column,) = (c for c in self.columns if c.role == role)
        return column

    @cached_property
    def as_asked(self) -> Contract:
        """The same for rows to forecast from: at the steps ahead, what is known of the past alone may be empty."""
        of_past = ("target", "past", "available") if self.ahead else ()
        return self.with_columns(
            c.model_copy(update={"required": False}) if c.role in of_past else c for c in self.columns
        )

    def with_columns(self, columns: Iterable[Column]) -> Contract:
        """The same of other columns."""
        return Contract(**{name: getattr(self, name) for name in Contract.model_fields} | {"columns": tuple(columns)})

    def fingerprint(self) -> str:
        """sha256 of the meaning: independent of YAML layout and comments, and of fields that later versions add."""
        return hashlib.sha256(json.dumps(self.model_dump(exclude_defaults=True), sort_keys=True).encode()).hexdigest()
