"""The friendly endpoint: a table of rows in, the same table with predictions out, as `dxai predict` writes it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

import polars as pl

from dxai.data.output import TIMES
from dxai.data.tables import read_blocks, spooled
from dxai.errors import DataError, SettingsError
from dxai.inference.predict import OF_SERIES, OnBadRows, Prediction
from dxai.serve.protocol import Answer
from dxai.serve.refusal import Refusal
from dxai.serve.served import ServedModel


@dataclass(frozen=True)
class Order:
    """Quantities that are asked for in place of the steps, as in `Prediction.orders`."""

    service_level: float
    lead_time: int


def predict_table(
    served: ServedModel,
    body: bytes,
    on_bad_rows: OnBadRows,
    most_rows: int,
    *,
    convert_units: bool,
    carry_forward: bool,
    order: Order | None = None,
    as_json: bool,
) -> Answer:
    """Predict the rows of a CSV file.

    Args:
        served: Model.
        body: The file.
        on_bad_rows: As in `Prediction`.
        most_rows: Largest number of rows.
        convert_units: As in `Prediction`.
        carry_forward: As in `Prediction`.
        order: Of a demand model: the answer has the quantities of each series.
        as_json: Whether the answer is a JSON list of rows instead of CSV.

    Raises:
        Refusal: 422 for a table that breaks the contract, with the message of `dxai predict`; 400 for an order that
            the model cannot give.
    """
    if body[:4] in (b"PAR1", b"PK\3\4"):  # they may unpack to a thousand times their size
        raise Refusal(415, "Send the table as CSV. `dxai predict` reads Excel and Parquet files.")
    try:
        with spooled(io.BytesIO(body), "the request") as path:
            prediction = Prediction(
                served.model,
                served.bundle.profile,
                where=str(path),
                on_bad_rows=on_bad_rows,
                convert_units=convert_units,
                carry_forward=carry_forward,
            )
            answer = prediction.blocks(_capped(read_blocks(path), most_rows))
            if order:
                answer = prediction.orders(answer, order.service_level, order.lead_time, served.bundle.metrics)
            table = pl.concat(answer)
    except DataError as error:
        raise Refusal(422, error.message()) from None
    except SettingsError as error:
        raise Refusal(400, f"{error.problem} {error.fix}") from None
    counts = asdict(prediction.counts)
    headers = {"x-dxai-columns-converted": str(counts.pop("converted"))}
    headers |= {f"x-dxai-{'series' if name in OF_SERIES else 'rows'}-{name}": str(n) for name, n in counts.items()}
    out = io.BytesIO()
    if as_json:
        table.write_json(out)
    else:
        table.write_csv(out, datetime_format=TIMES)
    kind = "application/json" if as_json else "text/csv; charset=utf-8"
    return Answer(out.getvalue(), {"content-type": kind, **headers}, counts["read"])


def _capped(blocks: Iterable[pl.DataFrame], most_rows: int) -> Iterator[pl.DataFrame]:
    rows = 0
    for block in blocks:
        rows += len(block)
        if rows > most_rows:
            raise Refusal(413, f"One request may have {most_rows} rows. Split the table, or use `dxai predict`.")
        yield block
