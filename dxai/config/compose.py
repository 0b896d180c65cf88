"""Hydra to typed settings: composition, launch and completion."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir, main
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import filter_overrides
from hydra.plugins.completion_plugin import CompletionPlugin
from omegaconf import DictConfig, OmegaConf

from dxai.config.components import know_custom, short_name
from dxai.config.launchers import ALONE, launcher_name, refuse_launcher
from dxai.config.overrides import ROOT, SWEEP, device_words, plain, refuse_mistakes, refuse_sweep, swept_words
from dxai.config.settings import RunSettings, checked
from dxai.errors import NotFoundError, SettingsError
from dxai.files import checkout_above


@cache
def unused(folder: str) -> str:
    """This folder, or one with a number behind its name: made here, so that no two runs ever share one.

    A process asks several times and gets the same answer.
    """
    Path(folder).parent.mkdir(parents=True, exist_ok=True)
    for name in chain([folder], (f"{folder}-{number}" for number in count(2))):
        with suppress(FileExistsError):
            Path(name).mkdir()
            return name
    raise AssertionError("numbers do not end")


def _groups() -> str:
    """Groups of a run with their choices, for the help: Hydra's own list would show that of `dxai sweep` too."""
    configs = find_checkout() / "configs"
    listed = {folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in configs.iterdir()}
    names = sorted(name for name, options in listed.items() if options and name != SWEEP)
    return "".join(f"{name}: {', '.join(listed[name])}\n" for name in names)


OmegaConf.register_new_resolver("groups", _groups, replace=True)
OmegaConf.register_new_resolver("unused", unused, replace=True, use_cache=True)  # goes with the jobs of a launcher
OmegaConf.register_new_resolver("short_name", short_name, replace=True)


def find_checkout(start: Path | None = None) -> Path:
    """The nearest folder at or above ``start`` that holds configs/run.yaml.

    Raises:
        NotFoundError: There is none: training lives in a checkout.
    """
    here = (start or Path.cwd()).resolve()
    if folder := checkout_above(here):
        know_custom(folder)
        return folder
    raise NotFoundError(
        "This folder is not inside a dxai checkout, and training lives in one (configs/, dvc.yaml, models/).",
        where=str(here),
        fix="git clone the repository, cd into it, and give the command there.",
    )


def settings_from(overrides: Sequence[str] = (), *, checkout: Path | None = None) -> RunSettings:
    """Compose ``configs/run.yaml`` with overrides such as ``experiment=concrete model.k=16``.

    Raises:
        SettingsError: One message with every unknown group, choice or key and every wrong value.
    """
    checkout = checkout or find_checkout()
    know_custom(checkout)
    overrides = device_words(overrides, checkout)
    refuse_mistakes(overrides, checkout)
    refuse_sweep(overrides)
    with initialize_config_dir(str(checkout / "configs"), version_base="1.3"):
        return _typed(compose(ROOT, list(overrides)))


def launch(
    arguments: Sequence[str], job: Callable[[RunSettings, Path], None], one_of_several: Callable[..., str]
) -> list[tuple[str, str | Exception]]:
    """Hand the command line to Hydra (runs, sweeps, ``--help``, ``--cfg``) after a check of every override.

    Args:
        arguments: The words after ``dxai train``.
        job: Called with the settings and the folder of a single run.
        one_of_several: Called with those of each of several runs, and its name where others run at the same time; what
            it returns or raises comes back.

    Returns:
        Of several runs each one's name, and what it has returned or raised.
    """
    checkout = find_checkout()
    arguments = device_words(arguments, checkout)
    overrides, many = _parsed(arguments)
    if swept := [word for word in overrides if word.startswith((f"{SWEEP}=", f"{SWEEP}."))]:
        fix = f"dxai sweep {' '.join(overrides)}"
        raise SettingsError(f"{' '.join(swept)}: one run is not drawn from a space.", where="command line", fix=fix)
    refuse_mistakes(overrides, checkout)
    if not many:
        refuse_sweep(overrides)
    elif {"--multirun", "-m"} >= {word for word in arguments if word.startswith("-")}:
        return _several(overrides, one_of_several, checkout)

    def run(config: DictConfig) -> None:
        job(_typed(config), Path(HydraConfig.get().runtime.output_dir))

    app = main(version_base="1.3", config_path=str(checkout / "configs"), config_name=ROOT)(run)
    ours, sys.argv = sys.argv, ["dxai train", *arguments]  # where Hydra looks for them
    try:
        app()
    finally:
        sys.argv = ours
    return []


def _several(overrides: list[str], job: Callable[..., str], checkout: Path) -> list[tuple[str, str | Exception]]:
    """Runs of all values of a sweep, where the launcher that the overrides name puts them."""
    refuse_launcher(overrides, checkout)
    alone = launcher_name(overrides) == ALONE
    swept = {word.partition("=")[0].lstrip("+") for word in swept_words(overrides)}

    def run(config: DictConfig) -> tuple[str, str | Exception]:
        told = HydraConfig.get()
        folder, words = Path(told.runtime.output_dir), filter_overrides(told.overrides.task)
        own = " ".join(word for word in words if word.partition("=")[0].lstrip("+") in swept)
        name = f"job {told.job.num}" + (f" ({own})" if own else "")
        try:
            return name, job(_typed(config), folder, "" if alone else name)
        except Exception as error:
            return name, error

    with initialize_config_dir(str(checkout / "configs"), version_base="1.3", job_name="train"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        batches = hydra.multirun(ROOT, run, overrides)
    return [job.return_value for batch in batches for job in batch]


def asks_for_jobs(arguments: Sequence[str]) -> bool:
    """Whether the words after ``dxai train`` start several runs, and are not about the command itself."""
    about = ("-h", "-c", "-i", "--help", "--hydra-help", "--cfg", "--info", "--version", "--shell-completion", "-sc")
    return _parsed(arguments)[1] and not any(word.partition("=")[0] in about for word in arguments)


def _parsed(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """The overrides among the words after ``dxai train``, and whether they are those of a sweep."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    for names in ("--cfg -c", "--package -p", "--config-path -cp", "--config-name -cn", "--config-dir -cd"):
        parser.add_argument(*names.split())  # Hydra's own options that a value follows
    parser.add_argument("--experimental-rerun")
    parser.add_argument("--info", "-i", nargs="?")
    parser.add_argument("--multirun", "-m", action="store_true")
    known, rest = parser.parse_known_args(list(arguments))
    return [word for word in rest if not word.startswith("-")], known.multirun


def complete(incomplete: str, *, sweep: bool = False) -> list[str]:
    """Shell completions of one override of ``dxai train`` or ``dxai sweep``: groups, choices and keys."""
    plugins: list[Any] = Plugins.instance().discover(CompletionPlugin)
    bash = next(plugin for plugin in plugins if plugin.provides() == "bash")
    with initialize_config_dir(str(find_checkout() / "configs"), version_base="1.3"):
        found: list[str] = bash(GlobalHydra.instance().config_loader())._query(config_name=ROOT, line=incomplete)
    return [word for word in found if sweep or not word.startswith(SWEEP)]


def _typed(config: DictConfig) -> RunSettings:
    return checked({key: value for key, value in plain(config).items() if key != "hydra"})
