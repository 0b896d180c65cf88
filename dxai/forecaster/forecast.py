"""A firm's table to forecasts of its series: what was read, what was guessed, and the answer in blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.contract import Frequency
from dxai.data.tables import as_text
from dxai.errors import SettingsError
from dxai.forecaster.backtest import BackTest, back_test
from dxai.forecaster.columns import Columns, Wanted, columns_of
from dxai.forecaster.graph import AT_ONCE, Forecaster
from dxai.forecaster.rows import DatedValues
from dxai.forecaster.steps import Aggregate, Histories, by_step

HORIZONS: dict[Frequency, int] = {
    "hourly": 24, "daily": 14, "weekly": 13, "monthly": 12, "quarterly": 4, "yearly": 4,
}  # fmt: skip
"""Steps ahead where none are named."""
SHOWN = (0.025, 0.1, 0.5, 0.9, 0.975)
"""Levels of the quantiles in the answer; .5 is the median."""
GUESSED = Wanted()
_SAMPLE = 20_000


class Forecast:
    """Forecasts of one table.

    Args:
        tables: Its blocks.
        wanted: Columns that a person named.
        horizon: Steps ahead; 0: as usual for the frequency.
        frequency: Of the steps; ``auto``: as the dates say.
        aggregate: How rows of one step become one value.
        where: The table, for messages.
        first_row: Number of its first row in the file.
        threads: Of ONNX Runtime.

    Attributes:
        columns: That were found.
        histories: Series by step.
        horizon: Steps ahead.
        said: What a person should know of how the table was read.

    Raises:
        NotFoundError, SettingsError, DataError: As `columns_of`, `DatedValues` and `by_step` say.
    """

    def __init__(
        self, tables: Iterable[pl.DataFrame], wanted: Wanted = GUESSED, *, horizon: int = 0,
        frequency: Frequency | Literal["auto"] = "auto", aggregate: Aggregate = "", where: str = "the table",
        first_row: int = 2, threads: int = 1,
    ) -> None:  # fmt: skip
        blocks = iter(tables)
        first = next(blocks)
        sample = as_text(first.head(_SAMPLE)).with_columns(pl.all().str.strip_chars())
        self.columns: Columns = columns_of(sample, wanted, where)
        values = DatedValues(self.columns, first_row)
        for block in chain([first], blocks):
            values.add(block)
        self.histories: Histories = by_step(values.collected(where), frequency, aggregate, where)
        self.forecaster = Forecaster(self.histories.frequency, threads=threads)
        self.horizon = horizon or HORIZONS[self.histories.frequency]
        if self.horizon > self.forecaster.horizon:
            raise SettingsError(
                f"A horizon of {self.horizon} steps is too long.", where="--horizon",
                fix=f"A {self.histories.frequency} forecast reaches {self.forecaster.horizon} steps at most.",
            )  # fmt: skip
        zoned = self.histories.frequency == "hourly" and self.columns.written.lower().endswith("z")
        clock = ("times carry their offset: hours are counted and forecast in UTC",) if zoned else ()
        self.said = (*self.columns.said, *clock, *self.histories.said)
        self._refuse_clash(where)

    @property
    def names(self) -> dict[float | str, str]:
        """Headers of the mean and of every quantile."""
        value = self.columns.value
        return {"mean": f"{value}_mean"} | {level: f"{value}_q{100 * level:g}" for level in SHOWN}

    def blocks(self) -> Iterator[pl.DataFrame]:
        """The answer, some series at a time: series, time, mean, and quantiles in order."""
        for first in range(0, len(self.histories), AT_ONCE):
            yield self.answer(np.arange(first, min(first + AT_ONCE, len(self.histories))))

    def answer(self, codes: NDArray[np.int64]) -> pl.DataFrame:
        """The same of some series."""
        made = self.forecaster.forecast(self.histories.panel(codes, longest=self.forecaster.longest), self.horizon)
        ids = self.histories.ids
        rows = ids[np.repeat(codes, self.horizon)] if ids.width else pl.DataFrame()
        levels = self.forecaster.levels
        arrays = {"mean": made.mean} | {level: made.quantiles[..., levels.index(level)] for level in SHOWN}
        columns = [self.histories.dates(codes, self.horizon).alias(self.columns.time)]
        columns += [pl.Series(self.names[key], array.ravel()) for key, array in arrays.items()]
        return rows.hstack(columns) if ids.width else pl.DataFrame(columns)

    def back_test(self) -> BackTest:
        """The last horizon held out once, beside seasonal naive."""
        return back_test(self.histories, self.forecaster, self.horizon)

    def _refuse_clash(self, where: str) -> None:
        clash = {*self.columns.series, self.columns.time} & set(self.names.values())
        if clash:
            told = f"The answer has a column {min(clash)!r} of its own."
            raise SettingsError(told, where=where, fix="Rename it in the table.")
