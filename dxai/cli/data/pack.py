"""`dxai data pack`: a data folder as one file to hand on."""

from __future__ import annotations

import zipfile
from datetime import datetime
from pathlib import Path

import click

from dxai.cli.options import FOLDER, TABLE, Verb


@click.command(cls=Verb)
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("-o", "--output", type=TABLE, help="Zip file. [default: ID-VERSION.zip of the contract, beside DIR]")
@click.option(
    "--published", type=click.DateTime(["%Y-%m-%d"]), help="Day of publication. [default: the table's last change]"
)
def pack(folder: Path, output: Path | None, published: datetime | None) -> None:
    """Pack a data folder DIR for others: contract, table, Croissant description, ODRL policy, checksums.

    DIR holds contract.yaml and table.parquet, made by `dxai data convert`. The table is checked first; mapping and
    conversion log stay where they are. The same folder gives the same bytes.
    """
    from dxai.data.package import TABLE as TABLE_NAME
    from dxai.inference.rowbar import row_bar
    from dxai.intake.pack import pack as packed

    with row_bar(folder / TABLE_NAME) as counted:
        place = packed(folder, output, published=published.date() if published else None, watch=counted)
    click.echo(f"packed {place}")
    with zipfile.ZipFile(place) as archive:
        for entry in archive.infolist():
            click.echo(f"  {entry.filename:<14} {entry.file_size:>13,} bytes")
        left = sorted({path.name for path in folder.iterdir()} - set(archive.namelist()) - {place.name})
    if left:
        click.echo(f"left out: {', '.join(left)}")
    click.echo(f"next:  dxai train data={place}")
