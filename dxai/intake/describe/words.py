"""What a description says, in English and Korean, and what a draft makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, cast

from dxai.contract.terms import Text
from dxai.intake.describe.record import ColumnDescription, Concerned, Grade, Kind, Suspicion, Type

KINDS: dict[Kind, tuple[Grade, str, str]] = {
    "leak": ("care", "leak of the target", "목표 누설"), "total": ("care", "total row", "합계 행"),
    "mixed": ("care", "mixed cells", "섞인 칸"), "censored": ("care", "below a limit", "한계값"),
    "ambiguous-date": ("care", "ambiguous date", "모호한 날짜"),
    "decimal-marks": ("care", "decimal marks", "소수점 혼용"), "placeholder": ("care", "placeholder", "대체값"),
    "far": ("care", "far-off value", "동떨어진 값"), "maybe-id": ("care", "identifier?", "식별자?"),
    "spelling": ("care", "spelling", "표기 불일치"), "duplicate-rows": ("care", "repeated rows", "중복 행"),
    "group": ("care", "shared recipe", "같은 조건"), "time-order": ("care", "time order", "시간 순서"),
    "dated-headers": ("care", "wide in time", "시점별 열"),
    "missing-text": ("note", "gaps as text", "문자로 적은 결측"),
    "number-text": ("note", "numbers as text", "문자로 적은 숫자"),
    "leading-zeros": ("note", "leading zeros", "앞자리 0"),
    "long-code": ("note", "long code", "긴 코드"), "date-format": ("note", "date format", "날짜 형식"),
    "equal": ("note", "equal columns", "같은 열"), "correlated": ("note", "same information", "같은 정보"),
    "one-hot": ("note", "one-hot", "원-핫"), "id": ("note", "identifier", "식별자"),
    "mostly-missing": ("note", "mostly missing", "결측 과반"), "empty": ("note", "empty", "빈 열"),
    "constant": ("note", "constant", "상수"),
}  # fmt: skip
"""Grade and name of the kinds of suspicions, what matters first on top."""

_NO_FEATURE: dict[Kind, str] = {
    "leak": "tells the target", "id": "names rows", "empty": "is empty", "constant": "says the same in every row",
}  # fmt: skip


class Said(NamedTuple):
    """A sentence in both languages, and what a draft makes of it; ``{told}`` is the English one without the names.

    Attributes:
        question, concerned, reading: As of `Suspicion`.
    """

    en: str
    ko: str
    question: str = ""
    concerned: Concerned = "columns"
    reading: str = ""


SENTENCES = {
    "leak equal": Said(
        "{names} equals the target in every row.", "{names}: 모든 행에서 목표 열과 같습니다.", "{told}", "features"),
    "leak one-hot": Said(
        "{names}: one class each of the same feature as the target, which they give away.",
        "{names}: 목표와 함께 한 분류를 나누어 적은 열이어서 목표를 그대로 알려 줍니다.", "{told}", "features"),
    "leak correlated": Said(
        "{names} gives the target away: correlation {r}.", "{names}: 목표를 그대로 알려 줍니다 (상관계수 {r}).",
        "{told}", "features"),
    "leak monotone": Said(
        "{names} gives the target away: as one rises the other does (rank correlation {r}).",
        "{names}: 목표와 순서가 같아 목표를 그대로 알려 줍니다 (순위상관 {r}).", "{told}", "features"),
    "leak separates": Said(
        "{names} gives the target away: its values for {value} do not overlap with the others.",
        "{names}: 목표가 {value}인 행의 값이 나머지와 겹치지 않아 목표를 그대로 알려 줍니다.", "{told}", "features"),
    "leak determines": Said(
        "{names} gives the target away: each of its values stands for one value of the target only.",
        "{names}: 값마다 목표가 하나로 정해져 목표를 그대로 알려 줍니다.", "{told}", "features"),
    "leak implies": Said(
        "{names}: whenever it is {cause}, the target is {value} ({count} rows, no exception).",
        "{names}: 값이 ‘{cause}’이면 목표는 언제나 {value}입니다 ({count}행, 예외 없음).", "{told}", "features"),
    "total": Said(
        "{names}: {count} rows say {value}: totals of other rows, no rows of their own.",
        "{names}: {count}행이 {value}입니다. 다른 행을 더하거나 평균한 행입니다.",
        "rows with {texts} are left out as totals; see `leave_out`"),
    "mixed": Said(
        "{names}: {count} of {known} cells are no {type} like the others.",
        "{names}: {known}칸 중 {count}칸이 나머지와 달리 {type} 형식이 아닙니다.",
        "{count} cells are no {type}{written}: name them in `missing` or `values`",
        reading="likely: {count} of {known} cells are something else"),
    "censored": Said(
        "{names}: {count} of {known} cells tell a limit instead of a number (<0.5, ≥100): take the limit, half of it, "
        "or no value?",
        "{names}: {known}칸 중 {count}칸이 숫자 대신 한계를 적었습니다 (<0.5, 100 이상). "
        "한계값, 절반, 결측 중 무엇인지 정해 주십시오.",
        "limits such as <0.5 are taken as the number; or `half` of it, or a `gap`?", "numbers"),
    "ambiguous-date": Said(
        "{names}: {first} or {second}? The values admit both; say which it is.",
        "{names}: {first}인지 {second}인지 값만으로는 알 수 없습니다. 형식을 정해 주십시오.", "{told}"),
    "decimal-marks": Said(
        "{names}: decimal commas and decimal points in one column.", "{names}: 소수점으로 쉼표와 점을 섞어 썼습니다.",
        "{told}"),
    "placeholder": Said(
        "{names}: {value} stands far off in {count} rows; perhaps it means that there is no value.",
        "{names}: {count}행의 {value}이(가) 다른 값과 동떨어져 있습니다. 값이 없다는 뜻일 수 있습니다.",
        "{texts} is taken as a gap; take it out of `missing` where it is a value", "numbers"),
    "far": Said(
        "{names}: {value} stands far off from all other values; a slip, or no value?",
        "{names}: {value}이(가) 다른 값과 크게 동떨어져 있습니다. 오기이거나 값이 없다는 뜻일 수 있습니다.", "{told}"),
    "maybe-id": Said(
        "{names}: whole numbers that never repeat: an identifier, or a measurement? Kept as a feature.",
        "{names}: 값이 모두 다른 정수입니다. 식별자인지 측정값인지 정해 주십시오. 특징으로 두었습니다.", "{told}"),
    "spelling": Said(
        "{names}: texts that differ from another only in spaces, width or case: {count}.",
        "{names}: 띄어쓰기, 전각/반각, 대소문자만 다른 표기가 {count}개 있습니다.",
        "{count} texts differ from another only in spaces, width or case; `values` makes them one"),
    "duplicate-rows": Said(
        "{count} rows ({share}) repeat another row exactly: remove them, or say what tells them apart.",
        "{count}행({share})이 다른 행과 완전히 같습니다. 지우거나 구별하는 열을 넣어 주십시오.",
        "{told} `dxai data convert --drop-duplicates` removes them."),
    "group": Said(
        "{rows} different rows share {distinct} recipes: those of one recipe differ in {free} only. A random split "
        "would put the same recipe on both sides; split by group.",
        "서로 다른 {rows}행의 배합·조건은 {distinct}가지뿐이며, 같은 조건의 행은 {free}만 다릅니다. 무작위로 나누면 "
        "같은 조건이 학습과 시험 양쪽에 들어가므로 묶음 단위로 나누십시오."),
    "time-order": Said(
        "The rows follow {names} in time: {first} to {last}{exception}. Hold back the latest rows, not random ones.",
        "행이 {names} 시간 순서입니다: {first} ~ {last}{exception}. 무작위가 아니라 가장 최근 행을 시험용으로 "
        "떼어 두십시오."),
    "dated-headers": Said(
        "{count} columns are steps of time, {first} to {last}: one row per step would be the long form.",
        "열 {count}개가 시점입니다 ({first} ~ {last}). 시점마다 한 행인 긴 형식으로 바꾸십시오."),
    "missing-text": Said(
        "{names}: gaps are written as {shown}.", "{names}: 결측을 {shown}(으)로 적었습니다.",
        "is {text} a gap or a value?", "texts"),
    "missing-text limit": Said(
        "{names}: gaps are written as {shown}.", "{names}: 결측을 {shown}(으)로 적었습니다.",
        "{below} is taken as a gap; below a limit of detection? `values` may name half of it"),
    "number-text comma": Said("{names}: decimal commas (12,5).", "{names}: 소수점을 쉼표로 적었습니다 (12,5)."),
    "number-text unit": Said(
        "{names}: numbers with their unit in the cell ({shown}).",
        "{names}: 칸 안에 숫자와 단위를 함께 적었습니다 ({shown}).",
        concerned="numbers", reading="likely: unit behind the numbers"),
    "number-text units": Said(
        "{names}: numbers with several units in the cell ({shown}).",
        "{names}: 칸 안에 숫자와 여러 단위를 함께 적었습니다 ({shown}).",
        "several units behind the numbers; only one is taken off", "numbers", "likely: unit behind the numbers"),
    "number-text thousands": Said(
        "{names}: thousands are set off by “{mark}”.", "{names}: 천 단위 구분 기호 ‘{mark}’를 썼습니다.",
        concerned="numbers", reading="likely: “{mark}” parts thousands"),
    "number-text signed": Said(
        "{names}: {count} numbers with another sign than a minus in front (△1, (1), 1-).",
        "{names}: 음수를 다르게 적은 숫자가 {count}개 있습니다 (△1, (1), 1-).",
        concerned="numbers", reading="likely: signs that stand elsewhere than in front"),
    "number-text full-width": Said("{names}: full-width digits (１２).", "{names}: 전각 숫자를 썼습니다 (１２)."),
    "leading-zeros": Said(
        "{names}: digits with leading zeros (like 0012): a code, kept as text.",
        "{names}: 0으로 시작하는 숫자(예: 0012)는 코드이므로 문자로 둡니다.",
        reading="sure: digits with leading zeros are a code"),
    "long-code": Said(
        "{names}: whole numbers of 13 digits or more: a code, kept as text.",
        "{names}: 13자리가 넘는 정수는 코드이므로 문자로 둡니다.", reading="sure: digits of this length are a code"),
    "date-format": Said("{names}: dates written as {format}.", "{names}: 날짜 형식은 {format}입니다."),
    "date-format serial": Said(
        "{names}: whole numbers under a header of dates: days as Excel counts them?",
        "{names}: 날짜 열의 정수입니다. 엑셀이 세는 날짜입니까?", "{told}"),
    "date-format week": Said(
        "{names}: dates written as {format}: weeks as ISO 8601 counts them, each dated by its Monday?",
        "{names}: 날짜 형식은 {format}입니다. 월요일 날짜로 읽는 ISO 8601 주차입니까?", "{told}"),
    "equal": Said("{names} are equal in every row: keep one.", "{names}: 모든 행에서 같습니다. 하나만 남기십시오."),
    "correlated": Said(
        "{names} say the same: correlation {r} or beyond. Perhaps one is the other in another unit.",
        "{names}: 상관계수 {r} 이상으로 사실상 같은 열입니다. 단위만 다른 값일 수 있습니다."),
    "one-hot": Said(
        "{names}: exactly one of them is 1 in every row: one feature in {count} columns.",
        "{names}: 행마다 하나만 1입니다. 한 항목을 열 {count}개로 나눈 것입니다."),
    "id rising": Said(
        "{names} rises by {step} from row to row: a row number, not a feature.",
        "{names}: 행마다 {step}씩 커집니다. 특징이 아니라 일련번호입니다."),
    "id unique": Said(
        "{names} never repeats: an identifier, not a feature.",
        "{names}: 값이 모두 다릅니다. 특징이 아니라 식별자입니다."),
    "mostly-missing": Said("{names}: more than half of the cells are gaps.", "{names}: 절반 넘게 비어 있습니다."),
    "empty": Said("{names}: no cell has a value.", "{names}: 값이 하나도 없습니다."),
    "constant": Said("{names}: always the same value.", "{names}: 값이 항상 같습니다."),
}  # fmt: skip
"""By the kind, and behind it which of its sentences."""

GRADES: dict[Grade, Text] = {"care": Text(en="decide", ko="확인"), "note": Text(en="note", ko="참고")}

TYPES: dict[Type, Text] = {
    "integer": Text(en="whole number", ko="정수"), "number": Text(en="number", ko="숫자"),
    "category": Text(en="category", ko="범주"), "text": Text(en="text", ko="문자"),
    "date": Text(en="date", ko="날짜"), "timestamp": Text(en="time stamp", ko="일시"),
    "boolean": Text(en="yes or no", ko="이진값"), "empty": Text(en="empty", ko="비어 있음"),
}  # fmt: skip


def suspect(sentence: str, names: Sequence[str], texts: Sequence[str] = (), **figures: object) -> Suspicion:
    """A suspicion in the words of one of the `SENTENCES`; a `Text` among the figures stands in its language."""
    kind, said = cast(Kind, sentence.partition(" ")[0]), SENTENCES[sentence]
    shown = {"names": listed(names), "texts": ", ".join(texts)} | {key: _shown(value) for key, value in figures.items()}
    en, ko = (
        {key: getattr(value, language) if isinstance(value, Text) else value for key, value in shown.items()}
        for language in ("en", "ko")
    )
    message = Text(en=said.en.format_map(en), ko=said.ko.format_map(ko))
    en["told"] = message.en.removeprefix(f"{en['names']}: ")
    grade, *name = KINDS[kind]
    return Suspicion(
        kind, Text(en=name[0], ko=name[1]), grade, message, tuple(names), tuple(texts), said.question.format_map(en),
        said.concerned, said.reading.format_map(en), _NO_FEATURE.get(kind, ""),
    )  # fmt: skip


def _shown(figure: object) -> object:
    if isinstance(figure, int):
        return f"{figure:,}"
    return shortened(figure) if isinstance(figure, str) else figure


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names with commas, the last of many left out.

    >>> listed(["a", "b", "c"], most=2)
    'a, b, … (3)'
    """
    shown = [shortened(name) for name in names[:most]]
    return ", ".join(shown + ([f"… ({len(names):,})"] if len(names) > most else []))


def shortened(name: str, most: int = 60) -> str:
    """A text on one line, its middle left out when it is long; nothing in it can steer a terminal."""
    name = "".join(letter if letter.isprintable() else "�" for letter in " ".join(name.split()))
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-most // 2 + 1 :]}"


def percent(share: float) -> str:
    """Two digits of a share.

    >>> percent(0.834), percent(0.0123), percent(0.0), percent(0.0004), percent(0.9996)
    ('83%', '1.2%', '0%', '<0.1%', '>99%')
    """
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.995 <= share < 1:
        return ">99%"
    return f"{share:.1%}" if 0 < share < 0.0995 else f"{share:.0%}"


def plain(value: float) -> str:
    """Five digits of a number without closing zeros; a whole number in full.

    >>> plain(1.0), plain(206.543), plain(13114500.0), plain(0.0192), plain(1e-7)
    ('1', '206.54', '13,114,500', '0.0192', '1e-07')
    """
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{float(f'{value:.5g}'):,.10g}" if abs(value) < 1e15 else f"{value:.4g}"


def distinct(column: ColumnDescription) -> str:
    """How many different values it has."""
    return "> 10,000" if column.distinct is None else f"{column.distinct:,}"


def ends(column: ColumnDescription) -> tuple[str, ...]:
    """Smallest and largest value of a column, where it has them."""
    return tuple(_end(column, end) for end in (column.minimum, column.maximum) if end is not None)


def _end(column: ColumnDescription, end: float | datetime) -> str:
    if isinstance(end, datetime):
        return f"{end:%Y-%m-%d}" if column.type == "date" else f"{end:%Y-%m-%d %H:%M}"
    return plain(end)
