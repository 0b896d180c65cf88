"""Settings mistakes in words: the nearest key, the file it stands in, the values allowed."""

from __future__ import annotations

import types
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dxai.config.settings import checked, settings_class
from dxai.errors import nearest


def unknown_choice(group: str, choice: str, options: Sequence[str]) -> str:
    """A choice that a group does not have."""
    hint = nearest(choice, options)
    return (
        f"{group}={choice}: there is no configs/{group}/{choice}.yaml"
        + (f", did you mean {hint!r}?" if hint else ".")
        + f" Choices: {', '.join(options)}."
    )


def key_mistakes(
    settings: dict[str, Any], files: dict[str, Path], checkout: Path, *, bad_groups: Collection[str] = ()
) -> list[str]:
    """One sentence per unknown key or wrong value.

    Args:
        settings: Composed settings as plain values.
        files: YAML file of each group, the root's under ``""``.
        checkout: Folder that paths are told relative to.
        bad_groups: Groups whose choice was wrong already: what follows from that says nothing new.
    """
    try:
        checked(settings)
    except ValidationError as error:
        return [_told(e, settings, files, checkout) for e in error.errors() if not _follows(e, bad_groups)]
    return []


def _follows(error: ErrorDetails, bad_groups: Collection[str]) -> bool:
    """Whether an error only follows from a choice that was wrong already."""
    if "experiment" in bad_groups and len(error["loc"]) > 1:
        return error["type"] in ("missing", "extra_forbidden")
    return error["loc"][0] in bad_groups


def _told(error: ErrorDetails, settings: dict[str, Any], files: dict[str, Path], checkout: Path) -> str:
    path = _path_in_settings(error["loc"], settings)
    key = ".".join(path)
    model = _model_at(path[:-1], settings)
    fields = {f.alias or name: f for name, f in model.model_fields.items()} if model else {}
    place = _file_of(path, settings, files).relative_to(checkout).as_posix()
    if error["type"] == "extra_forbidden":
        hint = nearest(path[-1], fields if len(path) > 1 else [*fields, "experiment"])
        full = ".".join([*path[:-1], hint]) if hint else _elsewhere(key, settings)
        meant = f" Did you mean {full!r}?" if full else ""
        return f"{key}: there is no such key in {place}.{meant} Keys there: {', '.join(fields)}."
    if error["type"] == "missing":
        return f"{key}: is missing in {place}."
    if error["type"] == "union_tag_invalid":
        kinds = error["ctx"]["expected_tags"].replace("'", "")
        tag = error["ctx"]["tag"]
        return f"{key}.kind={tag}: there is no such kind. Choose with {key}=NAME, in {place}. Allowed: {kinds}."
    allowed = _allowed(fields[path[-1]].annotation) if path[-1] in fields else ""
    problem = error["msg"].removeprefix("Value error, ")
    return f"{key}={error['input']}: {problem[0].lower()}{problem[1:]} ({place})." + (
        f" Allowed: {allowed}." if allowed else ""
    )


def _path_in_settings(loc: tuple[int | str, ...], settings: dict[str, Any]) -> list[str]:
    """Pydantic's location less the tags of unions, which are no keys."""
    path: list[str] = []
    at: Any = settings
    for i, part in enumerate(loc):
        known = isinstance(at, dict) and part in at
        if known or i == len(loc) - 1:
            path.append(str(part))
            at = at[part] if known else None
    return path


def _model_at(path: Sequence[str], settings: dict[str, Any]) -> type[BaseModel] | None:
    """The settings class that describes the section at ``path``."""
    model: type[BaseModel] | None = settings_class(settings)
    at: Any = settings
    for part in path:
        if model is None or part not in model.model_fields:
            return None
        at = at.get(part, {})
        options = [
            m for m in _members(model.model_fields[part].annotation) if isinstance(m, type) and issubclass(m, BaseModel)
        ]
        tagged = [
            m for m in options if at.get("kind") in get_args(getattr(m.model_fields.get("kind"), "annotation", None))
        ]
        candidates = tagged or options
        model = candidates[0] if candidates else None
    return model


def _members(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [m for part in get_args(annotation) for m in _members(part)]
    return [annotation]


def _allowed(annotation: Any) -> str:
    members = _members(annotation)
    if all(get_origin(m) is Literal for m in members):
        return ", ".join(str(v) for m in members for v in get_args(m))
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false", types.NoneType: "null"}
    return " or ".join(names[m] for m in members if m in names)


def _file_of(path: Sequence[str], settings: dict[str, Any], files: dict[str, Path]) -> Path:
    """The experiment's file where it sets this very key to this very value, the group's or the root's otherwise."""
    told, found = settings, files.get("experiment")
    written: Any = yaml.safe_load(found.read_text("utf-8")) if found else None
    for part in path:
        written = written.get(part) if isinstance(written, dict) else None
        told = told.get(part) if isinstance(told, dict) else None  # type: ignore[assignment]
    if found and written is not None and written == told:
        return found
    return files.get(path[0], files[""])


def _elsewhere(key: str, settings: dict[str, Any]) -> str | None:
    """The full key of a setting with this or a similar name in another section."""
    names = {f"{section}.{name}": name for section, keys in settings.items() if isinstance(keys, dict) for name in keys}
    names.pop(key, None)
    hint = nearest(key.rsplit(".", 1)[-1], names.values())
    return next((path for path, name in names.items() if name == hint), None)
