"""The codec: a checked frame to a graph's named arrays, and its outputs to a frame; one in training and in serving."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.contract import Contract
from dxai.contract.signature import Grain, last_of, signature_of
from dxai.data.plans import planned
from dxai.data.steps import dates_of, moments, shifted
from dxai.data.windows import Panel, named, naming, refuse_short, to_panel
from dxai.errors import DataError

Arrays = dict[str, NDArray[Any]]
"""By the name of a graph's input: float32 with NaN for missing, text with ``""`` for missing, int64 days or hours."""

_CONTEXT = 10_000

Outputs = Mapping[str, NDArray[np.float32]]
"""By the name of a graph's output."""


@dataclass(frozen=True)
class Batch:
    """Inputs of a graph, and what they are of.

    Attributes:
        arrays: First axis: cases, which are rows or series.
        cases: One row per case: of a series its name and the day or hour of its last step, of a row nothing.
        count: Number of cases.
    """

    arrays: Arrays
    cases: pl.DataFrame
    count: int

    def slices(self, most: int) -> Iterator[Batch]:
        """Parts of at most so many cases."""
        for first in range(0, self.count, most):
            arrays = {name: array[first : first + most] for name, array in self.arrays.items()}
            yield Batch(arrays, self.cases.slice(first, most), min(most, self.count - first))


class Codec(ABC):
    """Frames to arrays and back, by the contract's signature."""

    def __init__(self, contract: Contract) -> None:
        self.contract, self.signature = contract, signature_of(contract)

    @abstractmethod
    def encode(self, frame: pl.DataFrame, where: str = "the table", *, carry_forward: bool = False) -> Batch:
        """Typed rows, the columns under the contract's ids, to a batch; ``carry_forward`` as in `planned`."""

    @abstractmethod
    def cells(self, frame: pl.DataFrame) -> int:
        """About how many numbers the batch of a frame holds."""

    @abstractmethod
    def keys(self, batch: Batch) -> dict[str, pl.Series]:
        """Columns of an answer that say what each of its rows is of."""

    def decode(self, outputs: Outputs, batch: Batch) -> pl.DataFrame:
        """Outputs for a batch to the columns of an answer, keys first; a class by its text."""
        made = self.keys(batch)
        for answer in self.signature.answers:
            values = outputs[answer.output] if answer.place is None else outputs[answer.output][..., answer.place]
            column = pl.Series(answer.column, values.ravel())
            made[answer.column] = self.texts(column, answer.texts) if answer.texts else column
        return pl.DataFrame(made)

    @staticmethod
    def texts(numbers: pl.Series, texts: tuple[str, ...]) -> pl.Series:
        """Texts by their numbers, as a graph gives them; null for a number without one."""
        known = [float(i) for i in range(len(texts))]
        return numbers.replace_strict(known, texts, default=None, return_dtype=pl.String)

    def outputs(self, table: pl.DataFrame) -> dict[str, NDArray[np.float32]]:
        """The outputs that `decode` made these columns of."""
        for answer in (a for a in self.signature.answers if a.texts):
            numbers = pl.col(answer.column).replace_strict(answer.texts, range(len(answer.texts)))
            table = table.with_columns(numbers)
        found = {}
        for tensor in self.signature.outputs:
            columns = [a.column for a in self.signature.answers if a.output == tensor.name]
            values = table.select(pl.col(columns).cast(pl.Float32)).to_numpy()
            found[tensor.name] = values.reshape(-1, *(int(size) for size in tensor.shape[1:]))
        return found


class RowCodec(Codec):
    """One case per row."""

    def encode(self, frame: pl.DataFrame, where: str = "the table", *, carry_forward: bool = False) -> Batch:  # noqa: ARG002
        """One array ``[rows]`` per feature."""
        arrays: Arrays = {
            column.name: (
                frame[column.name].fill_null(float("nan")).to_numpy().astype(np.float32)
                if column.kind == "number"
                else frame[column.name].fill_null("").to_numpy().astype(object)
            )
            for column in self.contract.features
        }
        return Batch(arrays, pl.DataFrame(), len(frame))

    def cells(self, frame: pl.DataFrame) -> int:
        """All of them."""
        return frame.height * frame.width

    def keys(self, batch: Batch) -> dict[str, pl.Series]:  # noqa: ARG002
        """None: the rows of the answer stand beside those of the table."""
        return {}


class SeriesCodec(Codec):
    """One case per series.

    Args of the constructor: the contract, and the steps of history that the graph looks at.

    Raises:
        DataError: They are none, or too many.
    """

    def __init__(self, contract: Contract, context: int) -> None:
        super().__init__(contract)
        if not 1 <= context <= _CONTEXT:
            raise DataError(f"A forecast looks at 1 to {_CONTEXT:,} steps of history, however this one at {context}.")
        self.context = context

    def encode(self, frame: pl.DataFrame, where: str = "the table", *, carry_forward: bool = False) -> Batch:
        """Long rows (series, time, target, covariates) to a batch.

        Raises:
            DataError: As `to_panel` and, where columns are known ahead, as `planned`.
        """
        if not self.contract.ahead:
            return self.encode_panel(to_panel(frame, self.contract, where=where))
        frame, asked = planned(frame, self.contract, where=where, carry_forward=carry_forward)
        relaxed = self.contract.model_copy(update={"minimum_history": 0})
        whole = to_panel(frame, relaxed, where=where)  # of all series: they end together
        panel = whole.only(np.isin(np.array(whole.ids), asked))
        refuse_short(panel, self.contract, where)
        return self.encode_panel(panel)

    def encode_panel(self, panel: Panel) -> Batch:
        """Histories ``[series, context]`` and the days or hours of their last steps ``[series]``."""
        ids, last = pl.Series("series", panel.ids, dtype=pl.String), pl.Series("last", panel.last)
        arrays: Arrays = {"history": panel.history(self.context), last_of(self.contract): panel.last}
        for column in self.contract.covariates:
            values = panel.covariate(column, self.context, self.contract.horizon)
            texts = np.array([*column.categories, ""], dtype=object)
            arrays[column.name] = values if column.kind == "number" else texts[values]
        return Batch(arrays, pl.DataFrame([ids, last]), len(ids))

    def cells(self, frame: pl.DataFrame) -> int:
        """Series times days or hours, of which a panel has no more steps."""
        assert self.contract.frequency is not None  # checked when the contract was read
        found = moments(frame[self.contract.only("time").name], self.contract.frequency)
        span = int(found.max()) - int(found.min())  # type: ignore[arg-type]
        series = frame.select(naming(self.contract).n_unique()).item()
        return int(series) * max(span, self.context) * (1 + len(self.contract.covariates))

    def keys(self, batch: Batch) -> dict[str, pl.Series]:
        """Series and date of every step ahead."""
        contract, horizon = self.contract, self.contract.horizon
        assert contract.frequency is not None  # checked when the contract was read
        last = batch.cases["last"]
        ahead = {m: [shifted(m, s, contract.frequency) for s in range(1, horizon + 1)] for m in set(last.to_list())}
        time = contract.only("time").name
        ids = batch.cases["series"].gather(np.repeat(np.arange(batch.count), horizon))
        steps = pl.Series(time, [step for moment in last.to_list() for step in ahead[moment]], dtype=pl.Int64)
        return {part.name: part for part in named(ids, contract)} | {time: dates_of(steps, contract.frequency)}


CODECS: dict[Grain, Callable[[Contract, int], Codec]] = {
    "rows": lambda contract, _: RowCodec(contract),
    "series": SeriesCodec,
}


def codec_of(contract: Contract, context: int = 0) -> Codec:
    """The codec of a contract's graphs.

    Args:
        contract: Of the rows.
        context: Steps of history that the graph looks at; 0 where it takes rows.
    """
    return CODECS[signature_of(contract).grain](contract, context)


def target_array(frame: pl.DataFrame, contract: Contract) -> NDArray[np.float32]:
    """The target ``[rows]`` in the contract's unit."""
    return frame[contract.target.name].to_numpy().astype(np.float32)


def class_array(frame: pl.DataFrame, contract: Contract) -> NDArray[np.int64]:
    """The target's classes ``[rows]`` by their number in `Contract.classes`.

    Raises:
        DataError: A row has none of the classes.
    """
    name, classes = contract.target.name, contract.classes
    numbers = frame[name].replace_strict(classes, range(len(classes)), default=None, return_dtype=pl.Int64)
    strange = frame[name].filter(numbers.is_null())
    if len(strange):
        raise DataError(
            f"{len(strange):,} rows of the target {name!r} have no class, such as {strange[0]!r}.",
            where=name, fix=f"Leave these rows out, or add their class to the contract: {', '.join(classes)}.",
        )  # fmt: skip
    return numbers.to_numpy()
