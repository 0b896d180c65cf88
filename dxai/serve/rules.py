"""The contract's rules for tensors: what the table reader checks on cells, checked on arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from dxai.contract import Column, Contract
from dxai.contract.signature import last_of, signature_of
from dxai.data.steps import units_of_a_day
from dxai.serve.refusal import Refusal
from dxai.serve.tensors import Array

_FLOAT = np.finfo(np.float32)
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""0001-01-01 and 9999-12-31, counted from 1970-01-01."""


class Rules:
    """Rules for the inputs of one model's graph."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._of_rows = signature_of(contract).grain == "rows"
        self._numbers = contract.numbers if self._of_rows else (contract.target,)
        self._lowest = _bounds((c.minimum for c in self._numbers), float(_FLOAT.min))
        self._highest = _bounds((c.maximum for c in self._numbers), float(_FLOAT.max))
        self._required = np.array([c.required for c in self._numbers])[:, None]

    def refuse_breach(self, inputs: Mapping[str, Array]) -> None:
        """Return when the arrays keep the contract.

        Raises:
            Refusal: Names every tensor that does not, its first bad row (counted from 0) and the rule, never the value.
        """
        breaches = self._in_columns(inputs) if self._of_rows else self._in_histories(inputs)
        if told := " ".join(breaches):
            raise Refusal(400, told)

    def _in_columns(self, inputs: Mapping[str, Array]) -> Iterable[str]:
        if self._numbers:
            values = np.stack([inputs[c.name] for c in self._numbers])
            kept = (values >= self._lowest) & (values <= self._highest) | (np.isnan(values) & ~self._required)
            if not kept.all():
                yield from (
                    _told(c.name, ~k, _rule(c, missing=bool(np.isnan(v[~k][0]))))
                    for c, v, k in zip(self._numbers, values, kept, strict=True)
                    if not k.all()
                )
        for column in self.contract.categories:
            missing: NDArray[np.bool_] = inputs[column.name] == ""
            if column.required and missing.any():
                yield _told(column.name, missing, "must have a value")

    def _in_histories(self, inputs: Mapping[str, Array]) -> Iterable[str]:
        history: NDArray[np.float32] = inputs["history"]
        name, units = last_of(self.contract), units_of_a_day(self.contract.frequency)
        last: NDArray[np.int64] = inputs[name]
        missing = np.isnan(history)
        kept: NDArray[np.bool_] = np.all((history >= self._lowest) & (history <= self._highest) | missing, axis=1)
        short: NDArray[np.bool_] = np.count_nonzero(~missing, axis=1) < self.contract.minimum_history
        no_date = (last < _FIRST_DAY * units) | (last >= (_LAST_DAY + 1) * units)
        if not kept.all():
            yield _told("history", ~kept, _rule(self.contract.target, missing=False))
        if short.any():
            yield _told("history", short, f"must have {self.contract.minimum_history} known steps")
        if no_date.any():
            yield _told(name, no_date, f"must be the {name[5:]} of the last step, counted from 1970-01-01")
        for column in self.contract.covariates:
            yield from self._beside(column, inputs[column.name], history.shape[1])

    def _beside(self, column: Column, values: Array, steps: int) -> Iterable[str]:
        """A covariate: within its range, as long as the history, and whole where it is known ahead."""
        missing: NDArray[np.bool_] = np.isnan(values) if column.kind == "number" else values == ""
        if column.kind == "number":
            low, high = _bounds([column.minimum], float(_FLOAT.min)), _bounds([column.maximum], float(_FLOAT.max))
            stray = ~missing & ((values < low.item()) | (values > high.item()))
            if stray.any():
                yield _told(column.name, _rows_of(stray), _rule(column, missing=False))
        if column not in self.contract.ahead:
            return
        horizon = self.contract.horizon
        if values.shape[1] != steps + horizon:
            yield f"Input {column.name!r} must have the {steps} steps of the history and {horizon} ahead."
        elif missing[:, -horizon:].any():
            yield _told(
                column.name, _rows_of(missing[:, -horizon:]), f"must have a value at each of the {horizon} steps ahead"
            )


def _rows_of(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The rows ``[rows]`` with a mark."""
    found: NDArray[np.bool_] = np.any(marked.reshape(len(marked), -1), axis=1)
    return found


def _bounds(limits: Iterable[float | None], otherwise: float) -> NDArray[np.float32]:
    """``[columns, 1]``, as float32: a limit is held against a value that went through float32 as well."""
    return np.array([otherwise if limit is None else limit for limit in limits], dtype=np.float32)[:, None]


def _rule(column: Column, *, missing: bool) -> str:
    if missing:
        return "must have a value"
    unit = "" if column.unit == "1" else f" {column.unit}"
    lowest = [] if column.minimum is None else [f"at least {column.minimum:g}{unit}"]
    highest = [] if column.maximum is None else [f"at most {column.maximum:g}{unit}"]
    limits = " and ".join([*lowest, *highest])
    return "must be a finite number" + (f", {limits}" if limits else "")


def _told(name: str, broken: NDArray[np.bool_], rule: str) -> str:
    rows = np.flatnonzero(broken)
    others = f" ({len(rows) - 1} more rows break that)" if len(rows) > 1 else ""
    return f"Input {name!r}, row {rows[0]}: {rule}{others}."
