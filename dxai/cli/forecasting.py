"""`dxai forecast`: own series forecast without a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from dxai.cli.options import FILE, TABLE, Verb, place_options
from dxai.cli.running import STANDARD

if TYPE_CHECKING:
    from dxai.contract import Frequency


@click.command(cls=Verb)
@click.argument("file", type=TABLE)
@click.option("-o", "--output", type=FILE, required=True, help="CSV or Parquet file, or - for standard output.")
@click.option("--series", multiple=True, help="Column that names a series; again for each of several.")
@click.option("--time", default="", help="Column of the dates.")
@click.option("--value", default="", help="Column to forecast.")
@click.option(
    "--horizon", type=click.IntRange(1),
    help="Steps ahead. [default: 24 hours, 14 days, 13 weeks, 12 months, 4 quarters or 4 years]",
)  # fmt: skip
@click.option(
    "--frequency",
    type=click.Choice(["auto", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly"]),
    default="auto", show_default=True,
    help="Of the steps; auto: as the dates say.",
)  # fmt: skip
@click.option("--aggregate", type=click.Choice(["sum", "mean"]), help="How rows within one step become one value.")
@click.option("--report", type=TABLE, help="HTML report to write: fan charts and the back-test.")
@click.option("--language", type=click.Choice(["en", "ko"]), default="en", show_default=True, help="Of the report.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of ONNX Runtime.")
@place_options
def forecast(
    file: Path, output: Path, series: tuple[str, ...], time: str, value: str, horizon: int | None,
    frequency: Frequency | Literal["auto"], aggregate: Literal["sum", "mean"] | None,
    report: Path | None, language: Literal["en", "ko"], threads: int, sheet: str, header_row: int | None,
    encoding: str,
) -> None:  # fmt: skip
    """Forecast the series of a FILE (CSV, Excel, Parquet) from their own history: no model, no training.

    FILE has a row per series and date, or a column per date. Hours, days, weeks, months, quarters and years are
    forecast; shorter steps are added up to longer ones. Columns that are not named are guessed, and every guess is
    told. Gaps are missing values, not 0. The answer holds mean, median (q50) and quantiles of every step ahead; a
    back-test says how good it is.
    """
    from dxai.data.output import write_table
    from dxai.data.recognise import Given, recognise
    from dxai.data.tables import read_blocks
    from dxai.forecaster.columns import Wanted
    from dxai.forecaster.forecast import Forecast
    from dxai.inference.rowbar import row_bar, series_bar

    def say(line: str) -> None:
        click.echo(line, err=output == STANDARD)

    found = recognise(file, Given(sheet, header_row or 0, encoding))
    if found.line:
        say(found.line)
    with row_bar(file) as counted:
        made = Forecast(
            counted(read_blocks(file, found.dialect)), Wanted(series, time, value), horizon=horizon or 0,
            frequency=frequency, aggregate=aggregate or "", where=str(file), first_row=found.dialect.first_row,
            threads=threads,
        )  # fmt: skip
    for line in made.said:
        say(line)
    with series_bar(len(made.histories), per_row=made.horizon) as counted:
        write_table(counted(made.blocks()), output)
    tested = made.back_test()
    for line in tested.sentences:
        say(line)
    say(f"{len(made.histories) * made.horizon:,} rows written to {'standard output' if output == STANDARD else output}")
    if report:
        from dxai.forecaster.report import write_report

        write_report(made, tested, report, language=language, name=file.name)
        say(f"report: {report}")
