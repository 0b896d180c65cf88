"""Small files like those that firms really have, several instances of each kind, and what is right for each."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import polars as pl
import pyarrow
import pyarrow.parquet
import xlsxwriter

Cell = str | int | float
Table = list[list[Any]]


@dataclass(frozen=True)
class FirmFile:
    """A file, and what a door must make of it.

    Attributes:
        kind: Number and name, as ``06 totals``.
        name: What differs from the other instances.
        content: Its bytes.
        suffix: Of its name.
        words: After ``dxai data init FILE``.
        told: What names the matter: in a "decide", a care of `describe` or a refusal.
        truth: Values that the converted table must hold, by the column's title; ``None``: any.
        kinds: What the draft must say of a column, by title: a pattern of ``KIND ROLE UNIT``.
        checked: What `dxai data check` of the converted table must say; empty: no violation.
        refused: What training must refuse; empty: nothing.
    """

    kind: str
    name: str
    content: bytes
    suffix: str = ".csv"
    words: tuple[str, ...] = ("-t", "y")
    told: str = ""
    truth: dict[str, list[Any]] | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    checked: str | None = None
    refused: str | None = None


DEMAND = ("--kind", "demand", "--series", "product", "--time", "week", "-t", "qty", "--horizon", "4")


def as_csv(rows: Table, *, encoding: str = "utf-8", delimiter: str = ",", head: str = "") -> bytes:
    """Lines of cells, header first."""
    out = io.StringIO()
    out.write(head)
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return out.getvalue().encode(encoding)


def as_excel(rows: Table, *, hidden: bool = False, percent: int = -1, merged: int = -1) -> bytes:
    """A workbook; one column formatted as percent, one merged over two rows each, or a hidden sheet in front."""
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"in_memory": True}) as book:
        if hidden:
            front = book.add_worksheet("메모")
            front.write(0, 0, "memo")
            front.hide()
        sheet, share = book.add_worksheet("data"), book.add_format({"num_format": "0.0%"})
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                if j == merged and i > 0:
                    if i % 2:
                        sheet.merge_range(i, j, i + 1, j, cell)
                    continue
                sheet.write(i, j, cell, share if j == percent and i else None)
        if hidden:
            sheet.activate()
            sheet.set_first_sheet()
    return content.getvalue()


def as_parquet(rows: Table, *, unit: str) -> bytes:
    """A Parquet file of numbers whose first field has a unit in its metadata."""
    names, *cells = rows
    fields = [pyarrow.field(n, pyarrow.float64(), metadata={} if i else {"unit": unit}) for i, n in enumerate(names)]
    content = io.BytesIO()
    columns = [list(map(float, column)) for column in zip(*cells, strict=True)]
    pyarrow.parquet.write_table(pyarrow.table(columns, schema=pyarrow.schema(fields)), content)
    return content.getvalue()


def linear(random: Random, rows: int, first: Callable[[int], Any] | None = None, head: str = "a") -> Table:
    """Columns ``a``, ``b`` and ``y = 2 a + b``; the first one as given."""
    made: Table = [[head, "b", "y"]]
    for i in range(rows):
        a, b = random.uniform(1, 9), random.uniform(0, 1)
        made.append([round(a, 2) if first is None else first(i), round(b, 3), round(2 * a + b, 3)])
    return made


def column(rows: Table, number: int) -> list[Any]:
    """The cells of a column below the header."""
    return [row[number] for row in rows[1:]]


def weekly(random: Random, series: int, steps: int, *, last: Sequence[int] = (), value: Any = None) -> Table:
    """Long demand rows by week."""
    rows: Table = [["product", "week", "qty"]]
    for s in range(series):
        for i in range(last[s] if last else steps):
            sold = value(i) if value else random.randint(3, 30)
            rows.append([f"P{s}", (date(2022, 1, 3) + timedelta(7 * i)).isoformat(), sold])
    return rows


# --- quality tables ---------------------------------------------------------------------------------------------------


def whole_numbers(random: Random) -> Iterator[FirmFile]:
    """04: a measurement in whole numbers that never repeats."""
    for head, low, high in (("점도(mPa·s)", 31_000, 99_000), ("load (N)", 100_000, 900_000), ("count", 10_000, 80_000)):
        values = random.sample(range(low, high), 150)
        rows: Table = [[head, "b", "y"], *([v, round(random.random(), 3), round(v / 1000 + random.gauss(0, 1), 2)]
                                           for v in values)]  # fmt: skip
        title = head.partition("(")[0].strip()
        yield FirmFile("04 whole numbers", head, as_csv(rows), kinds={title: "number feature"}, truth={title: values},
                       told=rf"(?i){title}.*(left out|each row|rises|identif)")  # fmt: skip


def totals(random: Random) -> Iterator[FirmFile]:
    """06: sums and means below, or among, the rows."""
    for word, among in (("총계", 0), ("소계", 20), ("Grand Total", 0), ("SUBTOTAL", 15), ("평균", 0), ("누계", 0)):
        rows = linear(random, 60, lambda i: f"P{i % 4}", "product")
        sums = [word, *(round(sum(column(rows, k)), 2) for k in (1, 2))]
        rows.insert(among or len(rows), sums)
        yield FirmFile("06 totals", word, as_csv(rows), told=rf"(?i){word}.*(total|sum|mean)|(total|sum|mean).*{word}")


def encodings(random: Random) -> Iterator[FirmFile]:
    """08: bytes that decode as Korean and are not."""
    for name, encoding, head in (("Western", "cp1252", "Temp (°C)"), ("Western", "cp1252", "Größe (µm)"),
                                 ("Japanese", "shift_jis", "温度(℃)"), ("Chinese", "gbk", "温度(℃)")):  # fmt: skip
        rows = linear(random, 60, head=head)
        title = head.partition("(")[0].strip()
        content = as_csv(rows, encoding=encoding)
        yield FirmFile("08 encodings", f"{name}, {head}", content, truth={title: column(rows, 0)},
                       told=r"(?i)encoding|cp1252|windows-1252|shift|gbk|gb18030")  # fmt: skip


def clocks(random: Random) -> Iterator[FirmFile]:
    """09: clocks of twelve hours, and two formats of dates in one column."""
    hours = [datetime(2024, 3, 1, 0, 5) + timedelta(hours=i) for i in range(120)]

    def half(t: datetime, before: str, after: str) -> str:
        return before if t.hour < 12 else after

    forms: dict[str, Callable[[datetime], str]] = {
        "오전 9:05": lambda t: f"{t:%Y-%m-%d} {half(t, '오전', '오후')} {t.hour % 12 or 12}:{t:%M}",
        "2024. 3. 1. 오전 9:05:00": lambda t: f"{t.year}. {t.month}. {t.day}. {half(t, '오전', '오후')} "
        f"{t.hour % 12 or 12}:{t:%M:%S}",
        "9:05 AM": lambda t: f"{t:%Y-%m-%d} {t.hour % 12 or 12}:{t:%M} {half(t, 'AM', 'PM')}",
        "AM 09:05:00": lambda t: f"{t:%Y/%m/%d} {half(t, 'AM', 'PM')} {t.hour % 12 or 12:02d}:{t:%M:%S}",
    }  # fmt: skip
    for name, form in forms.items():
        rows = linear(random, 120, lambda i, form=form: form(hours[i]), "at")  # type: ignore[misc]
        yield FirmFile("09 clocks", name, as_csv(rows), kinds={"at": "timestamp time"}, truth={"at": list(hours)})
    rows = linear(random, 120, lambda i: f"{hours[i]:%Y-%m-%d}" if i % 3 else f"{hours[i]:%d/%m/%Y}", "at")
    yield FirmFile(
        "09 clocks", "two formats of dates", as_csv(rows), told=r"(?i)\bformats?\b|dates? written|mixed|holds dates"
    )


def censored(random: Random) -> Iterator[FirmFile]:
    """10: below or above what the instrument sees."""
    for text in ("<0.5", ">100", "≤0.1", "ND", "n.d.", "불검출", "0.5 미만", "<LOQ"):
        values = [text if i % 5 == 0 else round(random.uniform(0.5, 9.5), 2) for i in range(200)]
        rows = linear(random, 200, values.__getitem__, "cu(ppm)")
        yield FirmFile(
            "10 censored",
            text,
            as_csv(rows),
            told=rf"(?i)censored|limit|detect|(?<!\w){re.escape(text)}(?!\w)",
        )


def long_codes(random: Random) -> Iterator[FirmFile]:
    """12: codes of many digits are exact, or a person is asked."""
    for digits in (16, 20):
        codes = [str(88 * 10 ** (digits - 2) + k) for k in (1, 2, 3, 4)]
        rows = linear(random, 120, lambda i, codes=codes: codes[i % 4], "barcode")  # type: ignore[misc]
        yield FirmFile("12 long codes", f"{digits} digits", as_csv(rows), kinds={"barcode": "category"},
                       truth={"barcode": column(rows, 0)}, told=r"(?i)barcode.*(code|digits)")  # fmt: skip
    rows = linear(random, 60, lambda i: 10**19 + i, "id")
    yield FirmFile("12 long codes", "ids of 20 digits", as_csv(rows), told=r"(?i)\bid\b.*(code|digits|each row|ident)",
                   kinds={"id": "category ignore"}, truth={"id": [str(code) for code in column(rows, 0)]})  # fmt: skip
    rows = linear(random, 60, lambda i: float(8809912345678901 + i % 4), "barcode")
    yield FirmFile(
        "12 long codes", "Excel's number", as_excel(rows), ".xlsx", told=r"(?i)15 digits|barcode.*(code|digits)"
    )


def placeholders(random: Random) -> Iterator[FirmFile]:
    """14: numbers that mean a gap."""
    for gap in ("-9999", "9999", "-99.9", "8.8e8", "65535"):
        values = [gap if i % 9 == 0 else round(random.gauss(50, 5), 2) for i in range(80)]
        rows = linear(random, 80, values.__getitem__)
        number = f"{float(gap):,.0f}" if float(gap).is_integer() else gap
        yield FirmFile(
            "14 placeholders", gap, as_csv(rows), told=rf"(?i){re.escape(gap)}|{re.escape(number)}|{float(gap):.0f}"
        )


def shapes(random: Random) -> Iterator[FirmFile]:
    """17 and 19: targets that tell nothing, or not always."""
    for value in (7, 0.001):
        rows = [[*row[:2], value] if i else row for i, row in enumerate(linear(random, 200))]
        yield FirmFile("17 constant", f"target {value}", as_csv(rows), checked="there is nothing to predict",
                       refused="there is nothing to predict")  # fmt: skip
    for every, gap in ((5, ""), (3, "NA")):
        rows = [[*row[:2], gap if i and i % every == 0 else row[2]] for i, row in enumerate(linear(random, 200))]
        yield FirmFile("19 target gaps", f"every {every}rd, {gap!r}", as_csv(rows), refused="",
                       checked=r"rows without a value of 'y'")  # fmt: skip


def types(random: Random) -> Iterator[FirmFile]:
    """18 and 01: durations, merged cells, percents."""
    rows, out = linear(random, 60), io.BytesIO()
    frame = pl.DataFrame(rows[1:], schema=rows[0], orient="row")
    seconds = [float(s) for s in random.sample(range(30, 900), 60)]
    frame.with_columns(pl.duration(seconds=pl.Series(seconds)).alias("a")).write_parquet(out)
    yield FirmFile("18 types", "durations", out.getvalue(), ".parquet", kinds={"a": "number feature s"},
                   truth={"a": seconds})  # fmt: skip
    lots = linear(random, 60, lambda i: f"L{i // 2}", "lot")
    yield FirmFile("18 types", "merged cells", as_excel(lots, merged=0), ".xlsx", told="(?i)merged",
                   truth={"lot": column(lots, 0)})  # fmt: skip
    shares = [round(random.uniform(0.01, 0.09), 3) for _ in range(60)]
    percents = {"moist": [round(100 * share, 1) for share in shares]}
    told, kinds = r"(?i)percent", {"moist": "number feature %"}
    cells = as_csv(linear(random, 60, lambda i: f"{100 * shares[i]:.1f}%", "moist"))
    yield FirmFile("01 percent", "3.9%", cells, kinds=kinds, truth=percents, told=told)
    excel = as_excel(linear(random, 60, lambda i: shares[i], "moist"), percent=0)
    yield FirmFile("01 percent", "Excel's format", excel, ".xlsx", kinds=kinds, truth=percents, told=told)
    header = as_csv(linear(random, 60, lambda i: f"{100 * shares[i]:.1f}", "moist (%)"))
    yield FirmFile("01 percent", "in the header", header, kinds=kinds, truth=percents, told=told)
    fields = as_parquet(linear(random, 60, lambda i: percents["moist"][i], "moist"), unit="%")
    yield FirmFile("01 percent", "Parquet's metadata", fields, ".parquet", kinds=kinds, truth=percents, told=told)


def signs(random: Random) -> Iterator[FirmFile]:
    """22: signs, marks and spaces that people write."""
    forms: dict[str, Callable[[float], str]] = {
        "5.2-": lambda x: f"{abs(x):.1f}-" if x < 0 else f"{x:.1f}",
        "△5.2": lambda x: f"△{abs(x):.1f}" if x < 0 else f"{x:.1f}",
        "▲5.2": lambda x: f"▲{abs(x):.1f}" if x < 0 else f"{x:.1f}",
        "(5.2)": lambda x: f"({abs(x):.1f})" if x < 0 else f"{x:.1f}",
        "U+2212": lambda x: f"{x:.1f}".replace("-", "\u2212"),
        "full-width minus": lambda x: f"{x:.1f}".replace("-", "\uff0d"),
        "1\u202f234.5": lambda x: f"{1000 * x:,.1f}".replace(",", "\u202f"),
        "1.234,56-": lambda x: f"{abs(1000 * x):,.2f}".translate(str.maketrans(",.", ".,")) + "-" * (x < 0),
        "₩1,234": lambda x: f"₩{abs(1000 * x):,.0f}" if x > 0 else f"-₩{abs(1000 * x):,.0f}",
    }
    for name, form in forms.items():
        raw = [round(random.gauss(0, 5), 1) or 0.5 for _ in range(80)]
        big = "234" in name
        rows: Table = [["a", "y"], *([form(x), round(2 * x + random.gauss(0, 0.5), 2)] for x in raw)]
        truth = {"a": [round(1000 * x, 2) if big else x for x in raw]}
        delimiter = ";" if "," in name else ","
        told = r"(?i)\ba\b.*(minus|negative|sign|bracket|thousand|number)"
        yield FirmFile("22 signs", name, as_csv(rows, delimiter=delimiter), told=told, truth=truth,
                       kinds={"a": "number feature"})  # fmt: skip
    days = [datetime(2024, 1, 1, 1) + timedelta(hours=i) for i in range(96)]

    def at(i: int) -> str:
        t = days[i]
        return f"{t - timedelta(days=1):%Y-%m-%d} 24:00" if t.hour == 0 else f"{t:%Y-%m-%d %H:%M}"

    yield FirmFile("22 signs", "24:00", as_csv(linear(random, 96, at, "at")), truth={"at": list(days)},
                   kinds={"at": "timestamp"}, told="24:00")  # fmt: skip


def headers(random: Random) -> Iterator[FirmFile]:
    """23: headers that are not in the first line, and what stands around the table."""
    rows = linear(random, 60)
    body, truth = rows[1:], {"a": column(rows, 0), "y": column(rows, 2)}
    index: Table = [["", *rows[0]], *([i, *row] for i, row in enumerate(body))]
    lines, index_told, units = r"(?i)header.?row|--header|header (stands|is|may)", r"(?i)\bindex\b", r"(?i)\bunits?\b"
    made = {
        "pandas index": (index_told, as_csv(index)),
        "Unnamed: 0": (index_told, as_csv([["Unnamed: 0", *rows[0]], *index[1:]])),
        "units in line 2": (units, as_csv([rows[0], ["℃", "MPa", "mm"], *body])),
        "units in brackets in line 2": (units, as_csv([rows[0], ["(kg)", "(s)", "(N)"], *body])),
        "preamble": (lines, as_csv([["Recorder R-7"], ["2024-05-01 09:00"], [], *rows])),
        "preamble without a gap": (lines, as_csv([["설비: 3호기"], ["작성: 품질팀"], *rows])),
        "; at the end": (r"(?i)ends? with|trailing|last column", as_csv([[*row, ""] for row in rows], delimiter=";")),
        "sep=;": ("sep=", as_csv(rows, delimiter=";", head="sep=;\n")),
        "two header rows": (lines, as_csv([["inputs", "", "output"], *rows])),
    }
    for name, (told, content) in made.items():
        yield FirmFile("23 headers", name, content, told=told, truth=truth,
                       kinds={"Unnamed: 0": "number ignore"} if name == "Unnamed: 0" else {})  # fmt: skip
    yield FirmFile(
        "23 headers", "hidden first sheet", as_excel(rows, hidden=True), ".xlsx", told=r"(?i)\bsheets?\b", truth=truth
    )
    old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000)
    yield FirmFile("23 headers", "old Excel", old, ".xls", told=r"(?i)old.*excel|excel 97|\.xlsx")


# --- demand tables ----------------------------------------------------------------------------------------------------


def demand(random: Random) -> Iterator[FirmFile]:
    """15, 17, 24, 25, 26: no negatives, dead assortments, new products, stores, series that ended."""
    yield FirmFile("15 no negatives", "units", as_csv(weekly(random, 6, 110)), words=DEMAND, told="nothing below 0")
    for name, value in {"sales of 10": lambda _: 10, "dead": lambda i: random.randint(3, 9) if i < 58 else 0}.items():
        told = "No series ever changes|a forecast is tested, is 0"
        content = as_csv(weekly(random, 4, 110, value=value))
        yield FirmFile("17 constant", name, content, words=DEMAND, checked=told, refused=told)
    fresh = as_csv(weekly(random, 7, 110, last=[110] * 6 + [3]))
    yield FirmFile("24 new product", "three weeks", fresh, words=DEMAND, checked=r"leaves out: 1 of 7", refused="")
    old = as_csv(weekly(random, 5, 130, last=[130, 130, 130, 90, 80]))
    yield FirmFile("26 ended", "two of five", old, words=DEMAND, checked=r"ended before .*: 2 of 5", refused="")
    stores = [[shop, *row[1:]] for shop in ("S1", "S2") for row in weekly(random, 1, 110)[1:]]
    rows: Table = [["store", "product", "week", "qty"], *([row[0], "P0", *row[1:]] for row in stores)]
    told = r"repeat a step|names each row once|store"
    yield FirmFile("25 stores", "one id named", as_csv(rows), words=DEMAND, told=r"store.*product|product.*store",
                   checked=told, refused=told)  # fmt: skip
    twice = ("--kind", "demand", "--series", "store", "--series", "product", *DEMAND[4:])
    yield FirmFile(
        "25 stores",
        "--series twice",
        as_csv(rows),
        words=twice,
        told=r"--series|store.*product",
        truth={"qty": column(rows, 3)},
        checked="no violation",
        refused="",
    )


def steps(random: Random) -> Iterator[FirmFile]:
    """21: steps that are no weeks by their last day."""

    def dated(form: Callable[[int], str], count: int = 110) -> bytes:
        rows = [[f"P{s}", form(i), random.randint(3, 30)] for s in range(4) for i in range(count)]
        return as_csv([["product", "week", "qty"], *rows])

    monday = date(2023, 1, 2)
    weeks = [(monday + timedelta(7 * i)).isocalendar() for i in range(110)]
    days = r"(?i)daily|day|grid|aggregate|step"
    yield FirmFile("21 steps", "daily", dated(lambda i: (monday + timedelta(i)).isoformat(), 200), words=DEMAND,
                   checked="no violation", refused="")  # fmt: skip
    yield FirmFile("21 steps", "every third day", dated(lambda i: (monday + timedelta(3 * i)).isoformat(), 200),
                   words=DEMAND, told=r"(?i)daily|aggregate|by 3 days", checked=days, refused=days)  # fmt: skip
    shifted = dated(lambda i: (monday + timedelta(7 * i + (i % 11 == 10))).isoformat())
    yield FirmFile("21 steps", "holidays shift a week", shifted, words=DEMAND,
                   checked="not on the weekly grid|no violation")  # fmt: skip
    forms: dict[str, Callable[[int], str]] = {
        "2023-W05": lambda i: f"{weeks[i].year}-W{weeks[i].week:02d}",
        "2023W05": lambda i: f"{weeks[i].year}W{weeks[i].week:02d}",
        "202305": lambda i: f"{weeks[i].year}{weeks[i].week:02d}",
        "2023년 5주차": lambda i: f"{weeks[i].year}년 {weeks[i].week}주차",
        "closing day 20": lambda i: f"{2015 + i // 12}-{i % 12 + 1:02d}-20",
    }
    for name, form in forms.items():
        told = r"(?i)\biso\b|week of the year|closing|last day|" + re.escape(form(4))
        closing = name.startswith("closing")
        checked, refused = ("monthly grid|no violation", None) if closing else ("", "")
        yield FirmFile("21 steps", name, dated(form), words=DEMAND, told=told, checked=checked, refused=refused)


def firm_files(random: Random) -> Iterator[FirmFile]:
    """All of them."""
    for kind in (whole_numbers, totals, encodings, clocks, censored, long_codes, placeholders, shapes, types, signs,
                 headers, demand, steps):  # fmt: skip
        yield from kind(random)
