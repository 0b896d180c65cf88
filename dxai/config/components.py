"""What YAML names by ``_target_``: a class or function by its dotted name, its arguments checked against its signature.

Only the YAML files of a checkout and its command line are read so; nothing that came in a bundle or a package is.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model
from pydantic_core import PydanticCustomError

from dxai.errors import nearest


class Settings(BaseModel):
    """Base of all settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), serialize_by_alias=True)


Dotted = Annotated[str, AfterValidator(lambda name: _found(name) and name)]
"""The dotted name of something that can be imported."""


class Component(Settings):
    """A named class or function and its arguments; `typed` makes the one whose fields are those arguments."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True)

    target: Dotted = Field(alias="_target_")

    @property
    def name(self) -> str:
        """Short name for people: of ``dxai.networks.tabm.TabM`` it is ``tabm``."""
        return short_name(self.target)

    @property
    def arguments(self) -> dict[str, Any]:
        """All that the YAML says beside the name."""
        own = {name: getattr(self, name) for name in type(self).model_fields if name != "target"}
        return own | (self.model_extra or {})

    def takes(self, names: Collection[str]) -> bool:
        """Whether what is named can be given arguments of these names, and needs no others than it has."""
        parameters = _parameters(find(self.target))
        needed = {n for n, p in parameters.items() if p.default is p.empty and p.kind not in _REST}
        rest = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        return (rest or set(names) <= parameters.keys()) and needed <= {*names, *self.arguments}

    def build(self, **given: Any) -> Any:
        """Call what is named with its arguments and with those that are given."""
        return find(self.target)(**given, **self.arguments)


class _Open(Component):
    pass


class _Closed(Component):
    model_config = ConfigDict(extra="forbid")


_REST = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)

GIVEN = frozenset({
    "numbers", "cardinalities", "outputs", "context", "horizon", "season", "calendar", "channels", "prior", "monotone",
    "frequency", "columns",
})  # fmt: skip
"""Arguments that follow from contract and data: the task gives them, no YAML does."""


def short_name(target: str) -> str:
    """The last part of a dotted name, in small letters."""
    return target.rpartition(".")[2].lower()


def find(target: str) -> Any:
    """What a dotted name means; ``custom`` is the folder of that name in the checkout.

    Raises:
        ImportError: There is no such module, or it cannot be imported.
        AttributeError: The module has no such name.
    """
    module, _, name = target.rpartition(".")
    if not module:
        raise ImportError("a name with a dot is needed, such as dxai.networks.tabm.TabM")
    return getattr(importlib.import_module(module), name)


def know_custom(checkout: Path) -> None:
    """Let ``custom.FILE.NAME`` mean the class in custom/FILE.py of this checkout."""
    if (checkout / "custom").is_dir() and str(checkout) not in sys.path:
        sys.path.append(str(checkout))


def _found(target: str) -> Any:
    """The same as a setting: what is wrong with the name is a mistake in the YAML."""
    try:
        return find(target)
    except AttributeError:
        module, _, name = target.rpartition(".")
        hint = nearest(name, [n for n in vars(sys.modules[module]) if not n.startswith("_")])
        meant = f", did you mean '{module}.{hint}'?" if hint else ""
        raise PydanticCustomError("no_such_target", f"{module} has no {name}{meant}") from None
    except Exception as error:  # whatever a user's own file raises when it is imported
        told = str(error).splitlines()[0] if str(error) else ""
        raise PydanticCustomError("no_such_target", f"it cannot be imported: {type(error).__name__}: {told}") from None


@cache
def typed(target: str) -> type[Component]:
    """The settings class of a named class or function: one field per argument, typed by its annotation.

    Arguments that the task gives have no field. A name that means nothing has no fields either: what is wrong with it
    is told when its settings are checked.
    """
    try:
        named = find(target)
        parameters, hints = _parameters(named), _hints(named)
    except Exception:  # told by `_found`, with the key
        return Component
    rest = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    fields: dict[str, Any] = {
        name: (hints.get(name, Any), ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in parameters.items()
        if name not in GIVEN and parameter.kind not in _REST
    }
    fields["target"] = (Annotated[Literal[target], Field(alias="_target_")], ...)
    base = _Open if rest else _Closed
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Field name .* shadows")  # an argument may be called as a property of ours
        return create_model("Component", __base__=base, **fields)


def _parameters(named: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(named).parameters


def _hints(named: Any) -> dict[str, Any]:
    return get_type_hints(named.__init__ if inspect.isclass(named) else named, include_extras=True)
