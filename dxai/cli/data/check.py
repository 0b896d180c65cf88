"""`dxai data check`: a file against a contract."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dxai.cli.options import TABLE, Verb, place_options

if TYPE_CHECKING:
    from dxai.intake.check import TableCheck

_MOST = 20
"""Problems, and incomplete columns, that a terminal shows; ``--json`` has them all."""


@click.command(cls=Verb)
@click.argument("file", type=TABLE)
@click.option("--contract", "-c", "contract_path", type=TABLE, required=True, help="The contract (ODCS YAML).")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@place_options
def check(file: Path, contract_path: Path, as_json: bool, sheet: str, header_row: int | None, encoding: str) -> None:
    """Hold a FILE against a contract: every violation at once, and whatever dxai train would refuse.

    Exit code 6 when there is any. Numbers that are settings of a training (split.folds, split.origins) have their
    defaults here. Told without refusing: rows and series that training leaves out, and series that ended early.

    Columns go by their ids, English or Korean titles.
    """
    from dxai.contract import load_contract
    from dxai.data.recognise import Given, recognise
    from dxai.data.tables import read_typed_blocks
    from dxai.inference.rowbar import row_bar
    from dxai.intake.check import check as checked
    from dxai.intake.check import plain_numbers

    contract = load_contract(contract_path)
    seen = recognise(file, Given(sheet, header_row or 0, encoding), guess=False)
    with row_bar(file) as counted:
        numbers = plain_numbers(contract, str(file), seen.dialect.header_row)
        blocks = read_typed_blocks(file, numbers, seen.dialect)
        found = checked(counted(blocks), contract, where=str(file), header_row=seen.dialect.header_row)
    if as_json:
        click.echo(json.dumps(_record(found), ensure_ascii=False))
        raise SystemExit(6 if found.problems or found.refusals else 0)
    click.echo(f"{file}: {found.rows:,} rows against {contract.id} {contract.version}")
    for line in _told(found):
        click.echo(f"  {line}")
    found.refuse(str(file), most=_MOST)
    click.echo("  no violation")


def _told(found: TableCheck) -> list[str]:
    """The figures of a table, one line each, and what a person should know although it breaks no rule."""
    lines = [f"{name} {_floored(share):.2%}" for name, share in found.measures.items()]
    gaps = [f"{name} {count:,}" for name, count in found.gaps.most_common(_MOST) if count]
    lines += [f"empty cells: {', '.join(gaps)}"] if gaps else []
    classes = [f"{name} {found.labels[name]:,}" for name in found.contract.classes]
    lines += [f"rows of each class: {', '.join(classes)}"] if classes else []
    unseen = [f"{name} {count:,}" for name, count in found.unseen.items() if count]
    lines += [f"cells that are none of the listed categories, to a model unseen ones: {', '.join(unseen)}"] * bool(
        unseen
    )
    return [*lines, *([f"newest: {found.newest}"] if found.newest else []), *found.notes]


def _floored(share: float) -> float:
    """100 % only where nothing is missing."""
    return math.floor(share * 10_000) / 10_000


def _record(found: TableCheck) -> dict[str, object]:
    problems = [{"column": p.column, "rule": p.rule, "count": p.count, "examples": p.examples} for p in found.problems]
    return {
        "contract": found.contract.id, "version": found.contract.version, "rows": found.rows,
        "measures": found.measures, "iso_iec_5259_2": [asdict(measure) for measure in found.quality],
        "unseen": {name: count for name, count in found.unseen.items() if count}, "newest": found.newest,
        "problems": problems, "notes": found.notes,
        "training": [{"problem": r.problem, "where": r.where, "fix": r.fix} for r in found.refusals],
    }  # fmt: skip
