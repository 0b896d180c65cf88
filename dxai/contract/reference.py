"""The reference of every key of a contract, in Markdown: made from `dxai.contract.keys`, never written by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

from dxai.contract.keys import CONTRACT
from dxai.contract.level import Key, Level
from dxai.contract.schema import default_of, value_schema

Language = Literal["en", "ko"]
_WORDS = {
    "en": {
        "title": "Every key of a contract",
        "other": "[한국어](contract-reference.ko.md)",
        "about": "A contract is one YAML file of the Open Data Contract Standard 3.1 (ODCS). This page is made by "
        "`dxai data schema --reference en`; why things are so: [the data standard](data-standard.md). "
        "For help in an editor run `dxai data schema -o contract.schema.json` beside the contract and write on its "
        "first line `# yaml-language-server: $schema=contract.schema.json`.",
        "head": "| key | value | default | meaning | example |",
        "required": "**required**", "below": "see below",
        "text": "text", "number": "number", "integer": "whole number", "boolean": "true or false", "list": "list of",
        "where": "Where",
        "custom": "Written as a list: `- {property: KEY, value: VALUE}`.",
        "others": "Keys of ODCS that may stand here as well; dxai does not read them:",
        "free": "Any other key may stand here.",
    },
    "ko": {
        "title": "계약의 모든 키",
        "other": "[English](contract-reference.md)",
        "about": "계약은 Open Data Contract Standard 3.1(ODCS)의 YAML 파일 하나입니다. 이 문서는 "
        "`dxai data schema --reference ko`가 만듭니다. 이유는 [데이터 표준](data-standard.ko.md)에 있습니다. "
        "편집기의 도움을 받으려면 계약 옆에서 `dxai data schema -o contract.schema.json`을 실행하고 계약의 첫 줄에 "
        "`# yaml-language-server: $schema=contract.schema.json`을 적으십시오.",
        "head": "| 키 | 값 | 기본값 | 뜻 | 예 |",
        "required": "**필수**", "below": "아래 참조",
        "text": "글자", "number": "수", "integer": "정수", "boolean": "true 또는 false", "list": "목록:",
        "where": "자리",
        "custom": "목록으로 적습니다: `- {property: 키, value: 값}`.",
        "others": "다음 ODCS 키도 둘 수 있으나 dxai는 읽지 않습니다:",
        "free": "다른 키도 둘 수 있습니다.",
    },
}  # fmt: skip


def reference(language: Language) -> str:
    """The whole page."""
    words = _WORDS[language]
    sections = (_section(level, place, language) for level, place in levels(CONTRACT))
    return "\n\n".join([f"# {words['title']}", words["other"], words["about"], *sections]) + "\n"


def levels(level: Level, place: tuple[str, ...] = ()) -> Iterator[tuple[Level, tuple[str, ...]]]:
    """Every level, from the top, with the keys that lead to it."""
    yield level, place
    for key in level.keys:
        if key.holds:
            yield from levels(key.holds, (*place, key.name))


def _section(level: Level, place: tuple[str, ...], language: Language) -> str:
    words = _WORDS[language]
    lines = [f"## {level.title_en if language == 'en' else level.title_ko}", ""]
    lines += [f"{words['where']}: `{' > '.join(place)}`", ""] if place else []
    lines += [words["custom"], ""] if level.custom else []
    lines += [words["head"], "| --- | --- | --- | --- | --- |", *(_row(key, level, language) for key in level.keys)]
    others = ", ".join(f"`{name}`" for name in sorted(level.others))
    lines += ["", f"{words['others']} {others}."] if others else []
    lines += [] if level.closed else ["", words["free"]]
    return "\n".join(lines)


def _row(key: Key, level: Level, language: Language) -> str:
    words = _WORDS[language]
    default = words["required"] if level.requires(key) else _default(default_of(key, level))
    value = words["below"] if key.holds else _values(value_schema(key, level), words)
    meaning = key.en if language == "en" else key.ko
    return f"| `{key.name}` | {value} | {default} | {meaning} | `{key.example}` |"


def _default(value: Any) -> str:
    return "" if value in (None, "", ()) else f"`{json.dumps(value)}`".replace('"', "")


def _values(schema: dict[str, Any], words: dict[str, str]) -> str:
    """What a value may be, in words."""
    if "anyOf" in schema:
        return _values(schema["anyOf"][0], words)
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]) if value)
    if schema["type"] == "array":
        return f"{words['list']} {_values(schema['items'], words)}"
    kind = schema["type"] if isinstance(schema["type"], str) else "string"
    least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1) or None  # of whole numbers
    bounds = "" if least is None else f" {least}–{schema['maximum']}" if "maximum" in schema else f" ≥ {least}"
    return words["text" if kind == "string" else kind] + bounds
