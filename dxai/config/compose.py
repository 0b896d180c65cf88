"""Hydra to typed settings: the only file that touches Hydra and OmegaConf."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir, main
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.completion_plugin import CompletionPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dxai.config.mistakes import key_mistakes, unknown_choice
from dxai.config.settings import RunSettings
from dxai.errors import NotFoundError, SettingsError, bullet_list

ROOT = "run"


def find_checkout(start: Path | None = None) -> Path:
    """The nearest folder at or above ``start`` that holds configs/run.yaml.

    Raises:
        NotFoundError: There is none: training lives in a checkout.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "configs" / f"{ROOT}.yaml").is_file():
            return folder
    raise NotFoundError(
        "This folder is not inside a dxai checkout, and training lives in one (configs/, dvc.yaml, models/).",
        where=str(here),
        fix="git clone the repository, cd into it, and give the command there.",
    )


def settings_from(overrides: Sequence[str] = (), *, checkout: Path | None = None) -> RunSettings:
    """Compose ``configs/run.yaml`` with overrides such as ``experiment=concrete_tabm model.k=16``.

    Raises:
        SettingsError: One message with every unknown group, choice or key and every wrong value.
    """
    checkout = checkout or find_checkout()
    refuse_mistakes(overrides, checkout)
    with initialize_config_dir(str(checkout / "configs"), version_base="1.3"):
        return _typed(compose(ROOT, list(overrides)))


def launch(arguments: Sequence[str], job: Callable[[RunSettings, Path], None]) -> None:
    """Hand the command line to Hydra (runs, sweeps, ``--help``, ``--cfg``) after a check of every override.

    Args:
        arguments: The words after ``dxai train``.
        job: Called once per run with the settings and the run's folder.
    """
    checkout = find_checkout()
    refuse_mistakes([word for word in arguments if not word.startswith("-")], checkout)

    def run(config: DictConfig) -> None:
        from hydra.core.hydra_config import HydraConfig

        job(_typed(config), Path(HydraConfig.get().runtime.output_dir))

    sys.argv = ["dxai train", *arguments]
    main(version_base="1.3", config_path=str(checkout / "configs"), config_name=ROOT)(run)()


def refuse_mistakes(overrides: Sequence[str], checkout: Path) -> None:
    """Raise one SettingsError that tells all mistakes in the overrides; every value of a sweep is looked at."""
    configs = checkout / "configs"
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise SettingsError(
            f"An override cannot be read: {str(error).splitlines()[0]}",
            where="command line",
            fix="Write key=value; quote values with blanks or commas.",
        ) from None
    with initialize_config_dir(str(configs), version_base="1.3"):
        mistakes = _mistakes(parsed, configs)
    if mistakes:
        raise SettingsError(
            bullet_list(mistakes), where="command line and configs/", fix="dxai train --help lists groups and settings."
        )


def _mistakes(parsed: list[Override], configs: Path) -> list[str]:
    loader = GlobalHydra.instance().config_loader()
    groups = {p.relative_to(configs).as_posix() for p in configs.rglob("*") if p.is_dir()} - {"contract", "hydra"}
    choices = [o for o in parsed if o.key_or_group in groups]
    values = [o for o in parsed if o.key_or_group not in groups and not o.key_or_group.startswith("hydra")]
    wrong = [
        unknown_choice(o.key_or_group, str(choice), loader.get_group_options(o.key_or_group))
        for o in choices
        for choice in _each_value(o)
        if choice not in (*loader.get_group_options(o.key_or_group), None)
    ]
    if wrong:  # no composition to hold the keys against
        chosen = []
    else:
        chosen = [f"{o.key_or_group}={_each_value(o)[0] if _each_value(o)[0] is not None else 'null'}" for o in choices]
    try:
        config = compose(ROOT, chosen, return_hydra_config=True)
        plain = _with_values(config, values)
    except (HydraException, OmegaConfBaseException) as error:
        return wrong + [str(error).splitlines()[0]]
    files = _files(config, configs)
    mistakes = list(wrong)
    for variant in plain:
        mistakes += [
            m for m in key_mistakes(variant, files, configs.parent, known_bad_groups=bool(wrong)) if m not in mistakes
        ]
    return mistakes


def _each_value(override: Override) -> list[Any]:
    """The value of a plain override, or every value of a sweep."""
    if override.is_sweep_override():
        return list(override.sweep_iterator()) if override.is_discrete_sweep() else [override.value().start]
    return [override.value()]


def _with_values(config: DictConfig, overrides: list[Override]) -> list[dict[str, Any]]:
    """The composed settings with the overrides put in, one copy per sweep value, each sweep varied alone."""
    first = {o.key_or_group: _each_value(o)[0] for o in overrides}
    variants = [first] + [{**first, o.key_or_group: value} for o in overrides for value in _each_value(o)[1:]]
    made = []
    for variant in variants:
        copy = OmegaConf.masked_copy(config, [k for k in config if k != "hydra"])
        OmegaConf.set_struct(copy, False)
        for key, value in variant.items():
            OmegaConf.update(copy, key, value, force_add=True)
        made.append(_plain(copy))
    return made


def _files(config: DictConfig, configs: Path) -> dict[str, Path]:
    """The YAML file behind each group that takes part, the root's under the empty name."""
    chosen = {
        group: configs / group / f"{choice}.yaml" for group, choice in config.hydra.runtime.choices.items() if choice
    }
    return {"": configs / f"{ROOT}.yaml", **{g: f for g, f in chosen.items() if f.is_file()}}


def _plain(config: DictConfig) -> dict[str, Any]:
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def _typed(config: DictConfig) -> RunSettings:
    return RunSettings.model_validate({k: v for k, v in _plain(config).items() if k != "hydra"})


def complete(incomplete: str) -> list[str]:
    """Shell completions of one override of ``dxai train``: groups, choices and keys."""
    search = create_config_search_path(str(find_checkout() / "configs"))
    plugin = next(p for p in Plugins.instance().discover(CompletionPlugin) if p.provides() == "bash")
    return list(plugin(ConfigLoaderImpl(config_search_path=search))._query(config_name=ROOT, line=incomplete))
