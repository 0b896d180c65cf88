"""One command, one verb per need; heavy imports stay inside the verbs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from dxai import __version__
from dxai.errors import DxaiError, InterruptedRunError, NotFoundError, SettingsError

if TYPE_CHECKING:
    from dxai.config.settings import RunSettings

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dxai")
def cli() -> None:
    """Standard AI for shared industrial data.

    Data scientists: train, evaluate, release (in a checkout, with the training extra).
    Member firms: predict, inspect (base install).
    """


def _complete_override(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Groups, choices and keys of configs/, as Hydra knows them."""
    try:
        from dxai.config.compose import complete

        return complete(incomplete)
    except (DxaiError, ImportError):
        return []


@cli.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    short_help="Train a baseline, score it, write a report.",
)
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED, shell_complete=_complete_override)
def train(overrides: tuple[str, ...]) -> None:
    """Train a baseline. `dxai train --help` lists groups and settings."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _need_training_extra()
    from dxai.config.compose import launch

    launch(overrides, _train_job, before_sweep=_make_tracker)


def _make_tracker(checkout: Path) -> None:
    """Make MLflow's database once, in the parent: parallel jobs would collide in its migrations."""
    from dxai.record.tracking import Tracker

    Tracker(checkout)


def _train_job(settings: RunSettings, folder: Path) -> None:
    with _one_message(), _no_empty_folder(folder):  # here already: Hydra would print a trace of its own
        from dxai.config.compose import find_checkout
        from dxai.evaluate import evaluate as evaluate_run
        from dxai.record.progress import console, fit_bar
        from dxai.train import train as train_run

        checkout = find_checkout()
        with fit_bar() as bar:
            run = train_run(settings, folder / "train", checkout, bar)
        with console.status("scores and report"):
            evaluation = evaluate_run(run, folder / "evaluate", checkout)
    click.echo(f"{evaluation.report.verdict.sentence}\n  report: {_short(evaluation.folder / 'report.html')}")
    click.echo(f"  next:   dxai release {_short(folder)} --to models/{settings.release.bundle}")


@cli.command()
@click.argument("run", type=FOLDER)
def evaluate(run: Path) -> None:
    """Score a run again and rewrite its report.

    RUN is the folder that `dxai train` printed.
    """
    _need_training_extra()
    _need_run(run)
    from dxai.config.compose import find_checkout
    from dxai.evaluate import evaluate as evaluate_run
    from dxai.record.progress import console
    from dxai.record.runs import Run

    with console.status("scores and report"):
        evaluation = evaluate_run(Run(run / "train"), run / "evaluate", find_checkout())
    click.echo(f"{evaluation.report.verdict.sentence}\n  report: {_short(evaluation.folder / 'report.html')}")


@cli.command()
@click.argument("run", type=FOLDER)
@click.option(
    "--to", "folder", type=FOLDER, required=True, help="Folder of the bundle, such as models/concrete-strength."
)
def release(run: Path, folder: Path) -> None:
    """Export an evaluated RUN as a bundle: one ONNX file, card, contract, golden rows."""
    _need_training_extra()
    _need_run(run)
    from dxai.config.compose import find_checkout
    from dxai.record.progress import console
    from dxai.record.runs import Run
    from dxai.release import release as release_run

    with console.status("export and parity check"):
        bundle = release_run(Run(run / "train"), run / "evaluate", folder, find_checkout())
    click.echo(f"Released {bundle.manifest.name} {bundle.manifest.version}\n  try:    dxai inspect {_short(folder)}")


@cli.command()
@click.argument("bundle", type=FOLDER)
@click.argument("rows", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="CSV file to write; appears whole or not at all.")
@click.option("--keep-extra", is_flag=True, help="Let columns outside the contract through to the output.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of ONNX Runtime.")
def predict(bundle: Path, rows: Path, output: Path, keep_extra: bool, threads: int) -> None:
    """Predict the rows of a CSV file with a BUNDLE.

    Quality: one prediction with its interval per row. Demand: the next steps of every series of a long table.
    """
    from dxai.ship.bundle import Bundle
    from dxai.ship.rowbar import row_bar
    from dxai.ship.runtime import Model, predict_file

    model = Model.load(Bundle(bundle), threads=threads)
    with row_bar(rows) as on_rows:
        written = predict_file(model, rows, output, keep_extra=keep_extra, on_rows=on_rows)
    click.echo(f"{written:,} rows written to {output}")


@cli.command()
@click.argument("bundle", type=FOLDER)
def inspect(bundle: Path) -> None:
    """Check a BUNDLE byte for byte and show what it predicts from what."""
    from dxai.ship.bundle import Bundle
    from dxai.ship.inspect import show

    show(Bundle(bundle))


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a SHELL.

    Bash: eval "$(dxai completion bash)". It completes verbs, options, and the overrides of `dxai train`.
    """
    from dxai.completion import completion_script

    click.echo(completion_script(shell, cli))


def _need_training_extra() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("hydra", "lightning", "mlflow", "onnx", "torch") if find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"This is the base install: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not here.",
            where=sys.prefix,
            fix='In a checkout: `make install`, or pip install -c constraints.txt -e ".[train]".',
        )


def _need_run(folder: Path) -> None:
    """Tell at once, before heavy imports, that a folder is no run."""
    if not (folder / "train" / "run.json").is_file():
        raise NotFoundError(
            "This is not the folder of a finished run: train/run.json is missing.",
            where=str(folder),
            fix="Name the folder that `dxai train` printed at its end, such as runs/NAME/DATE.",
        )


def _short(path: Path) -> str:
    """Relative to where the person stands, when the path lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


@contextmanager
def _no_empty_folder(folder: Path) -> Iterator[None]:
    """Hydra makes a run's folder before the run: take it away again when nothing came of the run."""
    try:
        yield
    finally:
        for empty in (folder, folder.parent, folder.parent.parent):
            with suppress(OSError):
                empty.rmdir()


@contextmanager
def _one_message() -> Iterator[None]:
    """Turn every error into one short message and its exit code."""
    try:
        yield
    except DxaiError as error:
        _leave(error)
    except (click.Abort, KeyboardInterrupt):
        _leave(InterruptedRunError("Interrupted; nothing half-written is left.", fix="Give the command again."))
    except (click.exceptions.Exit, click.ClickException):
        raise
    except Exception as error:
        if os.environ.get("DXAI_DEBUG"):
            raise
        told = str(error).splitlines()[0] if str(error) else ""
        fix = "Set DXAI_DEBUG=1, give the command again, and report what it prints."
        _leave(DxaiError(f"This is a defect of dxai: {type(error).__name__}: {told}", fix=fix))


def _leave(error: DxaiError) -> NoReturn:
    click.echo(f"dxai: {error.message()}", err=True)
    raise SystemExit(error.exit_code)


def _stop(_signal: int, _frame: Any) -> NoReturn:
    raise KeyboardInterrupt


def main() -> NoReturn:
    """Run the command line: one short message and the right exit code for every mistake."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        with _one_message():
            cli.main(standalone_mode=False)
    except click.exceptions.Exit as end:
        raise SystemExit(end.exit_code) from None
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    raise SystemExit(0)
