"""YAML text to the checked document of a contract: every mistake at once, by key and line.

The types of the document are those of `dxai.contract.keys`, so that the reader takes what the schema for editors takes.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar, NotRequired, Required

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

from dxai.contract.keys import CONTRACT
from dxai.contract.level import Key, Level
from dxai.errors import DataError, bullet_list, nearest

_FIX = "`dxai data schema --reference en` explains every key."
_CUSTOM_KEYS = {"property", "value", "id", "description"}
_DEEPEST = 50
_MOST = 20
"""So many mistakes are told at once."""


def parse_document(text: str, *, where: str) -> dict[str, Any]:
    """The document's values by key; ``customProperties`` as one mapping.

    Raises:
        DataError: It is no YAML, or breaks the table of keys.
    """
    written = _loaded(text, where)
    try:
        return _reader().validate_python(written, strict=True)
    except ValidationError as error:
        root = yaml.compose(text, Loader=ContractLoader)
        mistakes = [_told(detail, root, written) for detail in error.errors()]
        raise DataError(bullet_list(mistakes, _MOST), where=where, fix=_FIX) from None


def _loaded(text: str, where: str) -> Any:
    try:
        _refuse_depth(text)
        return yaml.load(text, Loader=ContractLoader)
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        told = getattr(error, "problem", None) or str(error).partition("\n")[0] or type(error).__name__
        line = f"line {mark.line + 1}: " if mark else ""
        raise DataError(f"The contract is no readable YAML: {line}{told}.", where=where) from None


def _refuse_depth(text: str) -> None:
    """The C parser would end the process on a hundred thousand brackets."""
    depth = 0
    for event in yaml.parse(text, Loader=ContractLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise yaml.YAMLError("it is nested too deep")


# --- YAML -------------------------------------------------------------------------------------------------------------


class ContractLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C is five times as fast
    """YAML whose plain scalars are those of JSON, as editors read them: 0012, yes and 2026-11-23 stay texts."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that stands there twice: the last would win in silence."""
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{name!r} stands there twice", key.start_mark)
            seen.add(name)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


for _tag, _pattern, _first in (
    ("null", r"^(|~|null|Null|NULL)$", ["~", "n", "N", ""]),
    ("bool", r"^(true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^-?(0|[1-9][0-9]*)$", list("-0123456789")),
    ("float", r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$", list("-0123456789")),
):
    ContractLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


# --- types ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _reader() -> TypeAdapter[dict[str, Any]]:
    return TypeAdapter(_document_type(CONTRACT))


def _document_type(level: Level) -> Any:
    """A TypedDict of the level's keys: what is not written does not come out, so the models' defaults hold."""
    types: dict[str, Any] = dict.fromkeys(level.others, NotRequired[Any])
    for key in level.keys:
        value = _value_type(key, level)
        types[key.name] = Required[value] if level.requires(key) else NotRequired[value]
    found = TypedDict("_Document", types)  # type: ignore[misc]
    found.__pydantic_config__ = ConfigDict(extra="forbid" if level.closed else "allow")  # type: ignore[attr-defined]
    return Annotated[found, BeforeValidator(_by_property)] if level.custom else found


def _value_type(key: Key, level: Level) -> Any:
    if key.holds is None:
        return level.type_of(key)
    held: Any = _document_type(key.holds)
    if key.list_of is None:
        return held
    least, most = key.list_of
    return Annotated[list[held], Field(min_length=least, max_length=most)]


def _by_property(written: Any) -> dict[str, Any]:
    """``[{property: unit, value: kg}]`` as ``{unit: kg}``."""
    values: dict[str, Any] = {}
    for item in written if isinstance(written, list) else [written]:
        if not isinstance(item, dict) or not {"property", "value"} <= set(item) <= _CUSTOM_KEYS:
            raise ValueError("should be a list of {property: NAME, value: VALUE}")
        if str(item["property"]) in values:
            raise ValueError(f"{item['property']!r} stands there twice")
        values[str(item["property"])] = item["value"]
    return values


# --- words ------------------------------------------------------------------------------------------------------------


def _told(error: ErrorDetails, root: yaml.Node | None, written: Any) -> str:
    """One mistake as ``line 12, column 'age': what is wrong and how to write it``."""
    path = error["loc"]
    return f"line {_line(root, path)}{_column_at(path, written)}: {_in_words(error, *_level_at(path))}"


def _in_words(error: ErrorDetails, level: Level, key: Key | None) -> str:
    name, given = str(error["loc"][-1] if error["loc"] else "the file"), reprlib.repr(error["input"])
    names = [k.name for k in level.keys]
    if error["type"] == "extra_forbidden":
        hint = nearest(name, [*names, *level.others])
        return f"there is no key {name!r} here, " + (f"did you mean {hint!r}?" if hint else f"only {', '.join(names)}.")
    if key is None:
        return f"{name}: {_sentence(error)}, not {given}."
    written = f"{{property: {key.name}, value: {key.example}}}" if level.custom else f"{key.name}: {key.example}"
    if error["type"] == "missing":
        return f"{key.name} is missing; write it like `{written}`."
    if error["type"] == "literal_error":
        hint = nearest(str(error["input"]), re.findall("'([^']*)'", error["ctx"]["expected"]))
        return f"{key.name}: {_sentence(error)}, not {given}" + (f", did you mean {hint!r}?" if hint else ".")
    if error["type"] == "string_pattern_mismatch":
        return f"{key.name}: {given} is not written like `{key.example}`. {key.en}"
    return f"{key.name}: {_sentence(error)}, not {given}; write it like `{written}`."


def _sentence(error: ErrorDetails) -> str:
    """Pydantic's message as the second half of a sentence."""
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
    return message.replace("a valid dictionary", "a mapping of keys")


def _level_at(path: Sequence[str | int]) -> tuple[Level, Key | None]:
    """The level in which the last key of the path stands, and that key."""
    level, key = CONTRACT, None
    for part in path:
        if isinstance(part, str):
            level = key.holds if key and key.holds else level
            key = level.key(part)
    return level, key


def _column_at(path: Sequence[str | int], written: Any) -> str:
    if len(path) < 4 or path[2] != "properties":
        return ""
    column = written["schema"][0]["properties"][path[3]]
    return f", column {column.get('name', path[3]) if isinstance(column, dict) else path[3]!r}"


def _line(node: yaml.Node | None, path: Sequence[str | int]) -> int:
    """Line of the deepest part of the path that is written."""
    line = 1
    for part in path:
        found = _step(node, part)
        if found is None:
            break
        mark, node = found
        line = mark.line + 1
    return line


def _step(node: yaml.Node | None, part: str | int) -> tuple[yaml.Mark, yaml.Node] | None:
    """Where a part of a path begins, and its value; the name of a custom property is one of its list."""
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        return node.value[part].start_mark, node.value[part]
    if isinstance(node, yaml.SequenceNode):
        items = [{key.value: value for key, value in item.value} for item in node.value]
        return next(((i["value"].start_mark, i["value"]) for i in items if i["property"].value == part), None)
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark, value) for key, value in node.value if key.value == part), None)
    return None
