"""`dxai data check`: a file against a contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dxai.cli.options import TABLE

if TYPE_CHECKING:
    from dxai.contract import Contract
    from dxai.intake.check import TableCheck


@click.command()
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


def _record(found: TableCheck, contract: Contract) -> dict[str, object]:
    problems = [{"column": p.column, "rule": p.rule, "count": p.count, "examples": p.examples} for p in found.problems]
    return {
        "contract": contract.id, "version": contract.version, "rows": found.rows, "measures": found.measures,
        "problems": problems,
    }  # fmt: skip
