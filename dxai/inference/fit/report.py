"""The report of a check: one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dxai.contract.signature import COVERAGE
from dxai.contract.terms import Text
from dxai.data.marks import COLORS
from dxai.files import write_whole
from dxai.inference.fit import pictures, verdict, words
from dxai.inference.fit.pictures import Mark
from dxai.inference.fit.record import GRADES, VERDICTS, Check, ClassTruth, ColumnFit, Fan, Language, Scored, Truth
from dxai.metrics import METRICS, figure


def write_report(check: Check, target: Path, *, language: Language = "en") -> None:
    """Write the check as one HTML file in English or Korean.

    Raises:
        NoSpaceError: The disk is full.
        SettingsError: Writing there is not permitted.
    """
    environment = Environment(
        loader=PackageLoader("dxai.inference.fit", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    page = _Page(check, language)
    html = environment.get_template("report.html.j2").render(
        page=page, check=check, contract=check.contract, t=page.t, pick=page.pick, words=words,
        grades=GRADES, verdicts=VERDICTS, now=datetime.now().astimezone(),
    )  # fmt: skip
    write_whole(target, html.encode())


class _Page:
    """Tables and pictures in one language."""

    def __init__(self, check: Check, language: Language) -> None:
        self.check, self.language = check, language
        target = check.contract.target
        self.target = self.t(target.title_en.lower(), target.title_ko) + (
            "" if target.unit in ("1", "{unit}") else f" [{target.unit}]"
        )

    def t(self, en: str, ko: str) -> str:
        """The text of this page's language."""
        return ko if self.language == "ko" else en

    def pick(self, text: Text) -> str:
        """The same of a text in both languages."""
        return self.t(text.en, text.ko)

    def heads(self, truth: Scored) -> list[str]:
        """Column heads of the score table."""
        unit = self.check.contract.target.unit
        return [METRICS[name].title(unit, self.language) for name in _shown(truth)]

    def scores(self, truth: Scored) -> list[tuple[str, list[str]]]:
        """Rows of the score table: the model here, the model on its card, the yardsticks here."""
        held: list[tuple[str, Mapping[str, float]]] = [
            (self.t("this model, on your data", "이 모델, 귀사 데이터"), truth.scores),
            (self.t("this model, on its card", "이 모델, 모델 카드"), truth.card),
        ]
        held += [
            (self.t("yardstick on your data: ", "단순 기준, 귀사 데이터: ") + self.pick(words.YARDSTICKS[name]), scores)
            for name, scores in truth.yardsticks.items()
        ]
        shown = [METRICS[name] for name in _shown(truth)]
        return [(who, [m.printed(row[m.name]) if m.name in row else "" for m in shown]) for who, row in held]

    def likeness(self, column: ColumnFit) -> tuple[str, str]:
        """Grade and word for the drift of a column; few rows cannot show that it is alike."""
        grade = verdict.drift_grade(column)
        if grade == "good" and column.drift.chance > verdict.STRONG:
            return "note", self.t("too few", "표본 부족")
        told = {"good": ("alike", "비슷"), "note": ("moderate", "보통"), "care": ("large", "큼"), "refuse": ("", "")}
        return grade, self.t(*told[grade])

    def histogram(self, column: ColumnFit) -> Markup:
        """Spread of a column here and in training; none where too few series were trained on to tell of it."""
        if not column.training.shares:
            return Markup("")
        pairs = zip(column.training.shares, column.shares, strict=True)
        listed = "; ".join(f"{words.percent(there)} → {words.percent(here)}" for there, here in pairs)
        title = self.pick(words.titled(column.column))
        return pictures.histogram(
            column, self.t(f"{title}, training → here: {listed}", f"{title}, 학습 → 이 파일: {listed}")
        )

    def error(self, truth: Truth) -> Markup:
        """The error here on a line with the card's and the yardstick's."""
        card, rival = truth.card[truth.metric], truth.yardsticks[truth.yardstick][truth.metric]
        marks = [
            Mark(card, self.t(f"card {figure(card)}", f"카드 {figure(card)}")),
            Mark(rival, f"{self.pick(words.YARDSTICKS[truth.yardstick])} {figure(rival)}"),
        ]
        top = 1.1 * max(card, rival, min(truth.error.high, 3 * truth.error.value), truth.error.value)
        here = f"{truth.metric.upper()} {figure(truth.error.value)} ({words.spread(truth.error)})"
        return pictures.gauge(truth.error, marks, top=top, told=here)

    def coverage(self, truth: Truth) -> Markup:
        """The coverage here on a line with the card's and the promise."""
        card = truth.card["coverage"]
        marks = [
            Mark(card, self.t(f"card {words.percent(card)}", f"카드 {words.percent(card)}")),
            Mark(COVERAGE, self.t(f"promised {COVERAGE:.0%}", f"약속 {COVERAGE:.0%}")),
        ]
        return pictures.gauge(truth.covered, marks, top=1.0, told=words.percent(truth.covered.value), share=True)

    def area(self, truth: ClassTruth) -> Markup:
        """The area on a line with the card's and that of a guess, the classes shared as in training if possible."""
        as_trained = truth.as_trained is not None
        here = truth.as_trained or truth.here
        assert here is not None  # asked for only then
        guess = truth.guess_as_trained if as_trained else truth.guess_here
        marks = [Mark(guess, self.t(f"guess {figure(guess)}", f"찍기 {figure(guess)}"))]
        if as_trained:
            card = truth.card["pr_auc"]
            marks.append(Mark(card, self.t(f"card {figure(card)}", f"카드 {figure(card)}")))
        return pictures.gauge(here, marks, top=1.0, told=f"PR-AUC {figure(here.value)} ({words.spread(here)})")

    def scatter(self, truth: Truth) -> Markup:
        """Predictions over truths."""
        assert truth.points is not None  # asked for numbers of quality only
        across, up = (
            self.t(f"true {self.target}", f"실측 {self.target}"),
            self.t(f"predicted {self.target}", f"예측 {self.target}"),
        )
        return pictures.scatter(truth.points, across=across, up=up, told=f"{up} / {across}")

    def fan(self, fan: Fan) -> Markup:
        """One forecast from the past."""
        told = self.t(f"forecast of series {fan.series}", f"시계열 {fan.series} 예측")
        for flag in fan.marks:
            title = self.pick(words.titled(flag.column))
            told += self.t(f"; {title} at {flag.ahead} steps ahead", f"; {title}: 앞으로 {flag.ahead}시점")
        return pictures.fan(fan, told)

    def legend(self, fans: Sequence[Fan]) -> list[tuple[str, str]]:
        """Colour and title of the flags that bars above the fans mark."""
        titles = (self.pick(words.titled(flag.column)) for flag in fans[0].marks)
        return list(zip(COLORS, titles, strict=False))


def _shown(truth: Scored) -> list[str]:
    """Scores of the table: those that the model has here."""
    return [name for name in METRICS if name in truth.scores]
