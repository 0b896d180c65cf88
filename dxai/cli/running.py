"""Verbs of a member firm that runs a model: check, predict, serve."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from dxai.cli.options import FILE, Verb, complete_model, trust_options

if TYPE_CHECKING:
    from dxai.inference.predict import Prediction

STANDARD = Path("-")
_UNSEEN = 5
"""Values told that a model never saw."""

_convert_units = click.option(
    "--convert-units", is_flag=True,
    help="Convert numbers whose header names another unit of the same quantity; without it such a table is refused.",
)  # fmt: skip


@click.command(cls=Verb)
@click.argument("model", shell_complete=complete_model)
@click.argument("rows", type=FILE)
@click.option(
    "-o", "--output", type=FILE, required=True, help="CSV or Parquet file (by its suffix), or - for standard output."
)
@click.option(
    "--on-bad-rows", type=click.Choice(["stop", "skip", "flag"]), default="stop", show_default=True,
    help="Rows that break the contract: refuse the file, leave them out, or keep them and say why.",
)  # fmt: skip
@click.option(
    "--ahead",
    type=FILE,
    help="Demand: file of what is known of the steps to forecast (prices, promotions), where ROWS does not hold it.",
)
@click.option(
    "--carry-forward",
    is_flag=True,
    help="Demand: where that is missing, take each column's last known value; without it such a table is refused.",
)
@click.option(
    "--service-level",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Demand: write per series the quantity that covers all steps with this probability, such as 0.95.",
)
@click.option("--lead-time", type=click.IntRange(1), help="Steps that such a quantity covers. [default: all]")
@click.option(
    "--levels", type=FILE,
    help="Demand by a contract with a hierarchy: also write the sums of every level, from the total to the series, to "
    "this CSV or Parquet file. Its means add up to the last digit; the interval of a sum is an approximation, by how "
    "much the errors of series went together in the model's held-out steps.",
)  # fmt: skip
@_convert_units
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of ONNX Runtime.")
@trust_options
def predict(
    model: str, rows: Path, output: Path, on_bad_rows: Literal["stop", "skip", "flag"], ahead: Path | None,
    carry_forward: bool, service_level: float | None, lead_time: int | None, levels: Path | None,
    convert_units: bool, threads: int, key: Path | None, unsigned: bool,
) -> None:  # fmt: skip
    """Predict the ROWS of a CSV, Excel or Parquet file (- for standard input) with a MODEL.

    MODEL is a pulled model (NAME or NAME@VERSION) or the folder of a bundle. Quality: every row keeps its own columns
    and gets a prediction with its interval, or a class with the probability of every class. Demand: ROWS is a long
    table of series, date and value; the answer holds the next steps of every series. Where the model knows prices or
    promotions, rows of the steps to forecast follow the history, without a value of the target. Columns go by their
    ids, English or Korean titles.
    """
    from dxai.api import load
    from dxai.data.output import write_table
    from dxai.data.tables import read_blocks
    from dxai.inference.predict import Prediction
    from dxai.inference.rowbar import row_bar

    loaded = load(model, key=key, unsigned=unsigned, threads=threads)
    where = "standard input" if rows == STANDARD else str(rows)
    prediction = Prediction(
        loaded.model, loaded.bundle.profile, where=where, on_bad_rows=on_bad_rows, convert_units=convert_units,
        carry_forward=carry_forward,
    )  # fmt: skip
    with _as_file(rows) as path, row_bar(path) as counted:
        plan = None if ahead is None else read_blocks(ahead)
        answer = prediction.blocks(counted(read_blocks(path)), plan)
        if loaded.contract.series:
            answer = counted.forecasts(answer, lambda: prediction.series, per_row=loaded.contract.horizon)
        if levels is not None:
            from dxai.forecaster.yardstick import expert_bounds

            whole, sums = prediction.levels(answer, loaded.bundle.metrics, expert_bounds)
            write_table([sums], levels)
            answer = iter([whole])
        if service_level is not None:
            answer = prediction.orders(answer, service_level, lead_time or 0, loaded.bundle.metrics)
        write_table(answer, output)
    for line in _told(prediction, output):
        click.echo(line, err=output == STANDARD)


@click.command(cls=Verb)
@click.argument("model", shell_complete=complete_model)
@click.argument("rows", type=FILE)
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), help="HTML report to write. [default: ROWS-check.html]"
)
@click.option(
    "--language", type=click.Choice(["en", "ko"]), default="en", show_default=True, help="Of verdict and report."
)
@_convert_units
@trust_options
def check(
    model: str, rows: Path, report: Path | None, language: Literal["en", "ko"], convert_units: bool,
    key: Path | None, unsigned: bool,
) -> None:  # fmt: skip
    """Does this MODEL fit my plant? Hold ROWS against the contract and the training data.

    Gives one verdict (use, use with care, do not use), its reasons and an HTML report. ROWS may hold the measured
    target: then error and interval coverage here, or PR-AUC and calibration of classes, stand beside those of the
    model's card. Exit code 6: do not use.
    """
    from dxai.api import load
    from dxai.data.tables import read_blocks
    from dxai.forecaster.yardstick import experts
    from dxai.inference.fit.check import check_table
    from dxai.inference.fit.record import VERDICTS
    from dxai.inference.fit.report import write_report
    from dxai.inference.rowbar import row_bar

    loaded = load(model, key=key, unsigned=unsigned)
    where = "standard input" if rows == STANDARD else str(rows)
    with _as_file(rows) as path, row_bar(path) as counted:
        result = check_table(
            loaded.bundle, loaded.model, counted(read_blocks(path)), where=where, convert_units=convert_units,
            experts=experts,
        )  # fmt: skip
    target = report or (Path("check.html") if rows == STANDARD else Path(f"{rows.stem}-check.html"))
    write_report(result, target, language=language)
    click.echo(VERDICTS[result.verdict].en if language == "en" else VERDICTS[result.verdict].ko)
    for reason in result.reasons:
        click.echo(f"  - {reason.told(language)}")
    click.echo(f"  report: {target}")
    raise SystemExit(result.exit_code)


@click.command(cls=Verb)
@click.argument("models", nargs=-1, required=True, shell_complete=complete_model)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free port.")
@click.option("--allow-host", multiple=True, help="One more name by which clients call this server.")
@trust_options
def serve(
    models: tuple[str, ...], host: str, port: int, allow_host: tuple[str, ...], key: Path | None, unsigned: bool
) -> None:
    """Serve MODELS over HTTP: Open Inference Protocol V2, CSV in and out, metrics, and pages to try them.

    Ctrl-C or SIGTERM finishes what was accepted, then ends. There are no passwords: before others can reach it, put a
    reverse proxy with them in front.
    """
    from tempfile import TemporaryDirectory

    from dxai.api import load
    from dxai.catalog.index import version_order
    from dxai.catalog.site.build import build_site
    from dxai.serve.served import ServedModel
    from dxai.serve.server import serve as run_server

    loaded = [load(model, key=key, unsigned=unsigned) for model in models]
    newest_first = sorted(loaded, key=lambda each: version_order(each.version), reverse=True)
    shelf = {each.name: [m.bundle for m in newest_first if m.name == each.name] for each in newest_first}
    with TemporaryDirectory(prefix="dxai-pages-") as folder:
        pages = Path(folder) / "site"
        build_site(shelf, pages, wasm=None, served=True)
        if sys.stderr.isatty() and port:
            click.echo(f"open http://{host}:{port} (Ctrl-C ends it)", err=True)
        run_server(
            [ServedModel(each.bundle, each.model) for each in loaded],
            host=host,
            port=port,
            pages=pages,
            hosts=allow_host,
        )


@contextmanager
def _as_file(rows: Path) -> Iterator[Path]:
    """Standard input as a file: it is read twice, once for its encoding."""
    from dxai.data.tables import spooled

    if rows == STANDARD:
        with spooled(sys.stdin.buffer, "standard input") as path:
            yield path
    else:
        yield rows


def _told(prediction: Prediction, output: Path) -> Iterator[str]:
    """What happened to the rows, for a person."""
    counts = prediction.counts
    yield f"{_rows(counts.written)} written to {'standard output' if output == STANDARD else output}"
    units = {column.name: column.unit for column in prediction.model.contract.columns}
    for name in prediction.header.conversions:
        yield f"  column {prediction.header.names[name]!r} converted to {units[name]}"
    if counts.unasked:
        series = "1 series has" if counts.unasked == 1 else f"{counts.unasked:,} series have"
        yield f"  {series} no rows of the steps ahead: not forecast"
    if counts.short:
        needed = f"fewer than the {prediction.model.trained_from} known steps that the model was trained for"
        series = "1 series has" if counts.short == 1 else f"{counts.short:,} series have"
        yield f"  {series} {needed}: forecast by experts without training"
    if counts.imputed:
        yield f"  {_rows(counts.imputed)} with gaps that the model filled in"
    if counts.outside:
        yield f"  {_rows(counts.outside)} outside the range of the training rows: take care with the predictions"
    for (column, value), count in prediction.unseen.most_common(_UNSEEN):
        yield f"  {_rows(count)} with {value!r} in {column!r}, which the model never saw: take care with them"
    if len(prediction.unseen) > _UNSEEN:
        yield f"  … and {len(prediction.unseen) - _UNSEEN:,} more values that it never saw"
    if counts.bad:
        fate = "left out" if prediction.on_bad_rows == "skip" else "kept without a prediction"
        yield f"  {_rows(counts.bad)} {fate}, because the contract is broken: {prediction.problems.told()}"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
