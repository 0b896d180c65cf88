"""`dxai data describe`: what is in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from dxai.cli.options import TABLE, Verb, place_options


@click.command(cls=Verb)
@click.argument("file", type=TABLE)
@click.option("--target", "-t", default="", help="Column to predict: others that give it away are told.")
@click.option("--all", "everything", is_flag=True, help="Every column, however many there are.")
@click.option("--report", type=TABLE, help="HTML report to write. [default: FILE-description.html]")
@click.option("--language", type=click.Choice(["en", "ko"]), default="en", show_default=True, help="Of the report.")
@place_options
def describe(
    file: Path, target: str, everything: bool, report: Path | None, language: Literal["en", "ko"], sheet: str,
    header_row: int | None, encoding: str,
) -> None:  # fmt: skip
    """What is in a FILE (CSV, Excel, Parquet)? Types, gaps, ranges, units, and what looks suspicious.

    Constant or equal columns, ids, dates, texts that mean a gap, rows that share a recipe, columns that give the
    target away. In the terminal and as an HTML report that shows no single row.
    """
    from dxai.data.recognise import Given, recognise
    from dxai.data.tables import as_text, read_blocks
    from dxai.inference.rowbar import row_bar
    from dxai.intake.describe import describe as described
    from dxai.intake.describe.report import write_report
    from dxai.intake.describe.terminal import show

    found = recognise(file, Given(sheet, header_row or 0, encoding))
    if found.line:
        click.echo(found.line)
    with row_bar(file) as counted:
        blocks = map(as_text, counted(read_blocks(file, found.dialect)))
        seen = described(blocks, target=target, where=file.name, encoding=found.encoding, delimiter=found.delimiter)
    show(seen, everything=everything)
    place = report or Path(f"{file.name.partition('.')[0]}-description.html")
    write_report(seen, place, language=language)
    click.echo(f"report: {place}")
