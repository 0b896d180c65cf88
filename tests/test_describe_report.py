"""The description as a page: it needs nothing but itself, escapes what the file says, and speaks two languages."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from rich.cells import cell_len
from rich.console import Console

from dxai.intake.describe import Description, describe
from dxai.intake.describe.report import Language, write_report
from dxai.intake.describe.terminal import show
from dxai.intake.describe.words import SENTENCES


@pytest.fixture(scope="module")
def described() -> Description:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({
        "<script>alert(1)</script>": rng.choice(["<b>bold</b>", "a & b"], 200),
        "온도(℃)": rng.normal(20, 3, 200).round(2).astype(str),
        "[red]작업자[/red]": [f"secret{i}" for i in range(200)],
        "날짜": [f"{i % 12 + 1:02d}/{i % 11 + 1:02d}/2024" for i in range(200)],
        "\x1b[2Jline": ["A", "B"] * 100,
    })  # fmt: skip
    return describe([frame], target="온도(℃)", where="주조 <1>.csv", encoding="cp949", delimiter=";")


def report(described: Description, folder: Path, language: Language = "en") -> str:
    write_report(described, folder / "report.html", language=language)
    return (folder / "report.html").read_text("utf-8")


def printed(described: Description, width: int = 100, *, everything: bool = False) -> str:
    out = StringIO()
    show(described, console=Console(file=out, width=width), everything=everything)
    return out.getvalue()


@pytest.mark.parametrize("language", ["en", "ko"])
def test_nothing_of_the_file_becomes_markup(described: Description, tmp_path: Path, language: Language) -> None:
    html = report(described, tmp_path, language)
    assert "<script" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "주조 &lt;1&gt;.csv" in html


def test_no_rare_text_is_shown(described: Description, tmp_path: Path) -> None:
    assert "secret" not in report(described, tmp_path)
    assert "secret" not in printed(described)


def test_report_needs_nothing_but_itself(described: Description, tmp_path: Path) -> None:
    html = report(described, tmp_path)
    assert not re.search(r"(src|href)=|url\(|@import", html)
    assert "default-src 'none'" in html


def test_every_picture_is_sound_and_says_what_it_shows(described: Description, tmp_path: Path) -> None:
    pictures = re.findall(r"<svg.*?</svg>", report(described, tmp_path), re.DOTALL)
    assert len(pictures) == 4  # the names of 200 people are none
    for picture in pictures:
        assert ElementTree.fromstring(picture).attrib["aria-label"]
        assert "nan" not in picture


def test_report_speaks_one_language(described: Description, tmp_path: Path) -> None:
    english, korean = report(described, tmp_path, "en"), report(described, tmp_path, "ko")
    assert 'lang="en"' in english
    assert 'lang="ko"' in korean
    assert "What to look at" in english
    assert "What to look at" not in korean
    assert "CP949, semicolon" in english
    assert "CP949, 세미콜론" in korean


def test_both_languages_say_the_same_figures() -> None:
    for en, ko, *_ in SENTENCES.values():
        assert set(re.findall(r"{\w+}", en)) == set(re.findall(r"{\w+}", ko))


@pytest.mark.parametrize("width", [60, 100, 160])
def test_terminal_keeps_to_its_width(described: Description, width: int) -> None:
    assert max(cell_len(line) for line in printed(described, width).splitlines()) <= width


def test_terminal_shows_headers_as_they_are_and_obeys_none(described: Description) -> None:
    text = printed(described)
    assert "[red]작업자[/red]" in text
    assert "\x1b" not in text


def test_types_stand_below_each_other(described: Description) -> None:
    lines = printed(described).splitlines()
    head = next(line for line in lines if line.startswith("column"))
    row = next(line for line in lines if line.startswith("온도"))
    assert cell_len(row[: row.index("number")]) == cell_len(head[: head.index("type")])


def test_of_many_columns_the_suspicious_are_shown() -> None:
    rng = np.random.default_rng(0)
    columns = {f"c{i}": rng.normal(size=100).astype(str) for i in range(200)} | {"fixed": ["7"] * 100}
    described = describe([pl.DataFrame(columns)])
    short, whole = printed(described), printed(described, everything=True)
    assert "161 more columns: --all shows them." in short
    assert re.search(r"^fixed ", short, re.MULTILINE)
    assert "c199" not in short
    assert "c199" in whole
