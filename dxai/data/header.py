"""A table's header against a contract: which column is which, and in which unit its numbers are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from dxai.contract import Column, Contract
from dxai.contract.signature import signature_of
from dxai.errors import DataError, bullet_list, nearest
from dxai.units import Conversion, conversion, is_same, of_header, understand

CONVERT_FIRST = "`dxai data convert FILE -c CONTRACT -o TABLE` converts the numbers"
"""What a person may do about a table that is to be trained on."""

_BRACKETS_BEHIND = re.compile(r"\s*[(\[（［]([^()\[\]（）［］]*)[)\]）］]$")

_NO_UNIT = re.compile(r"[\W\d_]*|[^\W\d_]")


@dataclass(frozen=True)
class Header:
    """The contract's columns in a table.

    Attributes:
        names: The table's name of each column, by id, in contract order.
        conversions: Of the columns whose header names another unit than the contract, by id.
    """

    names: dict[str, str]
    conversions: dict[str, Conversion] = field(default_factory=dict)

    def columns(self, table: pl.DataFrame) -> pl.DataFrame:
        """The contract's columns of a block, under their ids and in the contract's units."""
        return table.select(
            converted(table[own], self.conversions.get(name, Conversion())).alias(name)
            for name, own in self.names.items()
        )

    def only(self, columns: Sequence[Column]) -> Header:
        """The header of these columns alone."""
        names = {c.name: self.names[c.name] for c in columns if c.name in self.names or not c.holiday}
        return Header(names, {name: c for name, c in self.conversions.items() if name in names})


def converted(cells: pl.Series, unit: Conversion) -> pl.Series:
    """Numbers in another unit; cells that are no numbers stay as they are, for the checks to tell."""
    if unit == Conversion():
        return cells
    numbers = cells.cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    texts = unit.apply(numbers).cast(pl.String)
    return texts.zip_with(numbers.is_not_null(), cells.cast(pl.String)) if numbers.null_count() else texts


def match_header(
    names: Sequence[str], contract: Contract, *, target: bool, where: str, convert_units: bool = False, advice: str = ""
) -> Header:
    """Find the contract's columns under the names that a table gives them; order does not matter, others may be there.

    A column goes by its id or by its English or Korean title, upper or lower case, a unit in brackets behind it or not:
    ``fly_ash``, ``Fly ash``, ``플라이애시 (kg/m3)``. A unit that a header names is the one its numbers are in.

    Args:
        names: Column names of the table.
        contract: What the columns should be.
        target: Whether all columns must be there, the target too; otherwise only what a prediction needs.
        where: The file, for the message.
        convert_units: Whether numbers in another unit of the same quantity are to be converted.
        advice: How to have them converted, for the message.

    Raises:
        DataError: Missing columns, with the likely misspelling; two that mean the same; units that are not the
            contract's.
    """
    needed = contract.columns if target else signature_of(contract).reads
    meant = {name: _meaning(name, contract) for name in names}
    strangers = {_plain(name).replace("_", " "): name for name, meaning in meant.items() if meaning is None}
    problems = []
    for column in needed:
        if column.name not in meant.values() and not column.holiday:
            hint = nearest(column.name.replace("_", " "), strangers) or nearest(column.title_ko, strangers)
            told = f" Is it {strangers[hint]!r}?" if hint else ""
            problems.append(f"Column {column.name!r} ({column.title_en}, {column.title_ko}) is missing.{told}")
    for column in contract.columns:
        same = [name for name, meaning in meant.items() if meaning == column.name]
        if len(same) > 1:
            problems.append(f"The columns {' and '.join(map(repr, same))} both mean {column.name!r}.")
    if problems:
        raise DataError(
            bullet_list(problems), where=where, fix=f"The columns are: {', '.join(c.name for c in needed)}."
        )
    found = {meaning: name for name, meaning in meant.items() if meaning}
    own = {c.name: found[c.name] for c in contract.columns if c.name in found}
    return Header(own, _conversions(own, contract, where, convert_units, advice))


def present(names: Sequence[str], contract: Contract) -> set[str]:
    """Ids of the contract's columns that a header names."""
    return {meaning for name in names if (meaning := _meaning(name, contract))}


def _conversions(
    own: dict[str, str], contract: Contract, where: str, convert_units: bool, advice: str
) -> dict[str, Conversion]:
    """Of the columns whose header names another unit; all that do not fit in one message."""
    made, foreign, strange = dict[str, Conversion](), list[str](), list[str]()
    for column in (c for c in contract.columns if c.name in own):
        try:
            needed = unit_behind(own[column.name], column)
        except DataError as error:
            strange.append(f"Column {own[column.name]!r}: {error.problem}; {error.fix}.")
            continue
        if needed != Conversion():
            made[column.name] = needed
            shown = _temperature(own[column.name], column) or unit_of(own[column.name])
            foreign.append(f"Column {own[column.name]!r} is in {shown}, however the contract says {column.unit}.")
    if strange:
        fix = "Correct the unit in the header, or take the brackets away where they name none."
        raise DataError(bullet_list(strange), where=where, fix=fix)
    if foreign and not convert_units:
        fix = f"{advice or 'Convert the numbers'}, or correct the header where it names the wrong unit."
        raise DataError(bullet_list(foreign), where=where, fix=fix)
    return made


def unit_behind(name: str, column: Column) -> Conversion:
    """How the numbers under a header become those of the contract's unit.

    Raises:
        DataError: The unit in the header measures something else, or is not understood.
    """
    if column.kind != "number" or _exactly(name) in map(_exactly, (column.name, column.title_en, column.title_ko)):
        return Conversion()
    if not (code := _temperature(name, column) or unit_of(name)):
        return Conversion()
    return Conversion() if is_same(code, column.unit) else conversion(code, column.unit)


def unit_of(name: str) -> str:
    """UCUM code of the unit that a header shows; empty where it shows none, only a number or the letter of a symbol.

    Raises:
        DataError: What stands in brackets behind it is not understood.
    """
    text = of_header(name)[1]
    if not text and (found := _BRACKETS_BEHIND.search(name)):
        text = "" if _NO_UNIT.fullmatch(found[1].strip()) else found[1].strip()
    return understand(text) if text else ""


def _temperature(name: str, column: Column) -> str:
    """Of ``heat (F)``, where the contract says that it is a temperature: a letter alone tells nothing."""
    found = _BRACKETS_BEHIND.search(name)
    letters = {"C": "Cel", "F": "[degF]", "K": "K"}
    return letters.get(found[1].strip(), "") if found and column.unit in letters.values() else ""


def _meaning(name: str, contract: Contract) -> str | None:
    """Id of the column that a file's column name stands for; a title that two columns share stands for none."""
    if name in contract.names:
        return name
    plain = _plain(name)
    ids = [c.name for c in contract.columns if plain in (_plain(c.name), _plain(c.title_en), _plain(c.title_ko))]
    return ids[0] if len(ids) == 1 else None


def _plain(name: str) -> str:
    """A name less case, outer blanks and a unit in brackets."""
    return _BRACKETS_BEHIND.sub("", _exactly(name)).strip()


def _exactly(name: str) -> str:
    """A name less case and outer blanks; Korean syllables composed, which macOS takes apart."""
    return unicodedata.normalize("NFC", name).strip().casefold()
