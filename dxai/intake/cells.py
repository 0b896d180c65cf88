"""How numbers, dates and gaps are written in cells of text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import polars as pl

Mark = Literal["", ".", ","]

BELOW_LIMIT = (
    "ND", "N.D.", "<LOQ", "<LOD", "< LOQ", "< LOD", "<DL", "<MDL", "BDL", "BLQ",
    "불검출", "미검출", "검출안됨", "검출한계미만",
)  # fmt: skip
"""Texts of a laboratory: what was looked for lies below what can be seen."""

MISSING_TEXTS = tuple(
    dict.fromkeys(
        spelt
        for text in (
            "-", "--", "---", "?", ".", "*", "N/A", "NA", "N.A.", "#N/A", "#NA", "NaN", "null", "None", "nil",
            "missing", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!", "없음",
            "해당없음", "해당 없음", "결측", "미측정", "미입력", "－", "—", "–", "…", *BELOW_LIMIT,
        )
        for spelt in (text, text.lower(), text.upper(), text.capitalize())
    )
)  # fmt: skip
"""Texts that stand for a gap; whether ``없음`` is a gap or a category is for a person to say."""

_PAIRS = tuple(
    tuple(pair.split())
    for pair in ("1 0", "true false", "t f", "yes no", "y n", "on off", "ok ng", "pass fail", "예 아니오", "o x",
                 "정상 불량", "합격 불합격", "양품 불량", "참 거짓", "유 무", "있음 없음")
)  # fmt: skip
BOOLEANS = tuple(map(frozenset, _PAIRS))
AFFIRMATIVE = frozenset(yes for yes, _ in _PAIRS)
"""Those of `BOOLEANS` that say yes."""

TOTALS = (
    "합계", "총합계", "총합", "총계", "소계", "중계", "누계", "계", "합", "평균", "전체", "total", "totals",
    "grand total", "subtotal", "sub total", "sum", "mean", "average", "avg", "合計", "小計", "総計", "合计", "小计",
)  # fmt: skip
"""What a row says of itself that holds a total, or a mean, of other rows; see `is_total`."""

LONG = 1e12
"""Whole numbers from here on, of 13 digits as on a barcode, are codes: no model's float keeps their digits."""

_LARGEST = 1e100
_FULL_WIDTH = "０１２３４５６７８９．，－＋％（）＜＞"
_HALF_WIDTH = "0123456789.,-+%()<>"
_MINUS = "−‒﹣"
_SPACES = "\u00a0\u2007\u2009\u202f\u3000"
_NUMBER = r"[+-]?(?:\d[\d.,]*|[.,]\d+)(?:[eE][+-]?\d+)?"
_UNIT = r"[^\d\s.,+\-/:](?:[^\d]{0,14}[^\d\s])?[23]?"
_GROUPED = r"^[+-]?[1-9]\d{0,2}(?:(?:,\d{3})+\.\d*|(?:,\d{3}){2,})$"
_EITHER = r"^[+-]?[1-9]\d{0,2},\d{3}$"
_COMMA = r"^[+-]?(?:\d*,\d+|\d{1,3}(?:\.\d{3})+,\d*|[1-9]\d{0,2}(?:\.\d{3}){2,})$"
_PARTED = r"^[+-]?[1-9]\d{0,2}(?:[ '’]\d{3})+(?:[.,]\d*)?(?:\D|$)"
_BELOW = (r"^(?:<=?|[≤≦⩽])\s*([+-]?[\d.,]+)", r"^([+-]?[\d.,]+)\s*(?:미만|이하)$")
_ABOVE = (r"^(?:>=?|[≥≧⩾])\s*([+-]?[\d.,]+)", r"^([+-]?[\d.,]+)\s*(?:초과|이상)$")


def is_total(texts: pl.Series) -> pl.Series:
    """Whether a text names a total, whatever its case, width, spaces and colon.

    >>> is_total(pl.Series(["합 계", "Grand Total:", "P-1"])).to_list()
    [True, True, False]
    """
    plain = texts.str.normalize("NFKC").str.to_lowercase().str.replace_all(r"[\s:\[\]()<>*-]", "")
    return plain.is_in([re.sub(r"[\s-]", "", word) for word in TOTALS])


def plainly_signed(texts: pl.Series) -> pl.Series:
    """The same texts with the sign of a number in front of it as ``+`` or ``-``, and with plain spaces.

    A sign may be a true minus, a triangle as in Korean accounts, a minus behind the number, or brackets around it; a
    sign of money in front is taken off.

    >>> plainly_signed(pl.Series(["−1.5", "△1.5", "(1,234)", "1.234,56-", "(a)"])).to_list()
    ['-1.5', '-1.5', '-1,234', '-1.234,56', '(a)']
    """
    return pl.DataFrame({"text": texts}).select(_plainly_signed(pl.col("text"))).to_series().alias(texts.name)


def _plainly_signed(text: pl.Expr) -> pl.Expr:
    plain = text.str.replace_many(list(_MINUS) + list(_SPACES), ["-"] * len(_MINUS) + [" "] * len(_SPACES))
    plain = plain.str.strip_chars().str.replace(r"^([+-])\s+([\d.,])", "$1$2")
    plain = plain.str.replace(r"^[△▲▵∆]\s*([\d.,])", "-$1").str.replace(r"^([+-]?)[₩￦$€¥£]\s*([\d.,])", "$1$2")
    plain = plain.str.replace(r"^[₩￦$€¥£]\s*([+-][\d.,])", "$1")
    plain = plain.str.replace(r"^[（(]\s*([\d.,][\d., '’]*)\s*[)）]", "-$1")
    return plain.str.replace(r"^([\d.,][\d., '’]*)-$", "-$1")


def censored(texts: pl.Series) -> pl.DataFrame:
    """Numbers that are told by a limit only: ``<0.5``, ``≥ 100``, ``0.5 미만``.

    Returns:
        One row per text: ``limit``, the number as it is written there, null for everything else; whether it is
        ``below`` the limit.
    """
    text = _half_width(pl.col("text")).str.strip_chars()
    low, high = (pl.coalesce(text.str.extract(way) for way in ways) for ways in (_BELOW, _ABOVE))
    return pl.DataFrame({"text": texts}).select(limit=pl.coalesce(low, high), below=low.is_not_null())


def _half_width(text: pl.Expr) -> pl.Expr:
    return text.str.replace_many(list(_FULL_WIDTH), list(_HALF_WIDTH))


def plain_numbers(texts: pl.DataFrame) -> pl.DataFrame:
    """Numbers as a program writes them, null for everything else; what has a hundred digits measures nothing."""
    numbers = texts.select(pl.all().cast(pl.Float64, strict=False))
    return numbers.select(pl.when(pl.all().abs() < _LARGEST).then(pl.all()))


def written_numbers(texts: pl.Series, mark: Mark = ".") -> pl.DataFrame:
    """Numbers as people write them: full-width, with commas or spaces, with other signs, with a unit behind.

    Args:
        texts: Without spaces around them.
        mark: The decimal mark of what could be read in two ways, such as 1,234.

    Returns:
        One row per text: ``style`` (``point``, ``grouped`` like 1,234.5, ``comma`` like 1.234,5, ``either`` like
        1,234, null for no number), ``value``, ``unit``, whether it was ``full_width`` or ``signed`` in another way than
        by ``-``, and whether it is a ``limit`` and so no number.
    """
    half = _half_width(pl.col("text"))
    frame = pl.DataFrame({"text": texts}).with_columns(half=half, plain=_plainly_signed(half))
    parted = pl.col("plain").str.contains(_PARTED)
    bare = pl.when(parted).then(pl.col("plain").str.replace_all(r"(\d)[ '’](\d)", "$1$2")).otherwise("plain")
    frame = frame.with_columns(
        censored(texts).select(limit=pl.col("limit").is_not_null()),
        parts=bare.str.extract_groups(rf"^(?<number>{_NUMBER})\s*(?<unit>{_UNIT})?$"),
        full_width=pl.col("half") != pl.col("text"),
        signed=pl.col("plain").str.replace_all(" ", "") != pl.col("half").str.replace_all(rf"[\s{_SPACES}]", ""),
    )
    number = pl.col("parts").struct.field("number")
    number = pl.when(~pl.col("limit") & (number.str.len_chars() < 100)).then(number)
    style = (
        pl.when(number.str.contains(_GROUPED)).then(pl.lit("grouped"))
        .when(number.str.contains(_EITHER)).then(pl.lit("either"))
        .when(number.str.contains(_COMMA)).then(pl.lit("comma"))
        .when(number.cast(pl.Float64, strict=False).abs() < _LARGEST).then(pl.lit("point"))
    )  # fmt: skip
    comma = (style == "comma") | ((style == "either") & pl.lit(mark == ","))
    point = number.str.replace_all(",", "", literal=True)
    value = pl.when(comma).then(number.str.replace_all(".", "", literal=True).str.replace(",", ".")).otherwise(point)
    return frame.select(
        "full_width", "signed", "limit", style=style, value=value.cast(pl.Float64, strict=False),
        unit=pl.col("parts").struct.field("unit").str.strip_chars(),
    )  # fmt: skip


def _formats() -> tuple[str, ...]:
    days = [f"%Y{m}%m{m}%d" for m in "-/."] + [f"%d{m}%m{m}%Y" for m in "/.-"] + [f"%m{m}%d{m}%Y" for m in "/-"]
    days += ["%Y. %m. %d", "%Y. %m. %d.", "%Y년 %m월 %d일", "%Y년%m월%d일", "%d-%b-%Y", "%d %b %Y", "%d-%b-%y"]
    days += ["%b %d, %Y", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d", "%y-%m-%d", "%y.%m.%d", "%d.%m.%y"]
    times = ["%H:%M", "%H:%M:%S", "%H:%M:%S%.f", "%I:%M %p", "%I:%M:%S %p", "%p %I:%M", "%p %I:%M:%S"]
    times += ["%H시 %M분", "%p %I시 %M분"]
    zoned = [f"%Y-%m-%d{gap}%H:%M:%S{tail}" for gap in "T " for tail in ("Z", "%.fZ", "%z", "%.f%z")]
    stamps = [f"%Y-%m-%dT{time}" for time in times[:3]]
    stamps += [f"{day} {time}" for day, time in itertools.product(days, times)]
    stamps += [
        f"{day} {hour}" for day in days if "%Y" in day for hour in ("%H", "%H시")
    ]  # of %y, 2015 would be 20 and 15
    months = ["%Y-%m", "%Y/%m", "%Y.%m", "%Y년 %m월", "%Y년%m월", "%b-%y", "%b-%Y", "%b %Y", "%m/%Y"]
    weeks = ["%G-W%V", "%GW%V", "%G-%V주", "%G년 %V주차", "%G년 %V주", "%G년%V주차", "%G년%V주"]
    return (*days, *stamps, *zoned, *months, *weeks)


DATE_FORMATS = _formats()
"""Formats looked for, an earlier one named first where the values admit several."""

DIGIT_FORMATS = {6: ("%Y%m", "%G%V"), 8: ("%Y%m%d",), 12: ("%Y%m%d%H%M",), 14: ("%Y%m%d%H%M%S",)}
"""Dates as one whole number, by its digits."""

SERIAL = "serial"
"""Days since 1899-12-30, as Excel counts them, in place of a format."""

_EXCEL_DAYS = 25_569
"""Excel's number of 1970-01-01."""
_TEXT = "text"
_CLOCKS = {"오전": "AM", "오후": "PM", "午前": "AM", "午後": "PM", "上午": "AM", "下午": "PM"}
_CLOCKS |= {"a.m.": "AM", "p.m.": "PM"}
_MIDNIGHT = r"\b24(:00(?::00(?:\.0+)?)?|시(?: ?0+분)?)"


def has_time(date_format: str) -> bool:
    """Whether the format tells the time of day.

    >>> has_time("%d/%m/%Y %H:%M"), has_time("%Y-%m")
    (True, False)
    """
    return "%H" in date_format or "%I" in date_format


def dates(texts: pl.Series, date_format: str) -> pl.Series:
    """Instants between 1900 and 2100 written in this format, null for everything else; an offset is applied.

    24:00 is the midnight at the end of the day; of a week its Monday is meant, as ISO 8601 counts weeks.

    >>> dates(pl.Series(["2024-01-01 오전 12:05"]), "%Y-%m-%d %p %I:%M").to_list()
    [datetime.datetime(2024, 1, 1, 0, 5)]
    >>> dates(pl.Series(["2023-12-31 24:00"]), "%Y-%m-%d %H:%M").to_list()
    [datetime.datetime(2024, 1, 1, 0, 0)]
    """
    return pl.DataFrame({_TEXT: texts}).select(_instants(date_format)).to_series().alias(texts.name)


def _instants(date_format: str) -> pl.Expr:
    """The same of the column `_TEXT`: many formats are tried in one go."""
    text = pl.col(_TEXT)
    if date_format == SERIAL:
        number = pl.when(~text.str.contains(r"[^\d.]")).then(text).cast(pl.Float64, strict=False)
        days = pl.when(number.is_between(1, 73_050)).then(number)
        return ((days - _EXCEL_DAYS) * 86_400_000_000).round().cast(pl.Int64, strict=False).cast(pl.Datetime("us"))
    late = pl.lit(False)
    if "%V" in date_format:
        text, date_format = text + "-1", date_format + "-%u"
    elif "%d" not in date_format:  # the parser wants a day
        text, date_format = text + " 01", date_format + " %d"
    if date_format.startswith("%Y%m%d%H"):  # the parser wants to know where the date ends
        text, date_format = text.str.replace(r"^(\d{8})(\d{4,6})$", "$1 $2"), date_format.replace("%d%H", "%d %H")
    if "%H" in date_format and "%M" not in date_format:  # the parser wants minutes
        text, date_format = text + ":00", date_format + ":%M"
    if "%p" in date_format:
        text = text.str.replace_many(list(_CLOCKS), list(_CLOCKS.values()))
    elif "%H" in date_format:
        late, text = text.str.contains(_MIDNIGHT).fill_null(False), text.str.replace(_MIDNIGHT, "00$1")
    read = text.str.to_datetime(date_format, strict=False, time_unit="us", ambiguous="null").dt.replace_time_zone(None)
    read = pl.when(late).then(read.dt.offset_by("1d")).otherwise(read)
    return pl.when(read.dt.year().is_between(1900, 2100)).then(read)


def date_formats(texts: pl.Series, among: Sequence[str] = DATE_FORMATS) -> list[str]:
    """The formats that read at least half of these texts, of those that read the same the first; few texts do."""
    likely = texts.filter(texts.str.contains(r"\d.*\d") & (texts.str.len_chars() <= 40))
    if 2 * len(likely) < len(texts) or not len(likely):
        return []
    first = likely.head(20)
    found: dict[tuple[datetime | None, ...], str] = {}
    tried = (
        pl.DataFrame({_TEXT: first})
        .select(_instants(f).count().alias(f) for f in dict.fromkeys(among))
        .row(0, named=True)
    )
    for date_format, known in tried.items():
        if known:
            read = dates(likely, date_format)
            if 2 * read.count() >= len(texts):
                found.setdefault(tuple(read), date_format)
    return list(found.values())
