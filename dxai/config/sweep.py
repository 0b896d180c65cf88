"""Typed settings of a sweep: how many trials, where they are kept, and the space that they are drawn from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from dxai.config.components import Settings
from dxai.config.compose import settings_from
from dxai.config.launchers import launcher_words, refuse_launcher
from dxai.config.mistakes import unknown_choice
from dxai.config.overrides import SWEEP, refuse_mistakes, refuse_sweep
from dxai.config.settings import RunSettings
from dxai.errors import SettingsError, bullet_list, nearest

_PLAIN = re.compile(r"[A-Za-z_][\w./-]*")
_FORM = "[VALUE, VALUE, …] or {low: NUMBER, high: NUMBER, log: true}"


class Range(Settings):
    """Numbers from ``low`` to ``high``, whole ones where both are.

    Attributes:
        log: Drawn evenly among orders of magnitude.
        step: Distance of neighbours; null: any number, or any whole number.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    @model_validator(mode="after")
    def _refuse_empty(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low must be below high; {self.low} is not below {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs a low above 0; it is {self.low}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"step must be above 0; it is {self.step}")
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return all(isinstance(end, int) for end in (self.low, self.high, 1 if self.step is None else self.step))


class SweepSettings(Settings):
    """A sweep, as configs/sweep/ and ``sweep.KEY=…`` say it.

    Attributes:
        trials: In all, by whatever number of processes and machines.
        storage: Database of the study, which several machines may share; null: ``study.db`` in the sweep's folder.
        study: Its name there; null: one of its own.
        pruner: What ends trials that promise little: Hyperband, the median of those before, or nothing.
        seed: Of the draws.
        jobs: Trials at once, where a launcher of Hydra runs them; null: two, or as it is without a launcher one.
        model: That the space is for; chosen where no word chooses another.
        space: By key of a run's settings a `Range` as a mapping, or a list of values.
    """

    trials: PositiveInt = 40
    storage: str | None = None
    study: Annotated[str, Field(pattern=r"^[\w.-]+$")] | None = None
    pruner: Literal["hyperband", "median", "none"] = "hyperband"
    seed: NonNegativeInt = 0
    jobs: PositiveInt | None = None
    model: str | None = None
    space: dict[str, Any]

    @property
    def dimensions(self) -> dict[str, Range | tuple[str, ...]]:
        """By key its range, or its values as they are written in an override."""
        return {
            key: Range.model_validate(told) if isinstance(told, Mapping) else tuple(map(written, told))
            for key, told in self.space.items()
        }


@dataclass(frozen=True)
class SweepPlan:
    """What is to be swept.

    Attributes:
        words: What every trial has in common, as overrides.
        settings: Of the sweep.
        launcher: The words that say where trials run; empty: one after the other in this process.
    """

    words: tuple[str, ...]
    settings: SweepSettings
    launcher: tuple[str, ...] = ()

    def trial(self, parameters: Mapping[str, Any]) -> list[str]:
        """Overrides of the trial with these parameters."""
        drawn = {key: value if isinstance(value, str) else written(value) for key, value in parameters.items()}
        return [*self.words, *(f"{key}={value}" for key, value in drawn.items())]

    def first(self, checkout: Path) -> RunSettings:
        """Settings of a run with the first value of every key.

        Raises:
            SettingsError: All mistakes in the words and in the space, by key.
        """
        refuse_mistakes(self.words, checkout)
        refuse_sweep(self.words)
        dimensions = self.settings.dimensions
        given = {word.partition("=")[0].lstrip("+~") for word in self.words}
        if doubles := given & {key.lstrip("+") for key in dimensions}:
            raise SettingsError(
                f"{', '.join(sorted(doubles))}: given a value and swept.", where=f"{SWEEP}.space",
                fix=f"Leave the value out, or {SWEEP}.space.{min(doubles)}=null.",
            )  # fmt: skip
        ends = {k: (d.low, d.high) if isinstance(d, Range) else d for k, d in dimensions.items()}
        swept = [f"{key}=choice({','.join(map(str, values))})" for key, values in ends.items()]
        try:
            refuse_mistakes([*self.words, *swept], checkout)
            return settings_from(self.trial({key: values[0] for key, values in ends.items()}), checkout=checkout)
        except SettingsError as error:
            raise SettingsError(error.problem, where=f"{SWEEP}.space", fix="Correct the key or its values.") from None
        except (HydraException, OmegaConfBaseException) as error:
            told = str(error).splitlines()[0]
            raise SettingsError(told, where=f"{SWEEP}.space", fix="Write +KEY for a key that no file has.") from None


def sweep_plan(words: Sequence[str], checkout: Path) -> SweepPlan:
    """What ``dxai sweep WORDS`` means; ``sweep=NAME`` names a file of configs/sweep/, ``sweep.KEY=…`` changes it.

    Raises:
        SettingsError: All that is wrong with the settings of the sweep itself.
    """
    ours = [word for word in words if re.match(rf"\+*{SWEEP}[.=]", word)]
    told: dict[str, Any] = {}
    try:
        overrides = [(o.key_or_group, o.value()) for o in OverridesParser.create().parse_overrides(ours)]
    except HydraException as error:
        raise SettingsError(
            f"An override cannot be read: {str(error).splitlines()[0]}", where="command line", fix="Write key=value."
        ) from None
    for key, value in overrides:
        if key == SWEEP:
            told = _file(str(value), checkout)
    space = told.setdefault("space", {})
    for key, value in overrides:
        name = key.removeprefix(f"{SWEEP}.")
        if name.startswith("space.") and isinstance(space, dict):
            space[name.removeprefix("space.")] = value
        elif key != SWEEP:
            told[name] = value
    if isinstance(space, dict):
        told["space"] = {key: value for key, value in space.items() if value is not None}
    if mistakes := _mistakes(told):
        raise SettingsError(bullet_list(mistakes), where="command line and configs/sweep/", fix="dxai sweep --help")
    settings, launcher = SweepSettings.model_validate(told), launcher_words(words)
    if settings.jobs and not launcher:
        raise SettingsError(
            f"{SWEEP}.jobs={settings.jobs}: a launcher runs trials at once, and none is named.",
            where="command line", fix="Give hydra/launcher=joblib too.",
        )  # fmt: skip
    refuse_launcher(launcher, checkout)
    rest = tuple(word for word in words if word not in ours and word not in launcher)
    if settings.model and not any(word.startswith("model=") for word in rest):
        rest += (f"model={settings.model}",)
    return SweepPlan(rest, settings, launcher)


def written(value: Any) -> str:
    """A value as Hydra reads it in an override.

    >>> written([8, "a b", None, True]), written("tabm"), written(1e-5)
    ('[8,"a b",null,true]', 'tabm', '1e-05')
    """
    if isinstance(value, list | tuple):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in ("null", "true", "false", "nan"):
        return value
    return json.dumps(value, ensure_ascii=False)


def _file(name: str, checkout: Path) -> dict[str, Any]:
    folder = checkout / "configs" / SWEEP
    options = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in options:
        fix = f"Choose one, or give {SWEEP}.space.KEY={_FORM}."
        raise SettingsError(unknown_choice(SWEEP, name, options), where="command line", fix=fix)
    try:
        told = OmegaConf.to_container(OmegaConf.load(folder / f"{name}.yaml"), resolve=True)
    except Exception as error:  # of the YAML reader or of OmegaConf
        raise SettingsError(
            f"It is no YAML: {' '.join(str(error).split())}", where=f"configs/{SWEEP}/{name}.yaml"
        ) from None
    return {str(key): value for key, value in told.items()} if isinstance(told, dict) else {}


def _mistakes(told: dict[str, Any]) -> list[str]:
    mistakes = []
    try:
        SweepSettings.model_validate(told)
    except ValidationError as error:
        for one in error.errors():
            key = str(one["loc"][0])
            if one["type"] == "extra_forbidden":
                hint = nearest(key, SweepSettings.model_fields)
                meant = f" Did you mean '{SWEEP}.{hint}'?" if hint else ""
                keys = ", ".join(SweepSettings.model_fields)
                mistakes.append(f"{SWEEP}.{key}: there is no such key.{meant} Keys: {keys}.")
            else:
                mistakes.append(f"{SWEEP}.{key}={one['input']}: {one['msg'][0].lower()}{one['msg'][1:]}.")
    space = told.get("space")
    if isinstance(space, dict):
        mistakes += [f"{SWEEP}.space.{key}: {problem}" for key, dim in space.items() for problem in _of(dim)]
        mistakes += [] if space else [f"{SWEEP}.space is empty: name a file of configs/sweep/, or a key to sweep."]
    return mistakes


def _of(dimension: Any) -> list[str]:
    """What is wrong with the values of one key."""
    if isinstance(dimension, list):
        return [] if dimension else ["an empty list has nothing to try."]
    if not isinstance(dimension, dict):
        return [f"must be {_FORM}; {dimension!r} is not."]
    try:
        Range.model_validate(dimension)
    except ValidationError as error:
        problems = []
        for one in error.errors():
            name = str(one["loc"][0]) if one["loc"] else ""
            if one["type"] == "extra_forbidden":
                hint = nearest(name, Range.model_fields)
                problems.append(f"{name} is no part of a range{f', did you mean {hint!r}?' if hint else '.'}")
            elif one["type"] == "missing":
                problems.append(f"{name} is missing.")
            else:
                problems.append(f"{name} {one['msg'].removeprefix('Value error, ')}.".strip())
        return list(dict.fromkeys(problems))
    return []
