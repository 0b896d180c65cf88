"""What the table of keys is made of: a key, and the level at which keys stand together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, get_origin

from pydantic import BaseModel


@dataclass(frozen=True, eq=False)
class Key:
    """One key.

    Attributes:
        name: As it stands in YAML; in ``customProperties`` the name of the property.
        field: Of the level's model; empty: the reader uses the key otherwise, or not at all.
        example: Its value in YAML.
        en, ko: What it means.
        form: Type of the value where the file's differs from the field's, or there is no field.
        required: Whether it must be there, where no field says so.
        holds: The level below it.
        list_of: Fewest and most entries where it holds a list of that level.
    """

    name: str
    field: str
    example: str
    en: str
    ko: str
    form: Any = None
    required: bool = False
    holds: Level | None = None
    list_of: tuple[int, int | None] | None = None


@dataclass(frozen=True, eq=False)
class Level:
    """The keys that stand together.

    Attributes:
        title_en, title_ko: Of its section in the reference.
        model: Whose fields its keys fill.
        others: Keys of the standard that may stand here too; dxai does not read them.
        custom: Written as a list of ``{property: NAME, value: VALUE}``.
        closed: Whether any other key is refused.
    """

    title_en: str
    title_ko: str
    model: type[BaseModel]
    keys: tuple[Key, ...]
    others: tuple[str, ...] = ()
    custom: bool = False
    closed: bool = True

    def key(self, name: object) -> Key | None:
        """The key of this name."""
        return next((key for key in self.keys if key.name == name), None)

    def requires(self, key: Key) -> bool:
        """Whether the key must be there."""
        return self.model.model_fields[key.field].is_required() if key.field else key.required

    def type_of(self, key: Key) -> Any:
        """Type of a value that is no level: the field's, with lists as YAML has them."""
        if key.form is not None:
            return key.form
        field = self.model.model_fields[key.field]
        found = list[str] if get_origin(field.annotation) is tuple else field.annotation
        return Annotated[found, *field.metadata] if field.metadata else found
