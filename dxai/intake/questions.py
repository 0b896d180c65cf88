"""What a draft leaves open, as questions for a person at a terminal, the most doubtful first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dxai.intake.choices import Choices
from dxai.intake.proposed import Proposed, strange_unit

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
