"""What only a person knows about a table that is to be shared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from dxai.contract import Frequency, Role
from dxai.errors import NotFoundError, nearest
from dxai.units import of_header

TableKind = Literal["quality", "demand"]


@dataclass(frozen=True)
class Choices:
    """What was chosen on the command line or answered; columns by their headers.

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
    kind: TableKind = "quality"
    series: tuple[str, ...] = ()
    time: str = ""
    group: tuple[str, ...] = ()
    frequency: Frequency | Literal[""] = ""
    horizon: int = 12
    add_up: Literal["", "weekly", "monthly"] = ""
    units: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)


def header_of(told: str, names: Sequence[str]) -> str:
    """The header that is told without its unit: ``y`` for ``y (MPa)``; the same where none, or several, are.

    >>> header_of("y", ["x (mm)", "y (MPa)"]), header_of("z", ["x (mm)"])
    ('y (MPa)', 'z')
    """
    if told in names:
        return told
    likely = [name for name in names if of_header(name)[0] == told]
    return likely[0] if len(likely) == 1 else told


def resolved(choices: Choices, names: Sequence[str]) -> Choices:
    """The choices by the headers of the file."""
    return replace(
        choices, targets=tuple(header_of(name, names) for name in choices.targets),
        series=tuple(header_of(name, names) for name in choices.series), time=header_of(choices.time, names),
        group=tuple(header_of(name, names) for name in choices.group),
    )  # fmt: skip


def refuse_unknown(headers: Iterable[str], names: list[str], where: str) -> None:
    """Refuse a header that the file has not.

    Raises:
        NotFoundError: The first such header, with the nearest one.
    """
    for header in headers:
        if header and header not in names:
            hint = nearest(header, names)
            fix = f"Did you mean {hint!r}?" if hint else "`dxai data describe` lists the columns."
            raise NotFoundError(f"The file has no column {header!r}.", where=where, fix=fix)
