"""An inference request of the Open Inference Protocol V2, from the bytes of its body to the bytes of the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dxai.errors import nearest
from dxai.serve.refusal import Refusal
from dxai.serve.served import ServedModel
from dxai.serve.tensors import Array, Tensor, array_of_bytes, array_of_json, bytes_of

HEADER_LENGTH = "inference-header-content-length"
"""Header with the length of the JSON in front of binary data."""

_LONGEST_NAME = 100


@dataclass(frozen=True)
class Answer:
    """Body and headers of an answer, and the number of rows in it."""

    body: bytes
    headers: Mapping[str, str]
    rows: int


def infer(served: ServedModel, body: bytes, header_length: str | None, most_rows: int) -> Answer:
    """Read, check, compute, write.

    Args:
        served: Model.
        body: JSON, binary data behind it where ``header_length`` is given.
        header_length: Value of the header of that name.
        most_rows: Largest size of the first dimension.

    Raises:
        Refusal: The request breaks the protocol, or its values the contract.
    """
    length = _length(header_length, len(body))
    request = _object(_json(body[:length]), "The request")
    parameters = _object(request.get("parameters", {}), "'parameters'")
    if not isinstance(request.get("id", ""), str):
        raise Refusal(400, "'id' must be a text.")
    inputs = _inputs(request, body[length:], served.inputs, most_rows)
    wanted = _wanted(request, served.outputs, binary=parameters.get("binary_data_output") is True)
    served.rules.refuse_breach(inputs)
    return _answer(served, request, wanted, served.run(inputs), rows=len(next(iter(inputs.values()))))


def _length(told: str | None, size: int) -> int:
    if told is None:
        return size
    if not (told.isascii() and told.isdigit() and len(told) < 16 and int(told) <= size):
        raise Refusal(400, f"Inference-Header-Content-Length must be a number up to {size}, the length of the body.")
    return int(told)


def _json(data: bytes) -> Any:
    try:
        return json.loads(data.decode())
    except UnicodeDecodeError:
        raise Refusal(400, "The JSON is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise Refusal(400, f"This is no JSON: {error.msg}, at character {error.pos}.") from None
    except (RecursionError, ValueError):  # ValueError: an integer of more digits than Python reads
        raise Refusal(400, "The JSON is nested too deeply, or holds a number that is too long.") from None


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refusal(400, f"{what} must be a JSON object.")
    return value


def _objects(value: Any, what: str) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise Refusal(400, f"{what} must be a list.")
    return [_object(one, f"Each of {what}") for one in value]


@np.errstate(over="ignore")  # a number that is too large for FP32 becomes infinite, which no contract allows
def _inputs(request: dict[str, Any], binary: bytes, expected: Sequence[Tensor], most_rows: int) -> dict[str, Array]:
    """The arrays by name, their shapes in agreement with the graph and with each other."""
    given = _objects(request.get("inputs"), "'inputs'")
    by_name = _named([tensor.get("name") for tensor in given], expected, "input")
    if missing := [tensor.name for tensor in expected if tensor.name not in by_name]:
        raise Refusal(400, f"Missing inputs: {', '.join(missing)}.")
    sizes: dict[str, int] = {}
    arrays, place = {}, 0
    for tensor, told in zip(by_name.values(), given, strict=True):
        shape = _shape(told, tensor, sizes, most_rows)
        length = _binary_size(told, tensor)
        if length is None:
            arrays[tensor.name] = array_of_json(told.get("data"), tensor, shape)
            continue
        if place + length > len(binary):
            raise Refusal(400, f"Input {tensor.name!r}: the body ends before its binary data do.")
        arrays[tensor.name] = array_of_bytes(binary[place : place + length], tensor, shape)
        place += length
    if place != len(binary):
        raise Refusal(400, f"{len(binary) - place} bytes of binary data belong to no input.")
    return arrays


def _named(names: Sequence[Any], expected: Sequence[Tensor], what: str) -> dict[str, Tensor]:
    """The tensors of these names, each named once."""
    known, found = {tensor.name: tensor for tensor in expected}, {}
    for name in names:
        if not isinstance(name, str) or name not in known:
            hint = nearest(str(name)[:_LONGEST_NAME], known)
            told = f"Did you mean {hint!r}?" if hint else f"The {what}s are: {', '.join(known)}."
            raise Refusal(400, f"There is no {what} {str(name)[:_LONGEST_NAME]!r}. {told}")
        if name in found:
            raise Refusal(400, f"The {what} {name!r} stands there twice.")
        found[name] = known[name]
    return found


def _shape(told: dict[str, Any], tensor: Tensor, sizes: dict[str, int], most_rows: int) -> list[int]:
    """The shape given, when it is one of the tensor; ``sizes`` holds the free ones by name, to agree with."""
    if told.get("datatype") != tensor.datatype:
        raise Refusal(400, f"Input {tensor.name!r}: the datatype must be {tensor.datatype!r}.")
    shape = told.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise Refusal(400, f"Input {tensor.name!r}: the shape must be a list of sizes.")
    if len(shape) != len(tensor.shape):
        raise Refusal(400, f"Input {tensor.name!r}: the shape must be {list(tensor.shape)}.")
    if shape[0] > most_rows:
        raise Refusal(413, f"Input {tensor.name!r}: one request may have {most_rows} rows. Split it.")
    for size, declared in zip(shape, tensor.shape, strict=True):
        due = sizes.setdefault(declared, size) if isinstance(declared, str) else declared
        if size != due or size < 1:
            wanted = f"{declared!r} is {due} in the inputs before" if size != due else "no size may be 0"
            raise Refusal(400, f"Input {tensor.name!r}: the shape must be {list(tensor.shape)}, and {wanted}.")
    return shape


def _binary_size(told: dict[str, Any], tensor: Tensor) -> int | None:
    """Bytes of the input's binary data; None for data in JSON."""
    parameters = _object(told.get("parameters", {}), f"'parameters' of input {tensor.name!r}")
    if unknown := set(parameters) - {"binary_data_size"}:
        raise Refusal(400, f"Input {tensor.name!r}: unknown parameter {min(unknown)[:_LONGEST_NAME]!r}.")
    size = parameters.get("binary_data_size")
    if (size is None) == ("data" not in told):
        raise Refusal(400, f"Input {tensor.name!r}: give either 'data' or the parameter 'binary_data_size'.")
    if size is not None and not (type(size) is int and size >= 0):
        raise Refusal(400, f"Input {tensor.name!r}: 'binary_data_size' must be a number of bytes.")
    return size


def _wanted(request: dict[str, Any], outputs: Sequence[Tensor], *, binary: bool) -> dict[Tensor, bool]:
    """The outputs to return, and whether as binary data."""
    given = _objects(request.get("outputs") or [], "'outputs'")
    if not given:
        return dict.fromkeys(outputs, binary)
    wanted = {}
    for tensor, told in zip(_named([o.get("name") for o in given], outputs, "output").values(), given, strict=True):
        parameters = _object(told.get("parameters", {}), f"'parameters' of output {tensor.name!r}")
        if unknown := set(parameters) - {"binary_data"}:
            raise Refusal(400, f"Output {tensor.name!r}: unknown parameter {min(unknown)[:_LONGEST_NAME]!r}.")
        wanted[tensor] = parameters.get("binary_data", binary) is True
    return wanted


def _answer(
    served: ServedModel, request: dict[str, Any], wanted: Mapping[Tensor, bool],
    found: Mapping[str, Array], rows: int,
) -> Answer:  # fmt: skip
    outputs, binary = [], []
    for tensor, as_binary in wanted.items():
        array = found[tensor.name]
        told: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": array.shape}
        if as_binary:
            binary.append(bytes_of(array, tensor))
            told["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            told["data"] = array.ravel().tolist()
        outputs.append(told)
    answer = {"model_name": served.name, "model_version": served.version, "outputs": outputs}
    header = json.dumps({**answer, **({"id": request["id"]} if "id" in request else {})}, allow_nan=False).encode()
    if not binary:
        return Answer(header, {"content-type": "application/json"}, rows)
    headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(header))}
    return Answer(b"".join([header, *binary]), headers, rows)
