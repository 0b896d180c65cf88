"""Every override of a command line held against the settings, before Hydra sees it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dxai.config.mistakes import key_mistakes, unknown_choice
from dxai.errors import SettingsError, bullet_list

ROOT = "run"
"""Name of the one root config."""
SWEEP = "sweep"
"""The group of `dxai sweep`, which says how runs are drawn and is no part of any."""

_HELP = "dxai train --help lists groups and settings."


def refuse_mistakes(overrides: Sequence[str], checkout: Path) -> None:
    """Raise one SettingsError that tells all mistakes in the overrides; every value of a sweep is looked at."""
    configs = checkout / "configs"
    with initialize_config_dir(str(configs), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        try:
            parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
        except HydraException as error:
            raise SettingsError(
                f"An override cannot be read: {str(error).splitlines()[0]}",
                where="command line",
                fix="Write key=value; quote values with blanks or commas.",
            ) from None
        ours = [o for o in parsed if not o.key_or_group.startswith("hydra")]
        bad = _bad_choices(ours, configs)
        rest = [o for o in ours if o.key_or_group not in bad]
        mistakes = [told for group in bad.values() for told in group] + _key_mistakes(rest, configs, set(bad))
    if mistakes:
        raise SettingsError(bullet_list(dict.fromkeys(mistakes)), where="command line and configs/", fix=_HELP)


def device_words(overrides: Sequence[str], checkout: Path) -> list[str]:
    """The overrides, with ``trainer=gpu`` as ``device=gpu`` where no recipe of that name is there."""
    recipes, devices = (
        {file.stem for file in (checkout / "configs" / group).glob("*.yaml")} for group in ("trainer", "device")
    )
    known = {f"trainer={name}": f"device={name}" for name in devices - recipes}
    return [known.get(word, word) for word in overrides]


def refuse_sweep(overrides: Sequence[str]) -> None:
    """Raise a SettingsError when a single run is given several values for a key."""
    if swept := swept_words(overrides):
        raise SettingsError(
            f"One run takes one value: {', '.join(swept)}.", where="command line", fix="Give -m for a sweep."
        )


def swept_words(overrides: Sequence[str]) -> list[str]:
    """Those that give a key several values."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return [str(override.input_line) for override in parsed if override.is_sweep_override()]


def plain(config: DictConfig) -> dict[str, Any]:
    """A composed config as dicts, lists and scalars, interpolations resolved."""
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def _groups(configs: Path) -> set[str]:
    folders = {p.relative_to(configs).as_posix() for p in configs.rglob("*") if p.is_dir()}
    return {name for name in folders if not name.startswith("hydra") and name != SWEEP}


def _bad_choices(overrides: Sequence[Override], configs: Path) -> dict[str, list[str]]:
    """Group to what is wrong with its choices."""
    loader, bad = GlobalHydra.instance().config_loader(), dict[str, list[str]]()
    for override in overrides:
        group = override.key_or_group
        if group not in _groups(configs):
            continue
        options = loader.get_group_options(group)
        for choice in _each_value(override):
            if choice is None and group not in ("experiment", "device"):
                told = f"{group}: a run needs this group. Choices: {', '.join(options)}."
                bad.setdefault(group, []).append(told)
            elif choice is not None and choice not in options:
                bad.setdefault(group, []).append(unknown_choice(group, str(choice), options))
    return bad


def _key_mistakes(overrides: Sequence[Override], configs: Path, bad_groups: set[str]) -> list[str]:
    """What is wrong with keys and values, each sweep value by itself."""
    groups = _groups(configs)

    @cache
    def composed(*choices: str) -> DictConfig:
        return compose(ROOT, list(choices), return_hydra_config=True)

    mistakes: list[str] = []
    for variant in _variants(overrides):
        choices = [f"{k}={'null' if v is None else v}" for k, v in variant.items() if k in groups]
        try:
            config = composed(*choices)
            settings = _with_values(config, {k: v for k, v in variant.items() if k not in groups})
        except (HydraException, OmegaConfBaseException) as error:
            mistakes.append(str(error).splitlines()[0])
        except yaml.YAMLError as error:
            mistakes.append(f"A file is no YAML: {' '.join(str(error).split())}")
        else:
            mistakes += key_mistakes(settings, _files(config, configs), configs.parent, bad_groups=bad_groups)
    return mistakes


def _variants(overrides: Sequence[Override]) -> list[dict[str, Any]]:
    """Key to value, one per sweep value: each sweep varied alone."""
    first = {o.key_or_group: _each_value(o)[0] for o in overrides}
    return [first] + [{**first, o.key_or_group: value} for o in overrides for value in _each_value(o)[1:]]


def _each_value(override: Override) -> list[Any]:
    """The value of a plain override, every value of a sweep, both ends of an interval."""
    if not override.is_sweep_override():
        return [override.value()]
    if override.is_discrete_sweep():
        return list(override.sweep_iterator())
    interval: Any = override.value()
    return [interval.start, interval.end]


def _with_values(config: DictConfig, values: dict[str, Any]) -> dict[str, Any]:
    """The settings of a composed config with values put in, known keys or not."""
    copy = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    OmegaConf.set_struct(copy, False)
    for key, value in values.items():
        OmegaConf.update(copy, key, value, force_add=True)
    return plain(copy)


def _files(config: DictConfig, configs: Path) -> dict[str, Path]:
    """The YAML file behind each group that takes part, the root's under the empty name."""
    choices = config.hydra.runtime.choices.items()
    chosen = {group: configs / group / f"{choice}.yaml" for group, choice in choices if choice}
    return {"": configs / f"{ROOT}.yaml", **{group: file for group, file in chosen.items() if file.is_file()}}
