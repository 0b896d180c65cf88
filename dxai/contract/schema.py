"""The JSON schema of contract files, for editors: keys, types and meanings as in `dxai.contract.keys`."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import TypeAdapter
from pydantic_core import PydanticUndefined

from dxai.contract.document import ContractLoader
from dxai.contract.keys import COLUMN, CONTRACT, TABLE
from dxai.contract.level import Key, Level

Schema = dict[str, Any]


def contract_schema() -> Schema:
    """A JSON schema, draft 2020-12, of one contract file.

    It says what a schema can. That names differ, that a group names columns and that a unit is UCUM is said by
    `load_contract` alone.
    """
    about = "Open Data Contract Standard 3.1 with the properties that dxai reads. Made by `dxai data schema`."
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "dxai contract", "description": about}
    return head | _level(CONTRACT)


def value_schema(key: Key, level: Level) -> Schema:
    """Of the value of a key that holds no level, with its default."""
    found = {name: value for name, value in TypeAdapter(level.type_of(key)).json_schema().items() if name != "title"}
    default = default_of(key, level)
    return found | ({"default": default} if default not in ("", (), None) else {})


def default_of(key: Key, level: Level) -> Any:
    """What holds where the key is not written; None where nothing does."""
    default = level.model.model_fields[key.field].default if key.field else None
    return None if default is PydanticUndefined else default


def _level(level: Level) -> Schema:
    return (_custom(level) if level.custom else _mapping(level)) | _RULES.get(level, {})


def _mapping(level: Level) -> Schema:
    return {
        "type": "object",
        "properties": {key.name: _described(key, level) for key in level.keys} | dict.fromkeys(level.others, True),
        "required": [key.name for key in level.keys if level.requires(key)],
        "additionalProperties": not level.closed,
    }


def _custom(level: Level) -> Schema:
    """A list of ``{property: NAME, value: VALUE}``: the name decides what the value may be."""
    names = [key.name for key in level.keys]
    item = {
        "type": "object",
        "properties": {"property": {"enum": names}, "value": True, "id": True, "description": True},
        "required": ["property", "value"],
        "additionalProperties": False,
        "allOf": [
            {"if": _property(key.name), "then": {"properties": {"value": _described(key, level)}}} for key in level.keys
        ],
    }
    required = [{"contains": _property(key.name)} for key in level.keys if level.requires(key)]
    once = [{"contains": _property(name), "minContains": 0, "maxContains": 1} for name in names]
    return {"type": "array", "items": item, "allOf": required + once}


def _described(key: Key, level: Level) -> Schema:
    if key.holds is None:
        found = {"examples": [yaml.load(key.example, Loader=ContractLoader)], **value_schema(key, level)}
    elif key.list_of is None:
        found = _level(key.holds)
    else:
        least, most = key.list_of
        found = {"type": "array", "items": _level(key.holds), "minItems": least}
        found |= {} if most is None else {"maxItems": most}
    return {"description": f"{key.en}\n\n{key.ko}"} | found


# --- rules between keys -----------------------------------------------------------------------------------------------


def _property(name: str, value: str = "") -> Schema:
    """An item of ``customProperties`` with this name, and this value."""
    properties = {"property": {"const": name}} | ({"value": {"const": value}} if value else {})
    return {"properties": properties, "required": list(properties)}


def _with(name: str, value: str = "") -> Schema:
    """What has such a custom property."""
    return {"properties": {"customProperties": {"contains": _property(name, value)}}, "required": ["customProperties"]}


def _columns(role: str, least: int, most: int | None = None) -> Schema:
    """A table with so many columns of a role."""
    count: Schema = {"contains": _with("role", role), "minContains": least}
    return {"properties": {"properties": count | ({} if most is None else {"maxContains": most})}}


_TEXT = {"properties": {"logicalType": {"const": "string"}}}
_NO_NUMBER = {"properties": {"logicalType": {"enum": ["string", "date", "timestamp"]}}}
_NO_RANGE = {"properties": {"logicalTypeOptions": {"properties": {"minimum": False, "maximum": False}}}}
_LISTED = {"properties": {"validValues": {"minItems": 2}}, "required": ["validValues"]}
_CLASSES = {
    "properties": {"quality": {"contains": {"properties": {"arguments": _LISTED}, "required": ["arguments"]}}},
    "required": ["quality"],
}
_SERIES = [_columns("series", 1), _columns("time", 1, 1), _with("frequency")]
_RULES: dict[Level, Schema] = {
    TABLE: {
        "allOf": [
            _columns("target", 1, 1),
            {"if": _with("task", "quality"), "then": _columns("feature", 1)},
            {"if": _with("task", "demand"), "then": {"allOf": _SERIES}},
        ]
    },
    COLUMN: {
        "allOf": [
            {"if": _NO_NUMBER, "then": _NO_RANGE},
            {"if": {"allOf": [_TEXT, _with("role", "target")]}, "then": _CLASSES},
        ]
    },
}
