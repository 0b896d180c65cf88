"""The study of a sweep: trials that any number of processes draw, run and tell of; each has one result."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock, Timeout
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from dxai.config.sweep import Range, SweepSettings
from dxai.errors import SettingsError

optuna.logging.set_verbosity(optuna.logging.WARNING)

_PLACE, _ORIGIN, _NOTE = "dxai_place", "dxai_origin", "dxai_note"
_BUSY = 60.0
"""Seconds that a process waits for others that write to the same file of SQLite."""
_STATES = {TrialState.COMPLETE: "ended", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class Trial:
    """A trial that is done.

    Attributes:
        state: Ended well, ended early, or failed.
        value: Of the metric; None where it has none.
        parameters: By key.
        note: What was said of it at its end.
    """

    number: int
    state: Literal["ended", "pruned", "failed"]
    value: float | None
    parameters: Mapping[str, Any]
    note: Mapping[str, Any]


class Claim:
    """A trial that this process runs, and no other.

    Attributes:
        number: From 0.
        parameters: By key.
    """

    def __init__(self, trial: Any) -> None:
        self._trial = trial
        self.number: int = trial.number
        self.parameters: dict[str, Any] = dict(trial.params)

    def promises_little(self, step: int, value: float) -> bool:
        """Tell of a value on the way; whether the trial should end, by what others had come to there."""
        frozen = self._trial.storage.get_trial(self._trial._trial_id)
        if step not in frozen.intermediate_values:  # a trial that is resumed has told some
            self._trial.report(value, step)
        return bool(self._trial.should_prune())


class Study:
    """The trials of a sweep, in a database.

    Args:
        folder: Of the sweep: holds the locks of its trials, and ``study.db`` where the settings name no other database.
        place: Of this folder among those of other machines that share the study.
        settings: Of the sweep.
        better: Which way the metric is better.
        steps: Most values that a trial tells of on its way.
        origin: What the study is about, in words; another of that name is refused.

    Raises:
        SettingsError: The database cannot be opened, or holds a study of this name about something else.
    """

    def __init__(
        self, folder: Path, place: str, settings: SweepSettings, better: str, steps: int, origin: Mapping[str, str]
    ) -> None:
        self.locks, self.settings = folder / ".locks", settings
        self.locks.mkdir(exist_ok=True)
        self.alone = settings.storage is None
        self.place = place
        try:
            self._study = optuna.create_study(
                storage=_storage(settings.storage or f"sqlite:///{folder / 'study.db'}"),
                study_name=settings.study or ("sweep" if self.alone else f"{folder.name}-{place}"),
                direction="maximize" if better == "more" else "minimize",
                pruner=_pruner(settings.pruner, steps), load_if_exists=True,
            )  # fmt: skip
        except Exception as error:  # of whatever database and driver
            told = str(error).splitlines()[0]
            raise SettingsError(
                f"The study cannot be opened: {told}", where="sweep.storage",
                fix="Give sqlite:///FILE, postgresql://… or mysql://… and install its driver; null is a file.",
            ) from None  # fmt: skip
        self._refuse_other(dict(origin))
        self._space = {key: _distribution(dimension) for key, dimension in settings.dimensions.items()}

    def _refuse_other(self, origin: dict[str, str]) -> None:
        known = self._study.user_attrs.get(_ORIGIN)
        if known is None:
            self._study.set_user_attr(_ORIGIN, origin)
        elif changed := [name for name in {**known, **origin} if known.get(name) != origin.get(name)]:
            raise SettingsError(
                f"The study {self._study.study_name!r} is about something else: other {', '.join(changed)}.",
                where="sweep.study", fix="Give it another name.",
            )  # fmt: skip

    @contextmanager
    def claim(self) -> Iterator[Claim | None]:
        """A trial for the block: one of this folder that was interrupted, otherwise a new one; None: there is none."""
        with FileLock(self.locks / "sweep"):
            trial, lock = self._interrupted() or self._new() or (None, None)
        if trial is None or lock is None:
            yield None
            return
        try:
            yield Claim(trial)
        finally:
            lock.release()

    def lost(self) -> list[int]:
        """Numbers of this folder's trials that are begun and not done; those that a process runs are waited for."""
        for frozen in self._ours():
            with FileLock(self.locks / str(frozen.number)):
                pass
        return [frozen.number for frozen in self._ours()]

    def _ours(self) -> list[Any]:
        running = self._study.get_trials(states=(TrialState.RUNNING,))
        return [t for t in running if t.user_attrs.get(_PLACE, self.place if self.alone else "") == self.place]

    def _interrupted(self) -> tuple[Any, FileLock] | None:
        for frozen in self._ours():
            if lock := self._locked(frozen.number):
                again = partial(optuna.trial.Trial, self._study, frozen._trial_id)
                return self._drawn(frozen.number, again), lock
        return None

    def _new(self) -> tuple[Any, FileLock] | None:
        number = len(self._study.get_trials(deepcopy=False))
        if number >= self.settings.trials:
            return None
        trial = self._drawn(number, self._study.ask)
        trial.set_user_attr(_PLACE, self.place)
        if trial.number >= self.settings.trials:  # another machine was faster
            self._study.tell(trial.number, state=TrialState.FAIL)
            return None
        lock = self._locked(trial.number)
        assert lock is not None
        return trial, lock

    def _drawn(self, number: int, begin: Callable[[], Any]) -> Any:
        """A trial with a value of every key: by those before it and a seed of its own; a death changes none."""
        own = 0 if self.alone else int(self.place, 16)
        self._study.sampler = optuna.samplers.TPESampler(seed=(self.settings.seed * 1_000_003 + number + own) % 2**32)
        trial = begin()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for key, distribution in self._space.items():
                _suggest(trial, key, distribution)
        return trial

    def _locked(self, number: int) -> FileLock | None:
        lock = FileLock(self.locks / str(number), timeout=0)  # goes with the process, however that ends
        try:
            lock.acquire()
        except Timeout:
            return None
        return lock

    def tell(self, claim: Claim, state: str, value: float | None, note: Mapping[str, Any]) -> None:
        """The one result of a trial.

        Args:
            claim: Of the trial.
            state: As in `Trial`.
            value: Of the metric; None where the trial has not come to its end.
            note: What is kept with it.
        """
        claim._trial.set_user_attr(_NOTE, dict(note))
        number = next(key for key, name in _STATES.items() if name == state)
        self._study.tell(claim.number, value if state == "ended" else None, state=number)

    @property
    def trials(self) -> list[Trial]:
        """Those that are done, in order."""
        return [
            Trial(t.number, _STATES[t.state], t.value, dict(t.params), t.user_attrs.get(_NOTE, {}))  # type: ignore[arg-type]
            for t in self._study.get_trials(deepcopy=False)
            if t.state in _STATES and t.number < self.settings.trials
        ]

    @property
    def best(self) -> Trial | None:
        """The best of those that ended well; of equals the first."""
        sign = -1 if self._study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
        ended = [(sign * t.value, t.number, t) for t in self.trials if t.value is not None and t.state == "ended"]
        return min(ended)[-1] if ended else None

    @property
    def importance(self) -> dict[str, float]:
        """By key its share in what makes trials good (PED-ANOVA, Watanabe et al. 2023); empty: it cannot be told."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return dict(optuna.importance.get_param_importances(self._study))
            except (ValueError, RuntimeError):  # too few trials, or all of them alike
                return {}


def _storage(uri: str) -> Any:
    more = {"connect_args": {"timeout": _BUSY}} if uri.startswith("sqlite") else {"pool_pre_ping": True}
    return optuna.storages.RDBStorage(uri, engine_kwargs=more)


def _pruner(name: str, steps: int) -> Any:
    if name == "none" or steps < 2:
        return optuna.pruners.NopPruner()
    if name == "median":
        return optuna.pruners.MedianPruner()
    return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=steps, reduction_factor=3)


def _distribution(dimension: Range | tuple[str, ...]) -> Any:
    if not isinstance(dimension, Range):
        return CategoricalDistribution(dimension)
    if dimension.whole:
        step = 1 if dimension.step is None else int(dimension.step)
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log, step=step)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def _suggest(trial: Any, key: str, distribution: Any) -> None:
    """Draw a key, unless it is drawn already."""
    if isinstance(distribution, CategoricalDistribution):
        trial.suggest_categorical(key, distribution.choices)
    elif isinstance(distribution, IntDistribution):
        trial.suggest_int(key, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
    else:
        trial.suggest_float(key, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
