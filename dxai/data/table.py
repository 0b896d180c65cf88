"""The table of a run: a published one, fetched and prepared when it is not there yet, or a firm's own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from filelock import FileLock

from dxai.config.settings import DataSettings, OwnData, PublishedData
from dxai.contract import Contract, load_contract
from dxai.contract.terms import Terms, terms_of
from dxai.data import row_file
from dxai.data.checks import Problems, cast
from dxai.data.decoder import count_rows
from dxai.data.header import CONVERT_FIRST, match_header
from dxai.data.package import CONTRACT, TABLE
from dxai.data.prepare import prepare
from dxai.data.row_file import RowFile
from dxai.data.sources import Progress, Source, fetch
from dxai.data.tables import as_text, format_of, read_blocks
from dxai.files import write_whole

ROWS = "table.rows"
"""Folder beside a firm's own table, made of it where it is larger than memory; it can be deleted at any time."""
_MADE_FROM = "dxai.made_from"


def contract_of(data: DataSettings, checkout: Path) -> Contract:
    """The contract of the data."""
    return load_contract(contract_path(data, checkout))


def contract_path(data: DataSettings, checkout: Path) -> Path:
    """File of the contract: in contracts/, or beside a firm's own table."""
    if isinstance(data, OwnData):
        return checkout / data.path / CONTRACT
    return checkout / "contracts" / f"{data.contract}.yaml"


def terms_of_data(data: DataSettings, checkout: Path) -> Terms:
    """Licence, citation and usage: of the data's YAML, or of the contract of own data."""
    if isinstance(data, OwnData):
        return terms_of(contract_of(data, checkout))
    return Terms(licence=data.licence, citation=data.citation, usage=data.usage)


def raw_file(data: PublishedData, checkout: Path, *, progress: Progress = lambda *_: None) -> Path:
    """The raw file in data/raw/NAME/, fetched when it is not there."""
    with _one_at_a_time(checkout):
        raw = checkout / "data" / "raw" / data.name
        return fetch(Source(data.place, data.sha256), raw, progress=progress, checkout=checkout)


def prepare_table(data: PublishedData, checkout: Path) -> Path:
    """Write data/prepared/NAME.parquet from the raw file; returns its path."""
    contract, target = contract_of(data, checkout), _prepared_path(data, checkout)
    with _one_at_a_time(checkout):
        table = prepare(raw_file(data, checkout), data.recipe, contract)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        table.write_parquet(content, statistics=False, metadata={_MADE_FROM: _made_from(data, contract)})
        write_whole(target, content.getvalue())
    return target


def prepared_table(data: DataSettings, checkout: Path) -> pl.DataFrame:
    """The table by its contract.

    A published one is made on first use and again when its source, recipe or contract has changed.

    Raises:
        DataError: A firm's own table breaks its contract.
    """
    if isinstance(data, OwnData):
        return _own_table(checkout / data.path, contract_of(data, checkout))
    path, made_from = _prepared_path(data, checkout), _made_from(data, contract_of(data, checkout))
    with _one_at_a_time(checkout):
        if not path.is_file() or pl.read_parquet_metadata(path).get(_MADE_FROM) != made_from:
            prepare_table(data, checkout)
    return pl.read_parquet(path)


def rows_on_disk(data: OwnData, checkout: Path) -> RowFile | None:
    """The rows of a table that has more than `OwnData.rows_in_memory`, as numbers in a file; of others None.

    Raises:
        DataError: The table breaks its contract.
        SettingsError: The folder of the table cannot be written.
        NoSpaceError: The disk is full.
    """
    folder, contract, most = checkout / data.path, contract_of(data, checkout), data.rows_in_memory
    table, rows = folder / TABLE, folder / ROWS
    if format_of(table) != "parquet":
        return None
    with _one_at_a_time(checkout):
        source = row_file.made_from(table, contract, most) if rows.exists() else ""
        if known := row_file.known(rows, contract, source):
            return known
        if (count := count_rows(table)) <= most:
            return None
        source = source or row_file.made_from(table, contract, most)
        row_file.write(rows, _checked_blocks(folder, contract), contract, source, rows=count, most=most)
        return row_file.known(rows, contract, source)


def _own_table(folder: Path, contract: Contract) -> pl.DataFrame:
    return pl.concat(_checked_blocks(folder, contract))


def _checked_blocks(folder: Path, contract: Contract) -> Iterator[pl.DataFrame]:
    """Blocks of a firm's own table; problems are told together, after the last one."""
    where, problems, rows = str(folder / TABLE), Problems(), 0
    for block in read_blocks(folder / TABLE):
        header = match_header(block.columns, contract, target=True, where=where, advice=CONVERT_FIRST)
        typed, found = cast(as_text(header.columns(block)), contract, first_row=rows + 2)
        problems.add(found)
        yield typed
        rows += len(typed)
    problems.refuse(where)


@contextmanager
def _one_at_a_time(checkout: Path) -> Iterator[None]:
    """Jobs of a sweep that start together fetch and prepare once; the others wait."""
    (checkout / "data").mkdir(exist_ok=True)
    with FileLock(checkout / "data" / ".lock", is_singleton=True):  # re-entrant within a process
        yield


def _prepared_path(data: PublishedData, checkout: Path) -> Path:
    return checkout / "data" / "prepared" / f"{data.name}.parquet"


def _made_from(data: PublishedData, contract: Contract) -> str:
    return f"{data.sha256} {data.recipe} {contract.fingerprint()}"
