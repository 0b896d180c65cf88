"""`dxai data convert`: a file to the table of a contract."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dxai.cli.options import FILE, TABLE, Verb, place_options

if TYPE_CHECKING:
    from dxai.intake.convert import ConversionLog

_TOLD = 12
"""Changes on the terminal; all are in the log."""


@click.command(cls=Verb)
@click.argument("file", type=TABLE)
@click.option("--contract", "-c", "contract_path", type=TABLE, required=True, help="The contract (ODCS YAML).")
@click.option("--mapping", "-m", "mapping_path", type=TABLE, help="How the columns of FILE become the contract's.")
@click.option("-o", "--output", type=FILE, required=True, help="Parquet or CSV file, by its suffix.")
@click.option(
    "--sort/--keep-order",
    default=None,
    help="By series and time, or by the keys. [default: sorted where the contract has a time column]",
)
@click.option(
    "--drop-duplicates", is_flag=True, help="Of rows with the same key (without keys: the same cells) the first."
)
@place_options
def convert(
    file: Path, contract_path: Path, mapping_path: Path | None, output: Path, sort: bool | None, drop_duplicates: bool,
    sheet: str, header_row: int | None, encoding: str,
) -> None:  # fmt: skip
    """Convert a FILE (CSV, Excel, Parquet) to the table of a contract.

    Decodes, renames, converts units, casts and orders the columns; a column per step becomes a row per step. What
    changed stands in a log beside the output: kinds of changes per column, how many, first examples. A file with a
    cell that breaks the contract is refused with all its problems; converting the output again changes nothing.
    """
    from dxai.contract import load_contract
    from dxai.data.output import write_table
    from dxai.data.recognise import Given, recognise
    from dxai.data.tables import read_blocks
    from dxai.files import write_whole
    from dxai.inference.rowbar import row_bar
    from dxai.intake.convert import ConversionLog, added_up
    from dxai.intake.convert import convert as converted
    from dxai.intake.mapping import load_mapping, mapping_of
    from dxai.intake.order import arranged, order_of

    contract = load_contract(contract_path)
    given = Given(sheet, header_row or 0, encoding)
    if mapping_path:
        mapping = load_mapping(mapping_path, contract).read_as(file, given)
    else:
        found = recognise(file, given)
        mapping = mapping_of(file, contract, found)
        if found.line:
            click.echo(found.line)
    order, log = order_of(contract, told=sort), ConversionLog()
    with row_bar(file) as counted:
        table = converted(counted(read_blocks(file, mapping.file.dialect)), contract, mapping, log, where=str(file))
        if mapping.add_up:
            table = added_up(table, contract, mapping.add_up, log)
        if order or drop_duplicates:
            table = arranged(table, contract, log, output, order=order, once=drop_duplicates)
        write_table(table, output)
    place = output.with_name(f"{output.stem}-conversion.json")
    write_whole(place, json.dumps(log.record(), ensure_ascii=False, indent=1).encode())
    _tell_changes(log, output, place)
    if output.name == "table.parquet" and output.with_name("contract.yaml").is_file():
        folder = shlex.quote(str(output.parent))
        click.echo(f"next:  dxai data check {folder}/{output.name} -c {folder}/contract.yaml")
        click.echo(f"       dxai train data={folder}")


def _tell_changes(log: ConversionLog, output: Path, place: Path) -> None:
    click.echo(f"{log.rows:,} rows written to {output}")
    for change in log.changes[:_TOLD]:
        first = [f" (row {row}: {before!r} to {after!r})" for row, before, after in change.examples[:1]]
        click.echo(f"  {change.column}: {change.what}, {change.count:,}{''.join(first)}")
    more = len(log.changes) - _TOLD
    click.echo((f"  … and {more:,} more;" if more > 0 else " ") + f" log: {place}")
