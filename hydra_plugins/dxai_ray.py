"""Hydra's jobs on Ray: those of this machine, or of a cluster that runs already.

The published launcher asks for cloudpickle < 3, which joblib no longer goes with, and for boto3. Hydra takes a launcher
from this package only, which others share: it has no `__init__.py`.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from dxai.arithmetic import PORTABLE, WITHOUT_AVX512


class RayLauncher(Launcher):
    """One Ray task per job.

    Args:
        init: Arguments of ``ray.init``, such as the address of a cluster.
        remote: Options of every task, such as ``num_cpus`` and ``num_gpus``.
    """

    def __init__(self, init: Mapping[str, Any], remote: Mapping[str, Any]) -> None:
        self.init, self.remote = init, remote

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Told what to launch."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run all jobs, as many at once as there is room for.

        Raises:
            ray.exceptions.RayError: A job has died.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to its makers
        import ray

        if not ray.is_initialized():
            ray.init(**_plain(self.init))
        names = ("OMP_NUM_THREADS", *PORTABLE, *WITHOUT_AVX512)  # a node of a cluster has an environment of its own
        known = {name: os.environ[name] for name in names if name in os.environ}
        remote = ray.remote(**{"max_retries": 0, **_plain(self.remote), "runtime_env": {"env_vars": known}})(_run)
        shared = ray.put((self.hydra_context, self.config, self.task_function, Singleton.get_state()))
        jobs = [remote.remote(shared, initial_job_idx + i, list(words)) for i, words in enumerate(job_overrides)]
        returned: list[JobReturn] = ray.get(jobs)
        return returned


def _run(shared: tuple[HydraContext, DictConfig, TaskFunction, Any], number: int, overrides: list[str]) -> JobReturn:
    """One job, in a process of Ray's."""
    context, config, task, state = shared
    setup_globals()
    Singleton.set_state(state)
    own = context.config_loader.load_sweep_config(config, overrides)
    with open_dict(own):
        own.hydra.job.id, own.hydra.job.num = f"{own.hydra.job.name}_{number}", number
    HydraConfig.instance().set_config(own)
    return run_job(
        hydra_context=context, config=own, task_function=task,
        job_dir_key="hydra.sweep.dir", job_subdir_key="hydra.sweep.subdir",
    )  # fmt: skip


def _plain(config: Any) -> Any:
    return OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else dict(config)
