"""Verbs of a firm that brings data: describe a file, draft its contract, convert it, check it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from dxai.cli.options import FILE

if TYPE_CHECKING:
    from dxai.contract import Contract
    from dxai.intake.check import TableCheck
    from dxai.intake.convert import ConversionLog
    from dxai.intake.describe import Description

TABLE = click.Path(path_type=Path, dir_okay=False)
_SHOWN = 3


@click.group()
def data() -> None:
    """Bring own data: from a messy file to a table that keeps a contract."""


@data.command()
@click.argument("file", type=TABLE)
@click.option("--target", "-t", default="", help="Column to predict: others that give it away are told.")
@click.option("--all", "everything", is_flag=True, help="Every column, however many there are.")
@click.option("--report", type=TABLE, help="HTML report to write. [default: FILE-description.html]")
@click.option("--language", type=click.Choice(["en", "ko"]), default="en", show_default=True, help="Of the report.")
def describe(file: Path, target: str, everything: bool, report: Path | None, language: Literal["en", "ko"]) -> None:
    """What is in a FILE (CSV, Excel, Parquet)? Types, gaps, ranges, units, and what looks suspicious.

    Constant or equal columns, ids, dates, texts that mean a gap, rows that share a recipe, columns that give the
    target away. In the terminal and as an HTML report that shows no single row.
    """
    from dxai.intake.describe.report import write_report
    from dxai.intake.describe.terminal import show

    seen = _described(file, target)
    show(seen, everything=everything)
    place = report or Path(f"{file.name.partition('.')[0]}-description.html")
    write_report(seen, place, language=language)
    click.echo(f"report: {place}")


@data.command()
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


@data.command()
@click.argument("file", type=TABLE)
@click.option("--contract", "-c", "contract_path", type=TABLE, required=True, help="The contract (ODCS YAML).")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def check(file: Path, contract_path: Path, as_json: bool) -> None:
    """Hold a FILE against a contract: every violation at once, by rule and column. Exit code 6 when there are any.

    Columns go by their ids, English or Korean titles.
    """
    from dxai.contract import load_contract
    from dxai.data.dialect import dialect_of
    from dxai.data.tables import read_blocks
    from dxai.inference.rowbar import row_bar
    from dxai.intake.check import check as checked

    contract = load_contract(contract_path)
    with row_bar(file) as counted:
        found = checked(counted(read_blocks(file, dialect_of(file))), contract, where=str(file))
    if as_json:
        click.echo(json.dumps(_record(found, contract), ensure_ascii=False))
    else:
        click.echo(f"{file}: {found.rows:,} rows against {contract.id} {contract.version}")
        for name, share in found.measures.items():
            click.echo(f"  {name} {share:.2%}")
    if not as_json:
        found.problems.refuse(str(file))
        click.echo("  no violation")
    raise SystemExit(6 if found.problems else 0)


@data.command()
@click.argument("file", type=TABLE)
@click.option("--target", "-t", required=True, help="Column to predict.")
@click.option("--kind", type=click.Choice(["quality", "demand"]), default="quality", show_default=True)
@click.option("--series", default="", help="Demand: the column that names the series.")
@click.option("--time", default="", help="Column of the dates.")
@click.option("--group", multiple=True, help="Rows that share this column stay on one side of a split; repeatable.")
@click.option(
    "--frequency", type=click.Choice(["weekly", "monthly", "quarterly"]), default="monthly", show_default=True
)
@click.option("--horizon", type=click.IntRange(1, 1000), default=12, show_default=True, help="Demand: steps ahead.")
@click.option("--name", default="", help="Id of the contract. [default: from the file's name]")
@click.option(
    "--to", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Folder to write to."
)
@click.option("--force", is_flag=True, help="Write over drafts that are there.")
def init(
    file: Path, target: str, kind: Literal["quality", "demand"], series: str, time: str, group: tuple[str, ...],
    frequency: str, horizon: int, name: str, folder: Path, force: bool,
) -> None:  # fmt: skip
    """Draft a contract and a mapping for a FILE; a comment stands wherever a person has to decide.

    Korean headers get ASCII ids and stay as titles.
    """
    from dxai.data.dialect import dialect_of
    from dxai.errors import SettingsError
    from dxai.files import write_whole
    from dxai.intake.draft import Choices, draft
    from dxai.intake.ids import ascii_id

    seen = _described(file, target)
    name = name or re.sub("_", "-", ascii_id(file.name.partition(".")[0]))
    choices = Choices(name, target, kind, series, time, group, frequency, horizon)
    places = [folder / f"{name}.contract.yaml", folder / f"{name}.mapping.yaml"]
    there = [place for place in places if place.exists()]
    if there and not force:
        raise SettingsError("There is a draft already.", where=str(there[0]), fix="--force writes over it.")
    for place, text in zip(places, draft(seen, choices, dialect_of(file)), strict=True):
        write_whole(place, text.encode())
        click.echo(f"wrote {place}{_decisions(text)}")
    click.echo(f"next:  dxai data convert {file} -c {places[0]} -m {places[1]} -o {name}.parquet")


def _described(file: Path, target: str) -> Description:
    from dxai.data.dialect import dialect_of
    from dxai.data.tables import as_text, format_of, read_blocks
    from dxai.inference.rowbar import row_bar
    from dxai.intake.describe import describe as described

    dialect = dialect_of(file)
    encoding, delimiter = (dialect.encoding, dialect.delimiter) if dialect else (format_of(file), "")
    with row_bar(file) as counted:
        blocks = map(as_text, counted(read_blocks(file, dialect)))
        return described(blocks, target=target, where=file.name, encoding=encoding, delimiter=delimiter)


def _decisions(text: str) -> str:
    count = len(re.findall(r"# (?:.*: )?decide", text))
    return f" ({count} to decide)" if count else ""


def _tell_changes(log: ConversionLog, output: Path, place: Path) -> None:
    click.echo(f"{log.rows:,} rows written to {output}")
    for change in log.changes:
        row, before, after = change.examples[0]
        click.echo(f"  {change.column}: {change.what}, {change.count:,} cells (row {row}: {before!r} to {after!r})")
    click.echo(f"  log: {place}")


def _record(found: TableCheck, contract: Contract) -> dict[str, object]:
    problems = [{"column": p.column, "rule": p.rule, "count": p.count, "examples": p.examples} for p in found.problems]
    return {
        "contract": contract.id, "version": contract.version, "rows": found.rows, "measures": found.measures,
        "problems": problems,
    }  # fmt: skip
