"""The report of a forecast: fan charts and the back-test in one HTML file that needs nothing but itself."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dxai.files import write_whole
from dxai.forecaster.backtest import FEW, IN_ENGLISH, BackTest, compared, figure
from dxai.forecaster.forecast import SHOWN, Forecast
from dxai.forecaster.graph import Array
from dxai.inference.fit import pictures
from dxai.inference.fit.record import Fan

LARGEST = 5
"""Series that are drawn, beside their total."""
_PAST_SHOWN = 4
"""Horizons of history before a fan."""
_IN_KOREAN = ("비교할 수 없음", "같음", "낮음(좋음)", "높음(나쁨)")
Language = Literal["en", "ko"]
_STEPS = {
    "hourly": ("hours", "시간"), "daily": ("days", "일"),
    "weekly": ("weeks", "주"), "monthly": ("months", "개월"), "quarterly": ("quarters", "분기"),
    "yearly": ("years", "년"),
}  # fmt: skip


def write_report(made: Forecast, tested: BackTest, target: Path, *, language: Language = "en", name: str = "") -> None:
    """Write the report in English or Korean.

    Args:
        made: The forecast of a table.
        tested: Its back-test.
        target: HTML file.
        language: Of every text but the headers and names of the table.
        name: Of the table.

    Raises:
        NoSpaceError: The disk is full.
        SettingsError: Writing there is not permitted.
    """
    environment = Environment(
        loader=PackageLoader("dxai.forecaster", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    page = _Page(made, tested, language)
    html = environment.get_template("report.html.j2").render(
        page=page, made=made, tested=tested, t=page.t, figure=figure, name=name or made.columns.value, few=FEW,
        now=datetime.now().astimezone(), series=len(made.histories),
    )  # fmt: skip
    write_whole(target, html.encode())


class _Page:
    """Pictures and sentences in one language."""

    def __init__(self, made: Forecast, tested: BackTest, language: Language) -> None:
        self.made, self.tested, self.language = made, tested, language

    def t(self, en: str, ko: str) -> str:
        """The text of this page's language."""
        return ko if self.language == "ko" else en

    @property
    def horizon(self) -> str:
        """Of the forecast, in words."""
        en, ko = _STEPS[self.made.histories.frequency]
        return self.t(f"{self.made.horizon} {en}", f"{self.made.horizon}{ko}")

    def compared(self, ours: float, theirs: float) -> str:
        """A loss beside that of seasonal naive."""
        return compared(ours, theirs, _IN_KOREAN if self.language == "ko" else IN_ENGLISH)

    def fans(self) -> list[Markup]:
        """The total, where there are several series, and the largest ones."""
        histories, longest = self.made.histories, _PAST_SHOWN * self.made.horizon
        totals = np.add.reduceat(np.abs(histories.value.astype(np.float64)), histories.starts[:-1])
        largest = np.argsort(-totals, kind="stable")[:LARGEST]
        drawn = (
            [] if len(histories) == 1 else [self._fan(self.t("total of all series", "전체 합계"), histories.total())]
        )
        for code in largest:
            history = histories.panel(np.array([code]), longest=max(longest, self.made.forecaster.longest))
            ids = histories.ids
            told = " / ".join(map(str, ids.row(int(code)))) if ids.width else self.made.columns.value
            drawn.append(self._fan(told, history))
        return drawn

    def _fan(self, told: str, history: Array) -> Markup:
        made = self.made
        levels = [made.forecaster.levels.index(level) for level in SHOWN]
        quantiles = made.forecaster.forecast(history, made.horizon).quantiles[0][:, levels].astype(np.float64)
        past = history[0, -_PAST_SHOWN * made.horizon :].astype(np.float64)
        last = quantiles[-1]
        spoken = self.t(
            f"{told}: in {self.horizon} the median is {last[2]:.4g}, 80 % interval {last[1]:.4g} to {last[3]:.4g}",
            f"{told}: {self.horizon} 뒤 중앙값 {last[2]:.4g}, 80 % 구간 {last[1]:.4g} ~ {last[3]:.4g}",
        )
        return pictures.fan(Fan(told, past, np.full(made.horizon, np.nan), quantiles), spoken)
