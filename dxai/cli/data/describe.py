"""`dxai data describe`: what is in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from dxai.cli.options import TABLE, Verb

if TYPE_CHECKING:
    from dxai.intake.describe import Description


@click.command(cls=Verb)
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

    seen = described_file(file, target)
    show(seen, everything=everything)
    place = report or Path(f"{file.name.partition('.')[0]}-description.html")
    write_report(seen, place, language=language)
    click.echo(f"report: {place}")


def described_file(file: Path, target: str) -> Description:
    """Read a file once, with a progress bar."""
    from dxai.data.dialect import dialect_of
    from dxai.data.tables import as_text, format_of, read_blocks
    from dxai.inference.rowbar import row_bar
    from dxai.intake.describe import describe as described

    dialect = dialect_of(file)
    encoding, delimiter = (dialect.encoding, dialect.delimiter) if dialect else (format_of(file), "")
    with row_bar(file) as counted:
        blocks = map(as_text, counted(read_blocks(file, dialect)))
        return described(blocks, target=target, where=file.name, encoding=encoding, delimiter=delimiter)
