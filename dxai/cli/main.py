"""The command `dxai`: its verbs, by who uses them."""

from __future__ import annotations

import signal
from typing import Any, NoReturn

import click

from dxai import __version__
from dxai.cli import forecasting, models, publishing, running, sweeping, training
from dxai.cli.data import data
from dxai.cli.doctor import doctor
from dxai.cli.leaderboard import leaderboard
from dxai.cli.message import one_message
from dxai.cli.new import new

DOORS = {
    "Member firms: find, fetch, verify, try, run and serve a model (base install)": (
        models.search, models.pull, models.list_models, models.remove, models.verify, models.inspect,
        running.check, running.predict, running.serve,
    ),
    "Member firms: forecast own series without a model (base install)": (forecasting.forecast,),
    "Member firms and data scientists: bring own data": (data,),
    "Data scientists: make a model (in a checkout, with the training extra)": (
        training.train, sweeping.sweep, training.evaluate, leaderboard, training.release, new,
    ),
    "Platform team: publish models": (publishing.publish, publishing.keys, publishing.catalog),
    "Everybody: what is wrong here, and what to do": (doctor,),
}  # fmt: skip


class _ByDoor(click.Group):
    """Lists the verbs by who uses them."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """One section per door, in the order of use."""
        placed = [command for door in DOORS.values() for command in door]
        doors = {**DOORS, "For the shell": tuple(c for c in self.commands.values() if c not in placed)}
        for title, commands in doors.items():
            with formatter.section(title):
                formatter.write_dl([(c.name or "", c.get_short_help_str(100)) for c in commands])


@click.group(cls=_ByDoor, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dxai")
def cli() -> None:
    """Standard AI for shared industrial data."""


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a SHELL.

    Bash: eval "$(dxai completion bash)". It completes verbs, options, models, and the overrides of `dxai train`.
    """
    from dxai.cli.completion_script import completion_script

    click.echo(completion_script(shell, cli))


for _door in DOORS.values():
    for _command in _door:
        cli.add_command(_command)


def _stop(_signal: int, _frame: Any) -> NoReturn:
    raise KeyboardInterrupt


def main() -> NoReturn:
    """Run the command line: one short message and the right exit code for every mistake."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        with one_message():
            cli.main(standalone_mode=False)
    except click.exceptions.Exit as end:
        raise SystemExit(end.exit_code) from None
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    raise SystemExit(0)
