"""The verb that searches settings: sweep; in a checkout, with the training extra."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from dxai.arithmetic import make_native
from dxai.cli.options import Verb
from dxai.cli.training import need_training_extra
from dxai.errors import DxaiError, SettingsError
from dxai.files import short


def _complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Groups, choices and keys of configs/, as Hydra knows them."""
    try:
        from dxai.config.compose import complete

        return complete(incomplete, sweep=True)
    except (DxaiError, ImportError):
        return []


@click.command(cls=Verb, short_help="Search the best settings of a model.")
@click.option("--resume", metavar="SWEEP|last", help="Go on with a sweep, or help with it: its folder, or the newest.")
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED, shell_complete=_complete)
def sweep(resume: str | None, overrides: tuple[str, ...]) -> None:
    """Train trial after trial with settings drawn from a space, and report the best.

    OVERRIDES are those of `dxai train`, and sweep=NAME for a file of configs/sweep/; sweep.trials=100,
    sweep.storage=URL or sweep.space.KEY='{low: 1, high: 8}' change it.

    Example: dxai sweep experiment=concrete_tabm sweep=tabm
    """
    need_training_extra()
    if find_spec("optuna") is None:
        raise SettingsError(
            "A sweep needs Optuna, which is not here.", where="dxai sweep",
            fix='pip install -c constraints.txt -e ".[train]"',
        )  # fmt: skip
    from dxai.config.compose import find_checkout
    from dxai.record.progress import sweep_bar
    from dxai.sweep import Sweep

    checkout = find_checkout()
    if resume is not None and overrides:
        raise SettingsError(
            f"A sweep is resumed with its own settings, however {' '.join(overrides)} is given too.",
            where="command line", fix=f"dxai sweep --resume {resume}",
        )  # fmt: skip
    if resume is None:
        running = Sweep.begin(overrides, checkout)
    else:
        running = Sweep.newest(checkout) if resume == "last" else Sweep(Path(resume).absolute(), checkout)
    if running.arithmetic == "native":
        make_native()
    click.echo(f"sweep: {short(running.folder)}", err=True)
    with sweep_bar() as bar:
        outcome = running.run(bar)
    click.echo(f"{outcome.verdict.sentence}\n  report: {short(outcome.report / 'report.html')}")
    click.echo(f"  best:   {outcome.command}")
    if outcome.running:
        click.echo(f"  {outcome.running} trials still run elsewhere: dxai sweep --resume {short(running.folder)}")
    if outcome.run:
        click.echo(f"  next:   dxai release {short(outcome.run)} --to models/{running.bundle}")
