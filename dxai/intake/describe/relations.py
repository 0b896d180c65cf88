"""What several columns, or the rows, say together; found on the sampled rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.contract.terms import Text
from dxai.intake import cells
from dxai.intake.describe.profile import Floats, Profile
from dxai.intake.describe.record import NUMERIC, TEMPORAL, ColumnDescription, Suspicion
from dxai.intake.describe.words import listed, suspect

ALIKE = 0.9999
"""Correlation from which on two columns say the same."""

_FEW_ROWS = 20
"""Rows below which a pattern proves nothing."""

_WIDEST = 2_000
"""Number columns up to which all pairs are compared."""


@dataclass(frozen=True)
class Sample:
    """Sampled rows of a described table.

    Attributes:
        texts: The cells.
        positions: Numbers of the rows in the file, from 0.
        target: Name of the target, or empty.
    """

    profiles: tuple[Profile, ...]
    texts: pl.DataFrame
    positions: Floats
    target: str

    @property
    def columns(self) -> Iterator[ColumnDescription]:
        """Columns with more than one value."""
        return (p.description for p in self.profiles if p.description.known and not p.description.constant)

    @cached_property
    def numbers(self) -> list[str]:
        """Those that hold numbers."""
        varied = {column.name for column in self.columns if column.type in NUMERIC}
        return [p.description.name for p in self.profiles if p.values is not None and p.description.name in varied]

    def values(self, name: str) -> Floats:
        """The cells of a number or date column; NaN is a gap."""
        found = next(p.values for p in self.profiles if p.description.name == name)
        assert found is not None  # asked for numbers and dates only
        return found

    def matrix(self, names: Sequence[str]) -> Floats:
        """Number columns side by side: [row, column]."""
        held = {p.description.name: p.values for p in self.profiles if p.values is not None}
        return np.column_stack([held[name] for name in names]) if names else np.empty((len(self.texts), 0))


def equal_columns(sample: Sample) -> list[tuple[str, ...]]:
    """Columns with the same value in every row, together."""
    if len(sample.texts) < _FEW_ROWS:
        return []
    same: dict[tuple[bool, bytes], list[str]] = {}
    for profile in sample.profiles:
        column = profile.description
        if column.known and not column.constant:
            whole = profile.values is not None and not column.misfits
            cell = profile.values if whole else sample.texts[column.name].hash().to_numpy()
            same.setdefault((whole, cell.tobytes()), []).append(column.name)  # type: ignore[union-attr]
    return [tuple(names) for names in same.values() if len(names) > 1]


def correlated_columns(sample: Sample, told: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Number columns that say the same without being equal, together; of those already told together, the first."""
    behind = {name for names in told for name in names[1:]}
    names = [name for name in sample.numbers if name not in behind]
    if not 2 <= len(names) <= _WIDEST or len(sample.texts) < _FEW_ROWS:
        return []
    matrix = sample.matrix(names)
    found = np.argwhere(np.triu(np.abs(correlations(matrix)) > ALIKE, 1))
    groups: list[set[int]] = []
    for a, b in found.tolist():
        if abs(rank_correlation(matrix[:, a], matrix[:, b])) > 0.999:  # one far-off row alone correlates as well
            joined = [group for group in groups if a in group or b in group]
            groups = [group for group in groups if group not in joined] + [{a, b}.union(*joined)]
    return [tuple(names[i] for i in sorted(group)) for group in groups]


def correlations(matrix: Floats) -> Floats:
    """Pearson's r of all pairs over the rows where both are known; 0 where these are too few."""
    known = np.isfinite(matrix)
    there = known.astype(float)
    middle = np.where(known, matrix, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    scaled = np.where(known, matrix - middle, 0.0)
    squares = np.sqrt((scaled**2).sum(axis=0) / np.maximum(there.sum(axis=0), 1))
    scaled = scaled / np.where(squares > 0, squares, 1.0)
    count = np.maximum(there.T @ there, 1)
    mean, square = scaled.T @ there / count, (scaled**2).T @ there / count
    variance = np.maximum(square - mean**2, 0)
    spread = np.sqrt(variance * variance.T)
    usable = (count >= _FEW_ROWS) & (spread > 1e-9)
    return np.where(usable, (scaled.T @ scaled / count - mean * mean.T) / np.where(usable, spread, 1.0), 0.0)


def rank_correlation(first: Floats, second: Floats) -> float:
    """Spearman's rho over the rows where both are known."""
    both = np.isfinite(first) & np.isfinite(second)
    ranks = pl.DataFrame({"first": first[both], "second": second[both]}).select(pl.all().rank())
    return float(ranks.select(pl.corr("first", "second")).item() or 0.0)


def one_hot(sample: Sample) -> list[tuple[str, ...]]:
    """Runs of 0/1 columns of which exactly one is 1 in every row."""
    names = [c.name for c in sample.columns if c.type == "boolean" and c.minimum == 0 and not c.gaps]
    flags = sample.matrix(names)
    found, start = [], 0
    while start < len(names) and len(sample.texts) >= _FEW_ROWS:
        sums = flags[:, start:].cumsum(axis=1)
        within = int(np.argmax(np.append((sums > 1).any(axis=0), True)))
        full = np.flatnonzero((sums[:, :within] == 1).all(axis=0))
        if len(full):
            found.append(tuple(names[start : start + int(full[0]) + 1]))
            start += int(full[0])
        start += 1
    return found


def dated_headers(sample: Sample) -> list[str]:
    """Columns whose header is a date, such as ``Jan-98``: a series lies along the row."""
    headers = pl.Series([p.description.name for p in sample.profiles], dtype=pl.String)
    formats = cells.date_formats(headers.filter(headers.str.contains(r"\d")))
    best = max((cells.dates(headers, found) for found in formats), key=lambda read: read.count(), default=None)
    return headers.filter(best.is_not_null()).to_list() if best is not None and best.count() >= 6 else []


def time_order(sample: Sample) -> list[Suspicion]:
    """The date column that the rows follow, when nearly every step goes forward (or backward)."""
    for column in sample.columns:
        if column.type not in TEMPORAL:
            continue
        values = sample.values(column.name)
        known = np.isfinite(values)
        steps = np.diff(values[known])
        if len(steps) < _FEW_ROWS or len(np.unique(values[known])) < 10:
            continue
        against = int(min((steps < 0).sum(), (steps > 0).sum()))
        # rows of one part after another go forward as well, however not the whole file
        if against <= 0.02 * len(steps) and abs(rank_correlation(values, sample.positions)) > 0.99:
            exception = Text(en=f" ({against:,} steps go back)", ko=f" (역행 {against:,}회)") if against else ""
            span = {"first": f"{column.minimum:%Y-%m-%d}", "last": f"{column.maximum:%Y-%m-%d}"}
            return [suspect("time-order", [column.name], exception=exception, **span)]
    return []


def shared_recipes(sample: Sample, without: set[str]) -> list[Suspicion]:
    """Rows that agree in most columns and differ in one to three, as mixtures tested at several ages.

    Columns are left out one by one, always the one that leaves the fewest different rows, until half of the rows share
    what is left with others, yet not with a tenth of all: a machine that stands still is no recipe.
    """
    names = [c.name for c in sample.columns if c.name not in without and c.type not in TEMPORAL]
    settings = {c.name for c in sample.columns if c.type in NUMERIC and (c.distinct is None or c.distinct > 10)}
    unique = sample.texts.select(names).unique(maintain_order=True) if names else sample.texts
    if len(unique) < _FEW_ROWS or len(settings.intersection(names)) < 4:
        return []
    hashes = {name: unique[name].hash(seed=i).to_numpy() for i, name in enumerate(names)}
    free = [sample.target] if sample.target in names else []
    rest = sum((hashes[name] for name in names if name not in free), np.zeros(len(unique), np.uint64))
    while len(free) < min(3, len(names) // 2):
        left = {name: len(np.unique(rest - hashes[name])) for name in names if name not in free}
        free.append(min(left, key=left.__getitem__))
        rest = rest - hashes[free[-1]]
        recipe = [name for name in names if name not in free]
        if _is_shared(rest) and len(settings.intersection(recipe)) >= 3:
            said = {"rows": f"{len(unique):,}", "distinct": f"{left[free[-1]]:,}", "free": listed(free)}
            return [suspect("group", recipe, **said)]
    return []


def _is_shared(recipes: NDArray[np.uint64]) -> bool:
    _, which, sizes = np.unique(recipes, return_inverse=True, return_counts=True)
    return 2 <= float(np.median(sizes[which])) <= len(recipes) / 10


def identifiers(sample: Sample) -> list[Suspicion]:
    """Columns that number or name the rows."""
    if len(sample.texts) < _FEW_ROWS:
        return []
    return [found for column in sample.columns if (found := _identifier(sample, column))]


def _identifier(sample: Sample, column: ColumnDescription) -> Suspicion | None:
    if column.gaps or column.name == sample.target or column.type not in ("integer", "text", "category"):
        return None
    if column.type == "integer":
        values = sample.values(column.name)
        steps = np.diff(values) / np.diff(sample.positions)
        if column.unit or len(np.unique(values)) < len(values):
            return None  # a measurement, or names of more than rows
        if steps[0] and (steps == steps[0]).all():
            return suspect("id", [column.name], "id rising", step=f"{steps[0]:g}")
        rising = bool((steps > 0).all() or (steps < 0).all())
        return suspect("maybe-id", [column.name]) if rising or _is_code(column, len(values)) else None
    unique = sample.texts[column.name].n_unique() == len(sample.texts)
    return suspect("id", [column.name], "id unique") if unique else None


def _is_code(column: ColumnDescription, rows: int) -> bool:
    """Whether whole numbers never repeat and all have the same five digits or more."""
    lowest, highest = (f"{end:.0f}" for end in (column.minimum, column.maximum))
    return column.distinct == rows and len(lowest) == len(highest) >= 5 and lowest.isdigit()
