"""Tensors of the Open Inference Protocol: JSON or binary data to arrays and back, nothing cast, nothing guessed.

Source: Open Inference Protocol V2 (kserve/open-inference-protocol, inference_rest.md) and the binary tensor data
extension of Triton: little-endian, row-major; a BYTES element is its length in four bytes, then its bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dxai.contract.signature import Element
from dxai.contract.signature import Tensor as Declared
from dxai.serve.refusal import Refusal

Datatype = Literal["FP32", "INT64", "BYTES"]
Array = NDArray[Any]
"""float32, int64, or text as objects."""

_DATATYPES: dict[Element, Datatype] = {"float": "FP32", "int64": "INT64", "string": "BYTES"}
_LITTLE_ENDIAN: dict[Datatype, np.dtype[Any]] = {"FP32": np.dtype("<f4"), "INT64": np.dtype("<i8")}
_IN_JSON: dict[Datatype, tuple[frozenset[type], str]] = {
    "FP32": (frozenset({int, float, type(None)}), "numbers, or null where a value is missing"),
    "INT64": (frozenset({int}), "whole numbers"),
    "BYTES": (frozenset({str, type(None)}), "texts, or null where a value is missing"),
}


@dataclass(frozen=True)
class Tensor:
    """Name, type and shape of one input or output of a graph; a size that is free has a name instead."""

    name: str
    datatype: Datatype
    shape: tuple[int | str, ...]

    def metadata(self) -> dict[str, Any]:
        """As the protocol tells it: -1 for a free size."""
        shape = [-1 if isinstance(size, str) else size for size in self.shape]
        return {"name": self.name, "datatype": self.datatype, "shape": shape}


def tensors(declared: Iterable[Declared], texts: Collection[str] = ()) -> tuple[Tensor, ...]:
    """Inputs or outputs of a graph; those of ``texts`` are told by the texts that their numbers stand for."""
    return tuple(Tensor(t.name, "BYTES" if t.name in texts else _DATATYPES[t.element], t.shape) for t in declared)


def array_of_json(data: Any, tensor: Tensor, shape: Sequence[int]) -> Array:
    """Flat or nested lists to an array of that shape; null and NaN are missing values.

    Raises:
        Refusal: Another number of values, or another kind.
    """
    values = _flat(data, shape)
    if values is None or len(values) != prod(shape):
        told = f"Input {tensor.name!r}: data and shape {list(shape)} do not agree."
        raise Refusal(400, f"{told} Give the values as one flat list or as nested lists of that shape.")
    kinds, told = _IN_JSON[tensor.datatype]
    if not kinds.issuperset(map(type, values)):
        raise Refusal(400, f"Input {tensor.name!r}: {tensor.datatype} data are {told}.")
    try:
        if tensor.datatype == "BYTES":
            return np.array([value or "" for value in values], dtype=object).reshape(shape)
        return np.array(values, dtype=np.float32 if tensor.datatype == "FP32" else np.int64).reshape(shape)
    except OverflowError:
        raise Refusal(400, f"Input {tensor.name!r}: a number is too large for {tensor.datatype}.") from None


def _flat(data: Any, shape: Sequence[int]) -> list[Any] | None:
    """All values, row by row; None where the data are no list or the lists do not have the shape."""
    if not isinstance(data, list):
        return None
    if not any(isinstance(value, list) for value in data):
        return data
    level = [data]
    for size in shape:
        if not all(isinstance(part, list) and len(part) == size for part in level):
            return None
        level = list(chain.from_iterable(level))
    return level


def array_of_bytes(data: bytes, tensor: Tensor, shape: Sequence[int]) -> Array:
    """Binary data to an array of that shape.

    Raises:
        Refusal: Another number of bytes, or bytes that are no UTF-8 text.
    """
    if tensor.datatype == "BYTES":
        return np.array(_texts(data, tensor, prod(shape)), dtype=object).reshape(shape)
    stored = _LITTLE_ENDIAN[tensor.datatype]
    expected = prod(shape) * stored.itemsize
    if len(data) != expected:
        told = f"{tensor.datatype} of shape {list(shape)} has {expected} bytes, not {len(data)}."
        raise Refusal(400, f"Input {tensor.name!r}: {told}")
    return np.frombuffer(data, stored).astype(stored.newbyteorder("=")).reshape(shape)


def _texts(data: bytes, tensor: Tensor, count: int) -> list[str]:
    texts: list[str] = []
    place = 0
    while place < len(data) and len(texts) < count:
        end = place + 4 + int.from_bytes(data[place : place + 4], "little")
        try:
            texts.append(data[place + 4 : end].decode())
        except UnicodeDecodeError:
            raise Refusal(400, f"Input {tensor.name!r}, row {len(texts)}: the text is not UTF-8.") from None
        place = end
    if len(texts) != count or place != len(data):
        told = f"the binary data are not {count} elements, each its length in four bytes, little-endian, and its bytes."
        raise Refusal(400, f"Input {tensor.name!r}: {told}")
    return texts


def bytes_of(array: Array, tensor: Tensor) -> bytes:
    """The binary data of an output."""
    if tensor.datatype == "BYTES":
        texts = [text.encode() for text in array.ravel()]
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    return array.astype(_LITTLE_ENDIAN[tensor.datatype]).tobytes()
