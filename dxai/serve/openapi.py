"""The server in OpenAPI 3.1, built from the contracts and graphs that it serves."""

from __future__ import annotations

from typing import Any, get_args

from dxai import __version__
from dxai.contract import Column, Contract
from dxai.inference.predict import OnBadRows
from dxai.serve.limits import Limits
from dxai.serve.protocol import HEADER_LENGTH
from dxai.serve.served import ServedModel, Shelf
from dxai.serve.tensors import Tensor

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_SAYS_MORE = {
    400: "The request breaks the protocol or the contract; the message names tensor, row and rule.",
    404: "There is no such model or version.",
    408: "The body did not arrive in time.",
    413: "Too many bytes or rows.",
    415: "The body is in an encoding or a format that the server does not read.",
    422: "The table breaks the contract; the message names columns, rules and rows.",
    503: "Too much to do; Retry-After tells when to come again.",
}


def openapi(shelf: Shelf, limits: Limits) -> Json:
    """The description of a server with these models."""
    paths: Json = {
        "/v2": {"get": _get("server_metadata", "Name, version and extensions", _SERVER)},
        "/v2/health/live": {"get": _get("live", "The server answers", _object({"live": {"type": "boolean"}}))},
        "/v2/health/ready": {"get": _get("ready", "Every model is loaded", _object({"ready": {"type": "boolean"}}))},
        "/v2/repository/index": {"post": _get("repository_index", "Models and versions", _INDEX)},
        "/metrics": {"get": _operation("metrics", "Counters for Prometheus", {"text/plain": {"schema": _TEXT}}, ())},
    }
    schemas: Json = {"Error": _object({"error": _TEXT}), "ModelMetadata": _MODEL}
    for served in shelf:
        newest = shelf.find(served.name) is served
        key = f"{served.name}-{served.version}"
        schemas[f"{key}.request"] = _request(served, limits)
        schemas[f"{key}.response"] = _response(served)
        at = f"/v2/models/{served.name}"
        for path in (f"{at}/versions/{served.version}", *([at] if newest else [])):
            paths |= _model_paths(path, key)
        if newest:
            paths[f"/models/{served.name}/predict"] = {"post": _predict(served)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "dxai", "version": __version__, "description": "Open Inference Protocol V2, and CSV."},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _object(properties: Json, optional: Json | None = None) -> Json:
    return {"type": "object", "required": list(properties), "properties": {**properties, **(optional or {})}}


_SERVER = _object({"name": _TEXT, "version": _TEXT, "extensions": {"type": "array", "items": _TEXT}})
_INDEX: Json = {
    "type": "array",
    "items": _object({"name": _TEXT, "version": _TEXT, "state": {"const": "READY"}, "reason": _TEXT}),
}
_TENSORS: Json = {
    "type": "array",
    "items": _object({
        "name": _TEXT,
        "datatype": {"enum": ["FP32", "INT64", "BYTES"]},
        "shape": {"type": "array", "items": {"type": "integer"}},
    }),
}  # fmt: skip
_MODEL = _object({
    "name": _TEXT, "versions": {"type": "array", "items": _TEXT}, "platform": _TEXT,
    "inputs": _TENSORS, "outputs": _TENSORS,
})  # fmt: skip


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _operation(name: str, summary: str, content: Json, refusals: tuple[int, ...], **more: Any) -> Json:
    error = {"application/json": {"schema": _ref("Error")}}
    responses = {str(status): {"description": _SAYS_MORE[status], "content": error} for status in refusals}
    answers: Json = {"200": {"description": "Done.", "content": content}, **responses}
    return {"operationId": name, "summary": summary, "responses": answers, **more}


def _get(name: str, summary: str, schema: Json, refusals: tuple[int, ...] = ()) -> Json:
    return _operation(name, summary, {"application/json": {"schema": schema}}, refusals)


def _model_paths(path: str, key: str) -> Json:
    ready = _object({"name": _TEXT, "ready": {"type": "boolean"}})
    header = {"name": HEADER_LENGTH, "in": "header", "schema": {"type": "integer", "minimum": 0}}
    content = {"application/json": {"schema": _ref(f"{key}.response")}, "application/octet-stream": {}}
    body = {"application/json": {"schema": _ref(f"{key}.request")}, "application/octet-stream": {}}
    infer = _operation(
        f"infer{path}", "Inference", content, (400, 408, 413, 415, 503),
        description=f"Binary data follow the JSON in the order of the tensors; {HEADER_LENGTH} is its length.",
        parameters=[header], requestBody={"required": True, "content": body},
    )  # fmt: skip
    return {
        path: {"get": _get(f"metadata{path}", "Inputs and outputs", _ref("ModelMetadata"))},
        f"{path}/ready": {"get": _get(f"ready{path}", "The model is loaded", ready)},
        f"{path}/infer": {"post": infer},
    }


def _request(served: ServedModel, limits: Limits) -> Json:
    inputs = [_input(served, tensor, limits) for tensor in served.inputs]
    binary: Json = {"type": "boolean", "default": False}
    output = _object(
        {"name": {"enum": [tensor.name for tensor in served.outputs]}},
        {"parameters": {"type": "object", "properties": {"binary_data": binary}, "additionalProperties": False}},
    )
    return _object(
        {"inputs": {"type": "array", "minItems": len(inputs), "maxItems": len(inputs), "items": {"oneOf": inputs}}},
        {
            "id": _TEXT,
            "parameters": {"type": "object", "properties": {"binary_data_output": binary}},
            "outputs": {"type": "array", "items": output},
        },
    )


def _input(served: ServedModel, tensor: Tensor, limits: Limits) -> Json:
    told, value = _value(served, tensor)
    nested = {"anyOf": [value, {"type": "array", "items": value}]} if len(tensor.shape) > 1 else value
    size = {"type": "array", "items": {"type": "integer", "minimum": 1}}
    count = {"type": "integer", "minimum": 1, "maximum": limits.rows}
    shape = {**size, "prefixItems": [count], "minItems": len(tensor.shape), "maxItems": len(tensor.shape)}
    binary = {"binary_data_size": {"type": "integer", "minimum": 0}}
    return {
        **_object(
            {"name": {"const": tensor.name}, "datatype": {"const": tensor.datatype}, "shape": shape},
            {
                "data": {"type": "array", "items": nested},
                "parameters": {**_object(binary), "additionalProperties": False},
            },
        ),
        "description": told,
        "oneOf": [{"required": ["data"]}, {"required": ["parameters"]}],
    }


def _value(served: ServedModel, tensor: Tensor) -> tuple[str, Json]:
    """What an input means, and the schema of one value of it."""
    contract, declared = served.bundle.contract, next(t for t in served.signature.inputs if t.name == tensor.name)
    column = next(c for c in contract.columns if c.name == declared.column)
    if tensor.datatype == "INT64":
        return "Day of the last step of each series, counted from 1970-01-01.", {"type": "integer"}
    if len(tensor.shape) == 1:
        return _told(column), _cell(column)
    if column in contract.ahead:
        steps = f"the steps of the history and the {contract.horizon} ahead of it, the newest last"
        return f"{_told(column)}: {steps}; null where a step of the history is not known.", _cell(column, gaps=True)
    if column in contract.covariates:
        return f"{_told(column)}: the steps of the history; null where one is not known.", _cell(column, gaps=True)
    fewest = served.model.contract.minimum_history
    steps = f"at least {fewest} known {contract.frequency} steps of each series, the newest last"
    return f"{_told(column)}: {steps}; null where a step is not known.", _cell(column, gaps=True)


def _cell(column: Column, *, gaps: bool = False) -> Json:
    kind = "number" if column.kind == "number" else "string"
    limits = {"minimum": column.minimum, "maximum": column.maximum}
    bounds = {rule: limit for rule, limit in limits.items() if limit is not None}
    return {"type": kind if column.required and not gaps else [kind, "null"], **bounds}


def _told(column: Column) -> str:
    categories = f": {', '.join(column.categories)}" if column.categories else ""
    unit = "" if column.unit == "1" else f", {column.unit}"
    return f"{column.title_en} ({column.title_ko}{unit}){categories}"


def _response(served: ServedModel) -> Json:
    outputs = [
        _object(
            {
                "name": {"const": tensor.name},
                "datatype": {"const": tensor.datatype},
                "shape": {"type": "array", "items": {"type": "integer"}},
            },
            {"data": {"type": "array", "items": _answer(served, tensor)}, "parameters": {"type": "object"}},
        )
        for tensor in served.outputs
    ]
    named = {"model_name": {"const": served.name}, "model_version": {"const": served.version}}
    return _object({**named, "outputs": {"type": "array", "items": {"oneOf": outputs}}}, {"id": _TEXT})


def _answer(served: ServedModel, tensor: Tensor) -> Json:
    """The schema of one value of an output."""
    texts = served.signature.texts(tensor.name)
    return {"enum": list(texts)} if texts else {"type": "number"}


def _order(contract: Contract) -> list[Json]:
    """Parameters for order quantities."""
    level = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
    lead = {"type": "integer", "minimum": 1, "maximum": contract.horizon, "default": contract.horizon}
    told = {
        "service_level": "In place of the steps one row per series: the quantity that covers the demand of all of them "
        "together with this probability.",
        "lead_time": "Steps that such a quantity covers.",
    }
    schemas = {"service_level": level, "lead_time": lead}
    return [{"name": name, "in": "query", "description": told[name], "schema": schemas[name]} for name in told]


def _predict(served: ServedModel) -> Json:
    columns = "; ".join(f"{c.name}: {_told(c)}" for c in served.signature.reads)
    choice = {"name": "on_bad_rows", "in": "query", "schema": {"enum": list(get_args(OnBadRows)), "default": "stop"}}
    units = {"name": "convert_units", "in": "query", "schema": {"type": "boolean", "default": False}}
    carry = {"name": "carry_forward", "in": "query", "schema": {"type": "boolean", "default": False}}
    rows = {"schema": {"type": "array", "items": {"type": "object"}}}
    contract = served.bundle.contract
    parameters = [choice, units, *([carry] if contract.ahead else []), *(_order(contract) if contract.series else [])]
    return _operation(
        f"predict/{served.name}", "A table in, the table with predictions out",
        {"text/csv": {"schema": _TEXT}, "application/json": rows}, (400, 408, 413, 415, 422, 503),
        description=f"Columns, by id or title: {columns}", parameters=parameters,
        requestBody={"required": True, "content": {"text/csv": {"schema": _TEXT}}},
    )  # fmt: skip
