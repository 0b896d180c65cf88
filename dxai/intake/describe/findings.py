"""What a person should look at: what columns or rows say together, what gives the target away, what looks wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.contract.terms import Text
from dxai.intake import cells
from dxai.intake.describe.columns import Floats, Profile
from dxai.intake.describe.record import GRADES, NUMERIC, TEMPORAL, ColumnDescription, Kind, Suspicion
from dxai.intake.describe.words import TYPES, listed, percent, plain, suspect

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


STRONG = 0.999
"""Correlation with the target that no honest measurement has."""

_CLASSES = 20
_VALUES = 50
_FEWEST = 10
"""Rows of one value, at least, before it is said to imply anything."""

_EMPTY = Text(en="empty", ko="비어 있음")
_FILLED = Text(en="filled", ko="채워져 있음")
_CHANCE = 1e-9
"""How improbable it must be that so many rows agree by chance."""


def leaks(sample: Sample, together: Sequence[Sequence[str]], classes: Sequence[Sequence[str]]) -> list[Suspicion]:
    """Suspicions about the named target, if any.

    ``together`` are the columns equal to each other, ``classes`` the one-hot groups.
    """
    target = next((column for column in sample.columns if column.name == sample.target), None)
    if target is None:
        return []
    equal = _partners(target.name, together)
    same_hot = _partners(target.name, classes)
    found = [suspect("leak", equal, "leak equal")] if equal else []
    found += [suspect("leak", same_hot, "leak one-hot")] if same_hot else []
    others = [column for column in sample.columns if column.name not in {target.name, *equal, *same_hot}]
    if target.distinct is not None and target.distinct <= _CLASSES and target.type != "number":
        return found + _class_leaks(sample, target, others)
    return found + (_number_leaks(sample, target, others) if target.name in sample.numbers else [])


def _partners(name: str, groups: Sequence[Sequence[str]]) -> list[str]:
    return [other for group in groups if name in group for other in group if other != name]


def _number_leaks(sample: Sample, target: ColumnDescription, others: list[ColumnDescription]) -> list[Suspicion]:
    truth, found = sample.values(target.name), []
    for name in (column.name for column in others if column.name in sample.numbers):
        values = sample.values(name)
        r = float(correlations(np.column_stack([truth, values]))[0, 1])
        rho = rank_correlation(truth, values)
        if abs(r) > STRONG and abs(rho) > 0.99:
            found.append(suspect("leak", [name], "leak correlated", r=f"{r:.5f}"))
        elif abs(rho) > STRONG:
            found.append(suspect("leak", [name], "leak monotone", r=f"{rho:.5f}"))
    return found


def _class_leaks(sample: Sample, target: ColumnDescription, others: list[ColumnDescription]) -> list[Suspicion]:
    truth = sample.texts[target.name].alias("truth")
    shares = {row[0]: row[1] / len(truth) for row in truth.drop_nulls().value_counts(name="count").iter_rows()}
    found = []
    for column in others:
        if column.distinct is not None and column.distinct <= _VALUES:
            found += _pure_values(sample.texts[column.name], truth, shares)
            continue
        if column.gaps:
            found += _pure_values(sample.texts[column.name].is_not_null(), truth, shares)
        if column.name in sample.numbers:
            found += _apart(sample.values(column.name), column.name, truth)
    return found


def _pure_values(values: pl.Series, truth: pl.Series, shares: dict[str, float]) -> list[Suspicion]:
    """Values with which one class, the rarer half of the target, always comes."""
    name = values.name
    table = pl.DataFrame({"value": values, "truth": truth}).drop_nulls("truth")
    table = table.group_by("value").agg(
        classes=pl.col("truth").n_unique(), truth=pl.col("truth").first(), count=pl.len()
    ).sort("count", descending=True)  # fmt: skip
    if (
        len(table) > 1
        and table["truth"].n_unique() > 1
        and (table["classes"] == 1).all()
        and table["count"][1] >= _FEWEST
    ):
        return [suspect("leak", [name], "leak determines")]
    found = []
    for value, classes, answer, count in table.iter_rows():
        if classes == 1 and count >= _FEWEST and shares[answer] <= 0.5 and shares[answer] ** count < _CHANCE:
            cause = {None: _EMPTY, False: _EMPTY, True: _FILLED}.get(value, value)
            found.append(suspect("leak", [name], "leak implies", cause=cause, value=answer, count=f"{count:,}"))
    return found


def _apart(values: Floats, name: str, truth: pl.Series) -> list[Suspicion]:
    """Numbers whose range for one class does not meet that of the others."""
    table = pl.DataFrame({"value": values, "truth": truth}).filter(pl.col("value").is_finite()).drop_nulls()
    ends = table.group_by("truth").agg(count=pl.len(), low=pl.col("value").min(), high=pl.col("value").max())
    ranges: list[tuple[str, int, float, float]] = sorted(ends.iter_rows(), key=lambda row: (row[1], row[0]))
    if len(ranges) < 2 or ranges[0][1] < _FEWEST:
        return []
    for answer, _, low, high in ranges:
        rest = [row for row in ranges if row[0] != answer]
        if high < min(row[2] for row in rest) or low > max(row[3] for row in rest):
            return [suspect("leak", [name], "leak separates", value=answer)]
    return []


_MOST_FAR = 3
_FAR, _ENOUGH = 100, 10
"""Widths of all other values, of which so many differ, that a value stands off."""
_PLACEHOLDERS = {float(sign * int(digit * length)) for digit in "98" for length in range(3, 8) for sign in (-1, 1)}
_PLACEHOLDERS |= {-99.0, -88.0, *(sign * float(f"{'9' * length}.9") for length in range(1, 5) for sign in (-1, 1))}
_PLACEHOLDERS |= {-(2.0**15), 2.0**15 - 1, 2.0**16 - 1, -(2.0**31), 2.0**31 - 1, 2.0**32 - 1}


def suspicions(sample: Sample, *, rows: int, duplicates: int) -> tuple[Suspicion, ...]:
    """All suspicions about the columns and the rows."""
    dated = dated_headers(sample)
    columns = [profile.description for profile in sample.profiles]
    equal, hot = equal_columns(sample), one_hot(sample)
    ids = identifiers(sample)
    leaking = leaks(sample, equal, hot)
    alike = correlated_columns(sample, [*equal, *hot])
    given_away = {name for found in leaking for name in found.columns}
    numbered = {name for found in ids for name in found.columns}
    found = [
        *leaking,
        *_repeated(rows, duplicates),
        *(shared_recipes(sample, given_away | numbered | set(dated)) if not dated else []),
        *time_order(sample),
        *_dated(dated),
        *(suspect("equal", names) for names in equal),
        *(suspect("correlated", names, r=ALIKE) for names in alike),
        *(suspect("one-hot", names, count=len(names)) for names in hot),
        *ids,
        *_of_cells(columns),
        *(found for column in columns for found in _far_off(sample, column)),
        *_totals(columns),
        *_together(columns),
    ]
    ranks = {kind: rank for rank, kind in enumerate(GRADES)}
    return tuple(sorted(found, key=lambda suspicion: ranks[suspicion.kind]))


def _repeated(rows: int, duplicates: int) -> list[Suspicion]:
    if not duplicates:
        return []
    return [suspect("duplicate-rows", (), count=f"{duplicates:,}", share=percent(duplicates / rows))]


def _dated(names: list[str]) -> list[Suspicion]:
    return [suspect("dated-headers", names, count=len(names), first=names[0], last=names[-1])] if names else []


def _of_cells(columns: Sequence[ColumnDescription]) -> list[Suspicion]:
    """How cells are written; columns of which the same is to be said together."""
    told: dict[tuple[Kind, str, tuple[tuple[str, object], ...]], list[str]] = {}
    for column in columns:
        for kind, sentence, said in _ways_of_writing(column):
            told.setdefault((kind, sentence, tuple(said.items())), []).append(column.name)
    return [suspect(kind, names, sentence, (), **dict(said)) for (kind, sentence, said), names in told.items()]


def _ways_of_writing(column: ColumnDescription) -> Iterator[tuple[Kind, str, dict[str, object]]]:
    """Kind, sentence and its figures of everything to say about the cells of one column."""
    if column.misfits:
        type_ = TYPES[column.type]
        yield "mixed", "", {"count": f"{column.misfits:,}", "known": f"{column.known:,}", "type": type_}
    if column.variants:
        yield "spelling", "", {"count": f"{column.variants:,}"}
    if column.missing_texts:
        yield "missing-text", "", {"texts": ", ".join(f"“{text}”" for text, _ in column.missing_texts[:4])}
    formats = column.date_formats
    if len(formats) > 1:
        yield "ambiguous-date", "", {"first": formats[0], "second": formats[1]}
    elif formats and not formats[0].startswith("%Y-%m-%d"):
        yield "date-format", "", {"format": formats[0]}
    if column.decimal_mark == ",":
        yield ("decimal-marks", "", {}) if column.mixed_marks else ("number-text", "decimal comma", {})
    if column.thousands:
        yield "number-text", "thousands", {"mark": column.thousands}
    if column.cell_units:
        yield "number-text", "cell units", {"texts": ", ".join(unit for unit, _ in column.cell_units)}
    if column.full_width:
        yield "number-text", "full-width", {}
    if column.signed:
        yield "number-text", "signed", {"count": f"{column.signed:,}"}
    if column.censored:
        yield "censored", "", {"count": f"{column.censored:,}", "known": f"{column.known:,}"}
    if column.long_code:
        yield "long-code", "", {}
    if column.leading_zeros:
        yield "leading-zeros", "", {}


def _totals(columns: Sequence[ColumnDescription]) -> list[Suspicion]:
    found = [c for c in columns if c.totals]
    return [
        suspect(
            "total", [c.name], of_cells=[text for text, _ in c.totals], count=f"{sum(n for _, n in c.totals):,}",
            value=", ".join(f"“{text}”" for text, _ in c.totals[:3]),
        )
        for c in found
    ]  # fmt: skip


def _far_off(sample: Sample, column: ColumnDescription) -> Iterator[Suspicion]:
    """Ends of the range that are further from all other values than these are wide.

    999 and the like mean that there is no value; any other number must be a hundred times as far.
    """
    if column.type not in ("integer", "number") or column.constant:
        return
    values = sample.values(column.name)
    values = values[np.isfinite(values)]
    for _ in range(_MOST_FAR):
        ends = [end for end in (values.min(), values.max()) if _is_far(values, float(end))] if len(values) else []
        if not ends:
            return
        end = max(ends, key=abs)
        texts = sample.texts[column.name].str.strip_chars()
        spelled = texts.filter(pl.Series(sample.values(column.name) == end)).unique().sort()
        count = f"{int((values == end).sum()):,}"
        kind: Kind = "placeholder" if end in _PLACEHOLDERS else "far"
        yield suspect(kind, [column.name], of_cells=spelled.to_list(), value=plain(float(end)), count=count)
        values = values[values != end]


def _is_far(values: Floats, end: float) -> bool:
    others = values[values != end]
    if not len(others):
        return False
    distance, width = float(np.abs(others - end).min()), float(max(np.ptp(others), 1.0))
    if end in _PLACEHOLDERS:
        return distance > width
    return distance > _FAR * width and len(np.unique(others[: 10 * _ENOUGH])) >= _ENOUGH


def _together(columns: Sequence[ColumnDescription]) -> list[Suspicion]:
    """What many columns have in common, told once."""
    rules: dict[Kind, Callable[[ColumnDescription], bool]] = {
        "empty": lambda column: column.type == "empty",
        "constant": lambda column: column.constant,
        "mostly-missing": lambda column: column.known > 0 and 2 * column.gaps > column.rows,
        "unit": lambda column: bool(column.unit_text and not column.unit),
    }
    told = {kind: [column.name for column in columns if rule(column)] for kind, rule in rules.items()}
    return [suspect(kind, names) for kind, names in told.items() if names]
