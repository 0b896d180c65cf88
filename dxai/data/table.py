"""The prepared table of a run: fetched and prepared when it is not there yet."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from filelock import FileLock

from dxai.config.settings import DataSettings
from dxai.contract import Contract, load_contract
from dxai.data.prepare import prepare
from dxai.data.sources import Progress, Source, fetch
from dxai.files import write_whole

_MADE_FROM = "dxai.made_from"


def contract_of(data: DataSettings, checkout: Path) -> Contract:
    """The contract that the data's YAML names."""
    return load_contract(contract_path(data, checkout))


def contract_path(data: DataSettings, checkout: Path) -> Path:
    """File of the contract that the data's YAML names."""
    return checkout / "configs" / "contract" / f"{data.contract}.yaml"


def raw_file(data: DataSettings, checkout: Path, *, progress: Progress = lambda *_: None) -> Path:
    """The raw file in data/raw/NAME/, fetched when it is not there."""
    with _one_at_a_time(checkout):
        return fetch(Source(data.place, data.sha256), checkout / "data" / "raw" / data.name, progress=progress)


def prepare_table(data: DataSettings, checkout: Path) -> Path:
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
    """The table by its contract; made on first use and again when its source, recipe or contract has changed."""
    path, made_from = _prepared_path(data, checkout), _made_from(data, contract_of(data, checkout))
    with _one_at_a_time(checkout):
        if not path.is_file() or pl.read_parquet_metadata(path).get(_MADE_FROM) != made_from:
            prepare_table(data, checkout)
    return pl.read_parquet(path)


@contextmanager
def _one_at_a_time(checkout: Path) -> Iterator[None]:
    """Jobs of a sweep that start together fetch and prepare once; the others wait."""
    (checkout / "data").mkdir(exist_ok=True)
    with FileLock(checkout / "data" / ".lock", is_singleton=True):  # re-entrant within a process
        yield


def _prepared_path(data: DataSettings, checkout: Path) -> Path:
    return checkout / "data" / "prepared" / f"{data.name}.parquet"


def _made_from(data: DataSettings, contract: Contract) -> str:
    return f"{data.sha256} {data.recipe} {contract.fingerprint()}"
