"""A whole table against its contract: every violation at once; figures under the names of ISO/IEC 5259-2."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

from dxai.contract import Contract
from dxai.data.checks import Problem, Problems, cast, match_header
from dxai.data.tables import as_text

_EXAMPLES = 3


@dataclass
class TableCheck:
    """What a check found.

    Attributes:
        rows: Rows read.
        problems: One per column and rule, with counts and first examples.
        gaps: Empty cells per column.
        broken: Rows with at least one violation.
        repeated: Rows whose key an earlier row has.
    """

    rows: int = 0
    problems: Problems = field(default_factory=Problems)
    gaps: dict[str, int] = field(default_factory=dict)
    broken: int = 0
    repeated: int = 0

    @property
    def measures(self) -> dict[str, float]:
        """Shares between 0 and 1, by the measures of ISO/IEC 5259-2 that a contract can answer."""
        cells = self.rows * len(self.gaps)
        return {
            "value completeness": 1 - sum(self.gaps.values()) / cells if cells else 1.0,
            "record validity": 1 - self.broken / self.rows if self.rows else 1.0,
            "record uniqueness": 1 - self.repeated / self.rows if self.rows else 1.0,
        }


def check(tables: Iterable[pl.DataFrame], contract: Contract, *, where: str) -> TableCheck:
    """Read a table once, block by block; only hashes of the keys stay in memory (8 bytes a row).

    Raises:
        DataError: Columns are missing.
    """
    found, names, keys = TableCheck(), dict[str, str](), list[pl.Series]()
    for table in tables:
        names = names or match_header(table.columns, contract, target=True, where=f"{where}, line 1")
        own = as_text(table.select(pl.col(source).alias(name) for name, source in names.items()))
        typed, problems = cast(own, contract, first_row=found.rows + 2)
        found.problems.add(problems)
        broken = [problem.broken for problem in problems if problem.broken is not None]
        found.broken += pl.DataFrame(broken).select(pl.any_horizontal(pl.all()).sum()).item() if broken else 0
        for name in typed.columns:
            found.gaps[name] = found.gaps.get(name, 0) + typed[name].null_count()
        if contract.keys:
            keys.append(typed.select(contract.keys).hash_rows())
        found.rows += len(table)
    if keys:
        _add_repeated(found, pl.concat(keys), contract)
    return found


def _add_repeated(found: TableCheck, keys: pl.Series, contract: Contract) -> None:
    again = ~keys.is_first_distinct()
    found.repeated = int(again.sum())
    if found.repeated:
        examples = [(i + 2, "its key stands above") for i in again.arg_true().head(_EXAMPLES).to_list()]
        problem = Problem(", ".join(contract.keys), "names each row once", found.repeated, examples)
        found.problems.add([problem])
