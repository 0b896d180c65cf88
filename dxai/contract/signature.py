"""What a graph of a contract takes and gives, and the columns of its answer: known here, asked everywhere else.

The exporter writes such a graph, the walk holds a file against it, the runtime, the server and the page read it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from dxai.contract.model import Column, Contract

Element = Literal["float", "int64", "string"]
"""Types of elements, as ONNX names them."""

Grain = Literal["rows", "series"]
"""What one answer is made from: a row, or the history of a series."""

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Of the quantiles of every forecast; the first and the last bound the promised interval."""

COVERAGE = 0.8
"""Share of true values that every interval promises to hold."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of a graph.

    Attributes:
        name: As the graph has it.
        element: Type of its elements.
        shape: Length of each axis, or the name of a free one.
        column: Of the contract, whose values an input holds.
    """

    name: str
    element: Element
    shape: tuple[int | str, ...]
    column: str = ""


@dataclass(frozen=True)
class Answer:
    """One column of an answer.

    Attributes:
        column: Its name.
        output: Of the graph, which it is made of.
        place: On the last axis of that output; None where the column is all of it.
        texts: What its numbers stand for; empty where they are numbers.
    """

    column: str
    output: str
    place: int | None = None
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Signature:
    """Of one contract.

    Attributes:
        grain: What one answer is made from.
        reads: Columns of a table that a prediction needs.
        inputs, outputs: Of the graph, in its order.
        answers: Columns of the answer, in order.
    """

    grain: Grain
    reads: tuple[Column, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    answers: tuple[Answer, ...]

    @property
    def columns(self) -> list[str]:
        """Names of the columns of an answer."""
        return [answer.column for answer in self.answers]

    def texts(self, output: str) -> tuple[str, ...]:
        """What the numbers of an output stand for; empty where they are numbers."""
        return next((a.texts for a in self.answers if a.output == output), ())

    def record(self) -> dict[str, Any]:
        """Grain and answers as JSON takes them: what the program of a page needs to know."""
        return {"grain": self.grain, "answers": [asdict(answer) for answer in self.answers]}


def of_rows(contract: Contract, *names: str, texts: tuple[str, ...] = ()) -> Signature:
    """One float or text per feature in, one float per name out: an answer for every row.

    Args:
        contract: Names the features.
        names: Of the outputs, which are the columns of the answer too.
        texts: What the numbers of the first output stand for.
    """
    elements: dict[str, Element] = {"number": "float", "category": "string"}
    return Signature(
        "rows", contract.features,
        inputs=tuple(Tensor(c.name, elements[c.kind], ("batch",), c.name) for c in contract.features),
        outputs=tuple(Tensor(name, "float", ("batch",)) for name in names),
        answers=tuple(Answer(name, name, texts=() if i else texts) for i, name in enumerate(names)),
    )  # fmt: skip


def of_number(contract: Contract) -> Signature:
    """The prediction and its interval."""
    return of_rows(contract, *(f"{contract.target.name}_{part}" for part in ("predicted", "lower", "upper")))


def of_classes(contract: Contract) -> Signature:
    """The class and the probability of each; one is named like its class where all are ASCII words that differ.

    No column of the contract is named like an answer.
    """
    classes = contract.classes
    words = [re.sub("[^a-z0-9]+", "_", text.lower()).strip("_") for text in classes]
    plain = all(words) and len(set(words)) == len(words) and all(text.isascii() for text in classes)
    parts = ["predicted", *(f"p_{word if plain else i}" for i, word in enumerate(words))]
    return of_rows(contract, *(f"{contract.target.name}_{part}" for part in parts), texts=classes)


def last_of(contract: Contract) -> Literal["last_day", "last_hour"]:
    """Name of the input that says when each history ends, by what it counts since 1970-01-01."""
    return "last_hour" if contract.frequency == "hourly" else "last_day"


def of_histories(contract: Contract) -> Signature:
    """The past of a series and what is known beside it in; mean, interval and quantiles of every step ahead out.

    Of a column that is known ahead the last values are those of the steps ahead, as many as the horizon has; those
    before them, like all values of a column of the past, stand at the steps of the history.
    """
    target, steps = contract.target.name, ("series", contract.horizon)
    elements: dict[str, Element] = {"number": "float", "category": "string"}
    axes = {"known_future": ("series", "steps"), "open": ("series", "steps")}
    axes |= {"past": ("series", "context"), "available": ("series", "context")}
    quantiles = [Answer(f"{target}_q{round(100 * level)}", "quantiles", i) for i, level in enumerate(LEVELS)]
    return Signature(
        "series", tuple(c for c in contract.columns if c.role != "ignore"),
        inputs=(
            Tensor("history", "float", ("series", "context"), target),
            Tensor(last_of(contract), "int64", ("series",), contract.only("time").name),
            *(Tensor(c.name, elements[c.kind], axes.get(c.role, ("series",)), c.name) for c in contract.covariates),
        ),
        outputs=(
            Tensor("quantiles", "float", (*steps, len(LEVELS))),
            *(Tensor(name, "float", steps) for name in ("mean", "lower", "upper")),
        ),
        answers=(*(Answer(f"{target}_{name}", name) for name in ("mean", "lower", "upper")), *quantiles),
    )  # fmt: skip


SIGNATURES: dict[str, Callable[[Contract], Signature]] = {
    "regression": of_number,
    "classes": of_classes,
    "demand": of_histories,
}
"""By kind of prediction."""


def signature_of(contract: Contract) -> Signature:
    """The signature of a contract's graphs."""
    return SIGNATURES[contract.family](contract)
