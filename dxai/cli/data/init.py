"""`dxai data init`: a first draft of contract and mapping."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from dxai.cli.options import FOLDER, TABLE, Verb, place_options

if TYPE_CHECKING:
    from dxai.contract import Frequency
    from dxai.data.recognise import Recognised
    from dxai.intake.look import Choices, Look

_LISTED = 40
"""Columns listed before the target is asked for."""

_NONE = "-"
"""Answer of a person whose table has no column of series."""


@click.command(cls=Verb)
@click.argument("file", type=TABLE)
@click.option(
    "--target", "-t", "targets", multiple=True,
    help="Column to predict; several are the columns of one class each, of which one is 1. Of a wide table: its name.",
)  # fmt: skip
@click.option("--class-name", default="class", show_default=True, help="Column made of several targets.")
@click.option("--kind", type=click.Choice(["quality", "demand"]), default="quality", show_default=True)
@click.option(
    "--series", multiple=True,
    help="Demand: the column that names the series; several name it together. Without one, all rows are one series.",
)  # fmt: skip
@click.option(
    "--time", "times", multiple=True,
    help="Column of the dates; two, such as date and hour, tell it together. Of a wide table: its name.",
)  # fmt: skip
@click.option(
    "--known", multiple=True, help="Demand: a column that is known ahead, such as a price or a promotion; repeatable.",
)  # fmt: skip
@click.option("--closed", default="", help="Demand: the column of two values that says when nothing can be sold.")
@click.option(
    "--available", default="", help="Demand: the column of 1 and 0 (Yes and No): whether all demand could be met.",
)  # fmt: skip
@click.option("--group", multiple=True, help="Rows that share this column stay on one side of a split; repeatable.")
@click.option(
    "--frequency",
    type=click.Choice(["hourly", "daily", "weekly", "monthly", "quarterly", "yearly"]),
    help="[default: as the dates follow]",
)
@click.option(
    "--add-up", type=click.Choice(["hourly", "daily", "weekly", "monthly"]),
    help="Demand of shorter steps: the step to add it up to.",
)  # fmt: skip
@click.option("--horizon", type=click.IntRange(1, 1000), default=12, show_default=True, help="Demand: steps ahead.")
@click.option("--name", default="", help="Id of the contract. [default: from the file's name]")
@click.option("--to", "folder", type=FOLDER, help="Folder to write to. [default: the name]")
@click.option("--force", is_flag=True, help="Write over drafts that are there.")
@click.option("--yes", "-y", is_flag=True, help="Ask nothing, also on a terminal.")
@place_options
def init(
    file: Path, targets: tuple[str, ...], class_name: str, kind: Literal["quality", "demand"],
    series: tuple[str, ...], times: tuple[str, ...], known: tuple[str, ...], closed: str, available: str,
    group: tuple[str, ...], frequency: Frequency | None,
    add_up: Literal["hourly", "daily", "weekly", "monthly"] | None, horizon: int, name: str, folder: Path | None,
    force: bool, yes: bool, sheet: str, header_row: int | None, encoding: str,
) -> None:  # fmt: skip
    """Draft a contract and a mapping for a FILE; a comment stands wherever a person has to decide.

    Korean headers get ASCII ids and stay as titles. A demand table may have a column per step of time: headers that are
    dates are recognised. On a terminal the open questions are asked.
    """
    from dxai.data.recognise import Given, recognise
    from dxai.errors import SettingsError
    from dxai.files import write_whole
    from dxai.intake.draft import draft
    from dxai.intake.ids import ascii_id
    from dxai.intake.look import Choices

    name = name or re.sub("_", "-", ascii_id(file.name.partition(".")[0]))
    folder = folder or Path(name)
    contract, mapping = folder / "contract.yaml", folder / "mapping.yaml"
    _refuse_taken(name, [contract, mapping], force=force)
    choices = Choices(
        name, targets, class_name, kind, series, times, group, frequency or add_up or "", horizon, add_up or "",
        known, closed, available,
    )  # fmt: skip
    asked = not yes and sys.stdin.isatty() and sys.stderr.isatty()
    if not asked and not targets and kind == "quality":
        raise SettingsError("Which column is to be predicted?", where=str(file), fix="Name it: --target COLUMN.")
    found = recognise(file, Given(sheet, header_row or 0, encoding))
    if found.line:
        click.echo(found.line)
    if asked and not targets:
        choices = _with_target(file, choices, found)
    look = _looked(file, choices, found)
    if asked:
        look = _with_answers(look)
    made = draft(look, found.dialect, dict(found.guesses))
    folder.mkdir(parents=True, exist_ok=True)
    for place, text in ((contract, made.contract), (mapping, made.mapping)):
        write_whole(place, text.encode())
        count = len(re.findall(r"# (?:.*: )?decide", text))
        click.echo(f"wrote {place}" + (f" ({count} to decide)" if count else ""))
    click.echo("\n".join(made.said))
    words = ("dxai", "data", "convert", file, "-c", contract, "-m", mapping, "-o", folder / "table.parquet")
    click.echo(f"next:  {shlex.join(map(str, words))}")


def _refuse_taken(name: str, places: list[Path], *, force: bool) -> None:
    """In a checkout a name may mean one of its data sets: `dxai train data=NAME` would train on that."""
    from dxai.errors import SettingsError

    here = Path.cwd()
    if any((folder / "configs" / "data" / f"{name}.yaml").is_file() for folder in (here, *here.parents)):
        told = f"{name!r} is the name of a data set in configs/data/."
        raise SettingsError(told, where="--name", fix=f"Give your table another name: --name my-{name}.")
    there = [place for place in places if place.exists()]
    if there and not force:
        raise SettingsError("There is a draft already.", where=str(there[0]), fix="--force writes over it.")


def _looked(file: Path, choices: Choices, found: Recognised) -> Look:
    """Read the file once, with a progress bar."""
    from dxai.data.tables import read_blocks
    from dxai.inference.rowbar import row_bar
    from dxai.intake.look import look

    with row_bar(file) as counted:
        blocks = counted(read_blocks(file, found.dialect))
        return look(blocks, choices, where=file.name, encoding=found.encoding, delimiter=found.delimiter)


def _with_target(file: Path, choices: Choices, found: Recognised) -> Choices:
    """Ask for the kind of table and for the columns that only a person knows."""
    from dxai.intake.describe.words import shortened
    from dxai.intake.look import Choices

    plain = Choices(choices.name)  # what else was chosen may be of the table that is made of this one
    seen = _looked(file, plain, found).seen
    for column in seen.columns[:_LISTED]:
        click.echo(f"  {shortened(column.name)} ({column.type}{column.unit and f', {column.unit}'})", err=True)
    if len(seen.columns) > _LISTED:
        click.echo(f"  … and {len(seen.columns) - _LISTED:,} more", err=True)
    wide = [s.columns for s in seen.suspicions if s.kind == "dated-headers"]
    names = [column.name for column in seen.columns if not wide or column.name not in wide[0]]
    usual = "demand" if wide or choices.kind == "demand" else "quality"
    kind = click.prompt("Kind", type=click.Choice(["quality", "demand"]), default=usual, err=True)
    if kind == "quality":
        return replace(choices, kind="quality", targets=(_asked("Column to predict", names, names[-1]),))
    if not choices.series:
        text = "Column of the series" if wide else f"Column of the series, {_NONE} where all rows are one"
        answer = _asked(text, names if wide else [*names, _NONE], names[0])
        choices = replace(choices, series=() if answer == _NONE else (answer,))
    choices = replace(choices, kind="demand")
    if wide:
        return choices
    dates = [column.name for column in seen.columns if column.type in ("date", "timestamp")]
    times = choices.times or (_asked("Column of the dates", names, next(iter(dates), names[0])),)
    return replace(choices, times=times, targets=(_asked("Column to predict", names, names[-1]),))


def _asked(text: str, names: list[str], default: str) -> str:
    from dxai.errors import nearest

    def known(answer: str) -> str:
        if answer in names:
            return answer
        hint = nearest(answer, names)
        raise click.UsageError(f"there is no column {answer!r}" + (f", did you mean {hint!r}?" if hint else ""))

    return str(click.prompt(text, default=default, value_proc=known, err=True))


def _with_answers(look: Look) -> Look:
    """Ask what the draft would leave open; Enter leaves it as it is."""
    from dxai.errors import DxaiError
    from dxai.intake.draft import questions
    from dxai.units import require_ucum

    def ucum(answer: str) -> str:
        try:
            require_ucum(answer, where="")
        except DxaiError as error:
            raise click.UsageError(f"{error.problem}: {error.fix}") from None
        return answer

    units, roles = dict(look.choices.units), dict(look.choices.roles)
    for column, left_out in questions(look):
        if not left_out:
            units[column] = click.prompt(f"Unit of {column}, UCUM", default="1", value_proc=ucum, err=True)
        elif not click.confirm(f"{column}: {left_out}. Leave it out?", default=True, err=True):
            roles[column] = "feature"
    return replace(look, choices=replace(look.choices, units=units, roles=roles))
