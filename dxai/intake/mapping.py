"""A mapping: how the columns of one firm's file become those of a contract. Drafted by ``init``, kept by the firm."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dxai.contract import Column, Contract
from dxai.data.dialect import Delimiter, Dialect, known_encoding
from dxai.data.header import match_header, unit_of
from dxai.data.recognise import Given, Recognised, recognise, refuse_unfit
from dxai.data.tables import read_blocks
from dxai.errors import DataError, NotFoundError, bullet_list, nearest
from dxai.units import is_same, of_header, require_ucum, understand

Gap = Literal["", ".", ",", " ", "'"]


class FileDialect(BaseModel):
    """How the file is written; fields as in `dxai.data.dialect.Dialect`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoding: str = "utf-8-sig"
    delimiter: Delimiter = ","
    decimal: Literal[".", ","] = "."
    thousands: Gap = ""
    sheet: str = ""
    header_row: Annotated[int, Field(ge=1)] = 1
    units_row: bool = False
    fill_merged: bool = False

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            return known_encoding(name)
        except DataError as error:
            raise ValueError(f"{error.problem} {error.fix}".rstrip(".")) from None

    @property
    def dialect(self) -> Dialect:
        """What the reader needs of it."""
        return Dialect(**self.model_dump(exclude={"thousands"}))


class ColumnMapping(BaseModel):
    """Where one column of the contract comes from: one column of the file, several that are one, or none.

    Attributes:
        source: Column of the file (``from`` in YAML).
        one_hot: Columns of the file of which one is 1 and all others are 0; the name of that one is the value.
        joined: Columns of the file whose texts together are one, such as store and product, or date and hour.
        constant: Text of every row, where the file has no such column.
        unit: UCUM code of the numbers in the file; empty: that of the contract.
        decimal, thousands: Marks of this column's numbers; empty: those of the file.
        suffix: Texts behind the numbers, such as ``℃``, that are taken off.
        full_width: Whether digits like ``１２`` are read.
        censored: What a limit in place of a number (``<0.5``) becomes: the ``limit``, ``half`` of it where the number
            is below it, or a ``gap``; empty: such cells are refused.
        date: How dates are written in the file, as in ``strptime``, ``serial`` as Excel counts days; empty: ISO 8601.
        period: ``start`` where a date is the first day of a month, quarter or year that the contract dates by its last
            day; ``day`` where it is any time of one; ``week`` and ``month`` where it is any day of one, which is dated
            by its last day.
        missing: Texts that mean a gap, beside those of the whole file.
        values: Texts of the file, by what the contract says instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    source: str = Field("", alias="from")
    one_hot: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    constant: str = ""
    unit: str = ""
    decimal: Literal["", ".", ","] = ""
    thousands: Gap = ""
    suffix: tuple[str, ...] = ()
    full_width: bool = False
    censored: Literal["", "limit", "half", "gap"] = ""
    date: str = ""
    period: Literal["", "start", "day", "week", "month"] = ""
    missing: tuple[str, ...] = ()
    values: dict[str, str] = {}

    @model_validator(mode="after")
    def _has_one_origin(self) -> ColumnMapping:
        if [bool(self.source), bool(self.one_hot), bool(self.joined), bool(self.constant)].count(True) != 1:
            raise ValueError("give one of from, one_hot, joined and constant")
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the file that it is made of; none of a constant."""
        return self.one_hot or self.joined or ((self.source,) if self.source else ())


class Wide(BaseModel):
    """A table with one column per step of time, to be one with a row per step.

    Attributes:
        columns: Regular expression of the headers of the steps.
        header: How such a header writes its step, as in ``strptime``.
        time, value: The two columns that take the place of the many, for ``from``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: str
    header: str
    time: str
    value: str


class Mapping(BaseModel):
    """How one file becomes a table of a contract.

    Attributes:
        contract: Id of the contract.
        version: Of the contract that it was written for; another major version is refused.
        file: How the file is written.
        wide: Where a row of the file holds many steps of time.
        missing: Texts that mean a gap in any column.
        leave_out: Texts of a column of the file, such as ``합계``, whose rows are no rows of the table.
        add_up: Step, ``hourly`` to ``monthly``, to which the target of a demand table is added up, series by series.
        columns: By id of the contract's column.
        unused: Columns of the file that are left out on purpose.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    contract: str
    version: Annotated[str, Field(pattern=r"^(\d+\.\d+\.\d+.*)?$")] = ""
    file: FileDialect = FileDialect()
    wide: Wide | None = None
    missing: tuple[str, ...] = ()
    leave_out: dict[str, tuple[str, ...]] = {}
    add_up: Literal["", "hourly", "daily", "weekly", "monthly"] = ""
    columns: dict[str, ColumnMapping]
    unused: tuple[str, ...] = ()

    def read_as(self, path: Path, given: Given) -> Mapping:
        """The same with what a person says of one file in place of its own words.

        Raises:
            SettingsError: The file has no such thing.
        """
        if given == Given():
            return self
        refuse_unfit(path, given)
        told = {key: value for key, value in asdict(given).items() if value}
        told |= {"encoding": known_encoding(given.encoding)} if given.encoding else {}
        return self.model_copy(update={"file": self.file.model_copy(update=told)})

    def sources(self, names: list[str], contract: Contract, where: str) -> dict[str, tuple[str, ...]]:
        """The table's columns that each of the contract's columns is made of, in contract order.

        Raises:
            DataError: A column of the mapping is not in the file, or one of the contract not in the mapping.
        """
        problems = [
            f"The mapping takes {name!r} from {source!r}, which the file lacks."
            + (f" Is it {hint!r}?" if (hint := nearest(source, names)) else "")
            for name, column in self.columns.items()
            for source in column.sources
            if source not in names
        ]
        problems += [
            f"The mapping leaves out rows by {name!r}, which the file lacks."
            for name in self.leave_out
            if name not in names and not self.wide
        ]
        lacking = [c for c in contract.columns if c.name not in self.columns and c.role != "ignore" and not c.holiday]
        problems += [f"The mapping says nothing of {c.name!r} ({c.title_en}, {c.title_ko})." for c in lacking]
        problems += [told for c in contract.columns if (told := self._other_unit(c))]
        if problems:
            told = "Correct the mapping, or write `dxai data init` anew for this file."
            raise DataError(bullet_list(problems), where=where, fix=told)
        return {c.name: self.columns[c.name].sources for c in contract.columns if c.name in self.columns}

    def _other_unit(self, column: Column) -> str:
        """What is wrong where the header of the file names another unit than the mapping; empty where nothing is."""
        mapped = self.columns.get(column.name)
        if mapped is None or not mapped.source or column.kind != "number":
            return ""
        shown, declared = of_header(mapped.source)[1], in_file_unit(column, mapped)
        if not shown or is_same(code := understand(shown), declared):
            return ""
        told = f"The mapping takes {column.name!r} in {declared} from {mapped.source!r}, whose header says {code}."
        return f"{told} Write `unit: {code!r}` there, or the unit that the numbers really have."


def load_mapping(path: Path, contract: Contract) -> Mapping:
    """Read a mapping and hold it against its contract.

    Raises:
        NotFoundError: There is no such file.
        DataError: It is no mapping, is one for another contract, or names columns or units that do not fit.
    """
    if not path.is_file():
        raise NotFoundError(
            f"There is no file {path.name!r}.", where=str(path), fix="`dxai data init` drafts a mapping."
        )
    try:
        written: Any = yaml.safe_load(path.read_text("utf-8"))
        mapping = Mapping.model_validate(written)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        told = f"The mapping is no readable YAML: {str(error).splitlines()[0]}."
        raise DataError(told, where=str(path)) from None
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise DataError(f"The mapping has values dxai cannot use: {told}.", where=str(path)) from None
    _refuse_strangers(mapping, contract, path)
    return mapping


def _refuse_strangers(mapping: Mapping, contract: Contract, path: Path) -> None:
    if mapping.contract != contract.id:
        told = f"The mapping is for the contract {mapping.contract!r}, not for {contract.id!r}."
        raise DataError(told, where=str(path), fix="Name the mapping that `dxai data init` wrote beside this contract.")
    if mapping.version and mapping.version.split(".")[0] != contract.version.split(".")[0]:
        told = f"The mapping is for version {mapping.version} of the contract, however this is {contract.version}."
        fix = "Another major version means another table: hold the mapping against it, then correct its version."
        raise DataError(told, where=str(path), fix=fix)
    strangers = [name for name in mapping.columns if name not in contract.names]
    if strangers:
        told = f"The contract has no column {strangers[0]!r}."
        hint = nearest(strangers[0], contract.names)
        raise DataError(told, where=str(path), fix=f"Did you mean {hint!r}?" if hint else "Take it out.")
    for name, column in mapping.columns.items():
        if column.unit:
            require_ucum(column.unit, where=f"{path}, columns.{name}.unit")


def mapping_of(path: Path, contract: Contract, seen: Recognised | None = None) -> Mapping:
    """The mapping of a file that already has the contract's columns, under their ids or titles.

    Raises:
        DataError: Columns are missing.
    """
    dialect = (seen or recognise(path)).dialect
    header = next(iter(read_blocks(path, dialect))).columns
    found = match_header(header, contract, target=True, where=f"{path}, line {dialect.header_row}", convert_units=True)
    file = FileDialect(**asdict(dialect))
    columns = {
        name: ColumnMapping(source=source, unit=unit_of(source) if name in found.conversions else "")
        for name, source in found.names.items()
    }
    return Mapping(contract=contract.id, version=contract.version, file=file, columns=columns)


def in_file_unit(column: Column, mapped: ColumnMapping) -> str:
    """UCUM code of a column's numbers in the file."""
    return mapped.unit or column.unit
