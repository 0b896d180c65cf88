"""The prepared table of a run: fetched and prepared when it is not there yet."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl

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
    return fetch(Source(data.place, data.sha256), checkout / "data" / "raw" / data.name, progress=progress)


def prepare_table(data: DataSettings, checkout: Path) -> Path:
    """Write data/prepared/NAME.parquet from the raw file; returns its path."""
    contract = contract_of(data, checkout)
    table = prepare(raw_file(data, checkout), data.recipe, contract)
    target = _prepared_path(data, checkout)
    target.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    table.write_parquet(content, statistics=False, metadata={_MADE_FROM: _made_from(data, contract)})
    write_whole(target, content.getvalue())
    return target


def prepared_table(data: DataSettings, checkout: Path) -> pl.DataFrame:
    """The table by its contract; made on first use and again when its source, recipe or contract has changed."""
    path = _prepared_path(data, checkout)
    if not path.is_file() or pl.read_parquet_metadata(path).get(_MADE_FROM) != _made_from(
        data, contract_of(data, checkout)
    ):
        prepare_table(data, checkout)
    return pl.read_parquet(path)


def _prepared_path(data: DataSettings, checkout: Path) -> Path:
    return checkout / "data" / "prepared" / f"{data.name}.parquet"


def _made_from(data: DataSettings, contract: Contract) -> str:
    return f"{data.sha256} {data.recipe} {contract.fingerprint()}"
