"""How numbers, dates and gaps are written in cells of text."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime

import polars as pl

MISSING_TEXTS = tuple(
    dict.fromkeys(
        spelt
        for text in (
            "-", "--", "---", "?", ".", "*", "N/A", "NA", "N.A.", "#N/A", "#NA", "NaN", "null", "None", "nil",
            "missing", "ND", "N.D.", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!", "없음",
            "해당없음", "해당 없음", "결측", "미측정", "미입력", "불검출", "미검출", "－", "—", "–", "…",
        )
        for spelt in (text, text.lower(), text.upper(), text.capitalize())
    )
)  # fmt: skip
"""Texts that stand for a gap; whether ``없음`` is a gap or a category is for a person to say."""

BOOLEANS = tuple(
    frozenset(pair.split())
    for pair in ("0 1", "true false", "t f", "yes no", "y n", "on off", "ok ng", "pass fail", "예 아니오", "o x",
                 "정상 불량", "합격 불합격", "양품 불량", "참 거짓", "유 무", "있음 없음")
)  # fmt: skip

_LARGEST = 1e100
_FULL_WIDTH = "０１２３４５６７８９．，－＋％−"
_HALF_WIDTH = "0123456789.,-+%-"
_NUMBER = r"[+-]?(?:\d[\d.,]*|[.,]\d+)(?:[eE][+-]?\d+)?"
_UNIT = r"[^\d\s.,+\-/:](?:[^\d]{0,14}[^\d\s])?[23]?"
_GROUPED = r"^[+-]?[1-9]\d{0,2}(?:(?:,\d{3})+\.\d*|(?:,\d{3}){2,})$"
_EITHER = r"^[+-]?[1-9]\d{0,2},\d{3}$"
_COMMA = r"^[+-]?(?:\d*,\d+|\d{1,3}(?:\.\d{3})+,\d*|[1-9]\d{0,2}(?:\.\d{3}){2,})$"


def plain_numbers(texts: pl.DataFrame) -> pl.DataFrame:
    """Numbers as a program writes them, null for everything else; what has a hundred digits measures nothing."""
    numbers = texts.select(pl.all().cast(pl.Float64, strict=False))
    return numbers.select(
        pl.when(pl.col(name).abs() < _LARGEST).then(pl.col(name)).alias(name) for name in numbers.columns
    )


def written_numbers(texts: pl.Series) -> pl.DataFrame:
    """Numbers as people write them: full-width, with commas, with a unit behind.

    Returns:
        One row per text: ``style`` (``point``, ``grouped`` like 1,234.5, ``comma`` like 1.234,5, ``either`` like
        1,234, null for no number), its values with ``.`` (``point``) and with ``,`` as the decimal mark (``comma``),
        ``unit``, and whether it was ``full_width``.
    """
    text = pl.col("text")
    half = text.str.replace_many(list(_FULL_WIDTH), list(_HALF_WIDTH)).str.replace_all("[\u00a0\u202f'’]", "")
    frame = pl.DataFrame({"text": texts}).select(full_width=half != text, parts=half.str.strip_chars())
    frame = frame.with_columns(pl.col("parts").str.extract_groups(rf"^(?<number>{_NUMBER})\s*(?<unit>{_UNIT})?$"))
    number = pl.col("parts").struct.field("number")
    number = pl.when(number.str.len_chars() < 100).then(number)
    style = (
        pl.when(number.str.contains(_GROUPED)).then(pl.lit("grouped"))
        .when(number.str.contains(_EITHER)).then(pl.lit("either"))
        .when(number.str.contains(_COMMA)).then(pl.lit("comma"))
        .when(number.cast(pl.Float64, strict=False).abs() < _LARGEST).then(pl.lit("point"))
    )  # fmt: skip
    point = number.str.replace_all(",", "", literal=True).cast(pl.Float64, strict=False)
    comma = number.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    return frame.select(
        "full_width", style.alias("style"), point.alias("point"),
        pl.when(style == "point").then(point).otherwise(comma.cast(pl.Float64, strict=False)).alias("comma"),
        pl.col("parts").struct.field("unit").str.strip_chars().alias("unit"),
    )  # fmt: skip


def _formats() -> tuple[str, ...]:
    days = [f"%Y{m}%m{m}%d" for m in "-/."] + [f"%d{m}%m{m}%Y" for m in "/.-"] + [f"%m{m}%d{m}%Y" for m in "/-"]
    days += ["%Y. %m. %d", "%Y. %m. %d.", "%Y년 %m월 %d일", "%Y년%m월%d일", "%d-%b-%Y", "%d %b %Y", "%d-%b-%y"]
    days += ["%b %d, %Y", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d", "%y-%m-%d", "%y.%m.%d", "%d.%m.%y"]
    times = ["%H:%M", "%H:%M:%S", "%H:%M:%S%.f", "%I:%M %p", "%I:%M:%S %p"]
    zoned = [f"%Y-%m-%d{gap}%H:%M:%S{tail}" for gap in "T " for tail in ("Z", "%.fZ", "%z", "%.f%z")]
    stamps = [f"%Y-%m-%dT{time}" for time in times[:3]]
    stamps += [f"{day} {time}" for day, time in itertools.product(days, times)]
    months = ["%Y-%m", "%Y/%m", "%Y.%m", "%Y년 %m월", "%Y년%m월", "%b-%y", "%b-%Y", "%b %Y", "%m/%Y"]
    return (*days, *stamps, *zoned, *months)


DATE_FORMATS = _formats()
"""Formats looked for, an earlier one named first where the values admit several."""

DIGIT_FORMATS = {6: "%Y%m", 8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""Dates as one whole number, by its digits."""


def has_time(date_format: str) -> bool:
    """Whether the format tells the time of day.

    >>> has_time("%d/%m/%Y %H:%M"), has_time("%Y-%m")
    (True, False)
    """
    return "%H" in date_format or "%I" in date_format


def dates(texts: pl.Series, date_format: str) -> pl.Series:
    """Instants between 1900 and 2100 written in this format, null for everything else; an offset is applied."""
    if "%d" not in date_format:  # the parser wants a day
        texts, date_format = texts + " 01", date_format + " %d"
    if date_format.startswith("%Y%m%d%H"):  # the parser wants to know where the date ends
        texts, date_format = texts.str.replace(r"^(\d{8})(\d{4,6})$", "$1 $2"), date_format.replace("%d%H", "%d %H")
    read = texts.str.to_datetime(date_format, strict=False, time_unit="us", ambiguous="null")
    read = read.dt.replace_time_zone(None)
    years = read.dt.year()
    return read.set((years < 1900) | (years > 2100), None)


def date_formats(texts: pl.Series, among: Sequence[str] = DATE_FORMATS) -> list[str]:
    """The formats that read at least half of these texts, of those that read the same the first; few texts do."""
    likely = texts.filter(texts.str.contains(r"\d.*\d") & (texts.str.len_chars() <= 40))
    if 2 * len(likely) < len(texts) or not len(likely):
        return []
    first = likely.head(20)
    found: dict[tuple[datetime | None, ...], str] = {}
    for date_format in among:
        if dates(first, date_format).count():
            read = dates(likely, date_format)
            if 2 * read.count() >= len(texts):
                found.setdefault(tuple(read), date_format)
    return list(found.values())
