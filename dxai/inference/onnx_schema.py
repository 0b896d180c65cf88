"""The part of ONNX that a bundle may hold, and a reader that takes nothing else.

A closed schema and a strict reader of the protobuf wire format: what ONNX Runtime's own parser could take differently
(unknown fields, a field given twice, numbers in a longer form than needed) is refused, so that no content is hidden
from the checks. There are no recursive messages, and every field counts against a limit, so that a small file cannot
fill the memory, which parsers that build their messages first cannot promise.

Sources: onnx.proto of ONNX 1.16 (IR version 10); Protocol Buffers, Encoding.
"""

# ruff: noqa: RUF009 (the calls only describe fields)

from __future__ import annotations

import dataclasses
import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from dxai.errors import ModelError

FIELD_LIMIT, TEXT_LIMIT = 250_000, 4 << 20
"""Fields and numbers outside ``raw_data``, and bytes of text; the released models have some 4,000 and 20,000."""

LIST_LIMIT, _WORD = 16_000_000, 6
"""Numbers beyond the first 64 of each list of an attribute, and how many a word counts for: a million nodes' trees."""

Scalar = Literal["int32", "int64", "float", "double", "text", "bytes"]
Message = TypeVar("Message")


def _one(number: int, kind: Scalar | type) -> Any:
    """A field that stands there once at most; None where it does not."""
    return dataclasses.field(default=None, metadata={"number": number, "kind": kind, "repeated": False})


def _many(number: int, kind: Scalar | type) -> Any:
    return dataclasses.field(default_factory=list, metadata={"number": number, "kind": kind, "repeated": True})


@dataclass
class StringStringEntryProto:
    """A word of metadata."""

    key: str | None = _one(1, "text")
    value: str | None = _one(2, "text")


@dataclass
class TensorProto:
    """Weights: ``raw_data``, or the list of their kind."""

    dims: list[int] = _many(1, "int64")
    data_type: int | None = _one(2, "int32")
    float_data: list[float] = _many(4, "float")
    int32_data: list[int] = _many(5, "int32")
    string_data: list[bytes] = _many(6, "bytes")
    int64_data: list[int] = _many(7, "int64")
    name: str | None = _one(8, "text")
    raw_data: bytes | None = _one(9, "bytes")
    double_data: list[float] = _many(10, "double")
    doc_string: str | None = _one(12, "text")
    metadata_props: list[StringStringEntryProto] = _many(16, StringStringEntryProto)


@dataclass
class Dimension:
    """Length of an axis, or the name of a free one."""

    dim_value: int | None = _one(1, "int64")
    dim_param: str | None = _one(2, "text")


@dataclass
class TensorShapeProto:
    """Lengths of all axes."""

    dim: list[Dimension] = _many(1, Dimension)


@dataclass
class TensorType:
    """Type of the elements, and shape."""

    elem_type: int | None = _one(1, "int32")
    shape: TensorShapeProto | None = _one(2, TensorShapeProto)


@dataclass
class TypeProto:
    """Type of a value."""

    tensor_type: TensorType | None = _one(1, TensorType)


@dataclass
class ValueInfoProto:
    """Name and type of a value."""

    name: str | None = _one(1, "text")
    type: TypeProto | None = _one(2, TypeProto)
    doc_string: str | None = _one(3, "text")
    metadata_props: list[StringStringEntryProto] = _many(4, StringStringEntryProto)


@dataclass
class AttributeProto:
    """Setting of a node; no graph within a graph."""

    name: str | None = _one(1, "text")
    f: float | None = _one(2, "float")
    i: int | None = _one(3, "int64")
    s: bytes | None = _one(4, "bytes")
    t: TensorProto | None = _one(5, TensorProto)
    floats: Sequence[float] = _many(7, "float")
    ints: Sequence[int] = _many(8, "int64")
    strings: list[bytes] = _many(9, "bytes")
    doc_string: str | None = _one(13, "text")
    type: int | None = _one(20, "int32")


@dataclass
class NodeProto:
    """One operator."""

    input: list[str] = _many(1, "text")
    output: list[str] = _many(2, "text")
    name: str | None = _one(3, "text")
    op_type: str | None = _one(4, "text")
    attribute: list[AttributeProto] = _many(5, AttributeProto)
    doc_string: str | None = _one(6, "text")
    domain: str | None = _one(7, "text")
    metadata_props: list[StringStringEntryProto] = _many(9, StringStringEntryProto)


@dataclass
class GraphProto:
    """Operators and weights."""

    node: list[NodeProto] = _many(1, NodeProto)
    name: str | None = _one(2, "text")
    initializer: list[TensorProto] = _many(5, TensorProto)
    doc_string: str | None = _one(10, "text")
    input: list[ValueInfoProto] = _many(11, ValueInfoProto)
    output: list[ValueInfoProto] = _many(12, ValueInfoProto)
    value_info: list[ValueInfoProto] = _many(13, ValueInfoProto)
    metadata_props: list[StringStringEntryProto] = _many(16, StringStringEntryProto)


@dataclass
class OperatorSetIdProto:
    """A family of operators and its version."""

    domain: str | None = _one(1, "text")
    version: int | None = _one(2, "int64")


@dataclass
class ModelProto:
    """The file."""

    ir_version: int | None = _one(1, "int64")
    producer_name: str | None = _one(2, "text")
    producer_version: str | None = _one(3, "text")
    domain: str | None = _one(4, "text")
    model_version: int | None = _one(5, "int64")
    doc_string: str | None = _one(6, "text")
    graph: GraphProto | None = _one(7, GraphProto)
    opset_import: list[OperatorSetIdProto] = _many(8, OperatorSetIdProto)
    metadata_props: list[StringStringEntryProto] = _many(14, StringStringEntryProto)


_SUBGRAPH, _SPARSE = "a graph within a graph", "sparse weights"
_REFUSED: dict[tuple[type, int], str] = {
    (TensorProto, 3): "a part of a tensor", (TensorProto, 13): "external data", (TensorProto, 14): "external data",
    (AttributeProto, 6): _SUBGRAPH, (AttributeProto, 11): _SUBGRAPH,
    (AttributeProto, 22): _SPARSE, (AttributeProto, 23): _SPARSE, (GraphProto, 15): _SPARSE,
    (ModelProto, 20): "training steps", (ModelProto, 25): "functions",
    **{(TypeProto, number): "a value that is no tensor" for number in (4, 5, 7, 8, 9)},
}  # fmt: skip

_FLOATS, _INTS, _STRINGS = 7 << 3 | 5, 8 << 3, 9 << 3 | 2
"""Tags of the lists of an attribute, one number or word each."""
_RUN, _WINDOW = 64, 1 << 20
"""Elements of such a list that are read one by one before what follows is read at once; bytes looked at together."""

_WIRE = {"int32": 0, "int64": 0, "double": 1, "float": 5}  # all others are of wire type 2, with their length in front
_BYTES = {"float": 4, "double": 8}


def _fields(message: type) -> dict[int, tuple[str, Scalar | type, bool, bool]]:
    """Tag on the wire to name, kind, whether repeated and whether packed."""
    known = {}
    for field in dataclasses.fields(message):
        number, kind, repeated = (field.metadata[key] for key in ("number", "kind", "repeated"))
        known[number << 3 | _WIRE.get(kind, 2)] = (field.name, kind, repeated, False)
        if repeated and kind in _WIRE:
            known[number << 3 | 2] = (field.name, kind, True, True)
    return known


_SCHEMA: dict[type, dict[int, tuple[str, Scalar | type, bool, bool]]] = {
    message: _fields(message)
    for message in (
        StringStringEntryProto, TensorProto, Dimension, TensorShapeProto, TensorType, TypeProto, ValueInfoProto,
        AttributeProto, NodeProto, GraphProto, OperatorSetIdProto, ModelProto,
    )
}  # fmt: skip


def read_model(data: bytes) -> ModelProto:
    """Read the bytes of an ONNX file.

    Raises:
        ModelError: It is no ONNX, is cut short, or holds what no bundle may.
    """
    return _Reader(data).message(ModelProto, 0, len(data))


class _Reader:
    """Reads messages of one file; all positions are offsets into it."""

    def __init__(self, data: bytes) -> None:
        self.data, self.left, self.text_left, self.list_left = data, FIELD_LIMIT, TEXT_LIMIT, LIST_LIMIT

    def message(self, kind: type[Message], at: int, end: int) -> Message:
        """The message between two offsets."""
        given: dict[str, Any] = {}
        value: Any
        known = _SCHEMA[kind]
        while at < end:
            tag, at = self.varint(at, end)
            if tag not in known:
                raise ModelError(_told(kind, tag))
            self.count()
            name, element, repeated, packed = known[tag]
            if tag & 7 == 0:
                value, at = self.integer(element, at, end)
            else:
                start, at = self.span(tag, element, at, end)
                value = self.packed(element, start, at) if packed else self.value(element, start, at)
            if repeated:
                values = given.setdefault(name, [])
                values.extend(value if packed else (value,))
                if kind is AttributeProto and len(values) == _RUN:
                    given[name], at = self.run(values, tag, at, end)
            elif name in given:
                raise ModelError(f"The ONNX file is damaged: a {kind.__name__} has two fields {name!r}.")
            else:
                given[name] = value
        return kind(**given)

    def run(self, values: list[Any], tag: int, at: int, end: int) -> tuple[Any, int]:
        """A list of an attribute with what follows of it, numbers in an array; the offset behind that.

        Read one by one as objects, trees would take a minute and gigabytes.
        """
        if tag == _STRINGS:
            while at < end and self.data[at] == tag:
                start, at = self.span(tag, "bytes", at + 1, end)
                values.append(self.data[start:at])
                self.count_listed(_WORD)
        if tag not in (_FLOATS, _INTS):
            return values, at
        numbers = array("f" if tag == _FLOATS else "q", values)
        count = 1
        while count and at < end:
            window = np.frombuffer(self.data, np.uint8, min(_WINDOW, end - at), at)
            more, used = _float_run(window) if tag == _FLOATS else _integer_run(window)
            count, at = len(more), at + used
            self.count_listed(count)
            numbers.frombytes(more.tobytes())
        return numbers, at

    def span(self, tag: int, kind: Scalar | type, at: int, end: int) -> tuple[int, int]:
        """Where the content of a field that is no integer begins and ends."""
        if tag & 7 == 2:
            length, at = self.varint(at, end)
        else:
            length = _BYTES[kind]  # type: ignore[index]
        if length > end - at:
            raise ModelError("The ONNX file is damaged: a field is longer than what it stands in.")
        return at, at + length

    def value(self, kind: Scalar | type, at: int, end: int) -> Any:
        """What stands between two offsets, of any kind but an integer."""
        if isinstance(kind, type):
            return self.message(kind, at, end)
        content = self.data[at:end]
        if kind == "bytes":
            return content
        if kind == "text":
            return self.text(content)
        return struct.unpack("<f" if kind == "float" else "<d", content)[0]

    def text(self, content: bytes) -> str:
        """UTF-8, counted against the limit."""
        self.text_left -= len(content)
        if self.text_left < 0:
            raise ModelError(f"The graph has more than {TEXT_LIMIT:,} bytes of text.")
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise ModelError("The ONNX file is damaged: a text in it is not UTF-8.") from None

    def packed(self, kind: Scalar | type, at: int, end: int) -> Iterator[Any]:
        """Numbers that share one tag."""
        if kind in ("int32", "int64"):
            while at < end:
                self.count()
                value, at = self.integer(kind, at, end)
                yield value
            return
        size = _BYTES[kind]  # type: ignore[index]
        if (end - at) % size:
            raise ModelError("The ONNX file is damaged: a list of numbers ends within one.")
        self.count((end - at) // size)
        for place in range(at, end, size):
            yield self.value(kind, place, place + size)

    def count(self, more: int = 1) -> None:
        """Count fields against the limit."""
        self.left -= more
        if self.left < 0:
            raise ModelError(f"The graph has more than {FIELD_LIMIT:,} fields.")

    def count_listed(self, more: int) -> None:
        """Count elements of long lists against their limit."""
        self.list_left -= more
        if self.list_left < 0:
            raise ModelError(f"The graph has more than {LIST_LIMIT:,} numbers and words in attributes.")

    def integer(self, kind: Scalar | type, at: int, end: int) -> tuple[int, int]:
        """A signed number, and the offset behind it."""
        value, at = self.varint(at, end)
        value -= value >> 63 << 64
        if kind == "int32" and not -(2**31) <= value < 2**31:
            raise ModelError("The ONNX file is damaged: a number of 32 bits is longer.")
        return value, at

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """An unsigned number of 64 bits in its shortest form, and the offset behind it."""
        value = shift = 0
        while at < end and shift < 70:
            byte = self.data[at]
            value |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                if value >> 64 or (byte == 0 and shift > 7):
                    break
                return value, at
        raise ModelError("The ONNX file is damaged: a number is cut short, too long or too large.")


def _float_run(window: NDArray[np.uint8]) -> tuple[NDArray[np.float32], int]:
    """Floats at the beginning of the bytes, each behind its tag; how many bytes they are."""
    records = window[: len(window) // 5 * 5].reshape(-1, 5)
    count = _leading(records[:, 0] == _FLOATS)
    return np.ascontiguousarray(records[:count, 1:]).view("<f4").ravel().astype(np.float32), 5 * count


def _integer_run(window: NDArray[np.uint8]) -> tuple[NDArray[np.int64], int]:
    """Numbers below 2^28, in their shortest form, at the beginning of the bytes; how many bytes they are.

    Tags are numbers as well: every second number is to be the tag.
    """
    last = np.flatnonzero(window < 128)
    last = last[: len(last) // 2 * 2]
    first = np.concatenate([[0], last + 1])[:-1]
    size = (last - first + 1)[1::2]
    fit = (window[first[::2]] == _INTS) & (size <= 4) & ((window[last[1::2]] > 0) | (size == 1))
    count = _leading(fit)
    first, size = first[1::2][:count], size[:count]
    numbers = np.zeros(count, np.int64)
    for place in range(4):
        there = size > place
        numbers[there] |= (window[first[there] + place] & 127).astype(np.int64) << 7 * place
    return numbers, int(last[2 * count - 1]) + 1 if count else 0


def _leading(truths: NDArray[np.bool_]) -> int:
    """How many are true before the first that is not."""
    return int(truths.argmin()) if not truths.all() else len(truths)


def _told(kind: type, tag: int) -> str:
    what = _REFUSED.get((kind, tag >> 3), f"field {tag >> 3} of wire type {tag & 7}")
    return f"The graph holds {what}, which no bundle may ({kind.__name__})."
