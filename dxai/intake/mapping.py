"""A mapping: how the columns of one firm's file become those of a contract. Drafted by ``init``, kept by the firm."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dxai.contract import Column, Contract
from dxai.data.checks import match_header
from dxai.data.dialect import Delimiter, Dialect, dialect_of
from dxai.data.tables import read_blocks
from dxai.errors import DataError, NotFoundError, bullet_list, nearest
from dxai.units import require_ucum

Gap = Literal["", ".", ",", " ", "'"]


class FileDialect(BaseModel):
    """How the file is written; fields as in `dxai.data.dialect.Dialect`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoding: str = "utf-8-sig"
    delimiter: Delimiter = ","
    decimal: Literal[".", ","] = "."
    thousands: Gap = ""

    @property
    def dialect(self) -> Dialect:
        """What the reader needs of it."""
        return Dialect(self.encoding, self.delimiter, self.decimal)


class ColumnMapping(BaseModel):
    """Where one column of the contract comes from.

    Attributes:
        source: Column of the file (``from`` in YAML).
        unit: UCUM code of the numbers in the file; empty: that of the contract.
        date: How dates are written in the file, as in ``strptime``; empty: as in ISO 8601.
        missing: Texts that mean a gap, beside those of the whole file.
        values: Texts of the file, by what the contract says instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    source: str = Field(alias="from")
    unit: str = ""
    date: str = ""
    missing: tuple[str, ...] = ()
    values: dict[str, str] = {}


class Mapping(BaseModel):
    """How one file becomes a table of a contract.

    Attributes:
        contract: Id of the contract.
        file: How the file is written.
        missing: Texts that mean a gap in any column.
        columns: By id of the contract's column.
        unused: Columns of the file that are left out on purpose.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    contract: str
    file: FileDialect = FileDialect()
    missing: tuple[str, ...] = ()
    columns: dict[str, ColumnMapping]
    unused: tuple[str, ...] = ()

    def header(self, names: list[str], contract: Contract, where: str) -> dict[str, str]:
        """The table's name of each of the contract's columns, in contract order.

        Raises:
            DataError: A column of the mapping is not in the file, or one of the contract not in the mapping.
        """
        problems = [
            f"The mapping takes {name!r} from {column.source!r}, which the file lacks."
            + (f" Is it {hint!r}?" if (hint := nearest(column.source, names)) else "")
            for name, column in self.columns.items()
            if column.source not in names
        ]
        lacking = [c for c in contract.columns if c.name not in self.columns and c.role != "ignore"]
        problems += [f"The mapping says nothing of {c.name!r} ({c.title_en}, {c.title_ko})." for c in lacking]
        if problems:
            told = "Correct the mapping, or write `dxai data init` anew for this file."
            raise DataError(bullet_list(problems), where=where, fix=told)
        return {c.name: self.columns[c.name].source for c in contract.columns if c.name in self.columns}


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
    strangers = [name for name in mapping.columns if name not in contract.names]
    if strangers:
        told = f"The contract has no column {strangers[0]!r}."
        hint = nearest(strangers[0], contract.names)
        raise DataError(told, where=str(path), fix=f"Did you mean {hint!r}?" if hint else "Take it out.")
    for name, column in mapping.columns.items():
        if column.unit:
            require_ucum(column.unit, where=f"{path}, columns.{name}.unit")


def mapping_of(path: Path, contract: Contract) -> Mapping:
    """The mapping of a file that already has the contract's columns, under their ids or titles.

    Raises:
        DataError: Columns are missing.
    """
    dialect = dialect_of(path) or Dialect()
    header = next(iter(read_blocks(path, dialect))).columns
    names = match_header(header, contract, target=True, where=f"{path}, line 1")
    file = FileDialect(encoding=dialect.encoding, delimiter=dialect.delimiter, decimal=dialect.decimal)
    columns = {name: ColumnMapping(source=source) for name, source in names.items()}
    return Mapping(contract=contract.id, file=file, columns=columns)


def in_file_unit(column: Column, mapped: ColumnMapping) -> str:
    """UCUM code of a column's numbers in the file."""
    return mapped.unit or column.unit
