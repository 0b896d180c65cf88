"""What a person should look at: what columns or rows say together, what gives the target away, what looks wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.contract.terms import Text
from dxai.intake import cells
from dxai.intake.describe.columns import Floats, Profile
from dxai.intake.describe.record import NUMERIC, TEMPORAL, ColumnDescription, Suspicion
from dxai.intake.describe.words import KINDS, TYPES, listed, percent, plain, suspect
from dxai.units import understand

Saying = tuple[str, dict[str, Any]]
"""One of the `SENTENCES`, and its figures."""

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
    def values(self) -> dict[str, Floats]:
        """The cells of number and date columns; NaN is a gap."""
        return {p.description.name: p.values for p in self.profiles if p.values is not None}

    @cached_property
    def numbers(self) -> list[str]:
        """Columns of numbers with more than one value."""
        return [c.name for c in self.columns if c.type in NUMERIC and c.name in self.values]

    def matrix(self, names: Sequence[str]) -> Floats:
        """Number columns side by side: [row, column]."""
        return np.column_stack([self.values[name] for name in names]) if names else np.empty((len(self.texts), 0))


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


def time_order(sample: Sample) -> Iterator[Suspicion]:
    """The date column that the rows follow: nearly every step goes forward (or backward)."""
    for column in sample.columns:
        if column.type not in TEMPORAL:
            continue
        values = sample.values[column.name]
        known = np.isfinite(values)
        steps = np.diff(values[known])
        if len(steps) < _FEW_ROWS or len(np.unique(values[known])) < 10:
            continue
        against = int(min((steps < 0).sum(), (steps > 0).sum()))
        # rows of one part after another go forward as well, however not the whole file
        if against <= 0.02 * len(steps) and abs(rank_correlation(values, sample.positions)) > 0.99:
            exception = Text(en=f" ({against:,} steps go back)", ko=f" (역행 {against:,}회)") if against else ""
            span = {"first": f"{column.minimum:%Y-%m-%d}", "last": f"{column.maximum:%Y-%m-%d}"}
            yield suspect("time-order", [column.name], exception=exception, **span)
            return


def shared_recipes(sample: Sample, without: set[str]) -> Iterator[Suspicion]:
    """Rows that agree in most columns and differ in one to three, as mixtures tested at several ages.

    Columns are left out one by one, always the one that leaves the fewest different rows, until half of the rows share
    what is left with others, yet not with a tenth of all: a machine that stands still is no recipe.
    """
    names = [c.name for c in sample.columns if c.name not in without and c.type not in TEMPORAL]
    settings = {c.name for c in sample.columns if c.type in NUMERIC and (c.distinct is None or c.distinct > 10)}
    unique = sample.texts.select(names).unique(maintain_order=True) if names else sample.texts
    if len(unique) < _FEW_ROWS or len(settings.intersection(names)) < 4:
        return
    hashes = {name: unique[name].hash(seed=i).to_numpy() for i, name in enumerate(names)}
    free = [sample.target] if sample.target in names else []
    rest = sum((hashes[name] for name in names if name not in free), np.zeros(len(unique), np.uint64))
    while len(free) < min(3, len(names) // 2):
        left = {name: len(np.unique(rest - hashes[name])) for name in names if name not in free}
        free.append(min(left, key=left.__getitem__))
        rest = rest - hashes[free[-1]]
        recipe = [name for name in names if name not in free]
        if _is_shared(rest) and len(settings.intersection(recipe)) >= 3:
            yield suspect("group", recipe, rows=len(unique), distinct=left[free[-1]], free=listed(free))
            return


def _is_shared(recipes: NDArray[np.uint64]) -> bool:
    _, which, sizes = np.unique(recipes, return_inverse=True, return_counts=True)
    return 2 <= float(np.median(sizes[which])) <= len(recipes) / 10


def identifiers(sample: Sample) -> Iterator[Suspicion]:
    """Columns that number or name the rows."""
    rows = len(sample.texts)
    for column in sample.columns if rows >= _FEW_ROWS else ():
        name, type_ = column.name, column.type
        if column.gaps or name == sample.target or (type_ == "integer" and column.unit):  # a measurement has a unit
            continue
        if type_ in ("text", "category") and sample.texts[name].n_unique() == rows:
            yield suspect("id unique", [name])
        elif type_ == "integer" and len(np.unique(values := sample.values[name])) == rows:
            steps = np.diff(values) / np.diff(sample.positions)
            if (steps == steps[0]).all():
                yield suspect("id rising", [name], step=f"{steps[0]:g}")
            elif (steps > 0).all() or (steps < 0).all() or _is_code(column, rows):
                yield suspect("maybe-id", [name])


def _is_code(column: ColumnDescription, rows: int) -> bool:
    """Whether whole numbers never repeat and all have the same five digits or more."""
    lowest, highest = (f"{end:.0f}" for end in (column.minimum, column.maximum))
    return column.distinct == rows and len(lowest) == len(highest) >= 5 and lowest.isdigit()


STRONG = 0.999
"""Correlation with the target that no honest measurement has."""

_CLASSES = 20
_VALUES = 50
_FEW_VALUES = 5
"""Of a number that is a flag or a grade."""
_FEWEST = 10
"""Rows of one value, at least, before it is said to imply anything."""

_EMPTY = Text(en="empty", ko="비어 있음")
_FILLED = Text(en="filled", ko="채워져 있음")
_CHANCE = 1e-9
"""How improbable it must be that so many rows agree by chance."""


def leaks(sample: Sample, together: Sequence[Sequence[str]], classes: Sequence[Sequence[str]]) -> Iterator[Suspicion]:
    """Columns that give the named target away, if any.

    ``together`` are the columns equal to each other, ``classes`` the one-hot groups.
    """
    target = next((column for column in sample.columns if column.name == sample.target), None)
    if target is None:
        return
    told = {target.name}
    for sentence, groups in (("leak equal", together), ("leak one-hot", classes)):
        if names := [other for group in groups if target.name in group for other in group if other != target.name]:
            told.update(names)
            yield suspect(sentence, names)
    of_classes = target.distinct is not None and target.distinct <= _CLASSES and target.type != "number"
    for column in sample.columns:
        if column.name not in told:
            for sentence, figures in (_class_leaks if of_classes else _number_leaks)(sample, column):
                yield suspect(sentence, [column.name], **figures)


def _number_leaks(sample: Sample, column: ColumnDescription) -> Iterator[Saying]:
    if column.name not in sample.numbers or sample.target not in sample.numbers:
        return
    truth, values = sample.values[sample.target], sample.values[column.name]
    r, rho = float(correlations(np.column_stack([truth, values]))[0, 1]), rank_correlation(truth, values)
    if abs(r) > STRONG and abs(rho) > 0.99:
        yield "leak correlated", {"r": f"{r:.5f}"}
    elif abs(rho) > STRONG:
        yield "leak monotone", {"r": f"{rho:.5f}"}


def _class_leaks(sample: Sample, column: ColumnDescription) -> Iterator[Saying]:
    truth, texts = sample.texts[sample.target], sample.texts[column.name]
    if column.distinct is not None and column.distinct <= _VALUES:
        found = list(_pure_values(texts, truth))
        # Of a number with many values one is bound to have a single class: a thickness of which one lot was made.
        if len(found) > 1 or column.distinct <= _FEW_VALUES or column.name not in sample.numbers:
            yield from found
        return
    if column.gaps:
        yield from _pure_values(texts.is_not_null(), truth)
    if column.name in sample.numbers:
        yield from _apart(sample.values[column.name], truth)


def _pure_values(values: pl.Series, truth: pl.Series) -> Iterator[Saying]:
    """Values with which one class, the rarer half of the target, always comes."""
    table = pl.DataFrame({"value": values, "truth": truth}).drop_nulls("truth")
    share = pl.len().over("truth") / len(truth)
    table = table.with_columns(share=share).group_by("value").agg(
        pl.first("truth", "share"), classes=pl.n_unique("truth"), count=pl.len()
    ).sort("count", "value", descending=[True, False])  # fmt: skip
    pure = (table["classes"] == 1).all() and table["truth"].n_unique() > 1
    if pure and table["count"][1] >= _FEWEST:
        yield "leak determines", {}
        return
    certain = (pl.col("classes") == 1) & (pl.col("count") >= _FEWEST) & (pl.col("share") <= 0.5)
    for value, answer, count in (
        table.filter(certain & (pl.col("share") ** pl.col("count") < _CHANCE)).select("value", "truth", "count").rows()
    ):
        cause = {None: _EMPTY, False: _EMPTY, True: _FILLED}.get(value, value)
        yield "leak implies", {"cause": cause, "value": answer, "count": count}


def _apart(values: Floats, truth: pl.Series) -> Iterator[Saying]:
    """Numbers whose range for one class does not meet that of the others."""
    table = pl.DataFrame({"value": values, "truth": truth}).filter(pl.col("value").is_finite()).drop_nulls()
    ends = table.group_by("truth").agg(count=pl.len(), low=pl.min("value"), high=pl.max("value"))
    ranges: list[tuple[str, int, float, float]] = ends.sort("count", "truth").rows()
    if len(ranges) < 2 or ranges[0][1] < _FEWEST:
        return
    for answer, _, low, high in ranges:
        rest = [row for row in ranges if row[0] != answer]
        if high < min(row[2] for row in rest) or low > max(row[3] for row in rest):
            yield "leak separates", {"value": answer}
            return


_MOST_FAR = 3
_FAR, _ENOUGH = 100, 10
"""Widths of all other values, of which so many differ, that a value stands off."""
_PLACEHOLDERS = {float(sign * int(digit * length)) for digit in "98" for length in range(3, 8) for sign in (-1, 1)}
_PLACEHOLDERS |= {-99.0, -88.0, *(sign * float(f"{'9' * length}.9") for length in range(1, 5) for sign in (-1, 1))}
_PLACEHOLDERS |= {-(2.0**15), 2.0**15 - 1, 2.0**16 - 1, -(2.0**31), 2.0**31 - 1, 2.0**32 - 1}


def suspicions(sample: Sample, *, rows: int, duplicates: int) -> tuple[Suspicion, ...]:
    """All suspicions about the columns and the rows, what matters first on top."""
    dated, equal, hot = dated_headers(sample), equal_columns(sample), one_hot(sample)
    columns = [profile.description for profile in sample.profiles]
    no_settings = [*leaks(sample, equal, hot), *identifiers(sample)]
    found = [*no_settings, *time_order(sample)]
    if duplicates:
        found.append(suspect("duplicate-rows", (), count=duplicates, share=percent(duplicates / rows)))
    if dated:
        found.append(suspect("dated-headers", dated, count=len(dated), first=dated[0], last=dated[-1]))
    else:
        found += shared_recipes(sample, {name for suspicion in no_settings for name in suspicion.columns})
    found += [suspect("equal", names) for names in equal]
    found += [suspect("correlated", names, r=ALIKE) for names in correlated_columns(sample, [*equal, *hot])]
    found += [suspect("one-hot", names, count=len(names)) for names in hot]
    found += [far for column in columns for far in _far_off(sample, column)]
    alike: dict[tuple[str, tuple[tuple[str, Any], ...]], list[str]] = {}  # columns of which the same is to be said
    for column in columns:
        for sentence, figures in _of_cells(column):
            alike.setdefault((sentence, tuple(figures.items())), []).append(column.name)
    found += [suspect(sentence, names, **dict(figures)) for (sentence, figures), names in alike.items()]
    ranks = {kind: rank for rank, kind in enumerate(KINDS)}
    return tuple(sorted(found, key=lambda suspicion: ranks[suspicion.kind]))


def _of_cells(column: ColumnDescription) -> list[Saying]:
    """What there is to say of the cells of one column, and how they are written."""
    gaps, units, totals = (
        [text for text, _ in counted] for counted in (column.missing_texts, column.cell_units, column.totals)
    )
    of_totals = sum(count for _, count in column.totals)
    form, several_forms = next(iter(column.date_formats), ""), len(column.date_formats) > 1
    is_number = column.type in NUMERIC and column.minimum is not None  # not Y and N
    below = ", ".join(text for text in gaps if text.upper() in cells.BELOW_LIMIT) if is_number else ""
    missing = {"shown": _quoted(gaps[:4]), "text": repr(next(iter(gaps), "")), "below": below}
    several_units = len({understand(text) for text in units}) > 1
    of_type = {"type": TYPES[column.type], "written": Text(en=f" written as {form}", ko="") if form else ""}
    serial, week, usual = form == cells.SERIAL, "%V" in form, form.startswith("%Y-%m-%d")
    ways: Sequence[tuple[object, str, dict[str, Any]]] = (
        (totals, "total", {"texts": tuple(totals), "value": _quoted(totals[:3]), "count": of_totals}),
        (column.misfits, "mixed", {"count": column.misfits, "known": column.known, **of_type}),
        (column.variants, "spelling", {"count": column.variants}),
        (gaps, "missing-text limit" if below else "missing-text", missing),
        (several_forms, "ambiguous-date", dict(zip(("first", "second"), column.date_formats, strict=False))),
        (serial, "date-format serial", {}),
        (week, "date-format week", {"format": form}),
        (form and not (several_forms or serial or week or usual), "date-format", {"format": form}),
        (column.mixed_marks, "decimal-marks", {}),
        (column.decimal_mark == "," and not column.mixed_marks, "number-text comma", {}),
        (column.thousands, "number-text thousands", {"mark": column.thousands}),
        (units, "number-text units" if several_units else "number-text unit", {"shown": ", ".join(units)}),
        (column.full_width, "number-text full-width", {}),
        (column.signed, "number-text signed", {"count": column.signed}),
        (column.censored, "censored", {"count": column.censored, "known": column.known}),
        (column.long_code, "long-code", {}),
        (column.leading_zeros, "leading-zeros", {}),
        (column.type == "empty", "empty", {}),
        (column.constant, "constant", {}),
        (column.known and 2 * column.gaps > column.rows, "mostly-missing", {}),
    )
    return [(sentence, figures) for holds, sentence, figures in ways if holds]


def _quoted(texts: Sequence[str]) -> str:
    return ", ".join(f"“{text}”" for text in texts)


def _far_off(sample: Sample, column: ColumnDescription) -> Iterator[Suspicion]:
    """Ends of the range that are further from all other values than these are wide.

    999 and the like mean that there is no value; any other number must be a hundred times as far.
    """
    if column.type not in ("integer", "number") or column.constant:
        return
    cells_read = sample.values[column.name]
    values, texts = cells_read[np.isfinite(cells_read)], sample.texts[column.name].str.strip_chars()
    for _ in range(_MOST_FAR):
        ends = [end for end in (values.min(), values.max()) if _is_far(values, float(end))] if len(values) else []
        if not ends:
            return
        end = float(max(ends, key=abs))
        spelled = texts.filter(pl.Series(cells_read == end)).unique().sort().to_list()
        sentence = "placeholder" if end in _PLACEHOLDERS else "far"
        yield suspect(sentence, [column.name], spelled, value=plain(end), count=int((values == end).sum()))
        values = values[values != end]


def _is_far(values: Floats, end: float) -> bool:
    others = values[values != end]
    if not len(others):
        return False
    distance, width = float(np.abs(others - end).min()), float(max(np.ptp(others), 1.0))
    if end in _PLACEHOLDERS:
        return distance > width
    return distance > _FAR * width and len(np.unique(others[: 10 * _ENOUGH])) >= _ENOUGH
