"""The description of a table as one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dxai.contract.terms import Text
from dxai.files import write_whole
from dxai.intake.describe import pictures, words
from dxai.intake.describe.record import ColumnDescription, Description

Language = Literal["en", "ko"]

_DELIMITERS = {
    ",": Text(en="comma", ko="쉼표"), ";": Text(en="semicolon", ko="세미콜론"),
    "\t": Text(en="tab", ko="탭"), "|": Text(en="vertical bar", ko="세로줄"),
}  # fmt: skip


def write_report(description: Description, path: Path, *, language: Language = "en") -> None:
    """Write the description as one HTML file in English or Korean.

    No row is shown, and of the texts in the cells only those that five cells or more have.

    Raises:
        NoSpaceError: The disk is full.
        SettingsError: Writing there is not permitted.
    """
    environment = Environment(
        loader=PackageLoader("dxai.intake.describe", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    page = _Page(description, language)
    html = environment.get_template("report.html.j2").render(
        page=page, d=description, t=page.t, pick=page.pick, words=words, pictures=pictures,
        now=datetime.now().astimezone(),
    )  # fmt: skip
    write_whole(path, html.encode())


class _Page:
    """Words and pictures in one language."""

    def __init__(self, description: Description, language: Language) -> None:
        self.description, self.language = description, language
        self.cells = description.rows * len(description.columns)
        self.gaps = sum(column.gaps for column in description.columns)
        self.care = sum(suspicion.grade == "care" for suspicion in description.suspicions)

    def t(self, en: str, ko: str) -> str:
        """The text of this page's language."""
        return ko if self.language == "ko" else en

    def pick(self, text: Text) -> str:
        """The same of a text in both languages."""
        return self.t(text.en, text.ko)

    def types(self) -> str:
        """How many columns of each type there are."""
        counts = Counter(column.type for column in self.description.columns)
        return ", ".join(f"{self.pick(words.TYPES[type_])} {count:,}" for type_, count in counts.most_common())

    def written(self) -> str:
        """Encoding and delimiter of the file, as far as they are known."""
        delimiter = _DELIMITERS.get(self.description.delimiter)
        return ", ".join(filter(None, (self.description.encoding.upper(), self.pick(delimiter) if delimiter else "")))

    def picture(self, column: ColumnDescription) -> Markup:
        """How the values are spread."""
        return pictures.picture(column, self.t("others", "그 밖"))

    def kinds(self, column: ColumnDescription) -> list[tuple[str, str]]:
        """Grade and name of each kind of suspicion about a column, once."""
        about = {s.kind: s.grade for s in self.description.about(column.name)}
        return [(grade, self.pick(words.KINDS[kind])) for kind, grade in about.items()]
