"""Everything suspicious about a table, what matters first on top."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import polars as pl

from dxai.intake.describe import relations
from dxai.intake.describe.leaks import leaks
from dxai.intake.describe.profile import Floats
from dxai.intake.describe.record import GRADES, ColumnDescription, Kind, Suspicion
from dxai.intake.describe.relations import Sample
from dxai.intake.describe.words import TYPES, percent, plain, suspect

_MOST_FAR = 3
_FAR, _ENOUGH = 100, 10
"""Widths of all other values, of which so many differ, that a value stands off."""
_PLACEHOLDERS = {float(sign * int(digit * length)) for digit in "98" for length in range(3, 8) for sign in (-1, 1)}
_PLACEHOLDERS |= {-99.0, -88.0, *(sign * float(f"{'9' * length}.9") for length in range(1, 5) for sign in (-1, 1))}
_PLACEHOLDERS |= {-(2.0**15), 2.0**15 - 1, 2.0**16 - 1, -(2.0**31), 2.0**31 - 1, 2.0**32 - 1}


def suspicions(sample: Sample, *, rows: int, duplicates: int) -> tuple[Suspicion, ...]:
    """All suspicions about the columns and the rows."""
    dated = relations.dated_headers(sample)
    columns = [profile.description for profile in sample.profiles]
    equal, hot = relations.equal_columns(sample), relations.one_hot(sample)
    ids = relations.identifiers(sample)
    leaking = leaks(sample, equal, hot)
    alike = relations.correlated_columns(sample, [*equal, *hot])
    given_away = {name for found in leaking for name in found.columns}
    numbered = {name for found in ids for name in found.columns}
    found = [
        *leaking,
        *_repeated(rows, duplicates),
        *(relations.shared_recipes(sample, given_away | numbered | set(dated)) if not dated else []),
        *relations.time_order(sample),
        *_dated(dated),
        *(suspect("equal", names) for names in equal),
        *(suspect("correlated", names, r=relations.ALIKE) for names in alike),
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
