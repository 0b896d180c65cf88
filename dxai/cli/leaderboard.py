"""The verb that ranks runs: leaderboard; in a checkout, with the training extra."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from dxai.cli.options import FOLDER, TABLE, Verb
from dxai.cli.training import need_training_extra
from dxai.files import checkout_above, short

if TYPE_CHECKING:
    from dxai.record.leaderboard import Leaderboard


def _complete_task(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of the checkout's data sets."""
    checkout = checkout_above(Path.cwd())
    return sorted(file.stem for file in (checkout / "configs/data").glob(f"{incomplete}*.yaml")) if checkout else []


@click.command(cls=Verb, short_help="Rank the runs of a task, with baselines, intervals and cost.")
@click.argument("task", required=False, shell_complete=_complete_task)
@click.option("--runs", type=FOLDER, help="Folder below which runs are looked for. [default: runs/ of the checkout]")
@click.option(
    "-o", "--output", type=TABLE, help="HTML page to write: the tables, and pictures of scores and intervals."
)
@click.option("--language", type=click.Choice(["en", "ko"]), default="en", show_default=True, help="Of the page.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON per row, for programs.")
def leaderboard(
    task: str | None, runs: Path | None, output: Path | None, language: Literal["en", "ko"], as_json: bool
) -> None:
    """Rank runs on the same rows and split by the metric that leads.

    TASK is the name of a data set, such as concrete; without it, every one that there are runs of. The intervals come
    from a bootstrap of the held-out groups, rows or series; each run is paired with the best one.
    """
    need_training_extra()
    from dxai.config.compose import find_checkout
    from dxai.record.leaderboard import leaderboard as ranked
    from dxai.record.leaderboard_report import left_out, write_page
    from dxai.record.progress import console

    checkout = find_checkout()
    with console.status("scores and intervals"):
        found = ranked((runs or checkout / "runs").absolute(), checkout, task)
    if as_json:
        _print_lines(found)
    else:
        _print_tables(found)
    for line in left_out(found):
        click.echo(line, err=True)
    if output:
        write_page(found, output.absolute(), language)
        click.echo(f"page: {short(output.absolute())}", err=as_json)


def _print_lines(found: Leaderboard) -> None:
    for board in found.boards:
        shared = {"task": board.task, "data": board.data, "split": board.split}
        shared |= {"metric": board.metric.name, "better": board.metric.better, "clusters": board.clusters}
        for rank, row in zip(board.ranks, board.standings, strict=True):
            click.echo(json.dumps({**shared, "rank": rank, **asdict(row), "gap": row.gap}, ensure_ascii=False))


def _print_tables(found: Leaderboard) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from dxai.record.leaderboard_report import notes, table, title

    console, endless = Console(), Console(width=10_000)
    for board in found.boards:
        content = table(board)
        shown = Table(box=SIMPLE, pad_edge=False, title=escape(title(board)), title_justify="left")
        for number, head in enumerate(content.head):
            shown.add_column(escape(head), justify="left" if number < 3 else "right", no_wrap=True)
        for row in content.rows:
            shown.add_row(*map(escape, row))
        # A row is one line, however narrow the terminal: folded into ten columns nobody could read it.
        Console(width=max(console.width, endless.measure(shown).maximum)).print(shown)
        for note in notes(board):
            console.print(note, highlight=False, markup=False)
