"""dxai in Python: `load` a model, `predict` a frame, or `forecast` series without a model."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import numpy as np
import polars as pl

from dxai.bundle.folder import Bundle
from dxai.bundle.signing import read_public_key, verify
from dxai.catalog.store import Store, open_bundle
from dxai.contract import Contract, Frequency
from dxai.inference.loader import load_model
from dxai.inference.model import Model
from dxai.inference.predict import Counts, OnBadRows, Prediction


class UnseenCategoryWarning(UserWarning):
    """Rows hold a category that the model never saw: their predictions are less sure."""


Rows = TypeVar("Rows")
"""A polars frame, a pandas frame, or a mapping of names to arrays."""


def open_verified(name: str | Path, *, key: Path | None = None, unsigned: bool = False) -> Bundle:
    """The bundle of a pulled model or in a folder, every byte and its signature verified.

    Args:
        name: ``NAME``, ``NAME@VERSION`` or a folder.
        key: Public key that must have signed it; without it the trust root of this installation and those of the
            catalogs that were read here.
        unsigned: Take a bundle that nobody signed.

    Raises:
        NotFoundError, IntegrityError, TrustError: As their sentences say.
    """
    store = Store()
    bundle = open_bundle(store, str(name))
    if key or not unsigned or bundle.signature is not None:
        verify(bundle, read_public_key(key) if key else store.trusted_keys())
    return bundle


def load(name: str | Path, *, key: Path | None = None, unsigned: bool = False, threads: int = 1) -> LoadedModel:
    """A model ready to predict; the first load on a machine tries it in a child process with limits.

    Args:
        name: ``NAME``, ``NAME@VERSION`` or a folder.
        key: Public key that must have signed it.
        unsigned: Take a bundle that nobody signed.
        threads: Of ONNX Runtime.

    Raises:
        NotFoundError, IntegrityError, TrustError: As `open_verified`.
        ModelError: The graph is not one that may be run.
    """
    bundle = open_verified(name, key=key, unsigned=unsigned)
    return LoadedModel(bundle, load_model(bundle, threads=threads, checked=Store().checked))


class LoadedModel:
    """A verified and checked model.

    Attributes:
        name, version: Of the model.
        contract: Columns, units, ranges, horizon.
        counts: Rows read, bad, imputed and outside the training range in the last prediction, columns converted.
    """

    def __init__(self, bundle: Bundle, model: Model) -> None:
        self.bundle, self.model = bundle, model
        self.name, self.version = bundle.manifest.name, bundle.manifest.version
        self.counts = Counts()

    @property
    def contract(self) -> Contract:
        """What the rows must look like."""
        return self.model.contract

    def predict(
        self, rows: Rows, *, ahead: Rows | None = None, on_bad_rows: OnBadRows = "stop", convert_units: bool = False,
        carry_forward: bool = False, service_level: float | None = None, lead_time: int = 0, levels: bool = False,
    ) -> Rows:  # fmt: skip
        """Predictions beside the rows' own columns (quality), or the steps that follow the histories (demand).

        Args:
            rows: A polars or pandas frame, or a mapping of column names to arrays, columns by id or title. NaN and
                None are missing values.
            ahead: What is known of the steps to forecast, such as prices and promotions, where ``rows`` does not hold
                it after the history.
            on_bad_rows: ``stop``, ``skip`` or ``flag``, as in `dxai predict`.
            convert_units: Whether numbers under a name with another unit, such as ``temp (℉)``, are converted.
            carry_forward: Whether what is missing of the steps to forecast is each column's last known value.
            service_level: Of demand: give one row per series with the quantity that covers all steps with this
                probability, in place of the steps.
            lead_time: Steps that such a quantity covers; 0: all.
            levels: Of demand with a hierarchy: give the sums of every level, which add up, in place of the steps.

        Returns:
            The same kind of table; a pandas frame keeps its index where every row keeps its place.

        Raises:
            DataError: Rows break the contract; all problems in one message.
        """
        prediction = Prediction(
            self.model, self.bundle.profile, on_bad_rows=on_bad_rows, convert_units=convert_units,
            carry_forward=carry_forward,
        )  # fmt: skip
        blocks = prediction.blocks([_frame(rows)], None if ahead is None else [_frame(ahead)])
        if service_level is not None:
            blocks = prediction.orders(blocks, service_level, lead_time, self.bundle.metrics)
        if levels:
            from dxai.forecaster.yardstick import expert_bounds

            _, answer = prediction.levels(blocks, self.bundle.metrics, expert_bounds)
        else:
            answer = pl.concat(list(blocks))
        self.counts = prediction.counts
        for (column, value), count in prediction.unseen.most_common(5):
            told = f"{count:,} rows have {value!r} in {column!r}, which the model never saw."
            warnings.warn(told, UnseenCategoryWarning, stacklevel=2)
        return cast(Rows, _like(rows, answer))


class ForecastWarning(UserWarning):
    """Values were changed before they were forecast: added up to longer steps, or left out."""


def forecast(
    rows: Rows, *, series: str | Sequence[str] = (), time: str = "", value: str = "", horizon: int = 0,
    frequency: Frequency | Literal["auto"] = "auto", aggregate: Literal["", "sum", "mean"] = "",
) -> Rows:  # fmt: skip
    """Forecasts of own series from their history alone, without a model: `dxai forecast` in Python.

    Args:
        rows: A polars or pandas frame, or a mapping of column names to arrays: a row per series and date, or a column
            per date. Gaps are missing values, not 0.
        series: Columns that together name a series; without them the text columns that are needed.
        time: Column of the dates; without it the only one that fits.
        value: Column of what is forecast; without it the only one that fits.
        horizon: Steps ahead; 0: 24 hours, 14 days, 13 weeks, 12 months, 4 quarters or 4 years.
        frequency: Of the steps; ``auto``: as the dates say. Shorter steps are added up, with a `ForecastWarning`.
        aggregate: How rows within one step become one value.

    Returns:
        The same kind of table: series, time, ``VALUE_mean``, and quantiles in order from ``VALUE_q2.5`` to
        ``VALUE_q97.5``; ``VALUE_q50`` is the median. What was guessed goes to the log of ``dxai.forecast``.

    Raises:
        NotFoundError: A named column is not there.
        SettingsError: A column or a frequency cannot be guessed, or the horizon is too long.
        DataError: Dates or values cannot be read, or a series has two values in one step.
    """
    from dxai.forecaster.columns import Wanted
    from dxai.forecaster.forecast import Forecast

    names = (series,) if isinstance(series, str) and series else tuple(series)
    made = Forecast(
        [_frame(rows)], Wanted(names, time, value), horizon=horizon, frequency=frequency, aggregate=aggregate
    )
    for line in made.said:
        logging.getLogger("dxai.forecast").info(line)
    if made.histories.changed:
        warnings.warn("; ".join(made.histories.changed), ForecastWarning, stacklevel=2)
    return cast(Rows, _like(rows, pl.concat(list(made.blocks()))))


def _frame(rows: Any) -> pl.DataFrame:
    """Any kind of table as a polars frame, without pyarrow."""
    if isinstance(rows, pl.DataFrame):
        return rows
    if isinstance(rows, Mapping):
        return pl.DataFrame({str(name): _column(values) for name, values in rows.items()})
    if _is_pandas(rows):
        return pl.DataFrame({str(name): _column(rows[name].to_numpy()) for name in rows.columns})
    raise TypeError(f"rows must be a polars or pandas frame or a mapping of arrays, however: {type(rows).__name__}")


def _column(values: Any) -> pl.Series:
    array = np.asarray(values)
    if array.dtype == object:  # None and NaN stand for missing text
        return pl.Series([None if _is_gap(value) else value for value in array.tolist()], strict=False)
    return pl.Series(array.astype("datetime64[us]") if array.dtype.kind == "M" else array)


def _is_gap(value: Any) -> bool:
    """None, NaN, and what pandas calls NA and NaT."""
    nan = isinstance(value, float) and value != value
    return nan or value is None or type(value).__name__ in ("NAType", "NaTType")


def _like(rows: Any, answer: pl.DataFrame) -> Any:
    if isinstance(rows, pl.DataFrame):
        return answer
    arrays = {name: answer[name].to_numpy() for name in answer.columns}
    if isinstance(rows, Mapping):
        return arrays
    if len(answer) == len(rows) and set(rows.columns) <= set(arrays):
        return rows.assign(**{name: values for name, values in arrays.items() if name not in rows.columns})
    return type(rows)(arrays)


def _is_pandas(rows: Any) -> bool:
    return type(rows).__module__.partition(".")[0] == "pandas"
