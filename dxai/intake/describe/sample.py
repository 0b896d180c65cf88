"""A bounded number of rows drawn at random from a stream, and how many rows repeat another."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

_ROWS, _CELLS = 50_000, 4_000_000
_HASHES = 1 << 21


class RowSample:
    """Each row of the stream is as likely as any other to be among the rows kept; they stay in order.

    Args:
        width: Columns, which decide how many rows are kept: at most 50,000 rows and 4,000,000 cells.
    """

    def __init__(self, width: int) -> None:
        self._most = max(100, min(_ROWS, _CELLS // width))
        self._random = np.random.default_rng(0)
        self._rows, self._limit = 0, 1.0
        self._parts: list[pl.DataFrame] = []
        self._drawn: list[NDArray[np.float64]] = []

    def add(self, block: pl.DataFrame) -> None:
        """Take in the next rows."""
        drawn = np.column_stack([self._random.random(len(block)), np.arange(self._rows, self._rows + len(block))])
        kept = drawn[:, 0] <= self._limit
        self._rows += len(block)
        own = block.filter(pl.Series(kept)).select(pl.all() + "")  # a copy: a view would keep the whole block alive
        self._parts.append(own)
        self._drawn.append(drawn[kept])
        if sum(map(len, self._drawn)) > 2 * self._most:
            self._prune()

    def rows(self) -> tuple[pl.DataFrame, NDArray[np.float64]]:
        """The rows kept, and their numbers in the stream, from 0."""
        self._prune()
        return self._parts[0], self._drawn[0][:, 1]

    def _prune(self) -> None:
        frame, drawn = pl.concat(self._parts), np.concatenate(self._drawn)
        if len(drawn) > self._most:
            self._limit = float(np.partition(drawn[:, 0], self._most - 1)[self._most - 1])
            kept = drawn[:, 0] <= self._limit
            frame, drawn = frame.filter(pl.Series(kept)).select(pl.all() + ""), drawn[kept]
        self._parts, self._drawn = [frame], [drawn]


class RepeatedRows:
    """Counts rows that are equal to an earlier one.

    Rows are compared by a hash of 64 bits. Beyond two million different rows only those are kept whose hash is a
    multiple of a growing power of two: equal rows stay together, so the share among them is the share among all.
    """

    def __init__(self) -> None:
        self._rows, self._divisor = 0, 1
        self._counts = pl.DataFrame(schema={"hash": pl.UInt64, "count": pl.UInt32})
        self._pending: list[pl.DataFrame] = []

    def add(self, block: pl.DataFrame) -> None:
        """Take in the next rows."""
        hashes = pl.DataFrame(
            {"hash": block.hash_rows(seed=0), "count": pl.repeat(1, len(block), dtype=pl.UInt32, eager=True)}
        )
        self._rows += len(block)
        self._pending.append(self._thinned(hashes))
        if sum(map(len, self._pending)) > _HASHES // 2:
            self._merge()

    def count(self) -> int:
        """Rows that repeat another; an estimate where not all are kept."""
        self._merge()
        kept = int(self._counts["count"].sum())
        return round(self._rows * (1 - len(self._counts) / kept)) if kept else 0

    def _merge(self) -> None:
        self._counts = pl.concat([self._counts, *self._pending]).group_by("hash").agg(pl.col("count").sum())
        self._pending = []
        while len(self._counts) > _HASHES:
            self._divisor *= 2
            self._counts = self._thinned(self._counts)

    def _thinned(self, hashes: pl.DataFrame) -> pl.DataFrame:
        return hashes.filter(pl.col("hash") % self._divisor == 0) if self._divisor > 1 else hashes
