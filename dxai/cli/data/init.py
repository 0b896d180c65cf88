"""`dxai data init`: a first draft of contract and mapping."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import click

from dxai.cli.data.describe import described_file
from dxai.cli.options import TABLE


@click.command()
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

    seen = described_file(file, target)
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


def _decisions(text: str) -> str:
    count = len(re.findall(r"# (?:.*: )?decide", text))
    return f" ({count} to decide)" if count else ""
