"""The forecaster on what is known: the last horizon of each series, forecast once from what lies before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dxai.contract.signature import LEVELS
from dxai.data.naive import forecast as naive_forecast
from dxai.forecaster.graph import AT_ONCE, Forecaster
from dxai.forecaster.steps import Histories
from dxai.metrics import pinball, scaled_error

MOST = 2000
"""Series of a back-test; of more, as many are drawn evenly."""
_FEWEST = 4
"""Known steps before the last horizon of a series that is scored."""
FEW = 10
"""Series below which chance may decide."""
NARROW = 0.7
"""Coverage of the 80 % interval below which it is called too narrow."""


@dataclass(frozen=True)
class Scores:
    """Mean absolute scaled error (lag: a year) and weighted quantile loss of the nine deciles; NaN where undefined."""

    mase: float
    wql: float


@dataclass(frozen=True)
class BackTest:
    """Scores of the last horizon.

    Attributes:
        series: Scored ones; of ``of`` that there are.
        ours, naive: Of the forecaster and of seasonal naive.
        coverage: Share of the held-out values within the 80 % interval.
        sampled: Whether series were drawn.
    """

    series: int
    of: int
    horizon: int
    ours: Scores
    naive: Scores
    coverage: float
    sampled: bool

    @property
    def is_narrow(self) -> bool:
        """Whether the 80 % interval held clearly less than that."""
        return self.coverage < NARROW

    @property
    def sentences(self) -> tuple[str, ...]:
        """What came of it, in words."""
        if not self.series:
            told = f"back-test: the histories are too short to hold {self.horizon} steps out"
            return (f"{told}, so that nothing is known of the error",)
        which = f"{self.series:,} of {self.of:,} series{' drawn evenly' if self.sampled else ''}"
        which = "1 series" if self.series == self.of == 1 else which
        lines = [f"back-test, last {self.horizon} steps of {which} held out once, beside seasonal naive:"]
        for name, ours, theirs in (
            ("MASE", self.ours.mase, self.naive.mase), ("WQL", self.ours.wql, self.naive.wql),
        ):  # fmt: skip
            lines.append(f"  {name} {figure(ours)} against {figure(theirs)}: {compared(ours, theirs)}")
        narrow = "; take the intervals for too narrow" if self.is_narrow else ""
        lines.append(f"  the 80 % interval held {self.coverage:.0%} of the values{narrow}")
        if self.series < FEW:
            lines.append("  so few series and one horizon: chance may have decided")
        return tuple(lines)


IN_ENGLISH = ("nothing to compare", "as good", "better", "worse")
"""What `compared` may say."""


def compared(ours: float, theirs: float, words: tuple[str, str, str, str] = IN_ENGLISH) -> str:
    """A loss beside another one in words.

    >>> compared(0.9, 1.0), compared(1.2, 1.0), compared(0.0, 0.0)
    ('10 % better', '20 % worse', 'nothing to compare')
    """
    nothing, equal, better, worse = words
    if not (np.isfinite(ours) and theirs > 0):
        return nothing
    change = round(100 * (1 - ours / theirs))
    return equal if change == 0 else f"{abs(change)} % {better if change > 0 else worse}"


def back_test(histories: Histories, forecaster: Forecaster, horizon: int) -> BackTest:
    """Hold out the last horizon of every series once.

    Args:
        histories: Of the table.
        forecaster: Of their frequency.
        horizon: Steps that are held out.
    """
    codes = np.arange(len(histories))
    lengths = histories.step[histories.starts[1:] - 1] - histories.step[histories.starts[:-1]] + 1
    usable = codes[lengths >= horizon + _FEWEST]
    drawn = usable[np.linspace(0, len(usable) - 1, MOST).astype(int)] if len(usable) > MOST else usable
    sums = _Sums()
    for first in range(0, len(drawn), AT_ONCE):
        sums.add(histories, forecaster, drawn[first : first + AT_ONCE], horizon)
    ours, naive = (Scores(sums.mase(i), sums.wql(i)) for i in (0, 1))
    covered = sums.covered / sums.known if sums.known else float("nan")
    return BackTest(sums.series, len(histories), horizon, ours, naive, covered, len(drawn) < len(usable))


class _Sums:
    """Of losses over the series seen so far; the forecaster's stand first, those of seasonal naive second."""

    def __init__(self) -> None:
        self.series, self.known, self.covered, self.volume = 0, 0, 0, 0.0
        self._loss, self._scaled, self._scored = [0.0, 0.0], [0.0, 0.0], 0

    def add(self, histories: Histories, forecaster: Forecaster, codes: NDArray[np.int64], horizon: int) -> None:
        """Score some series."""
        whole = histories.panel(codes, longest=forecaster.longest + horizon).astype(np.float64)
        past, truth = whole[:, :-horizon], whole[:, -horizon:]
        enough = np.isfinite(past).sum(axis=1) >= _FEWEST
        past, truth = past[enough], truth[enough]
        if not len(past):
            return
        deciles = [forecaster.levels.index(level) for level in LEVELS]
        made = forecaster.forecast(past.astype(np.float32), horizon).quantiles[..., deciles]
        simple = naive_forecast("seasonal naive", past, horizon, forecaster.season)
        if (past >= 0).all(axis=1, where=np.isfinite(past)).all():
            simple = type(simple)(simple.point, np.maximum(simple.quantiles, 0))
        known = np.isfinite(truth)
        scaled = [
            scaled_error(truth, point, past, forecaster.season) for point in (made[..., len(LEVELS) // 2], simple.point)
        ]
        both = np.isfinite(scaled).all(axis=0)
        for i, quantiles in enumerate((made, simple.quantiles)):
            self._loss[i] += float(pinball(truth, quantiles).sum())
            self._scaled[i] += float(scaled[i][both].sum())
        self._scored += int(both.sum())
        self.series += len(truth)
        self.known += int(known.sum())
        self.covered += int(((truth >= made[..., 0]) & (truth <= made[..., -1]) & known).sum())
        self.volume += float(np.nansum(np.abs(truth)))

    def mase(self, which: int) -> float:
        """Mean of the series that have one."""
        return self._scaled[which] / self._scored if self._scored else float("nan")

    def wql(self, which: int) -> float:
        """Of all values together."""
        return self._loss[which] / self.volume if self.volume else float("nan")


def figure(value: float) -> str:
    """A score, printed.

    >>> figure(0.8242), figure(float("nan"))
    ('0.824', '–')
    """
    return f"{value:#.3g}" if np.isfinite(value) else "–"
