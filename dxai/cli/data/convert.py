"""`dxai data convert`: a file to the table of a contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dxai.cli.options import FILE, TABLE

if TYPE_CHECKING:
    from dxai.intake.convert import ConversionLog


@click.command()
@click.argument("file", type=TABLE)
@click.option("--contract", "-c", "contract_path", type=TABLE, required=True, help="The contract (ODCS YAML).")
@click.option("--mapping", "-m", "mapping_path", type=TABLE, help="How the columns of FILE become the contract's.")
@click.option("-o", "--output", type=FILE, required=True, help="Parquet or CSV file, by its suffix.")
def convert(file: Path, contract_path: Path, mapping_path: Path | None, output: Path) -> None:
    """Convert a FILE (CSV, Excel, Parquet) to the table of a contract.

    Decodes, renames, converts units, casts and orders the columns. What changed stands in a log beside the output:
    kinds of changes per column, how many, first examples. A file with a cell that breaks the contract is refused with
    all its problems; converting the output again changes nothing.
    """
    from dxai.contract import load_contract
    from dxai.data.tables import read_blocks
    from dxai.files import write_whole
    from dxai.inference.output import write_table
    from dxai.inference.rowbar import row_bar
    from dxai.intake.convert import ConversionLog
    from dxai.intake.convert import convert as converted
    from dxai.intake.mapping import load_mapping, mapping_of

    contract = load_contract(contract_path)
    mapping = load_mapping(mapping_path, contract) if mapping_path else mapping_of(file, contract)
    log = ConversionLog()
    with row_bar(file) as counted:
        blocks = counted(read_blocks(file, mapping.file.dialect))
        write_table(converted(blocks, contract, mapping, log, where=str(file)), output)
    place = output.with_name(f"{output.stem}-conversion.json")
    write_whole(place, json.dumps(log.record(), ensure_ascii=False, indent=1).encode())
    _tell_changes(log, output, place)


def _tell_changes(log: ConversionLog, output: Path, place: Path) -> None:
    click.echo(f"{log.rows:,} rows written to {output}")
    for change in log.changes:
        row, before, after = change.examples[0]
        click.echo(f"  {change.column}: {change.what}, {change.count:,} cells (row {row}: {before!r} to {after!r})")
    click.echo(f"  log: {place}")
