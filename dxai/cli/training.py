"""Verbs of data scientists: train, evaluate, release; in a checkout, with the training extra."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dxai.arithmetic import make_native, make_portable
from dxai.cli.jobs import job_of, jobs_told
from dxai.cli.message import one_message
from dxai.cli.options import Verb
from dxai.errors import DxaiError, InterruptedRunError, NotFoundError, SettingsError
from dxai.files import short

if TYPE_CHECKING:
    from dxai.config.settings import RunSettings

FOLDER = click.Path(path_type=Path, file_okay=False)


def _complete_override(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Groups, choices and keys of configs/, as Hydra knows them."""
    try:
        from dxai.config.compose import complete

        return complete(incomplete)
    except (DxaiError, ImportError):
        return []


@click.command(
    cls=Verb,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    short_help="Train a baseline, score it, write a report.",
)
@click.option("--resume", metavar="RUN|last", help="Go on with an interrupted run: its folder, or the newest.")
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED, shell_complete=_complete_override)
def train(resume: str | None, overrides: tuple[str, ...]) -> None:
    """Train a baseline. `dxai train --help` lists groups and settings."""
    need_training_extra()
    from dxai.config.compose import find_checkout, launch
    from dxai.data.own import with_own_data
    from dxai.learn.tasks import told_by_the_first

    if resume is not None:
        _resume(resume, overrides)
        return
    shared = _name_slurm(overrides)
    with told_by_the_first(shared=shared):
        words = with_own_data(overrides, find_checkout())
        settings = _settings_to_follow(words, shared=shared)
    if settings and _follows(settings):
        return
    with jobs_told(words) as words:
        jobs = launch(words, _train_job, _one_of_several)
    for name, text in jobs:
        if text and not isinstance(text, Exception):
            click.echo(f"{name}: {text}")
    _tell_failures({name: error for name, error in jobs if isinstance(error, Exception)}, len(jobs))


def _resume(named: str, overrides: tuple[str, ...]) -> None:
    """Go on with an unfinished run, by its own settings."""
    from dxai.config.compose import find_checkout
    from dxai.learn.tasks import told_by_the_first
    from dxai.record.unfinished import UnfinishedRun

    with told_by_the_first(shared=_name_slurm(overrides)):
        if overrides:
            raise SettingsError(
                f"A run is resumed with its own settings, however {' '.join(overrides)} is given too.",
                where="command line", fix=f"dxai train --resume {named}",
            )  # fmt: skip
    find_checkout()  # lets a class in custom/ be found
    folder = _newest_unfinished() if named == "last" else Path(named).absolute()
    if (folder / "train" / "run.json").is_file() and not UnfinishedRun(folder / "train").exists:
        raise NotFoundError(
            "The training of this run is finished.", where=short(folder), fix=f"dxai evaluate {short(folder)}"
        )
    settings = UnfinishedRun(folder / "train").settings
    with told_by_the_first(shared=settings.trainer.in_tasks):
        if named == "last" and settings.trainer.in_tasks:
            raise SettingsError(
                "What is the newest run, the tasks of SLURM may see differently.", where="--resume last",
                fix=f"dxai train --resume {short(folder)}",
            )  # fmt: skip
    if _follows(settings):
        return
    click.echo(f"resumed: {short(folder)}", err=True)
    _train_job(settings, folder, resume=True)


def _name_slurm(overrides: Sequence[str]) -> bool:
    """Whether tasks of SLURM are asked for, as far as it can be said before the settings are known to be right."""
    return any(word.endswith("=slurm") for word in overrides)


def _settings_to_follow(words: list[str], *, shared: bool) -> RunSettings | None:
    """Of a run in which this command may have to take part; None in the first task of SLURM, or for no single run."""
    from dxai.config.compose import asks_for_jobs, settings_from
    from dxai.learn.tasks import refuse_several_runs, task_number

    if task_number() == 0:
        return None
    if shared and asks_for_jobs(words):
        refuse_several_runs()
    return None if any(word.startswith("-") for word in words) else settings_from(words)


def _follows(settings: RunSettings) -> bool:
    """Whether this command was to take part in a run of the first task of SLURM, and has."""
    from dxai.learn.tasks import task_number

    if task_number() == 0 or not settings.trainer.in_tasks:
        return False
    from dxai.config.compose import find_checkout
    from dxai.train import follow

    _choose_kernels(settings)
    follow(settings, find_checkout())
    return True


def _newest_unfinished() -> Path:
    """Folder of the run that was begun last, is not finished and not at work now."""
    from dxai.record.unfinished import UnfinishedRun

    places = [place.with_name("train") for place in Path.cwd().glob("runs/**/train.unfinished")]
    known = [UnfinishedRun(place) for place in places if not (place.parents[1] / "sweep.json").is_file()]  # not a trial
    for run in sorted((run for run in known if run.exists), key=lambda run: -run.begun):
        if not run.in_use:
            return run.run.parent
    raise NotFoundError(
        "There is no unfinished run.", where=str(Path.cwd() / "runs"), fix="Train anew: dxai train experiment=NAME"
    )


def _train_job(settings: RunSettings, folder: Path, *, resume: bool = False) -> None:
    with one_message():  # here already: Hydra would print a trace of its own
        click.echo(_trained(settings, folder, resume=resume))


def _one_of_several(settings: RunSettings, folder: Path, name: str) -> str:
    """A run of `dxai train -m`; a name: others run at the same time, and whoever launched it tells of it."""
    try:
        text = _trained(settings, folder, name)
    except InterruptedRunError:
        if not name:
            with one_message():  # ends the others too
                raise
        raise
    if name:
        return text
    click.echo(text)
    return ""


def _tell_failures(failed: dict[str, Exception], jobs: int) -> None:
    """One message per job that has failed, and the exit code of the first."""
    codes = []
    for name, error in failed.items():
        click.echo(f"dxai: {name} has failed.", err=True)
        try:
            with one_message():
                raise error
        except SystemExit as stop:
            codes.append(stop.code)
    if failed:
        click.echo(f"dxai: {len(failed)} of {jobs} jobs have failed; the others' runs are kept.", err=True)
        raise SystemExit(codes[0])


def _trained(settings: RunSettings, folder: Path, name: str = "", *, resume: bool = False) -> str:
    """Train and evaluate; what there is to tell of it."""
    _choose_kernels(settings)
    with _no_empty_folder(folder):
        from dxai.config.compose import find_checkout
        from dxai.evaluate import evaluate as evaluate_run
        from dxai.record.cost import cost_recorded
        from dxai.record.progress import console, fit_bar
        from dxai.train import train as train_run

        checkout = find_checkout()
        with fit_bar(name) as bar, cost_recorded(folder, resume=resume):
            job = job_of(settings, folder, checkout)
            run = train_run(settings, folder / "train", checkout, bar, resume=resume, job=job)
        with nullcontext() if name else console.status("scores and report"):
            evaluation = evaluate_run(run, folder / "evaluate", checkout)
    return (
        f"{evaluation.report.verdict.sentence}\n  report: {short(evaluation.folder / 'report.html')}\n"
        f"  next:   dxai release {short(folder)} --to models/{settings.release.bundle}"
    )


def _choose_kernels(settings: RunSettings) -> None:
    if settings.arithmetic == "native":
        make_native()


@click.command(cls=Verb)
@click.argument("run", type=FOLDER)
def evaluate(run: Path) -> None:
    """Score a run again and rewrite its report.

    RUN is the folder that `dxai train` printed, or the folder of several runs: the latest of them.
    """
    need_training_extra()
    run = _run_in(run)
    from dxai.config.compose import find_checkout
    from dxai.evaluate import evaluate as evaluate_run
    from dxai.record.progress import console
    from dxai.record.runs import Run

    with console.status("scores and report"):
        evaluation = evaluate_run(Run(run / "train"), run / "evaluate", find_checkout())
    click.echo(f"{evaluation.report.verdict.sentence}\n  report: {short(evaluation.folder / 'report.html')}")


@click.command(cls=Verb)
@click.argument("run", type=FOLDER)
@click.option(
    "--to", "folder", type=FOLDER, required=True, help="Folder of the bundle, such as models/concrete-strength."
)
def release(run: Path, folder: Path) -> None:
    """Export an evaluated RUN as a bundle: one ONNX file, card, contract, golden rows.

    RUN is the folder that `dxai train` printed, or the folder of several runs: the latest of them.
    """
    need_training_extra()
    run = _run_in(run)
    from dxai.config.compose import find_checkout
    from dxai.record.progress import console
    from dxai.record.runs import Run
    from dxai.release import release as release_run

    with console.status("export and parity check"):
        bundle = release_run(Run(run / "train"), run / "evaluate", folder, find_checkout())
    name, version = bundle.manifest.name, bundle.manifest.version
    click.echo(f"Released {name} {version}\n  try:    dxai inspect {short(folder)} --unsigned")


def need_training_extra() -> None:
    """Refuse the base install; before torch is imported, ask for one thread and for portable kernels."""
    from importlib.util import find_spec

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    make_portable()
    missing = [name for name in ("hydra", "lightning", "mlflow", "onnx", "torch") if find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"This is the base install: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not here.",
            where=sys.prefix,
            fix='In a checkout: `make install`, or pip install -c constraints.txt -e ".[train]".',
        )


def _run_in(folder: Path) -> Path:
    """The run that a folder is, or the latest in it; told at once, before heavy imports, that there is none."""
    if (folder / "train" / "run.json").is_file():
        return folder
    if runs := [file.parents[1] for file in folder.glob("*/train/run.json")]:
        latest = max(runs, key=lambda run: (run / "train" / "run.json").stat().st_mtime_ns)
        click.echo(f"latest of {len(runs)}: {short(latest)}" if len(runs) > 1 else f"run: {short(latest)}", err=True)
        return latest
    raise NotFoundError(
        "This is not the folder of a finished run: train/run.json is missing.",
        where=str(folder),
        fix="Name the folder that `dxai train` printed at its end, such as runs/NAME/DATE; runs/NAME is its latest.",
    )


@contextmanager
def _no_empty_folder(folder: Path) -> Iterator[None]:
    """Hydra makes a run's folder before the run: take it away again when nothing came of the run."""
    try:
        yield
    finally:
        for empty in (folder, folder.parent, folder.parent.parent):
            with suppress(OSError):
                empty.rmdir()
