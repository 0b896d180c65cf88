"""`dxai data schema`: what a contract may say, for editors and for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click

from dxai.cli.options import TABLE, Verb


@click.command(cls=Verb)
@click.option("--reference", type=click.Choice(["en", "ko"]), help="Every key in words (Markdown) instead.")
@click.option("-o", "--output", type=TABLE, help="File to write. [default: the terminal]")
def schema(reference: Literal["en", "ko"] | None, output: Path | None) -> None:
    """The JSON schema of contracts: an editor completes the keys and marks mistakes while you type.

    Write it beside the contract and begin the contract with
    `# yaml-language-server: $schema=contract.schema.json`.
    """
    from dxai.contract.reference import reference as page
    from dxai.contract.schema import contract_schema
    from dxai.files import write_whole

    text = page(reference) if reference else json.dumps(contract_schema(), ensure_ascii=False, indent=1) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        write_whole(output, text.encode())
