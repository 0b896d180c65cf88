"""Everything suspicious about a table, what matters first on top."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dxai.intake.describe import relations
from dxai.intake.describe.leaks import leaks
from dxai.intake.describe.record import GRADES, ColumnDescription, Kind, Suspicion
from dxai.intake.describe.relations import Sample
from dxai.intake.describe.words import TYPES, percent, plain, suspect

_PLACEHOLDERS = tuple(sign * int(digit * length) for digit in "98" for length in range(3, 8) for sign in (-1, 1))


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
        *(found for column in columns if (found := _placeholder(sample, column))),
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
    return [suspect(kind, names, sentence, **dict(said)) for (kind, sentence, said), names in told.items()]


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
    if column.leading_zeros:
        yield "leading-zeros", "", {}


def _placeholder(sample: Sample, column: ColumnDescription) -> Suspicion | None:
    """An end of the range that is 999 or the like and further from all other values than these are wide."""
    if column.type not in ("integer", "number") or column.constant:
        return None
    values = sample.values(column.name)
    for end in (column.minimum, column.maximum):
        if end in _PLACEHOLDERS:
            others = values[np.isfinite(values) & (values != end)]
            count = int((values == end).sum())
            if count and len(others) and float(np.abs(others - end).min()) > max(np.ptp(others), 1.0):
                return suspect("placeholder", [column.name], value=plain(float(end)), count=f"{count:,}")  # type: ignore[arg-type]
    return None


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
