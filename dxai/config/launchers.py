"""Launchers of Hydra: where the jobs of `dxai train -m` and `dxai sweep` run, as ``hydra/launcher=NAME`` says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from dxai.config.overrides import ROOT
from dxai.errors import SettingsError, nearest

ALONE = "basic"
"""Hydra's launcher of one job after the other in this process."""
_GROUP = "hydra/launcher"
_WORD = re.compile(rf"\+*({_GROUP}=|hydra\.launcher\.)")
_NEEDS = {
    "joblib": ("joblib", "hydra_plugins.hydra_joblib_launcher"),
    "submitit_local": ("slurm", "hydra_plugins.hydra_submitit_launcher"),
    "submitit_slurm": ("slurm", "hydra_plugins.hydra_submitit_launcher"),
    "ray": ("ray", "ray"),
}
"""By launcher the extra that brings it, and a module of what it brings."""


def launcher_words(words: Sequence[str]) -> tuple[str, ...]:
    """Those that say where jobs run, and not what they are."""
    return tuple(word for word in words if _WORD.match(word))


def launcher_name(words: Sequence[str]) -> str:
    """The launcher that the words name."""
    named = [word.partition("=")[2] for word in words if word.lstrip("+").startswith(f"{_GROUP}=")]
    return named[-1] if named else ALONE


def refuse_launcher(words: Sequence[str], checkout: Path) -> None:
    """Raise SettingsError where there is no such launcher, what it needs is not installed, or a key of it is wrong."""
    words, name = launcher_words(words), launcher_name(words)
    if not words:
        return
    extra, module = _NEEDS.get(name, ("", ""))
    if extra and not _is_here(module):
        raise SettingsError(
            f"{_GROUP}={name}: what it needs is not installed.", where="command line",
            fix=f'pip install -c constraints.txt -e ".[{extra}]"',
        )  # fmt: skip
    with initialize_config_dir(str(checkout / "configs"), version_base="1.3"):
        options = sorted({*_NEEDS, *GlobalHydra.instance().config_loader().get_group_options(_GROUP)})
        if name not in options:
            hint = nearest(name, options)
            meant = f" Did you mean {hint!r}?" if hint else ""
            raise SettingsError(
                f"{_GROUP}={name}: there is no such launcher.{meant}", where="command line",
                fix=f"Choose one: {', '.join(options)}.",
            )  # fmt: skip
        try:
            compose(ROOT, list(words))
        except (HydraException, OmegaConfBaseException) as error:
            known = compose(ROOT, [f"{_GROUP}={name}"], return_hydra_config=True).hydra.launcher
            keys = ", ".join(f"hydra.launcher.{key}" for key in known if key != "_target_")
            raise SettingsError(str(error).splitlines()[0], where=f"{_GROUP}={name}", fix=f"Keys: {keys}") from None


def run_jobs(task: Callable[[], Any], jobs: int, words: Sequence[str], folder: Path, checkout: Path) -> list[Any]:
    """Run one task in several jobs at once.

    Args:
        task: Can be pickled.
        jobs: How many.
        words: That name a launcher and its keys.
        folder: Where the launcher keeps what it writes.
        checkout: Holds configs/.

    Returns:
        What every job has returned.

    Raises:
        Exception: Of the launcher's own, where a job has died; others may still run.
    """
    with initialize_config_dir(str(checkout / "configs"), version_base="1.3"):
        own = [f"hydra.sweep.dir={json.dumps(str(folder), ensure_ascii=False)}", "hydra.sweep.subdir=."]
        config = compose(ROOT, [*words, *own], return_hydra_config=True)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=HydraContext(GlobalHydra.instance().config_loader(), Callbacks()),
            task_function=partial(_begin, task), config=config,
        )  # fmt: skip
        return [job.return_value for job in launcher.launch([[] for _ in range(jobs)], initial_job_idx=0)]


def _begin(task: Callable[[], Any], _: DictConfig) -> Any:
    GlobalHydra.instance().clear()  # a task composes settings of its own
    return task()


def _is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it lies in
        return False
